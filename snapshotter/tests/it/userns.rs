//! The same inside a user namespace, where root is not the machine's.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, setxattr};
use snapshotter::layer::{Limits, UnpackCause, UnpackMode, unpack};
use snapshotter::{Overlay, Ownership, Root, SnapshotName, SnapshotStore};

use crate::evil::{Header, archive, pax};
use crate::overlay::{Stage, seen};
use crate::rerun::{Mounted, in_user_namespace};
use crate::tree;

/// `cap_net_raw+ep` as version 2, and as version 3 of the namespace whose root is 7.
const V2: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const V3: &[u8] = &[
    1, 0, 0, 3, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0,
];

fn assert_in_namespace() {
    assert_eq!(rustix::process::geteuid().as_raw(), 0);
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
}

#[test]
fn changes_survive_the_way_through_a_layer() {
    in_user_namespace("userns::changes_survive_the_way_through_a_layer", || {
        assert_in_namespace();
        let stage = Stage::new();
        let lower = stage.dir("lower");
        fs::create_dir_all(lower.join("d/e")).unwrap();
        for file in ["d/a", "d/e/f", "ping", "owned"] {
            fs::write(lower.join(file), file).unwrap();
        }
        let upper = stage.upper("upper");
        let mount = Mounted::new(&Overlay {
            lower: vec![lower.clone()],
            upper: Some(upper.clone()),
        });
        let top = mount.path();
        fs::remove_file(top.join("d/a")).unwrap();
        // Without `userxattr` this is where it breaks.
        fs::remove_dir_all(top.join("d/e")).unwrap();
        fs::create_dir(top.join("d/e")).unwrap();
        fs::write(top.join("d/e/new"), "new").unwrap();
        setxattr(top.join("ping"), "security.capability", V2, XattrFlags::empty()).unwrap();
        std::os::unix::fs::chown(top.join("owned"), Some(65_535), Some(1234)).unwrap();
        fs::set_permissions(top.join("owned"), fs::Permissions::from_mode(0o6755)).unwrap();
        let target = seen(&top);
        let layer = stage.pack(&upper.dir);
        assert!(
            layer.windows(V2.len()).any(|window| window == V2),
            "capabilities travel as version 2"
        );
        assert_eq!(stage.apply_packed("again", &layer, &[lower]), target);
        let owned = &target[Path::new("owned")];
        assert_eq!((owned.uid, owned.gid, owned.mode), (65_535, 1234, 0o6755));
        assert_eq!(target[Path::new("ping")].xattrs.values().next().unwrap(), V2);
        assert!(!target.contains_key(Path::new("d/e/f")));
    });
}

#[test]
fn what_a_namespace_cannot_make_is_counted_or_named() {
    in_user_namespace("userns::what_a_namespace_cannot_make_is_counted_or_named", || {
        assert_in_namespace();
        let stage = Stage::new();
        let into = stage.dir("into");
        let root = Root::open(&into).unwrap();
        let capability = |value| {
            pax(&[
                ("SCHILY.xattr.security.capability", value),
                ("SCHILY.xattr.security.selinux", b"l"),
            ])
        };
        let layer = archive(&[
            Header {
                device: (1, 3),
                ..Header::new(b'3', "null")
            },
            Header {
                device: (7, 0),
                ..Header::new(b'4', "loop0")
            },
            capability(V2),
            Header::file("v2", "").owner(5, 6).mode(0o4755),
            capability(V3),
            Header::file("v3", ""),
        ]);
        let unpacked = unpack(&mut layer.as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap();
        assert_eq!(
            (unpacked.entries, unpacked.devices_skipped, unpacked.xattrs_skipped),
            (4, 2, 2)
        );
        for file in ["v2", "v3"] {
            let mut value = [0; 64];
            let length = lgetxattr(into.join(file), "security.capability", &mut value).unwrap();
            assert_eq!(&value[..length], V2, "{file}");
        }
        assert_eq!(fs::metadata(into.join("v2")).unwrap().mode() & 0o7777, 0o4755);
        assert_eq!(tree::read(&into).len(), 3);

        let layer = archive(&[Header::file("f", "").owner(65_536, 0)]);
        let error = unpack(&mut layer.as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap_err();
        assert!(
            matches!(error.cause, UnpackCause::UnmappedOwner { uid: 65_536, gid: 0 }),
            "{error:?}"
        );
    });
}

#[test]
fn a_snapshot_that_nobody_may_read_is_removed() {
    in_user_namespace("userns::a_snapshot_that_nobody_may_read_is_removed", || {
        assert_in_namespace();
        let stage = Stage::new();
        let store = SnapshotStore::open(&stage.dir("store"), Ownership::Real).unwrap();
        let active = store.prepare().unwrap();
        let mount = Mounted::new(&Overlay {
            lower: vec![stage.dir("lower")],
            upper: Some(active.as_upper()),
        });
        let top = mount.path();
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::write(top.join("a/b/c/f"), "x").unwrap();
        for dir in ["a/b/c", "a/b", "a"] {
            std::os::unix::fs::chown(top.join(dir), Some(1000), Some(1000)).unwrap();
            fs::set_permissions(top.join(dir), fs::Permissions::from_mode(0o0)).unwrap();
        }
        drop(mount);
        let name = SnapshotName::new("unreadable").unwrap();
        active.commit(&name).unwrap();
        assert!(store.fs_dir(&name).join("a/b/c/f").exists());
        store.remove(&name).unwrap();
        assert!(store.stat(&name).unwrap().is_none());
    });
}
