//! Tests of layouts: what they hold, that equal images give equal bytes, that damage is not exported.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use registry::content::{ContentError, ContentStore};
use registry::oci::{Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

struct Fixture {
    dir: TempDir,
    blobs: ContentStore,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let blobs = ContentStore::open(&dir.path().join("blobs")).unwrap();
        Self { dir, blobs }
    }

    /// Makes an image with one layer of its own and one that all images share.
    fn platform(&self, platform: &str) -> PlatformImage {
        let platform: Platform = platform.parse().unwrap();
        let layer =
            |bytes: &[u8]| Descriptor::new(MediaType::LAYER, self.blobs.put(bytes).unwrap(), bytes.len() as u64);
        let layers = vec![layer(b"shared"), layer(platform.to_string().as_bytes())];
        let config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            ..ImageConfig::default()
        };
        let config = Document::new(MediaType::CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = Manifest::new(config.descriptor.clone(), layers.clone());
        PlatformImage {
            manifest: Document::new(MediaType::MANIFEST, serde_json::to_vec(&manifest).unwrap()),
            platform,
            config,
            layers,
        }
    }

    fn single(&self) -> Image {
        Image::single(self.platform("linux/amd64"))
    }

    fn several(&self) -> Image {
        let manifests = vec![self.platform("linux/amd64"), self.platform("linux/arm/v7")];
        let index = Index::new(
            manifests
                .iter()
                .map(|image| image.manifest.descriptor.clone())
                .collect(),
        );
        Image::under_index(
            Document::new(MediaType::INDEX, serde_json::to_vec(&index).unwrap()),
            manifests,
            Vec::new(),
        )
    }

    fn archive(&self, image: &Image, names: &[Reference], form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        write_archive(&Layout::new(image, names, form).unwrap(), &self.blobs, &mut out).unwrap();
        out
    }
}

fn names(names: &[&str]) -> Vec<Reference> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Returns the files of a tar by name.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in ::tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
    files
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn an_archive_holds_every_blob_once_and_an_entry_for_each_name() {
    let fixture = Fixture::new();
    let image = fixture.several();
    let files = files(&fixture.archive(&image, &names(&["app:1", "localhost:5000/app"]), Form::Oci));
    assert_eq!(files["oci-layout"], b"{\"imageLayoutVersion\":\"1.0.0\"}");
    assert!(!files.contains_key("manifest.json"));
    // 2 configs, 2 manifests, an index; a shared layer and 2 others.
    assert_eq!(files.keys().filter(|name| name.starts_with("blobs/")).count(), 8);
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        assert_eq!(*name, format!("blobs/sha256/{}", Digest::of(bytes).hex()));
    }
    let index = json(&files["index.json"]);
    let entries = index["manifests"].as_array().unwrap();
    let root = image.root().descriptor.digest.to_string();
    assert!(entries.iter().all(|entry| entry["digest"] == *root));
    let annotations: Vec<_> = entries
        .iter()
        .map(|entry| {
            let annotations = &entry["annotations"];
            (
                annotations["io.containerd.image.name"].as_str().unwrap(),
                annotations["org.opencontainers.image.ref.name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        annotations,
        [
            ("docker.io/library/app:1", "1"),
            ("localhost:5000/app:latest", "latest")
        ]
    );
}

#[test]
fn equal_images_give_equal_archives() {
    let (one, two) = (Fixture::new(), Fixture::new());
    for form in [Form::Oci, Form::Docker] {
        let archive = |fixture: &Fixture| fixture.archive(&fixture.single(), &names(&["app:1"]), form);
        assert!(archive(&one) == archive(&two));
    }
}

#[test]
fn a_docker_archive_names_config_layers_and_tags_and_holds_one_platform() {
    let fixture = Fixture::new();
    let image = fixture.single();
    let files = files(&fixture.archive(&image, &names(&["app:1", "localhost:5000/app:2"]), Form::Docker));
    let manifest = json(&files["manifest.json"]);
    assert_eq!(
        manifest[0]["RepoTags"],
        serde_json::json!(["app:1", "localhost:5000/app:2"])
    );
    let layers = manifest[0]["Layers"].as_array().unwrap();
    let paths = layers.iter().chain([&manifest[0]["Config"]]);
    assert!(paths.clone().all(|path| files.contains_key(path.as_str().unwrap())));
    assert_eq!(paths.count(), 3);
    assert!(matches!(
        Layout::new(&fixture.several(), &[], Form::Docker),
        Err(ExportError::SeveralPlatforms { platforms: 2 })
    ));
}

#[test]
fn a_damaged_or_missing_layer_is_not_exported() {
    let fixture = Fixture::new();
    let image = fixture.single();
    let layout = Layout::new(&image, &[], Form::Oci).unwrap();
    let layer = layout.layers[0].digest;
    let path = fixture.blobs.blob_path(layer);
    let out = fixture.dir.path().join("layout");
    for wrong in ["sharee", "share", "shared and more"] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, wrong).unwrap();
        for result in [
            write_archive(&layout, &fixture.blobs, &mut std::io::sink()),
            write_directory(&layout, &fixture.blobs, &out, &CancellationToken::new()),
        ] {
            assert!(
                matches!(&result, Err(ExportError::Content(damage)) if damage.is_damage()),
                "{wrong}: {result:?}"
            );
        }
    }
    assert!(!out.join("index.json").exists());
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(
        write_archive(&layout, &fixture.blobs, &mut std::io::sink()),
        Err(ExportError::Content(ContentError::Missing(digest))) if digest == layer
    ));
}

