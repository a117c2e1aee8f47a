//! Random trees survive being packed and unpacked, and random changes survive the way through a layer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, pack, unpack};
use snapshotter::{Overlay, Root};

use crate::overlay::{Stage, seen};
use crate::rerun::Mounted;
use crate::tree::{self, Kind, Node, Tree};

fn name() -> impl Strategy<Value = OsString> {
    prop_oneof![
        6 => "[a-d]",
        2 => "[a-z .,:\\\\*-]{1,12}",
        1 => "[äßπ]{1,3}",
        1 => Just("l".repeat(255)),
        1 => Just("m".repeat(120)),
    ]
    .prop_filter("not a name", |name| {
        !matches!(name.as_str(), "." | "..") && !name.starts_with(".wh.")
    })
    .prop_map(OsString::from)
    .boxed()
    .prop_union(Just(OsString::from_vec(b"\xff\n\x1b".to_vec())).boxed())
}

fn node() -> impl Strategy<Value = Node> {
    let content = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..600),
        1 => (0_usize..300_000, any::<u8>()).prop_map(|(length, byte)| vec![byte & 1; length]),
    ];
    let kind = prop_oneof![
        5 => content.prop_map(Kind::File),
        6 => Just(Kind::Dir),
        2 => prop_oneof![name(), Just(OsString::from("t".repeat(200)))].prop_map(Kind::Symlink),
        1 => Just(Kind::Fifo),
        1 => (any::<bool>(), 1_u64..1000).prop_map(|(block, device)| Kind::Device(block, device)),
    ];
    let id = || prop_oneof![Just(0_u32), 1_u32..70_000, Just(3_000_000)];
    let mtime = (
        prop_oneof![0_i64..2_000_000_000, Just(-1), Just(1 << 33)],
        prop_oneof![Just(0), 0_i64..1_000_000_000],
    );
    let xattrs = proptest::collection::btree_map(
        "user\\.[a-z%]{1,8}",
        proptest::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    (kind, 0_u32..0o10000, id(), id(), mtime, xattrs).prop_map(|(kind, mode, uid, gid, mtime, xattrs)| {
        let has_xattrs = matches!(kind, Kind::File(_) | Kind::Dir);
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { mode };
        let xattrs = if has_xattrs { xattrs } else { BTreeMap::new() };
        Node {
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs: xattrs.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        }
    })
}

/// A tree of at most `size` nodes, each in a directory that an earlier step of its path chose.
pub(crate) fn a_tree(size: usize) -> impl Strategy<Value = Tree> {
    let placed = (
        proptest::collection::vec(any::<prop::sample::Index>(), 1),
        name(),
        node(),
        any::<Option<prop::sample::Index>>(),
    );
    proptest::collection::vec(placed, 0..size).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (parent, name, node, link) in nodes {
            let dirs: Vec<PathBuf> = [PathBuf::new()]
                .into_iter()
                .chain(
                    tree.iter()
                        .filter(|(_, node)| node.kind == Kind::Dir)
                        .map(|(path, _)| path.clone()),
                )
                .collect();
            let path = parent[0].get(&dirs).join(name);
            if path.as_os_str().len() > 3000 || tree.contains_key(&path) {
                continue;
            }
            // A quarter of the files become further names of a file whose path sorts before.
            let before: Vec<_> = tree
                .iter()
                .filter(|(first, node)| *first < &path && !matches!(node.kind, Kind::Dir | Kind::HardLink(_)))
                .collect();
            match link.filter(|_| !before.is_empty() && node.kind != Kind::Dir) {
                Some(index) => {
                    let (first, original) = index.get(&before);
                    let link = Node {
                        kind: Kind::HardLink((*first).clone()),
                        ..(*original).clone()
                    };
                    tree.insert(path, link);
                }
                None => drop(tree.insert(path, node)),
            }
        }
        tree
    })
}

/// One thing that is done to a tree.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Where in the tree, and under what new name.
    place: (prop::sample::Index, OsString),
    change: Change,
}

impl Step {
    /// Returns whether it gives something another name.
    pub(crate) fn renames(&self) -> bool {
        matches!(self.change, Change::Rename(_))
    }

    /// Returns what it is done to.
    pub(crate) fn target(&self, top: &Path) -> PathBuf {
        let paths: Vec<PathBuf> = tree::read(top).into_keys().collect();
        top.join(self.place.0.get(&paths))
    }
}

