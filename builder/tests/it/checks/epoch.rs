//! SOURCE_DATE_EPOCH.

use serde_json::Value;

use super::{Layout, lab, pushed, script};
use crate::harness::{Page, WebServer, sh};

const TIME: &str = "2015-10-21T07:28:00Z";
const EPOCH: &str = "1445412480";

/// Builds an image with these words of `--output` and returns it.
fn layout(lab: &super::Lab, options: &str, words: &[&str]) -> Layout {
    script(lab, "rm -rf image");
    let spec = format!("type=oci,tar=false,dest=image{options}");
    lab.build(&[&["-o", &spec], words].concat());
    Layout(lab.path().join("image"))
}

fn times(config: &Value) -> Vec<&str> {
    let history = config["history"].as_array().unwrap().iter();
    let times = history.map(|entry| &entry["created"]).chain([&config["created"]]);
    times.map(|time| time.as_str().unwrap_or_default()).collect()
}

/// Lists the times of what is in the layers, each once.
fn layer_times(lab: &super::Lab, layout: &Layout) -> String {
    let manifest = layout.root();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let digests: Vec<&str> = layers.map(|layer| layer["digest"].as_str().unwrap()).collect();
    let files = digests
        .iter()
        .map(|digest| format!("image/blobs/{}", digest.replace(':', "/")));
    let files: Vec<String> = files.collect();
    script(
        lab,
        &format!(
            "for file in {}; do TZ=UTC tar --full-time -tvf $file | awk '{{print $4 \"T\" $5 \"Z\"}}'; done | sort -u",
            files.join(" ")
        ),
    )
}

#[test]
fn the_epoch_is_the_time_of_image_and_history() {
    // BK-229
    let lab = lab("FROM scratch\nENTRYPOINT foo bar\nCOPY Dockerfile .\n", &[]);
    let argument = format!("SOURCE_DATE_EPOCH={EPOCH}");
    for options in ["", ",source-date-epoch="] {
        let config = layout(&lab, options, &["--build-arg", &argument]).config();
        assert_eq!(times(&config), [TIME; 3], "{options}");
    }
}

#[test]
fn the_dockerfile_may_have_a_default_for_it() {
    // BK-230
    let lab = lab(
        &format!("ARG SOURCE_DATE_EPOCH={EPOCH}\nFROM scratch\nCOPY Dockerfile .\n"),
        &[],
    );
    let image = layout(&lab, ",rewrite-timestamp=true", &[]);
    assert_eq!(times(&image.config()), [TIME; 2]);
    assert_eq!(layer_times(&lab, &image), format!("{TIME}\n"));
    assert_eq!(
        image.root()["layers"][0]["annotations"]["buildkit/rewritten-timestamp"],
        EPOCH
    );
    // BK-231
    let other = layout(
        &lab,
        ",rewrite-timestamp=true",
        &["--build-arg", "SOURCE_DATE_EPOCH=1445412000"],
    );
    assert_eq!(times(&other.config()), ["2015-10-21T07:20:00Z"; 2]);
    assert_eq!(layer_times(&lab, &other), "2015-10-21T07:20:00Z\n");
    // BK-232
    let reset = layout(&lab, ",rewrite-timestamp=true,source-date-epoch=", &[]);
    assert_ne!(layer_times(&lab, &reset), format!("{TIME}\n"));
    assert_eq!(reset.root()["layers"][0]["annotations"], Value::Null);
}

#[test]
fn a_directory_has_no_time() {
    // BK-237
    let lab = lab(
        "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY Dockerfile .\n",
        &[],
    );
    let before = script(&lab, "date -u +%FT%T");
    let config = layout(&lab, "", &[]).config();
    let dated = times(&config).into_iter().filter(|time| !time.is_empty());
    assert!(dated.into_iter().all(|time| time >= before.trim()), "{config}");
}