#[test]
fn a_directory_keeps_other_names_and_replaces_its_own() {
    let fixture = Fixture::new();
    let out = fixture.dir.path().join("layout");
    let export = |image: &Image, tags: &[&str]| {
        let layout = Layout::new(image, &names(tags), Form::Oci).unwrap();
        write_directory(&layout, &fixture.blobs, &out, &CancellationToken::new()).unwrap();
    };
    let listed = || {
        let index: Index = serde_json::from_slice(&std::fs::read(out.join("index.json")).unwrap()).unwrap();
        let entry = |entry: &Descriptor| (layout::name_of(entry).cloned().unwrap_or_default(), entry.digest);
        index.manifests.iter().map(entry).collect::<Vec<_>>()
    };
    let (single, several) = (fixture.single(), fixture.several());
    let [one, many] = [&single, &several].map(|image| image.root().descriptor.digest);
    let name = |tag: &str| format!("docker.io/library/app:{tag}");
    export(&single, &["app:1", "app:2"]);
    export(&several, &["app:1"]);
    assert_eq!(listed(), [(name("2"), one), (name("1"), many)]);
    export(&single, &[]);
    export(&several, &[]);
    assert_eq!(listed(), [(name("2"), one), (name("1"), many), (String::new(), many)]);
    let leftovers = std::fs::read_dir(&out).unwrap().count();
    assert_eq!(leftovers, 3, "blobs, index.json and oci-layout");

    // A blob that was damaged there is written anew.
    let layer = out.join(layout::blob_path(single.layers()[0].digest));
    std::fs::write(&layer, "broken").unwrap();
    export(&single, &["app:3"]);
    assert_eq!(std::fs::read(&layer).unwrap(), b"shared");
    std::fs::write(out.join("index.json"), "[]").unwrap();
    let layout = Layout::new(&single, &[], Form::Oci).unwrap();
    assert!(matches!(
        write_directory(&layout, &fixture.blobs, &out, &CancellationToken::new()),
        Err(ExportError::NotOfALayout { .. })
    ));
}

