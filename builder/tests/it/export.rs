//! Exported images, read by skopeo, umoci and podman.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use builder::export::{Document, Form, Image, Layout, PlatformImage, write_archive, write_directory};
use registry::compress::{Compression, LayerIngest};
use registry::content::ContentStore;
use registry::oci::{
    ContainerConfig, Descriptor, ImageConfig, Index, Manifest, MediaType, Platform, Reference, RootFs,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const NAME: &str = "localhost/croze-export:1";

struct Fixture {
    dir: TempDir,
    blobs: ContentStore,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let blobs = ContentStore::open(&dir.path().join("store")).unwrap();
        Self { dir, blobs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an image of two layers, each with one file.
    fn platform(&self, platform: &str, upper: Compression) -> PlatformImage {
        let platform: Platform = platform.parse().unwrap();
        let mut diff_ids = Vec::new();
        let mut layers = Vec::new();
        for (name, compression) in [("lower", Compression::GZIP), ("upper", upper)] {
            let mut layer = LayerIngest::start(&self.blobs, compression, 2).unwrap();
            layer.write_all(&tar_of(name, 3 << 20)).unwrap();
            let blob = layer.commit().unwrap();
            diff_ids.push(blob.diff_id);
            let media_type = match compression {
                Compression::Zstd { .. } => MediaType::LAYER_ZSTD,
                _ => MediaType::LAYER_GZIP,
            };
            layers.push(Descriptor::new(media_type, blob.digest, blob.size));
        }
        let config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            config: ContainerConfig {
                env: vec!["CROZE=export".to_owned()],
                ..ContainerConfig::default()
            },
            rootfs: RootFs {
                diff_ids,
                ..RootFs::default()
            },
            ..ImageConfig::default()
        };
        let config = Document::new(MediaType::CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = Manifest::new(config.descriptor.clone(), layers.clone());
        PlatformImage {
            platform,
            manifest: Document::new(MediaType::MANIFEST, serde_json::to_vec(&manifest).unwrap()),
            config,
            layers,
        }
    }

    fn single(&self, upper: Compression) -> Image {
        Image::single(self.platform("linux/amd64", upper))
    }

    fn archive(&self, image: &Image, form: Form) -> PathBuf {
        let path = self.path("image.tar");
        let layout = Layout::new(image, &[name()], form).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        write_archive(&layout, &self.blobs, &mut file).unwrap();
        path
    }
}

fn name() -> Reference {
    NAME.parse().unwrap()
}

/// A tar with one file of `size` bytes that repeat its name.
fn tar_of(name: &str, size: usize) -> Vec<u8> {
    let content: Vec<u8> = name.bytes().cycle().take(size).collect();
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, name, &content[..]).unwrap();
    tar.into_inner().unwrap()
}

/// Runs a tool that must succeed and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn inspect(image: &str, arguments: &[&str]) -> serde_json::Value {
    let all = [&["inspect"], arguments, &[image]].concat();
    serde_json::from_str(&run("skopeo", &all)).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn skopeo_reads_a_layout_as_directory_and_as_archive() {
    let fixture = Fixture::new();
    let image = fixture.single(Compression::ZSTD);
    let directory = fixture.path("layout");
    let layout = Layout::new(&image, &[name()], Form::Oci).unwrap();
    write_directory(&layout, &fixture.blobs, &directory, &CancellationToken::new()).unwrap();
    let archive = fixture.archive(&image, Form::Oci);
    for source in [
        format!("oci:{}:1", directory.display()),
        format!("oci-archive:{}:1", archive.display()),
    ] {
        let found = inspect(&source, &[]);
        assert_eq!(found["Digest"], image.root().descriptor.digest.to_string());
        assert_eq!(found["Architecture"], "amd64");
        assert_eq!(found["Env"][0], "CROZE=export");
        // A copy reads and verifies every blob.
        let copy = format!("dir:{}", fixture.path("copy").display());
        run("skopeo", &["copy", "--quiet", "--insecure-policy", &source, &copy]);
    }
}

#[test]
fn skopeo_reads_each_platform_of_an_index() {
    let fixture = Fixture::new();
    let manifests = vec![
        fixture.platform("linux/amd64", Compression::ZSTD),
        fixture.platform("linux/arm64", Compression::ZSTD),
    ];
    let entry = |image: &PlatformImage| Descriptor {
        platform: Some(image.platform.clone()),
        ..image.manifest.descriptor.clone()
    };
    let index = Index::new(manifests.iter().map(entry).collect());
    let image = Image::under_index(
        Document::new(MediaType::INDEX, serde_json::to_vec(&index).unwrap()),
        manifests,
        Vec::new(),
    );
    let archive = fixture.archive(&image, Form::Oci);
    let source = format!("oci-archive:{}:1", archive.display());
    for architecture in ["amd64", "arm64"] {
        let found = inspect_platform(&source, architecture);
        assert_eq!(found["Architecture"], architecture);
    }
    let copy = format!("dir:{}", fixture.path("copy").display());
    run(
        "skopeo",
        &["copy", "--quiet", "--all", "--insecure-policy", &source, &copy],
    );
}

fn inspect_platform(source: &str, architecture: &str) -> serde_json::Value {
    let arguments = [
        "--override-os",
        "linux",
        "--override-arch",
        architecture,
        "inspect",
        source,
    ];
    serde_json::from_str(&run("skopeo", &arguments)).unwrap()
}

#[test]
fn umoci_unpacks_a_layout() {
    // Debian's umoci reads no zstd.
    let fixture = Fixture::new();
    let directory = fixture.path("layout");
    let image = fixture.single(Compression::GZIP);
    let layout = Layout::new(&image, &[name()], Form::Oci).unwrap();
    write_directory(&layout, &fixture.blobs, &directory, &CancellationToken::new()).unwrap();
    let (source, bundle) = (format!("{}:1", directory.display()), fixture.path("bundle"));
    run("umoci", &["unpack", "--rootless", "--image", &source, text(&bundle)]);
    for layer in ["lower", "upper"] {
        let content = std::fs::read(bundle.join("rootfs").join(layer)).unwrap();
        assert!(content.len() == 3 << 20 && content.starts_with(layer.as_bytes()));
    }
}

#[test]
fn podman_and_skopeo_load_a_docker_archive() {
    let fixture = Fixture::new();
    let image = fixture.single(Compression::ZSTD);
    let archive = fixture.archive(&image, Form::Docker);
    let found = inspect(&format!("docker-archive:{}:{NAME}", archive.display()), &[]);
    assert_eq!(found["Env"][0], "CROZE=export");

    let (root, runroot) = (fixture.path("podman"), fixture.path("podman-run"));
    let podman = |arguments: &[&str]| {
        let storage = [
            "--root",
            text(&root),
            "--runroot",
            text(&runroot),
            "--storage-driver",
            "vfs",
        ];
        run("podman", &[&storage, arguments].concat())
    };
    podman(&["load", "--quiet", "--input", text(&archive)]);
    let id = podman(&["image", "inspect", "--format", "{{.Id}}", NAME]);
    assert_eq!(id.trim(), image.manifests()[0].config.descriptor.digest.hex());
    podman(&["image", "rm", NAME]);
}