#[test]
fn an_image_is_the_same_every_time_and_its_base_is_left_as_it_is() {
    // BK-242 BK-377
    let base = pushed("epoch-base", "FROM BASE/busybox\nRUN echo base > /base\n", &[]);
    let text = format!(
        "FROM {base}\nRUN touch /foo && touch -d '2010-01-01 12:34:56' /foo-2010 && \
         touch -d '2030-01-01 12:34:56' /foo-2030 && rm /base\nCOPY --link Dockerfile /linked/\n\
         WORKDIR /work/directory\nCOPY foo /copied/into/\n"
    );
    let lab = lab(&text, &[("foo", "")]);
    let words = ["--build-arg", "SOURCE_DATE_EPOCH=1673354096"];
    let digest = |layout: &Layout| layout.index()["manifests"][0]["digest"].clone();
    let first = layout(&lab, ",rewrite-timestamp=true", &words);
    let of_base = script(
        &lab,
        &format!("skopeo inspect --raw --tls-verify=false docker://{base}"),
    );
    let of_base: Value = serde_json::from_str(&of_base).unwrap();
    let layers = first.root()["layers"].as_array().unwrap().clone();
    let unchanged = of_base["layers"].as_array().unwrap();
    for (ours, theirs) in layers.iter().zip(unchanged) {
        assert_eq!(ours["digest"], theirs["digest"], "a layer of the base was rewritten");
    }
    for layer in &layers[unchanged.len()..] {
        assert_eq!(layer["annotations"]["buildkit/rewritten-timestamp"], "1673354096");
    }
    let config = first.config();
    let theirs = script(
        &lab,
        &format!("skopeo inspect --config --raw --tls-verify=false docker://{base}"),
    );
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let own = theirs["history"].as_array().unwrap().len();
    assert_eq!(
        config["history"].as_array().unwrap()[..own],
        theirs["history"].as_array().unwrap()[..]
    );
    assert!(
        times(&config)[own..].iter().all(|time| *time == "2023-01-10T12:34:56Z"),
        "{config}"
    );

    let first = digest(&first);
    lab.croze(&["prune", "--all"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(digest(&layout(&lab, ",rewrite-timestamp=true", &words)), first);
    let plain = layout(&lab, "", &words);
    assert!(
        plain.root()["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|layer| layer["annotations"].is_null())
    );
    // What one output rewrote, the cache has not.
    assert_ne!(digest(&plain), first);
    assert!(layer_times(&lab, &plain).contains("2030-01-01"));
}

/// A Dockerfile whose time is that of `source`, which a step is told.
fn told(before: &str) -> String {
    format!(
        "ARG SOURCE_DATE_EPOCH=source\n{before}FROM BASE/busybox\nARG SOURCE_DATE_EPOCH\n\
         RUN echo -n \"$SOURCE_DATE_EPOCH\" > /epoch\n"
    )
}

/// Builds and returns the time that the step was told, the image's, and that of the layer.
fn epochs(lab: &super::Lab, words: &[&str]) -> [String; 3] {
    let image = layout(lab, ",rewrite-timestamp=true", words);
    let layers = image.root()["layers"].as_array().unwrap().clone();
    let layer = &layers[layers.len() - 1];
    let digest = layer["digest"].as_str().unwrap().replace(':', "/");
    let annotation = layer["annotations"]["buildkit/rewritten-timestamp"].as_str();
    [
        script(lab, &format!("tar -xOzf image/blobs/{digest} epoch")),
        image.config()["created"].as_str().unwrap().to_owned(),
        annotation.unwrap_or_default().to_owned(),
    ]
}

/// Makes an archive of one file; the directory that it is in is younger.
fn archive(seconds: u64) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    sh(&format!(
        "cd {at}; mkdir tree; echo bar > tree/foo; touch -d @{seconds} tree/foo; tar -czf archive tree"
    ));
    std::fs::read(directory.path().join("archive")).unwrap()
}

fn dated(body: Vec<u8>) -> Page {
    Page {
        last_modified: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
        ..Page::tagged(body, "dated")
    }
}

#[test]
fn it_may_be_the_time_of_a_stage_that_only_fetches() {
    // BK-238
    let server = WebServer::start();
    server.put("/src.tar.gz", Page::tagged(archive(1_700_000_402), "1"));
    let stage = format!(
        "FROM scratch AS source\nARG name=src\nADD {}/$name.tar.gz /\n",
        server.url("")
    );
    let lab = lab(&told(&stage), &[]);
    let expected = ["1700000402", "2023-11-14T22:20:02Z", "1700000402"];
    assert_eq!(epochs(&lab, &[]), expected);
    // The server's own word counts more than what is in the archive.
    server.put("/dated.tar.gz", dated(archive(1_700_000_402)));
    let words = ["--build-arg", "name=dated"];
    assert_eq!(epochs(&lab, &words), [EPOCH, TIME, EPOCH]);
    // What is neither dated nor an archive has no time.
    server.put("/plain.tar.gz", Page::tagged("text", "1"));
    assert_eq!(epochs(&lab, &["--build-arg", "name=plain"])[0], "");
    // BK-239
    let words = ["--build-arg", "SOURCE_DATE_EPOCH=1700000502"];
    assert_eq!(epochs(&lab, &words)[2], "1700000502");
    let words = ["--build-arg", "SOURCE_DATE_EPOCH=source", "--build-arg", "name=dated"];
    assert_eq!(epochs(&lab, &words), [EPOCH, TIME, EPOCH]);
    server.put(
        "/src.tar.gz",
        Page {
            authorization: Some("x".to_owned()),
            ..Page::default()
        },
    );
    lab.croze(&["prune", "--all"]);
    lab.croze(&["build", "context"]).fails(
        7,
        &[
            "`SOURCE_DATE_EPOCH` takes the time of the image from it",
            "invalid response status 401",
            "Dockerfile:4",
        ],
    );
}

#[test]
fn a_stage_that_does_more_has_no_time_to_give() {
    // BK-240
    let url = WebServer::start().url("/x");
    for (stage, said) in [
        (
            "FROM scratch AS source\nCOPY Dockerfile /Dockerfile\n".to_owned(),
            "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported COPY instruction",
        ),
        (
            "FROM BASE/busybox AS source\n".to_owned(),
            "SOURCE_DATE_EPOCH stage must use FROM scratch",
        ),
        (
            "FROM scratch AS source\n".to_owned(),
            "must contain exactly one remote ADD",
        ),
        (
            "FROM scratch AS source\nADD Dockerfile /\n".to_owned(),
            "must contain exactly one remote ADD",
        ),
        (
            format!("FROM scratch AS source\nADD {url} {url} /\n"),
            "must contain exactly one remote ADD",
        ),
        (
            format!("FROM scratch AS source\nADD {url} /\nADD {url} /\n"),
            "must contain exactly one remote ADD",
        ),
    ] {
        let lab = lab(&format!("ARG SOURCE_DATE_EPOCH=source\n{stage}FROM scratch\n"), &[]);
        lab.croze(&["build", "context"])
            .fails(3, &[said, "Dockerfile:", "is `FROM scratch` and one `ADD`"]);
        lab.croze(&["build", "--check", "context"]).fails(3, &[said]);
    }
}

#[test]
fn it_may_be_the_time_of_a_named_context() {
    // BK-241
    let server = WebServer::start();
    server.put("/dated.tar.gz", dated(archive(1_700_000_601)));
    server.put("/archive.tar.gz", Page::tagged(archive(1_700_000_602), "1"));
    let lab = lab(&told(""), &[]);
    let context = |path: &str| format!("source={}", server.url(path));
    let words = |context| ["--build-context", context];
    let (dated, archive) = (context("/dated.tar.gz"), context("/archive.tar.gz"));
    assert_eq!(epochs(&lab, &words(dated.as_str())), [EPOCH, TIME, EPOCH]);
    let expected = ["1700000602", "2023-11-14T22:23:22Z", "1700000602"];
    assert_eq!(epochs(&lab, &words(archive.as_str())), expected);
    // Files of this machine and images have none.
    for context in ["source=context", "source=docker-image://scratch"] {
        assert_eq!(epochs(&lab, &words(context))[0], "", "{context}");
    }
}

#[test]
fn a_step_is_told_the_time_of_the_context() {
    // BK-236
    let lab = lab(&told(""), &[]);
    let server = WebServer::start();
    script(
        &lab,
        "touch -d @1700000602 context/Dockerfile; tar -C context -czf context.tar.gz .",
    );
    let archive = std::fs::read(lab.path().join("context.tar.gz")).unwrap();
    server.put("/context.tar.gz", Page::tagged(archive, "1"));
    let (url, argument) = (server.url("/context.tar.gz"), "SOURCE_DATE_EPOCH=context");
    let outcome = lab.croze(&["build", "--build-arg", argument, "-o", "out", &url]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(script(&lab, "cat out/epoch"), "1700000602");
}

#[test]
fn what_a_copy_makes_bears_it() {
    // BK-031: as a work directory does.
    let text = "FROM scratch\nWORKDIR /work\nCOPY foo /made/for/\nCOPY <<note /notes/\ntext\nnote\n";
    let lab = lab(text, &[("foo", "")]);
    script(&lab, "touch -d 2001-02-03T04:05:06Z context/foo");
    let words = ["--build-arg", &format!("SOURCE_DATE_EPOCH={EPOCH}")];
    let first = layout(&lab, "", &words);
    assert_eq!(layer_times(&lab, &first), format!("2001-02-03T04:05:06Z\n{TIME}\n"));
    let digest = |layout: &Layout| layout.index()["manifests"][0]["digest"].clone();
    let digest_of_first = digest(&first);
    lab.croze(&["prune", "--all"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(digest(&layout(&lab, "", &words)), digest_of_first);
}

#[test]
fn files_that_are_written_out_are_no_younger() {
    // BK-377
    let lab = lab(
        "FROM BASE/busybox AS made\nRUN mkdir -p /out/dir && touch /out/dir/new && touch -d '2001-02-03 04:05:06' /out/old\n\
         FROM scratch\nCOPY --from=made /out /\n",
        &[],
    );
    let argument = format!("SOURCE_DATE_EPOCH={EPOCH}");
    let words = ["--build-arg", argument.as_str()];
    let seconds = |words: &[&str]| {
        lab.build(&[&["-o", "type=tar,dest=out.tar"], words].concat());
        let files = "mkdir -p tar; tar -C tar -xf out.tar; stat -c %Y tar/old tar/dir tar/dir/new; rm -r tar";
        script(&lab, files)
    };
    let lowered = format!("981173106\n{EPOCH}\n{EPOCH}\n");
    assert_eq!(seconds(&words), lowered);
    assert_ne!(seconds(&[]), lowered);
    for (options, as_expected) in [
        ("", true),
        (",source-date-epoch=", false),
        (",platform-split=true", true),
    ] {
        script(&lab, "rm -rf out");
        let spec = format!("type=local,dest=out{options}");
        lab.build(&[&["-o", &spec], words.as_slice()].concat());
        let found = script(
            &lab,
            "cd out; cd linux_* 2>/dev/null || true; stat -c %Y old dir dir/new",
        );
        assert_eq!(found == lowered, as_expected, "{options}: {found}");
    }
    lab.build(&["-o", "type=local,dest=at,source-date-epoch=7"]);
    assert_eq!(script(&lab, "stat -c %Y at/old at/dir/new"), "7\n7\n");
}

#[test]
fn files_of_a_repository_bear_the_time_of_the_commit() {
    // BK-234: BuildKit asks git for it as soon as any time is asked for.
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    sh(&format!(
        "export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
         GIT_COMMITTER_EMAIL=a@b GIT_COMMITTER_DATE='{EPOCH} +0000'\ncd {at}; git init -q work; cd work; \
         printf 'FROM scratch\\nCOPY Dockerfile /\\n' > Dockerfile; git add .; git commit -qm 1; cd ..; \
         git clone -q --bare work repo.git; git -C repo.git update-server-info"
    ));
    let server = WebServer::of_directory(directory.path());
    let lab = lab("", &[]);
    for (query, argument, is_of_commit) in [
        ("", "SOURCE_DATE_EPOCH=1700000000", true),
        ("?mtime=checkout", "SOURCE_DATE_EPOCH=1700000000", false),
        ("?mtime=commit", "OTHER=1", true),
        ("", "OTHER=1", false),
    ] {
        let url = format!("{}{query}", server.url("/repo.git"));
        let words = [
            "build",
            "--build-arg",
            argument,
            "-o",
            "type=oci,tar=false,dest=image",
            &url,
        ];
        // Times do not enter keys, so that what is cached keeps its own.
        lab.croze(&["prune", "--all"]);
        script(&lab, "rm -rf image");
        let outcome = lab.croze(&words);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let times = layer_times(&lab, &Layout(lab.path().join("image")));
        assert_eq!(
            times == format!("{TIME}\n"),
            is_of_commit,
            "{query} {argument}: {times}"
        );
    }
}
