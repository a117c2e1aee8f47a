//! Where one user owns every file: the same layers come out, without any capability.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use proptest::prelude::*;
use rustix::thread::{Gid, Uid, set_thread_res_gid, set_thread_res_uid};
use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, Unpacked, pack, unpack};
use snapshotter::{Inodes, Ownership, Root, SnapshotName, SnapshotStore};

use crate::evil::{Header, archive, pax};
use crate::overlay::Stage;
use crate::rerun;
use crate::roundtrip::a_tree;
use crate::tree;

/// Who is nobody in particular, in these tests.
const PLAIN: u32 = 1000;

/// `cap_net_raw+ep`.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Does something as a user without any capability; the other threads stay what they are.
fn as_plain_user<T>(act: impl FnOnce() -> T) -> T {
    // With the saved id the thread can come back. Capabilities leave with the effective one.
    set_thread_res_gid(Gid::from_raw(PLAIN), Gid::from_raw(PLAIN), Gid::ROOT).unwrap();
    set_thread_res_uid(Uid::from_raw(PLAIN), Uid::from_raw(PLAIN), Uid::ROOT).unwrap();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).unwrap();
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).unwrap();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A directory of the plain user's.
fn plain_dir(stage: &Stage, name: &str) -> std::path::PathBuf {
    let dir = stage.dir(name);
    chown(&dir, Some(PLAIN), Some(PLAIN)).unwrap();
    fs::set_permissions(dir.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn open(dir: &Path) -> Root {
    Root::open(dir).unwrap().with_inodes(Inodes::new(Ownership::Emulated))
}

fn unpacked(mut layer: &[u8], into: &Root, mode: UnpackMode) -> Unpacked {
    unpack(&mut layer, into, mode, &Limits::default()).unwrap()
}

fn packed(tree: &Root) -> Vec<u8> {
    let mut layer = Vec::new();
    pack(tree, TreeForm::OverlayUpper, &PackOptions::default(), &mut layer).unwrap();
    layer
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_survives_a_store_without_owners(wanted in a_tree(40)) {
        let stage = Stage::new();
        let from = stage.dir("from");
        tree::write(&from, &wanted);
        let layer = packed(&Root::open(&from).unwrap());
        let to = plain_dir(&stage, "to");
        let (unpacked, again) = as_plain_user(|| {
            let root = open(&to);
            (unpacked(&layer, &root, UnpackMode::Upper), packed(&root))
        });
        prop_assert_eq!((unpacked.devices_skipped, unpacked.xattrs_skipped), (0, 0));
        prop_assert!(again == layer, "the emulated tree gives other bytes");
        for entry in tree::read(&to).values() {
            prop_assert_eq!((entry.uid, entry.gid), (PLAIN, PLAIN));
        }
    }

    #[test]
    fn a_layer_over_another_is_the_same_with_and_without_owners(below in a_tree(20), above in a_tree(20)) {
        let stage = Stage::new();
        let layers = [("below", &below), ("above", &above)].map(|(name, wanted)| {
            let from = stage.dir(name);
            tree::write(&from, wanted);
            packed(&Root::open(&from).unwrap())
        });
        let real = stage.dir("real");
        let plain = plain_dir(&stage, "plain");
        let expected = apply(&layers, &Root::open(&real).unwrap());
        let actual = as_plain_user(|| apply(&layers, &open(&plain)));
        prop_assert!(actual == expected, "the trees differ");
    }
}

/// Unpacks one layer over the other into one tree and packs that.
fn apply(layers: &[Vec<u8>], root: &Root) -> Vec<u8> {
    for layer in layers {
        unpacked(layer, root, UnpackMode::Merged);
    }
    packed(root)
}

/// A layer with everything that takes privileges to unpack.
fn privileged_layer() -> Vec<u8> {
    let capability = pax(&[("SCHILY.xattr.security.capability", CAPABILITY)]);
    let made_up = pax(&[("SCHILY.xattr.user.croze.stat", b"0:0:104755")]);
    archive(&[
        Header::dir("closed/").owner(5, 6).mode(0o0),
        Header::file("closed/secret", "x").owner(5, 6).mode(0o0),
        Header::dir("sticky/").mode(0o1777),
        Header::file("su", "x").mode(0o4755),
        Header {
            device: (1, 3),
            ..Header::new(b'3', "null").mode(0o666)
        },
        Header {
            device: (7, 0),
            ..Header::new(b'4', "loop0").owner(0, 6).mode(0o660)
        },
        Header::new(b'6', "fifo").owner(7, 8).mode(0o640),
        Header::symlink("link", "su").owner(1000, 100),
        capability,
        Header::file("ping", "x").mode(0o755),
        made_up,
        Header::file("liar", "x").owner(9, 9).mode(0o600),
        Header::new(b'0', ".wh.gone"),
        Header::hard_link("linked", "link"),
    ])
}

#[test]
fn a_process_without_capabilities_keeps_what_only_root_could_make() {
    rerun::as_plain_user(
        "emulated::a_process_without_capabilities_keeps_what_only_root_could_make",
        || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            for set in ["CapPrm", "CapEff", "CapBnd"] {
                let none = format!("{set}:\t0000000000000000");
                assert!(status.lines().any(|line| line == none), "{status}");
            }
            let scratch = tempfile::tempdir().unwrap();
            let store = SnapshotStore::open(scratch.path(), Ownership::Emulated).unwrap();
            let layer = privileged_layer();
            let active = store.prepare().unwrap();
            let result = unpacked(&layer, &active.root().unwrap(), UnpackMode::Upper);
            // The made-up record.
            assert_eq!((result.devices_skipped, result.xattrs_skipped), (0, 1));
            let at_once = packed(&active.root().unwrap());
            let name = SnapshotName::new("kept").unwrap();
            active.commit(&name).unwrap();
            let root = store.root(&name).unwrap();
            assert!(packed(&root) == at_once, "the store has forgotten something");

            let seen = |path: &str| root.stat(Path::new(path), false).unwrap().unwrap();
            let owner_and_mode = |path| (seen(path).uid, seen(path).gid, seen(path).mode);
            assert_eq!(owner_and_mode("closed"), (5, 6, 0));
            assert_eq!(owner_and_mode("closed/secret"), (5, 6, 0));
            assert_eq!(owner_and_mode("sticky"), (0, 0, 0o1777));
            assert_eq!(owner_and_mode("su"), (0, 0, 0o4755));
            assert_eq!((owner_and_mode("null"), seen("null").rdev), ((0, 0, 0o666), (1, 3)));
            assert_eq!((owner_and_mode("loop0"), seen("loop0").rdev), ((0, 6, 0o660), (7, 0)));
            assert_eq!(owner_and_mode("fifo"), (7, 8, 0o640));
            assert_eq!(owner_and_mode("link"), (1000, 100, 0o777));
            assert_eq!(owner_and_mode("linked"), (1000, 100, 0o777));
            assert_eq!(owner_and_mode("liar"), (9, 9, 0o600));
            assert!(seen("gone").is_overlay_whiteout());
            assert!(
                packed(&root)
                    .windows(CAPABILITY.len())
                    .any(|window| window == CAPABILITY)
            );
            // A placeholder is no file to read.
            assert!(root.open_file(Path::new("null")).is_err());
            assert_eq!(root.read_file(Path::new("closed/secret"), 9).unwrap().unwrap(), b"x");

            store.remove(&name).unwrap();
            assert!(store.stat(&name).unwrap().is_none());
        },
    );
}

#[test]
fn real_and_emulated_stores_give_the_same_layer() {
    let stage = Stage::new();
    let layer = privileged_layer();
    let root = Root::open(&stage.dir("real")).unwrap();
    unpacked(&layer, &root, UnpackMode::Upper);
    let plain = plain_dir(&stage, "plain");
    let emulated = as_plain_user(|| {
        let root = open(&plain);
        unpacked(&layer, &root, UnpackMode::Upper);
        packed(&root)
    });
    assert!(packed(&root) == emulated);
}

#[test]
fn a_tree_that_a_program_has_closed_is_removed() {
    let stage = Stage::new();
    let top = plain_dir(&stage, "top");
    as_plain_user(|| {
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::write(top.join("a/b/c/f"), "x").unwrap();
        for (dir, mode) in [("a/b/c", 0o500), ("a/b", 0o0), ("a", 0o100)] {
            fs::set_permissions(top.join(dir), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert!(fs::remove_dir_all(top.join("a")).is_err());
        open(&top).remove_tree(Path::new("a")).unwrap();
        assert!(!top.join("a").exists());
    });
}

#[test]
fn owners_of_links_are_those_of_the_topmost_snapshot() {
    let scratch = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(scratch.path(), Ownership::Emulated).unwrap();
    let mut chain = Vec::new();
    for (name, links) in [
        ("a", &[("kept", 1_u32), ("given", 2), ("taken", 3)][..]),
        ("b", &[("given", 4), ("taken", 0)]),
        ("c", &[("new", 5)]),
    ] {
        let active = store.prepare().unwrap();
        let headers: Vec<Header> = links
            .iter()
            .map(|(link, owner)| Header::symlink(link, "x").owner((*owner).into(), (*owner).into()))
            .collect();
        unpacked(&archive(&headers), &active.root().unwrap(), UnpackMode::Upper);
        chain.push(SnapshotName::new(name).unwrap());
        active.commit(&chain[chain.len() - 1]).unwrap();
    }
    let owners = store.special_owners(&chain).unwrap();
    let owners: Vec<(&str, u32)> = owners
        .iter()
        .map(|(path, (uid, _))| (path.to_str().unwrap(), uid))
        .collect();
    assert_eq!(owners, [("given", 4), ("kept", 1), ("new", 5)]);
    assert_eq!(
        fs::metadata(scratch.path().join("a/owners")).unwrap().mode() & 0o777,
        0o600
    );
}
