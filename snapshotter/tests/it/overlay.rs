//! What the kernel's overlay and our layers say of each other.

use std::fs;
use std::os::{fd::AsFd as _, unix::fs::symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, pack, unpack};
use snapshotter::{MAX_LOWER_DIRS, MountError, Overlay, Root, Upper, attach};

use crate::rerun::{self, Mounted};
use crate::tree;

/// A place for the directories of some overlays.
pub(crate) struct Stage {
    scratch: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let dir = self.scratch.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    }

    pub(crate) fn upper(&self, name: &str) -> Upper {
        Upper {
            dir: self.dir(name),
            work: self.dir(&format!("{name}.work")),
        }
    }

    /// Packs an upper directory.
    pub(crate) fn pack(&self, upper: &Path) -> Vec<u8> {
        let mut layer = Vec::new();
        pack(
            &Root::open(upper).unwrap(),
            TreeForm::OverlayUpper,
            &PackOptions::default(),
            &mut layer,
        )
        .unwrap();
        layer
    }

    /// Applies a layer that was packed here, which needs nothing of the layers below and packs to itself again.
    pub(crate) fn apply_packed(&self, name: &str, layer: &[u8], lower: &[PathBuf]) -> tree::Tree {
        let bare = self.dir(&format!("{name}.alone"));
        let mut reader = layer;
        let root = Root::open(&bare).unwrap();
        let unpacked = unpack(&mut reader, &root, UnpackMode::Upper, &Limits::default()).unwrap();
        assert!(!unpacked.needs_merged);
        assert!(self.pack(&bare) == layer, "the unpacked tree gives another layer");
        self.apply(name, layer, lower)
    }

    /// Applies a layer above others in both ways, checks that they agree, and returns the tree that they give.
    pub(crate) fn apply(&self, name: &str, layer: &[u8], lower: &[PathBuf]) -> tree::Tree {
        let bare = self.dir(&format!("{name}.bare"));
        let mut reader = layer;
        let unpacked = unpack(
            &mut reader,
            &Root::open(&bare).unwrap(),
            UnpackMode::Upper,
            &Limits::default(),
        )
        .unwrap();
        let upper = self.upper(&format!("{name}.merged"));
        let mount = Mounted::new(&Overlay {
            lower: lower.to_vec(),
            upper: Some(upper),
        });
        unpack(&mut &*layer, &mount.root(), UnpackMode::Merged, &Limits::default()).unwrap();
        let merged = seen(&mount.path());
        if !unpacked.needs_merged {
            let stack = [&[bare], lower].concat();
            let view = Mounted::new(&Overlay {
                lower: stack,
                upper: None,
            });
            assert_eq!(seen(&view.path()), merged, "a bare tree and a merged one differ");
        }
        merged
    }
}

/// Reads a mounted overlay. Which names share an inode is not compared: overlay forgets that of lower files that it
/// copies up.
pub(crate) fn seen(top: &Path) -> tree::Tree {
    let mut tree = tree::read_as_layer(top);
    let kinds: Vec<_> = tree
        .iter()
        .map(|(path, node)| (path.clone(), node.kind.clone()))
        .collect();
    for (path, kind) in kinds {
        if let tree::Kind::HardLink(first) = kind {
            let first = tree[&first].kind.clone();
            tree.entry(path).and_modify(|node| node.kind = first);
        }
    }
    tree
}

/// Changes a mounted tree by `change`, sends the changes through a layer, and expects the same tree.
fn changes_survive(prepare: impl Fn(&Path), change: impl Fn(&Path)) -> Vec<String> {
    let stage = Stage::new();
    let lower = stage.dir("lower");
    prepare(&lower);
    let before = tree::read(&lower);
    let upper = stage.upper("upper");
    let mount = Mounted::new(&Overlay {
        lower: vec![lower.clone()],
        upper: Some(upper.clone()),
    });
    change(&mount.path());
    let target = seen(&mount.path());
    let layer = stage.pack(&upper.dir);
    assert_eq!(
        stage.apply_packed("again", &layer, std::slice::from_ref(&lower)),
        target
    );
    assert_eq!(tree::read(&lower), before, "the lower layer has changed");
    let mut names = tar::Archive::new(layer.as_slice());
    let names = names
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned());
    names.collect()
}

fn dir_with_files(top: &Path) {
    fs::create_dir_all(top.join("d/e")).unwrap();
    for name in ["d/a", "d/b", "d/e/f", "top"] {
        fs::write(top.join(name), name).unwrap();
    }
}