/// One thing that a step may do to a tree.
#[derive(Clone, Debug)]
enum Change {
    Make(Node),
    Remove,
    Rename(prop::sample::Index),
    Link(prop::sample::Index),
    Append(Vec<u8>),
    Mode(u32),
    Owner(u32),
    /// `rm -r` and `mkdir`.
    Empty,
}

/// Anything that may be done to a tree.
pub(crate) fn a_step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        4 => node().prop_map(Change::Make),
        3 => Just(Change::Remove),
        2 => any::<prop::sample::Index>().prop_map(Change::Rename),
        1 => any::<prop::sample::Index>().prop_map(Change::Link),
        2 => proptest::collection::vec(any::<u8>(), 1..100).prop_map(Change::Append),
        1 => (0_u32..0o10000).prop_map(Change::Mode),
        1 => (0_u32..70_000).prop_map(Change::Owner),
        2 => Just(Change::Empty),
    ];
    (any::<prop::sample::Index>(), name(), change).prop_map(|(at, name, change)| Step {
        place: (at, name),
        change,
    })
}

/// Does what can be done; what the kernel refuses (a directory into itself, across types) is left.
pub(crate) fn perform(top: &Path, step: &Step) {
    let Step {
        place: (at, name),
        change,
    } = step;
    let paths: Vec<PathBuf> = tree::read(top).into_keys().collect();
    let path = top.join(at.get(&paths));
    let is_dir = fs::symlink_metadata(&path).unwrap().is_dir();
    let is_top = at.get(&paths).as_os_str().is_empty();
    match change {
        Change::Make(node) if is_dir && fs::symlink_metadata(path.join(name)).is_err() => {
            tree::write(&path, &Tree::from([(PathBuf::from(name), node.clone())]));
        }
        Change::Remove if !is_top && is_dir => fs::remove_dir_all(&path).unwrap(),
        Change::Remove if !is_top => fs::remove_file(&path).unwrap(),
        Change::Rename(to) if !is_top => drop(fs::rename(&path, top.join(to.get(&paths)).join(name))),
        Change::Link(to) if !is_dir => drop(fs::hard_link(&path, top.join(to.get(&paths)).join(name))),
        Change::Append(bytes) if fs::symlink_metadata(&path).unwrap().is_file() => {
            use std::io::Write as _;
            fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(bytes)
                .unwrap();
        }
        Change::Mode(mode) if is_dir && !is_top => {
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        Change::Owner(uid) if !is_top => std::os::unix::fs::lchown(&path, Some(*uid), None).unwrap(),
        Change::Empty if is_dir && !is_top => {
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
        _ => {}
    }
}

fn packed(top: &Path) -> Vec<u8> {
    let mut layer = Vec::new();
    pack(
        &Root::open(top).unwrap(),
        TreeForm::OverlayUpper,
        &PackOptions::default(),
        &mut layer,
    )
    .unwrap();
    layer
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_survives_being_packed_and_unpacked(wanted in a_tree(40)) {
        let stage = Stage::new();
        let (from, to) = (stage.dir("from"), stage.dir("to"));
        tree::write(&from, &wanted);
        let layer = packed(&from);
        let limits = Limits::default();
        let unpacked = unpack(&mut layer.as_slice(), &Root::open(&to).unwrap(), UnpackMode::Upper, &limits).unwrap();
        prop_assert!(!unpacked.needs_merged);
        prop_assert_eq!(unpacked.entries, wanted.len() as u64);
        prop_assert_eq!((unpacked.devices_skipped, unpacked.xattrs_skipped), (0, 0));
        prop_assert_eq!(tree::read_as_layer(&to), tree::read_as_layer(&from));
        prop_assert!(packed(&to) == layer, "packing again gives other bytes");
    }

    #[test]
    fn changes_survive_the_way_through_a_layer(
        lower in a_tree(25),
        changes in proptest::collection::vec(a_step(), 1..15),
    ) {
        let stage = Stage::new();
        let base = stage.dir("base");
        tree::write(&base, &lower);
        let upper = stage.upper("upper");
        let mount = Mounted::new(&Overlay { lower: vec![base.clone()], upper: Some(upper.clone()) });
        for change in &changes {
            perform(&mount.path(), change);
        }
        let target = seen(&mount.path());
        drop(mount);
        prop_assert_eq!(stage.apply_packed("again", &stage.pack(&upper.dir), &[base]), target);
    }
}
