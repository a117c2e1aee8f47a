//! What an image consists of, file by file, and in what two images differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::harness::{scratch, sh};

/// The files of an image by path: its layers, one over the other.
pub(crate) type Files = BTreeMap<String, Entry>;

/// What is compared of an entry. Times are not: no two builds have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    kind: tar::EntryType,
    mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) link: Option<String>,
    device: (Option<u32>, Option<u32>),
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    content: (u64, u64),
}

/// Files whose content is another one each time, with the reason; all but the content is compared.
const CONTENT_VARIES: [(&str, &str); 13] = [
    ("var/lib/dbus/machine-id", "a random number"),
    ("etc/machine-id", "a random number"),
    ("var/cache/ldconfig/aux-cache", "has inode numbers and times"),
    ("etc/ssl/private/ssl-cert-snakeoil.key", "a random key"),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", "the certificate of a random key"),
    (
        "etc/ssl/certs/java/cacerts",
        "has the times at which certificates were added",
    ),
    ("var/lib/postgresql/", "a database has a random identifier"),
    ("tmp/data/", "a database has a random identifier"),
    ("tmp/log", "the log of a database has times and process ids"),
    ("etc/shadow", "has the day on which a password was changed"),
    ("home/alice/who", "lists groups in the order of their creation"),
    (".pyc", "has the time of its source"),
    ("classes.jsa", "an archive of memory"),
];

/// Paths whose very presence varies.
const PRESENCE_VARIES: [(&str, &str); 3] = [
    ("tmp/tmp.", "mktemp(1) chooses the name"),
    ("tmp/data/", "a database names files by transaction numbers"),
    ("tmp/hsperfdata", "Java names it by process"),
];

fn varies(path: &str, list: &[(&str, &str)]) -> bool {
    list.iter().any(|(part, _)| path.contains(part))
}

/// Returns the files of an image of the tests' registry.
pub(crate) fn of_image(tag: &str) -> Files {
    let dir = tempfile::Builder::new().prefix("image-").tempdir_in(scratch()).unwrap();
    sh(&format!(
        "skopeo copy -q --src-tls-verify=false docker://{tag} dir:{}",
        dir.path().display()
    ));
    let manifest: Value = serde_json::from_slice(&fs::read(dir.path().join("manifest.json")).unwrap()).unwrap();
    let mut files = Files::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let layer = read_layer(&dir.path().join(digest), layer["mediaType"].as_str().unwrap());
        lay(&mut files, layer);
    }
    files
}

/// Lays a layer over those below it. The same deletion is put in different ways where the kernel stacks and where it
/// does not.
fn lay(files: &mut Files, layer: Files) {
    for path in layer.keys() {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let within = |parent: &str, name: &str| {
            if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            }
        };
        let (gone, but_itself) = match name.strip_prefix(".wh.") {
            Some(".wh..opq") => (parent.to_owned(), true),
            Some(name) => (within(parent, name), false),
            None => continue,
        };
        let below = format!("{gone}/");
        files.retain(|path, _| !path.starts_with(&below) && (but_itself || *path != gone));
    }
    for (path, entry) in layer {
        let replaces = entry.kind != tar::EntryType::Directory;
        if replaces
            && files
                .get(&path)
                .is_some_and(|below| below.kind == tar::EntryType::Directory)
        {
            let below = format!("{path}/");
            files.retain(|path, _| !path.starts_with(&below));
        }
        if !path.rsplit('/').next().unwrap().starts_with(".wh.") {
            files.insert(path, entry);
        }
    }
}

fn read_layer(path: &Path, media_type: &str) -> Files {
    let mut files = Files::new();
    let file = File::open(path).unwrap();
    let reader: Box<dyn Read> = if media_type.ends_with("gzip") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    for entry in tar::Archive::new(reader).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes())
            .trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned();
        let mut xattrs = BTreeMap::new();
        for extension in entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(Result::unwrap)
        {
            if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let link = entry
            .link_name_bytes()
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        let header = entry.header();
        // The fields are empty where there is no device.
        let device = (
            header.device_major().ok().flatten(),
            header.device_minor().ok().flatten(),
        );
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        let content = summary(&mut entry);
        let entry = Entry {
            kind,
            mode,
            owner,
            link,
            device,
            xattrs,
            content,
        };
        files.insert(path, entry);
    }
    files
}

/// Size and hash of what a reader gives.
fn summary(reader: &mut impl Read) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    let mut bytes = Vec::new();
    let size = reader.read_to_end(&mut bytes).unwrap();
    bytes.hash(&mut hasher);
    (size as u64, hasher.finish())
}

/// Returns in what an image differs from the reference, one path a line; nothing if they are alike.
pub(crate) fn difference(reference: &Files, found: &Files) -> String {
    let mut text = String::new();
    let paths: BTreeSet<&String> = reference.keys().chain(found.keys()).collect();
    for path in paths {
        let is_same = match (reference.get(path), found.get(path)) {
            (Some(a), Some(b)) if varies(path, &CONTENT_VARIES) => {
                a.clone().without_content() == b.clone().without_content()
            }
            (Some(a), Some(b)) => a == b,
            _ => varies(path, &PRESENCE_VARIES),
        };
        if !is_same {
            writeln!(text, "{path}: {:?} → {:?}", reference.get(path), found.get(path)).unwrap();
        }
    }
    text
}

impl Entry {
    fn without_content(mut self) -> Self {
        self.content = (0, 0);
        self
    }
}

#[test]
fn a_difference_in_owner_mode_or_content_is_seen() {
    let entry = Entry {
        kind: tar::EntryType::Regular,
        mode: 0o644,
        owner: (0, 0),
        link: None,
        device: (None, None),
        xattrs: BTreeMap::new(),
        content: (1, 2),
    };
    let files = |entry: &Entry, path: &str| Files::from([(path.to_owned(), entry.clone())]);
    let reference = files(&entry, "etc/x");
    assert_eq!(difference(&reference, &reference), "");
    for other in [
        Entry {
            mode: 0o755,
            ..entry.clone()
        },
        Entry {
            owner: (0, 1),
            ..entry.clone()
        },
        Entry {
            content: (1, 3),
            ..entry.clone()
        },
    ] {
        assert!(difference(&reference, &files(&other, "etc/x")).starts_with("etc/x: "));
    }
    assert!(!difference(&reference, &files(&entry, "etc/y")).is_empty());
    let other = Entry {
        content: (1, 3),
        ..entry.clone()
    };
    assert_eq!(
        difference(&files(&entry, "etc/machine-id"), &files(&other, "etc/machine-id")),
        ""
    );
}