#[test]
fn a_deleted_file_becomes_a_whiteout() {
    let names = changes_survive(dir_with_files, |top| fs::remove_file(top.join("d/a")).unwrap());
    assert_eq!(names, ["d/", "d/.wh.a"]);
}

#[test]
fn a_deleted_directory_becomes_one_whiteout() {
    let names = changes_survive(dir_with_files, |top| fs::remove_dir_all(top.join("d")).unwrap());
    assert_eq!(names, [".wh.d"]);
}

#[test]
fn a_directory_that_is_made_again_is_opaque() {
    let names = changes_survive(dir_with_files, |top| {
        fs::remove_dir_all(top.join("d")).unwrap();
        fs::create_dir(top.join("d")).unwrap();
        fs::write(top.join("d/b"), "new").unwrap();
    });
    assert_eq!(names, ["d/", "d/.wh..wh..opq", "d/b"]);
}

#[test]
fn a_new_directory_is_not_opaque() {
    let names = changes_survive(dir_with_files, |top| fs::create_dir_all(top.join("d/new/er")).unwrap());
    assert_eq!(names, ["d/", "d/new/", "d/new/er/"]);
}

#[test]
fn a_directory_replaced_by_a_file_and_a_file_by_a_directory() {
    let names = changes_survive(dir_with_files, |top| {
        fs::remove_dir_all(top.join("d/e")).unwrap();
        fs::write(top.join("d/e"), "now a file").unwrap();
        fs::remove_file(top.join("top")).unwrap();
        fs::create_dir(top.join("top")).unwrap();
        fs::write(top.join("top/in"), "now a directory").unwrap();
    });
    assert_eq!(names, ["d/", "d/e", "top/", "top/.wh..wh..opq", "top/in"]);
}

#[test]
fn a_link_to_a_directory_replaced_by_a_directory_hides_what_it_led_to() {
    changes_survive(
        |top| {
            dir_with_files(top);
            symlink("d", top.join("link")).unwrap();
        },
        |top| {
            fs::remove_file(top.join("link")).unwrap();
            fs::create_dir(top.join("link")).unwrap();
        },
    );
}

#[test]
fn a_changed_mode_brings_the_whole_file_along() {
    let names = changes_survive(dir_with_files, |top| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4711);
        fs::set_permissions(top.join("d/e/f"), mode).unwrap();
    });
    assert_eq!(names, ["d/", "d/e/", "d/e/f"]);
}

#[test]
fn what_was_deleted_in_one_layer_stays_deleted_below_the_next() {
    let stage = Stage::new();
    let base = stage.dir("base");
    dir_with_files(&base);
    let mut stack = vec![base];
    for (name, change) in [
        (
            "one",
            (|top: &Path| fs::remove_dir_all(top.join("d")).unwrap()) as fn(&Path),
        ),
        ("two", |top| fs::create_dir(top.join("d")).unwrap()),
        ("three", |top| fs::write(top.join("d/a"), "third").unwrap()),
    ] {
        let upper = stage.upper(name);
        let mount = Mounted::new(&Overlay {
            lower: stack.clone(),
            upper: Some(upper.clone()),
        });
        change(&mount.path());
        let target = seen(&mount.path());
        assert_eq!(
            stage.apply_packed(&format!("{name}.again"), &stage.pack(&upper.dir), &stack),
            target
        );
        stack.insert(0, upper.dir);
    }
    let view = Mounted::new(&Overlay {
        lower: stack,
        upper: None,
    });
    let paths: Vec<_> = tree::read_as_layer(&view.path()).into_keys().collect();
    assert_eq!(paths, [Path::new("d"), Path::new("d/a"), Path::new("top")]);
}

#[test]
fn five_hundred_layers_are_stacked_and_one_more_is_an_error() {
    let stage = Stage::new();
    let mut lower = Vec::new();
    // Longer than the 255 bytes that the kernel takes as text.
    let long = "l".repeat(200);
    fs::create_dir(stage.scratch.path().join(&long)).unwrap();
    for index in 0..MAX_LOWER_DIRS {
        let dir = stage.dir(&format!("{long}/{}{index}", "m".repeat(200)));
        fs::write(dir.join(format!("{index}")), "").unwrap();
        fs::write(dir.join("same"), format!("{index}")).unwrap();
        lower.push(dir);
    }
    let mut overlay = Overlay {
        lower,
        upper: Some(stage.upper("upper")),
    };
    let mount = Mounted::new(&overlay);
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), MAX_LOWER_DIRS + 1);
    assert_eq!(
        fs::read_to_string(mount.path().join("same")).unwrap(),
        "0",
        "the first directory is the topmost"
    );
    fs::write(mount.path().join("new"), "").unwrap();
    overlay.lower.push(stage.dir("one-more"));
    assert!(matches!(overlay.mount(), Err(MountError::TooManyLayers { count: 501 })));
}

