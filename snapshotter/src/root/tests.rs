//! Nothing resolves out of a root, whoever resolves.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::*;
use crate::attributes::Timestamp;
use crate::inodes::stat_at;

/// Returns a scratch directory whose `root` holds links of every kind, and both ways to resolve in it.
fn roots() -> (tempfile::TempDir, [Root; 2]) {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("root");
    fs::create_dir_all(top.join("a/b")).unwrap();
    fs::write(scratch.path().join("secret"), "outside").unwrap();
    for (file, content) in [("a/b/f", "f"), ("secret", "inside"), ("top", "top")] {
        fs::write(top.join(file), content).unwrap();
    }
    for (link, target) in [
        ("up", "../secret"),
        ("far-up", "../../../../../../secret"),
        ("absolute", "/secret"),
        ("a/b/back", "../../secret"),
        ("a/dir", "b/.."),
        ("usr", "/a"),
        ("chain", "usr/dir/b/back"),
        ("loop", "loop2"),
        ("loop2", "/loop"),
        ("dangling", "/not/there"),
        ("to-file", "top"),
        ("outside-by-path", scratch.path().join("secret").to_str().unwrap()),
    ] {
        symlink(target, top.join(link)).unwrap();
    }
    rustix::fs::mknodat(CWD, top.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let root = |resolver| Root {
        resolver,
        ..Root::open(&top).unwrap()
    };
    assert_eq!(
        Root::open(&top).unwrap().resolver,
        Resolver::Kernel,
        "this kernel has openat2"
    );
    let both = [root(Resolver::Kernel), root(Resolver::Walk)];
    (scratch, both)
}

fn read(root: &Root, path: &str) -> Result<Option<String>, Option<Errno>> {
    let content = root.read_file(Path::new(path), 100).map_err(|error| error.errno())?;
    Ok(content.map(|content| String::from_utf8(content).unwrap()))
}

#[test]
fn every_path_ends_inside() {
    let (_scratch, roots) = roots();
    for root in &roots {
        for path in [
            "secret",
            "/secret",
            "../secret",
            "a/../../secret",
            "up",
            "far-up",
            "absolute",
            "a/b/back",
            "chain",
            "usr/b/back",
            "usr/dir/../secret",
            "./a//b/./back",
            "/../../secret",
        ] {
            assert_eq!(
                read(root, path),
                Ok(Some("inside".into())),
                "{path} by {:?}",
                root.resolver
            );
        }
        for path in ["outside-by-path", "dangling", "none", "top/x", "a/none/x", "to-file/"] {
            assert_eq!(read(root, path), Ok(None), "{path} by {:?}", root.resolver);
        }
        assert_eq!(read(root, "loop"), Err(Some(Errno::LOOP)));
    }
}

#[test]
fn what_is_no_regular_file_is_not_read_nor_waited_for() {
    let (_scratch, roots) = roots();
    for root in &roots {
        for path in ["fifo", "a", "/"] {
            let error = root.read_file(Path::new(path), 100).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        let error = root.read_file(Path::new("top"), 2).unwrap_err();
        assert_eq!(error.source.to_string(), "longer than 2 bytes");
        assert_eq!(root.read_file(Path::new("top"), 3).unwrap(), Some(b"top".to_vec()));
    }
}

#[test]
fn the_last_link_is_followed_when_asked() {
    let (_scratch, roots) = roots();
    for root in &roots {
        let file_type = |path: &str, follow| root.stat(Path::new(path), follow).unwrap().map(|stat| stat.file_type);
        assert_eq!(file_type("usr", false), Some(FileType::Symlink));
        assert_eq!(file_type("usr", true), Some(FileType::Directory));
        assert_eq!(
            file_type("usr/", false),
            Some(FileType::Directory),
            "a final slash follows"
        );
        assert_eq!(file_type("dangling", false), Some(FileType::Symlink));
        assert_eq!(file_type("dangling", true), None);
        assert_eq!(file_type("usr/dir", false), Some(FileType::Symlink));
        assert_eq!(file_type("", true), Some(FileType::Directory));
        assert!(root.stat(Path::new("loop"), true).is_err());
    }
}

#[test]
fn a_parent_is_resolved_and_its_name_is_not() {
    let (_scratch, roots) = roots();
    for root in &roots {
        let (dir, name) = root.parent(Path::new("usr/dir/b/back")).unwrap();
        let expected = root.stat(Path::new("a/b"), true).unwrap().unwrap();
        assert_eq!(stat_at(dir.as_fd(), "").unwrap().inode(), expected.inode());
        assert_eq!(name, "back");
        for bad in ["/", "", "a/.."] {
            assert_eq!(
                root.parent(Path::new(bad)).unwrap_err().errno(),
                Some(Errno::INVAL),
                "{bad}"
            );
        }
    }
}

#[test]
fn directories_are_made_where_links_lead() {
    let (scratch, roots) = roots();
    for (index, root) in roots.iter().enumerate() {
        let mtime = Timestamp { seconds: 5, nanos: 6 };
        let attributes = DirAttributes {
            mode: 0o2750,
            uid: 12,
            gid: 34,
            mtime: Some(mtime),
        };
        let made = root
            .make_dirs(Path::new(&format!("usr/dir/new{index}/x/../y")), &attributes)
            .unwrap();
        let stat = stat_at(made.as_fd(), "").unwrap();
        assert_eq!((stat.mode, stat.uid, stat.gid, stat.mtime), (0o2750, 12, 34, mtime));
        let above = root.stat(Path::new(&format!("a/new{index}")), false).unwrap().unwrap();
        assert_eq!((above.mode, above.mtime), (0o2750, mtime));
        assert!(
            root.stat(Path::new(&format!("a/new{index}/x")), false)
                .unwrap()
                .is_some()
        );
        let again = root
            .make_dirs(Path::new(&format!("a/new{index}/y")), &DirAttributes::default())
            .unwrap();
        assert_eq!(
            stat_at(again.as_fd(), "").unwrap().mode,
            0o2750,
            "what exists is left alone"
        );
        for file in ["top", "a/b/f/x", "to-file"] {
            let error = root.make_dirs(Path::new(file), &attributes).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::NOTDIR), "{file}");
        }
        root.make_dirs(Path::new("dangling/d"), &attributes).unwrap();
        assert!(root.stat(Path::new("not/there/d"), false).unwrap().unwrap().is_dir());
        root.remove_tree(Path::new("not")).unwrap();
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
}

#[test]
fn removing_a_tree_follows_nothing() {
    let (scratch, roots) = roots();
    for root in &roots {
        for path in ["absolute", "usr", "outside-by-path", "fifo", "none", "none/x", "top/x"] {
            root.remove_tree(Path::new(path)).unwrap();
        }
        assert_eq!(read(root, "a/b/f"), Ok(Some("f".into())));
    }
    roots[0].remove_tree(Path::new("/a/../a")).unwrap();
    assert!(roots[0].remove_tree(Path::new("/")).is_err());
    assert!(!scratch.path().join("root/a").exists());
    assert!(scratch.path().join("secret").exists());
}

#[test]
fn a_path_may_be_longer_than_the_kernel_takes() {
    let (_scratch, roots) = roots();
    let name = "n".repeat(200);
    for root in &roots {
        let deep: std::path::PathBuf = std::iter::repeat_n(&name, 40).collect();
        let made = root.make_dirs(&deep, &DirAttributes::default()).unwrap();
        symlink(
            "/secret",
            format!("/proc/self/fd/{}/link", std::os::fd::AsRawFd::as_raw_fd(&made)),
        )
        .unwrap();
        let path = deep.join("link");
        assert!(path.as_os_str().as_bytes().len() > 4096);
        assert_eq!(read(root, path.to_str().unwrap()), Ok(Some("inside".into())));
        root.remove_tree(Path::new(&name)).unwrap();
        assert!(root.stat(Path::new(&name), false).unwrap().is_none());
    }
}
