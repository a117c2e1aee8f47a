//! What is damaged is found, made again, and gives the same image.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use builder::state_dir::Class;

use crate::harness::{Lab, Outcome, Page, WebServer, serve, sh};

/// Steps of all kinds, whose results depend on nothing but the Dockerfile and the context.
const DOCKERFILE: &str = "\
FROM BASE/busybox
COPY file /copied
RUN --mount=type=cache,target=/c echo made | tee /made > /c/kept
WORKDIR /work
";

struct Store {
    lab: Lab,
}

impl Store {
    fn new() -> Self {
        let lab = Lab::new(DOCKERFILE);
        lab.write("file", &"content\n".repeat(1000));
        Self { lab }
    }

    /// Builds, and returns the digest of the image.
    fn build(&self, words: &[&str]) -> (String, Outcome) {
        const REPRODUCIBLE: [&str; 8] = [
            "--build-arg",
            "SOURCE_DATE_EPOCH=1700000000",
            "-t",
            "app",
            "-o",
            "type=oci,dest=out,tar=false,rewrite-timestamp=true",
            "--metadata-file",
            "metadata",
        ];
        let out = self.lab.path().join("out");
        if out.exists() {
            fs::remove_dir_all(out).unwrap();
        }
        let outcome = self.lab.build(&[&REPRODUCIBLE, words].concat());
        let metadata = fs::read(self.lab.path().join("metadata")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        (metadata["containerimage.digest"].as_str().unwrap().to_owned(), outcome)
    }

    fn verify(&self, words: &[&str]) -> Outcome {
        self.lab.croze(&[&["verify"], words].concat())
    }

    fn is_whole(&self) {
        let outcome = self.verify(&[]);
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }

    /// Returns the files of the store below a directory, the largest first.
    fn files(&self, directory: &str) -> Vec<PathBuf> {
        let layout = self.lab.path().join("state/v1").join(directory);
        let list = sh(&format!(
            "find {} -type f -size +0 -printf '%s %p\\n' | sort -rn",
            layout.display()
        ));
        list.lines()
            .filter_map(|line| Some(line.split_once(' ')?.1.into()))
            .collect()
    }
}

/// Changes one bit in the middle of a file, as a bad disk would: without a trace in its times or its mode.
fn flip(path: &Path) {
    let (metadata, mut bytes) = (fs::metadata(path).unwrap(), fs::read(path).unwrap());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    let time = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
    sh(&format!("touch -d @{time} '{}'", path.display()));
}

/// Changes the middle of a file, once.
fn spoil(path: &Path) {
    // The build removes some by itself.
    let Ok(mut bytes) = fs::read(path) else { return };
    let middle = bytes.len() / 2;
    bytes[middle] = b'#';
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_store_is_whole_after_builds_of_all_kinds() {
    let store = Store::new();
    let verified = |outcome: Outcome| {
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()
    };
    assert_eq!(
        verified(store.verify(&["--format=json"]))["blobs"],
        0,
        "there is no store yet"
    );
    let (first, _) = store.build(&[]);
    let (second, outcome) = store.build(&["--no-cache"]);
    assert_eq!(first, second, "{}", outcome.stderr);
    let found = verified(store.verify(&["--format=json"]));
    assert_eq!([&found["unchecked"], &found["doubtful"]], [0, 0], "{found}");
    assert!(
        found["snapshots"].as_u64() > Some(3) && found["blobs"].as_u64() > Some(4),
        "{found}"
    );
}

/// Returns where the small files, or blobs, of a class are that a build believes.
fn believed(class: Class) -> Option<&'static str> {
    match class {
        // What is in them has a test of its own.
        Class::Snapshots => Some("snap/*/stamp"),
        // Nothing is in it but while a process works, and is believed by nobody after that.
        Class::Scratch => None,
        class => Some(class.directory()),
    }
}

#[test]
fn a_flipped_bit_in_a_small_file_or_a_blob_is_a_miss_or_mended_and_the_image_is_the_same() {
    let (store, server) = (Store::new(), WebServer::start());
    server.put("/page", Page::tagged("page", "1"));
    let text = format!("{DOCKERFILE}ADD {} /added\n", server.url("/page"));
    store.lab.write("Dockerfile", &store.lab.fill(&text));
    // The digests of files that were changed a moment ago are not remembered.
    thread::sleep(Duration::from_millis(2100));
    let (expected, _) = store.build(&[]);
    for directory in Class::ALL.into_iter().filter_map(believed).chain(["sizes"]) {
        // There is a log of each build.
        let count = store.files(directory).len().min(12);
        assert!(count > 0, "there is something in `{directory}`");
        for number in 0..count {
            // The build before may have removed some.
            let Some(file) = store.files(directory).into_iter().nth(number) else {
                break;
            };
            flip(&file);
            if ["index", "layers", "images", "tags", "blobs"].contains(&directory) {
                let outcome = store.verify(&[]);
                outcome.fails(8, &[]);
                assert!(outcome.stdout.contains(file.to_str().unwrap()), "{}", outcome.stdout);
            }
            let (digest, outcome) = store.build(&[]);
            assert_eq!(digest, expected, "{}: {}", file.display(), outcome.stderr);
            if store.verify(&[]).code == 8 {
                // Something that nobody had to read.
                store.verify(&["--repair"]).fails(8, &[]);
            }
            store.is_whole();
        }
    }
}

#[test]
fn a_damaged_blob_is_found_when_it_is_pushed_and_when_it_is_unpacked() {
    let store = Store::new();
    store.build(&[]);
    let tag = "BASE/damage/pushed:1";
    for file in store.files("blobs") {
        flip(&file);
    }
    // What has to be unpacked again as well.
    sh(&format!("rm -rf {}/state/v1/snap/layer-*", store.lab.path().display()));
    store.lab.write("file", "other");
    let outcome = store
        .lab
        .croze(&["build", "--progress=plain", "-t", tag, "--push", "context"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("was damaged and is made or fetched again"),
        "{}",
        outcome.stderr
    );
    store.verify(&["--repair"]);
    store.is_whole();
}

#[test]
fn a_disk_that_damages_all_that_is_written_ends_a_build() {
    let lab = Lab::new("FROM scratch\nCOPY file /\n");
    lab.write("file", &"content\n".repeat(1000));
    let blobs = lab.path().join("state/v1/blobs/sha256");
    let is_document = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"{"));
    // It has all but the layer, which is damaged whenever it is about to be sent.
    let registry = serve(
        move |request| match (request.method.as_str(), request.path.rsplit_once("sha256:")) {
            ("POST", _) => {
                let list = sh(&format!("find {} -type f -size +0", blobs.display()));
                let layers = list.lines().map(Path::new).filter(|blob| !is_document(blob));
                layers.for_each(spoil);
                ("400 Bad Request", Vec::new())
            }
            ("HEAD", Some((_, hex))) if is_document(&blobs.join(&hex[..2]).join(hex)) => ("200 OK", Vec::new()),
            ("GET", None) if request.path == "/v2/" => ("200 OK", Vec::new()),
            _ => ("404 Not Found", Vec::new()),
        },
    );
    let tag = format!("{registry}/app:1");
    let words = [
        "build",
        "--progress=plain",
        "context",
        "-t",
        &tag,
        "--push",
        "-o",
        "type=oci,dest=out.tar",
    ];
    let mut child = lab
        .command(&words)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it goes on for ever");
        }
        thread::sleep(Duration::from_millis(50));
    }
    let outcome = Outcome::of(child.wait_with_output().unwrap());
    outcome.fails(8, &["damaged again and again", "may be failing"]);
}

