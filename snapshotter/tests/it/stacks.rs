//! Both ways to make one tree of a chain: what is done in it becomes the same snapshot.

mod changes;
mod owners;
mod random;
mod reuse;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshotter::layer::{PackOptions, TreeForm, pack};
use snapshotter::{Evidence, Ownership, SnapshotName, SnapshotStore, Stacking, Stacks, Tree, Workspace, Writes};

use crate::rerun::Mounted;
use crate::tree::{self, Node};

/// Earlier than whatever a test does, later than what stands in its base.
const LONG_AGO: i64 = 1_000_000_000;

/// A store, and one way to make trees of its chains.
pub(crate) struct Workshop {
    scratch: tempfile::TempDir,
    pub(crate) stacks: Stacks,
}

pub(crate) fn name(name: &str) -> SnapshotName {
    SnapshotName::new(name).unwrap()
}

impl Workshop {
    pub(crate) fn new(stacking: Stacking) -> Self {
        Self::with(stacking, Ownership::Real)
    }

    pub(crate) fn with(stacking: Stacking, ownership: Ownership) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for dir in ["store", "trees"] {
            fs::create_dir(scratch.path().join(dir)).unwrap();
        }
        let store = Arc::new(SnapshotStore::open(&scratch.path().join("store"), ownership).unwrap());
        let stacks = match stacking {
            Stacking::Overlay => Stacks::overlay(store),
            Stacking::Flat => Stacks::flat(store, &scratch.path().join("trees"), Evidence::Times).unwrap(),
        };
        Self { scratch, stacks }
    }

    /// Stacks the same store in the other way.
    pub(crate) fn other(&self) -> Stacks {
        let store = Arc::clone(self.stacks.store());
        match self.stacks.stacking() {
            Stacking::Flat => Stacks::overlay(store),
            Stacking::Overlay => Stacks::flat(store, &self.scratch.path().join("trees"), Evidence::Times).unwrap(),
        }
    }

    /// Commits a snapshot that holds what `fill` makes, all of it long ago.
    pub(crate) fn base(&self, called: &str, fill: impl FnOnce(&Path)) -> SnapshotName {
        let active = self.stacks.store().prepare().unwrap();
        fill(active.upper());
        for path in tree::read(active.upper()).keys().rev() {
            tree::set_mtime(&active.upper().join(path), (LONG_AGO - 1000, 7));
        }
        active.commit(&name(called)).unwrap();
        name(called)
    }

    /// Changes a chain as a program would, and commits that.
    pub(crate) fn step(&self, chain: &[SnapshotName], called: &str, change: impl FnOnce(&Path)) -> Vec<SnapshotName> {
        let workspace = self.stacks.workspace(chain, Writes::Anything).unwrap();
        in_tree(&workspace.tree(), change);
        self.commit(workspace, chain, called)
    }

    pub(crate) fn commit(&self, workspace: Workspace, chain: &[SnapshotName], called: &str) -> Vec<SnapshotName> {
        workspace.commit(&name(called)).unwrap();
        [chain, &[name(called)]].concat()
    }

    /// Packs a snapshot; what was done by the test is as if it had been done at one time.
    pub(crate) fn packed(&self, snapshot: &SnapshotName) -> Vec<u8> {
        let options = PackOptions {
            clamp_mtime: Some(LONG_AGO),
        };
        let (mut layer, root) = (Vec::new(), self.stacks.store().root(snapshot).unwrap());
        pack(&root, TreeForm::OverlayUpper, &options, &mut layer).unwrap();
        layer
    }

    /// Reads a chain as a whole tree, with times as in [`packed`](Self::packed).
    pub(crate) fn seen(&self, chain: &[SnapshotName]) -> BTreeMap<PathBuf, Node> {
        seen(&self.stacks, chain)
    }
}

/// Shows a tree at a path.
pub(crate) fn in_tree(tree: &Tree, act: impl FnOnce(&Path)) {
    match tree {
        Tree::Directory(path) => act(path),
        Tree::Overlay(overlay) => act(&Mounted::new(overlay).path()),
    }
}

fn seen(stacks: &Stacks, chain: &[SnapshotName]) -> BTreeMap<PathBuf, Node> {
    let view = stacks.view(chain).unwrap();
    let mut found = BTreeMap::new();
    in_tree(&view.tree(), |top| found = crate::overlay::seen(top));
    for node in found.values_mut() {
        node.mtime.0 = node.mtime.0.min(LONG_AGO);
    }
    found
}

/// Returns the names in a layer.
fn members(layer: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// Makes the same changes above the same base in both ways, expects the same layer, which either way can read, and
/// returns the names in it.
pub(crate) fn conform(base: impl Fn(&Path), change: impl Fn(&Path)) -> Vec<String> {
    let [overlay, flat] = [Stacking::Overlay, Stacking::Flat].map(|stacking| {
        let workshop = Workshop::new(stacking);
        let bottom = workshop.base("base", &base);
        let chain = workshop.step(&[bottom], "step", &change);
        let layer = workshop.packed(&name("step"));
        let seen_here = workshop.seen(&chain);
        assert_eq!(
            seen_here,
            seen(&workshop.other(), &chain),
            "{stacking:?} is read in another way"
        );
        (layer, seen_here)
    });
    assert_eq!(members(&flat.0), members(&overlay.0));
    assert!(flat.0 == overlay.0, "the layers differ in more than names");
    assert_eq!(flat.1, overlay.1);
    members(&flat.0)
}

/// What many tests start from.
fn files(top: &Path) {
    fs::create_dir_all(top.join("d/e")).unwrap();
    for file in ["a", "b", "d/f", "d/g", "d/e/h"] {
        fs::write(top.join(file), file).unwrap();
    }
    symlink("d", top.join("link")).unwrap();
}
