//! Tests of the local exporter: what is kept, what is replaced, what is refused.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, mknodat};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

struct Trees {
    dir: TempDir,
}

impl Trees {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("image")).unwrap();
        Self { dir }
    }

    fn image(&self, path: &str) -> PathBuf {
        self.dir.path().join("image").join(path)
    }

    fn out(&self, path: &str) -> PathBuf {
        self.dir.path().join("out").join(path)
    }

    fn export(&self, ownership: Ownership) -> Result<LocalSummary, ExportError> {
        let tree = Root::open(&self.image("")).unwrap();
        let options = LocalOptions {
            ownership,
            clamp_mtime: None,
        };
        write_local(&tree, &self.out(""), options, &CancellationToken::new())
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_tree_is_copied_with_modes_times_and_links() {
    let trees = Trees::new();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::create_dir_all(trees.image("bin/deep")).unwrap();
    fs::write(trees.image("bin/tool"), "content").unwrap();
    fs::hard_link(trees.image("bin/tool"), trees.image("bin/deep/same")).unwrap();
    symlink("/etc/passwd", trees.image("bin/link")).unwrap();
    mknodat(CWD, trees.image("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::set_permissions(trees.image("pipe"), fs::Permissions::from_mode(0o622)).unwrap();
    let strange = std::ffi::OsStr::from_bytes(b"new\nline\xff\x1b[31m");
    fs::write(trees.image("").join(strange), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(trees.image("socket")).unwrap();
    fs::set_permissions(trees.image("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    File::open(trees.image("bin/tool")).unwrap().set_modified(old).unwrap();
    fs::set_permissions(trees.image("bin"), fs::Permissions::from_mode(0o2555)).unwrap();
    File::open(trees.image("bin")).unwrap().set_modified(old).unwrap();

    let summary = trees.export(Ownership::Mine).unwrap();
    assert_eq!((summary.entries, summary.bytes, summary.sockets_skipped), (7, 7, 1));
    assert_eq!(fs::read(trees.out("bin/tool")).unwrap(), b"content");
    assert_eq!(
        [mode(&trees.out("bin/tool")), mode(&trees.out("bin"))],
        [0o4755, 0o2555]
    );
    for path in ["bin/tool", "bin"] {
        assert_eq!(
            fs::metadata(trees.out(path)).unwrap().modified().unwrap(),
            old,
            "{path}"
        );
    }
    let inode = |path: &str| fs::metadata(trees.out(path)).unwrap().ino();
    assert_eq!(inode("bin/tool"), inode("bin/deep/same"));
    assert_eq!(fs::read_link(trees.out("bin/link")).unwrap(), Path::new("/etc/passwd"));
    assert!(fs::metadata(trees.out("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(mode(&trees.out("pipe")), 0o622);
    assert!(trees.out("").join(strange).exists() && !trees.out("socket").exists());
}

#[test]
fn owners_are_kept_only_when_asked() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make files of others; the other tests cover `Mine`.
        return;
    }
    let trees = Trees::new();
    fs::write(trees.image("file"), "").unwrap();
    symlink("file", trees.image("link")).unwrap();
    for path in ["file", "link"] {
        std::os::unix::fs::lchown(trees.image(path), Some(1234), Some(5678)).unwrap();
    }
    for (ownership, expected) in [(Ownership::Mine, (0, 0)), (Ownership::Keep, (1234, 5678))] {
        trees.export(ownership).unwrap();
        for path in ["file", "link"] {
            let metadata = fs::symlink_metadata(trees.out(path)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), expected, "{path}");
        }
    }
}

#[test]
fn an_export_merges_into_what_is_there() {
    let trees = Trees::new();
    fs::create_dir_all(trees.out("etc")).unwrap();
    fs::write(trees.out("etc/mine"), "mine").unwrap();
    fs::write(trees.out("etc/both"), "old and longer").unwrap();
    symlink("/outside", trees.out("etc/was-link")).unwrap();
    fs::create_dir(trees.image("etc")).unwrap();
    fs::write(trees.image("etc/both"), "new").unwrap();
    fs::write(trees.image("etc/was-link"), "file").unwrap();
    trees.export(Ownership::Mine).unwrap();
    trees.export(Ownership::Mine).unwrap();
    assert_eq!(fs::read(trees.out("etc/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(trees.out("etc/both")).unwrap(), b"new");
    assert!(fs::symlink_metadata(trees.out("etc/was-link")).unwrap().is_file());
}

#[test]
fn times_after_the_latest_are_lowered_to_it() {
    let trees = Trees::new();
    let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::create_dir(trees.image("dir")).unwrap();
    symlink("new", trees.image("link")).unwrap();
    for (name, seconds) in [("old", 5), ("new", 15)] {
        fs::write(trees.image(name), "").unwrap();
        File::open(trees.image(name))
            .unwrap()
            .set_modified(time(seconds))
            .unwrap();
    }
    let options = LocalOptions {
        ownership: Ownership::Mine,
        clamp_mtime: Some(10),
    };
    write_local(
        &Root::open(&trees.image("")).unwrap(),
        &trees.out(""),
        options,
        &CancellationToken::new(),
    )
    .unwrap();
    for (name, seconds) in [("old", 5), ("new", 10), ("dir", 10), ("link", 10)] {
        assert_eq!(
            fs::symlink_metadata(trees.out(name)).unwrap().mtime(),
            seconds,
            "{name}"
        );
    }
}

#[test]
fn what_no_tree_has_is_removed_and_no_link_is_followed() {
    let trees = Trees::new();
    let outside = trees.dir.path().join("outside");
    fs::create_dir_all(outside.join("kept")).unwrap();
    for name in ["stale/deep/file", "dir/stale", "was-dir/file", "arm/stale", "mips/file"] {
        fs::create_dir_all(trees.out(name).parent().unwrap()).unwrap();
        fs::write(trees.out(name), "").unwrap();
    }
    symlink(&outside, trees.out("link")).unwrap();
    fs::write(trees.out("was-file"), "").unwrap();
    fs::create_dir_all(trees.image("dir")).unwrap();
    fs::create_dir_all(trees.image("was-file")).unwrap();
    fs::write(trees.image("was-dir"), "").unwrap();
    fs::write(trees.image("dir/kept"), "").unwrap();
    fs::write(trees.out("dir/kept"), "").unwrap();
    let tree = Root::open(&trees.image("")).unwrap();
    let names = |top: &Path| {
        let mut names: Vec<String> = fs::read_dir(top)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    remove_stale(&trees.out(""), &[("", &tree), ("arm", &tree)]).unwrap();
    assert_eq!(names(&trees.out("")), ["arm", "dir"]);
    assert_eq!(names(&trees.out("dir")), ["kept"]);
    assert!(names(&trees.out("arm")).is_empty() && outside.join("kept").exists());
    // What is not there has nothing to remove, and now nothing is in the way.
    remove_stale(&trees.out("missing"), &[("", &tree)]).unwrap();
    trees.export(Ownership::Mine).unwrap();
    assert!(trees.out("was-file").is_dir() && trees.out("was-dir").is_file());
}

#[test]
fn a_link_that_leads_out_of_the_destination_is_not_followed() {
    let trees = Trees::new();
    let outside = trees.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("passwd"), "victim").unwrap();
    fs::create_dir(trees.out("")).unwrap();
    symlink(&outside, trees.out("etc")).unwrap();
    symlink(outside.join("passwd"), trees.out("shadow")).unwrap();
    fs::create_dir(trees.image("etc")).unwrap();
    fs::write(trees.image("etc/passwd"), "evil").unwrap();
    let error = trees.export(Ownership::Mine).unwrap_err();
    assert!(
        matches!(&error, ExportError::LinkInTheWay { path } if *path == trees.out("etc")),
        "{error}"
    );

    fs::remove_dir_all(trees.image("etc")).unwrap();
    fs::write(trees.image("shadow"), "evil").unwrap();
    trees.export(Ownership::Mine).unwrap();
    assert_eq!(fs::read(trees.out("shadow")).unwrap(), b"evil");
    assert_eq!(fs::read(outside.join("passwd")).unwrap(), b"victim");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn directories_and_files_are_not_exchanged_for_each_other() {
    let trees = Trees::new();
    fs::create_dir_all(trees.out("precious/data")).unwrap();
    fs::write(trees.image("precious"), "").unwrap();
    assert!(matches!(
        trees.export(Ownership::Mine),
        Err(ExportError::DirectoryInTheWay { path }) if path == trees.out("precious")
    ));
    assert!(trees.out("precious/data").is_dir());

    let trees = Trees::new();
    fs::create_dir(trees.out("")).unwrap();
    fs::write(trees.out("name"), "file").unwrap();
    fs::create_dir(trees.image("name")).unwrap();
    assert!(matches!(
        trees.export(Ownership::Mine),
        Err(ExportError::FileInTheWay { path }) if path == trees.out("name")
    ));
}

#[test]
fn holes_stay_holes() {
    let trees = Trees::new();
    let file = File::create_new(trees.image("disk")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (64 << 20) - 3).unwrap();
    let summary = trees.export(Ownership::Mine).unwrap();
    let copy = fs::metadata(trees.out("disk")).unwrap();
    assert_eq!((copy.size(), summary.bytes), (64 << 20, 64 << 20));
    assert!(copy.blocks() < 1000, "{} blocks", copy.blocks());
    assert!(fs::read(trees.out("disk")).unwrap() == fs::read(trees.image("disk")).unwrap());
}