#[test]
fn docker_finds_all_names_that_a_directory_was_given() {
    let fixture = Fixture::new();
    let out = fixture.dir.path().join("layout");
    let path = out.join("manifest.json");
    let export = |image: &Image, tags: &[&str]| {
        let layout = Layout::new(image, &names(tags), Form::Docker).unwrap();
        write_directory(&layout, &fixture.blobs, &out, &CancellationToken::new()).unwrap();
        let images: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let tags = images
            .as_array()
            .unwrap()
            .iter()
            .map(|image| image["RepoTags"].to_string());
        tags.collect::<Vec<_>>()
    };
    let (one, two) = (fixture.single(), Image::single(fixture.platform("linux/arm64")));
    assert_eq!(export(&one, &["app:1", "app:2"]), [r#"["app:1","app:2"]"#]);
    assert_eq!(
        export(&two, &["app:2", "app:3"]),
        [r#"["app:1"]"#, r#"["app:2","app:3"]"#]
    );
    assert_eq!(
        export(&one, &["app:2", "app:3"]),
        [r#"["app:1"]"#, r#"["app:2","app:3"]"#]
    );
    assert_eq!(export(&two, &[]).len(), 3);
    assert_eq!(export(&one, &[]).len(), 3);
    // Docker's own word for a list without entries.
    std::fs::write(&path, r#"[{"Config":"c","RepoTags":null,"Layers":["l"]}]"#).unwrap();
    assert_eq!(export(&two, &["app:4"]), ["[]", r#"["app:4"]"#]);
}

#[test]
fn platforms_collide_wherever_one_has_something_other_than_a_directory() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let collides = || {
        let trees =
            [("one", &one), ("other", &other)].map(|(name, dir)| (name, snapshotter::Root::open(dir.path()).unwrap()));
        let refused = refuse_collisions(trees.iter().map(|(name, tree)| (*name, tree)));
        refused.is_err_and(|error| matches!(error, ExportError::Collision { path, .. } if path == Path::new("name")))
    };
    std::fs::create_dir(one.path().join("name")).unwrap();
    std::fs::create_dir(other.path().join("name")).unwrap();
    std::fs::write(one.path().join("name/of-one"), "").unwrap();
    assert!(!collides());
    std::fs::remove_dir(other.path().join("name")).unwrap();
    std::fs::write(other.path().join("name"), "").unwrap();
    assert!(collides(), "a directory and a file");
    std::fs::remove_dir_all(one.path().join("name")).unwrap();
    std::fs::write(one.path().join("name"), "").unwrap();
    assert!(collides(), "two files");
    std::fs::remove_file(other.path().join("name")).unwrap();
    std::fs::create_dir(other.path().join("name")).unwrap();
    assert!(collides(), "a file and a directory");
}

#[test]
fn an_output_file_is_whole_or_absent_and_spares_what_is_no_file() {
    use std::io::Write as _;
    use std::os::unix::fs::FileTypeExt as _;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("out");
    std::fs::write(&path, "old").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("out", &link).unwrap();
    let mut dropped = OutputFile::create(&path).unwrap();
    dropped.write_all(b"half").unwrap();
    drop(dropped);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    let mut file = OutputFile::create(&link).unwrap();
    file.write_all(b"new").unwrap();
    file.commit().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);

    // A link to where nothing is yet.
    std::os::unix::fs::symlink("new", dir.path().join("early")).unwrap();
    let mut file = OutputFile::create(&dir.path().join("early")).unwrap();
    file.write_all(b"behind").unwrap();
    file.commit().unwrap();
    assert_eq!(std::fs::read(dir.path().join("new")).unwrap(), b"behind");
    assert!(dir.path().join("early").is_symlink());

    let mut null = OutputFile::create(Path::new("/dev/null")).unwrap();
    null.write_all(b"gone").unwrap();
    null.commit().unwrap();
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(OutputFile::create(&dir.path().join("absent/out")).is_err());
}

#[test]
fn metadata_has_buildkits_keys() {
    let fixture = Fixture::new();
    let single = fixture.single();
    let data = metadata(&single, &names(&["app:1", "b/c"])).unwrap();
    let config = single.manifests()[0].config.descriptor.digest.to_string();
    assert_eq!(data["containerimage.config.digest"], config);
    assert_eq!(
        data["containerimage.digest"],
        single.root().descriptor.digest.to_string()
    );
    assert_eq!(data["containerimage.descriptor"]["platform"]["architecture"], "amd64");
    assert_eq!(data["image.name"], "docker.io/library/app:1,docker.io/b/c:latest");
    let path = fixture.dir.path().join("metadata.json");
    write_metadata(&path, &data).unwrap();
    assert_eq!(json(&std::fs::read(&path).unwrap()), serde_json::Value::Object(data));
    write_image_id(&path, &single).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), config);

    let several = fixture.several();
    let data = metadata(&several, &[]).unwrap();
    assert!(!data.contains_key("containerimage.config.digest") && !data.contains_key("image.name"));
    assert_eq!(image_id(&several), several.root().descriptor.digest);
}

#[test]
fn a_root_file_system_becomes_a_tar_and_platforms_directories() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let tree = snapshotter::Root::open(dir.path()).unwrap();
    let mut out = Vec::new();
    write_tar(&tree, Some(1), &mut out).unwrap();
    assert_eq!(
        files(&out).into_iter().collect::<Vec<_>>(),
        [("file".to_owned(), b"x".to_vec())]
    );
    let mut archive = ::tar::Archive::new(&out[..]);
    assert_eq!(
        archive
            .entries()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .header()
            .mtime()
            .unwrap(),
        1
    );
    assert_eq!(platform_directory(&"linux/arm/v7".parse().unwrap()), "linux_arm_v7");
}
