//! Owners of links and FIFOs, where the kernel does not hold them, through trees of both ways.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use snapshotter::layer::{Limits, UnpackMode, unpack};
use snapshotter::{Ownership, SnapshotName, SpecialOwners, Stacking, Writes};

use super::{Workshop, in_tree, name};
use crate::evil::{Header, archive};

/// Commits a snapshot with links of these owners.
fn links(workshop: &Workshop, called: &str, links: &[(&str, u64)]) -> SnapshotName {
    let active = workshop.stacks.store().prepare().unwrap();
    let headers: Vec<Header> = links
        .iter()
        .map(|(link, owner)| Header::symlink(link, "x").owner(*owner, 0))
        .collect();
    let layer = archive(&headers);
    let root = active.root().unwrap();
    unpack(&mut layer.as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap();
    active.commit(&name(called)).unwrap();
    name(called)
}

fn in_both_ways(test: impl Fn(&Workshop)) {
    for stacking in [Stacking::Overlay, Stacking::Flat] {
        test(&Workshop::with(stacking, Ownership::Emulated));
    }
}

/// Returns the owners in a chain as its view shows them.
fn seen(workshop: &Workshop, chain: &[SnapshotName], paths: &[&str]) -> Vec<u32> {
    let view = workshop.stacks.view(chain).unwrap();
    let root = view.open().unwrap();
    let owner = |path: &&str| root.stat(Path::new(path), false).unwrap().unwrap().uid;
    paths.iter().map(owner).collect()
}

#[test]
fn a_view_knows_the_owners_of_every_layer() {
    in_both_ways(|workshop| {
        let chain = [
            links(workshop, "a", &[("kept", 1), ("given", 2), ("taken", 3)]),
            links(workshop, "b", &[("given", 4), ("taken", 0)]),
        ];
        assert_eq!(seen(workshop, &chain, &["kept", "given", "taken"]), [1, 4, 0]);
    });
}

#[test]
fn own_writes_keep_their_owners() {
    in_both_ways(|workshop| {
        let chain = [links(workshop, "a", &[("kept", 1), ("replaced", 2)])];
        let workspace = workshop.stacks.workspace(&chain, Writes::NewFiles).unwrap();
        let layer = archive(&[
            Header::symlink("replaced", "y").owner(5, 0),
            Header::symlink("new", "z").owner(6, 0),
        ]);
        let root = workspace.root().unwrap();
        unpack(&mut layer.as_slice(), root, UnpackMode::Merged, &Limits::default()).unwrap();
        let chain = workshop.commit(workspace, &chain, "b");
        assert_eq!(seen(workshop, &chain, &["kept", "replaced", "new"]), [1, 5, 6]);
        let committed = workshop.stacks.store().special_owners(&[name("b")]).unwrap();
        assert_eq!(
            committed.iter().count(),
            2,
            "what was not changed is not in the layer: {committed:?}"
        );
    });
}

#[test]
fn another_process_tells_the_owners_of_what_it_has_made() {
    in_both_ways(|workshop| {
        let chain = [links(workshop, "a", &[("kept", 1), ("replaced", 2), ("given", 3)])];
        let workspace = workshop.stacks.workspace(&chain, Writes::Anything).unwrap();
        let before = workspace.special_owners().unwrap();
        assert_eq!(before.iter().count(), 3);
        in_tree(&workspace.tree(), |top| {
            for link in ["replaced", "given"] {
                fs::remove_file(top.join(link)).unwrap();
                symlink("y", top.join(link)).unwrap();
            }
            symlink("z", top.join("new")).unwrap();
        });
        let mut told = SpecialOwners::default();
        told.set(PathBuf::from("given"), (8, 8));
        told.set(PathBuf::from("new"), (9, 9));
        workspace.commit_owned(&name("b"), &told).unwrap();
        let chain = [chain[0].clone(), name("b")];
        assert_eq!(
            seen(workshop, &chain, &["kept", "replaced", "given", "new"]),
            [1, 0, 8, 9]
        );
        // And in the next step, whoever makes its tree.
        let next = workshop.stacks.workspace(&chain, Writes::Anything).unwrap();
        let owners = next.special_owners().unwrap();
        let owners: Vec<_> = owners
            .iter()
            .map(|(path, (uid, _))| (path.to_str().unwrap(), uid))
            .collect();
        assert_eq!(owners, [("given", 8), ("kept", 1), ("new", 9)]);
    });
}