#[test]
fn paths_of_layers_may_hold_any_byte() {
    let stage = Stage::new();
    let lower: Vec<_> = ["a:b", "c,d", "e\\f", "g\nh"]
        .iter()
        .map(|name| stage.dir(name))
        .collect();
    for dir in &lower {
        fs::write(dir.join(dir.file_name().unwrap()), "").unwrap();
    }
    let mount = Mounted::new(&Overlay {
        lower,
        upper: Some(stage.upper("u:,\\")),
    });
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 4);
}

#[test]
fn a_view_is_read_only_and_hides_whiteouts_even_of_one_layer() {
    let stage = Stage::new();
    let dir = stage.dir("only");
    fs::write(dir.join("file"), "x").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.join("gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    let view = Mounted::new(&Overlay {
        lower: vec![dir],
        upper: None,
    });
    let paths: Vec<_> = tree::read_as_layer(&view.path()).into_keys().collect();
    assert_eq!(paths, [Path::new("file")]);
    let error = fs::write(view.path().join("file"), "y").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ROFS.raw_os_error()));
}

#[test]
fn no_layer_at_all_is_an_empty_directory() {
    let stage = Stage::new();
    let nothing = Mounted::new(&Overlay::default());
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0);
    assert!(fs::write(nothing.path().join("file"), "").is_err());
    let upper = stage.upper("upper");
    let scratch = Mounted::new(&Overlay {
        lower: Vec::new(),
        upper: Some(upper.clone()),
    });
    fs::create_dir(scratch.path().join("d")).unwrap();
    fs::remove_dir(scratch.path().join("d")).unwrap();
    fs::write(scratch.path().join("file"), "x").unwrap();
    assert_eq!(fs::read_dir(&upper.dir).unwrap().count(), 1);
}

#[test]
fn a_mount_that_is_refused_says_at_which_step() {
    let stage = Stage::new();
    let (lower, upper) = (stage.dir("lower"), stage.dir("upper"));
    let missing = Overlay {
        lower: vec![stage.scratch.path().join("missing")],
        upper: None,
    };
    let error = missing.mount().unwrap_err();
    assert!(error.to_string().starts_with("cannot open directory `/"), "{error}");
    let elsewhere = Upper {
        dir: upper,
        work: PathBuf::from("/proc"),
    };
    let error = Overlay {
        lower: vec![lower],
        upper: Some(elsewhere),
    }
    .mount()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot mount a file system of type `overlay`: creation failed"
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("Invalid argument")
    );
}

#[test]
fn a_detached_mount_is_attached_to_a_directory() {
    rerun::under(
        &["unshare", "--mount"],
        "overlay::a_detached_mount_is_attached_to_a_directory",
        || {
            let stage = Stage::new();
            let (lower, target) = (stage.dir("lower"), stage.dir("target"));
            fs::write(lower.join("file"), "x").unwrap();
            let mount = Overlay {
                lower: vec![lower],
                upper: None,
            }
            .mount()
            .unwrap();
            let at = fs::File::open(&target).unwrap();
            attach(mount.as_fd(), at.as_fd()).unwrap();
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "x");
            drop(mount);
            assert!(target.join("file").exists(), "an attached mount stays");
            rustix::mount::unmount(&target, rustix::mount::UnmountFlags::DETACH).unwrap();
        },
    );
}

#[test]
fn an_overlay_is_plain_data() {
    let overlay = Overlay {
        lower: vec!["/a".into(), "/b".into()],
        upper: Some(Upper {
            dir: "/c/fs".into(),
            work: "/c/work".into(),
        }),
    };
    let json = serde_json::to_string(&overlay).unwrap();
    assert_eq!(
        json,
        r#"{"lower":["/a","/b"],"upper":{"dir":"/c/fs","work":"/c/work"}}"#
    );
    assert_eq!(serde_json::from_str::<Overlay>(&json).unwrap(), overlay);
}