#[test]
fn a_flipped_bit_in_a_file_of_a_snapshot_is_found_and_repaired() {
    let store = Store::new();
    let (expected, _) = store.build(&[]);
    let busybox = sh(&format!(
        "find {}/state/v1/snap/layer-*/fs/bin -type f -size +100k -print -quit",
        store.lab.path().display()
    ));
    let step = sh(&format!(
        "find {}/state/v1/snap/step-*/fs -name copied",
        store.lab.path().display()
    ));
    for file in [busybox, step] {
        let file = Path::new(file.trim());
        flip(file);
        let found = store.verify(&[]);
        found.fails(8, &[]);
        assert!(
            found.stdout.contains("its files are not those of its layer"),
            "{}",
            found.stdout
        );
        store.verify(&["--repair"]).fails(8, &[]);
        store.is_whole();
        let (digest, outcome) = store.build(&[]);
        assert_eq!(digest, expected, "{}", outcome.stderr);
    }
}

#[test]
fn a_name_whose_image_lacks_a_layer_is_found_and_removed() {
    let store = Store::new();
    store.build(&[]);
    fs::remove_file(&store.files("blobs")[0]).unwrap();
    let found = store.verify(&[]);
    found.fails(8, &[]);
    assert!(found.stdout.contains("its image lacks the blob"), "{}", found.stdout);
    store.verify(&["--repair"]).fails(8, &[]);
    store.is_whole();
}

#[test]
fn what_another_boot_made_is_believed_only_if_it_was_synced() {
    let store = Store::new();
    let other_boot = "11111111-2222-3333-4444-555555555555";
    let age = |lab: &Lab| {
        // As if the machine had been started since.
        sh(&format!(
            "cd {}/state/v1 && boot=$(cat /proc/sys/kernel/random/boot_id) &&
             find snap mounts -name stamp -exec sed -i \"s/$boot/{other_boot}/\" {{}} + &&
             if test -e epochs/$boot; then mv epochs/$boot epochs/{other_boot}; fi",
            lab.path().display()
        ));
    };
    let (expected, _) = store.build(&[]);
    age(&store.lab);
    let (digest, outcome) = store.build(&[]);
    assert_eq!(digest, expected);
    assert_eq!(
        outcome.stderr.matches("CACHED").count(),
        3,
        "it was synced:\n{}",
        outcome.stderr
    );

    store.build(&["--no-cache", "--no-sync"]);
    age(&store.lab);
    let found = store.verify(&["--format=json"]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(
        found["doubtful"], 2,
        "what `RUN` made, and what was made on that: {found}"
    );
    // A power cut may have left their files empty.
    sh(&format!(
        "cd {}/state/v1/snap && for step in step-*; do
             build=$(cut -d' ' -f2 $step/stamp)
             grep -qx $build ../epochs/{other_boot} || find $step/fs -type f -exec truncate -s 0 {{}} +
         done",
        store.lab.path().display()
    ));
    let (digest, outcome) = store.build(&[]);
    assert_eq!(digest, expected);
    assert_eq!(
        outcome.stderr.matches("CACHED").count(),
        1,
        "only what was synced:\n{}",
        outcome.stderr
    );
    store.is_whole();
}
