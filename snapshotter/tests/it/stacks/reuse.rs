//! Which trees are laid out, and which are used again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use snapshotter::{Stacking, Tree, Writes};

use super::{Workshop, files, in_tree, name};

fn path(tree: &Tree) -> PathBuf {
    match tree {
        Tree::Directory(path) => path.clone(),
        Tree::Overlay(_) => panic!("an overlay"),
    }
}

#[test]
fn the_next_step_of_a_chain_goes_on_in_the_same_tree() {
    let workshop = Workshop::new(Stacking::Flat);
    let mut chain = vec![workshop.base("base", files)];
    let mut inodes = Vec::new();
    for step in ["one", "two", "three"] {
        chain = workshop.step(&chain, step, |top| {
            inodes.push(fs::metadata(top.join("d/e/h")).unwrap().ino());
            fs::write(top.join(step), step).unwrap();
        });
        assert_eq!(super::members(&workshop.packed(&name(step))), [step]);
    }
    assert_eq!(inodes, [inodes[0]; 3]);
    let view = workshop.stacks.view(&chain).unwrap();
    in_tree(&view.tree(), |top| {
        assert_eq!(fs::metadata(top.join("d/e/h")).unwrap().ino(), inodes[0]);
    });
}

#[test]
fn two_steps_that_start_from_one_chain_do_not_see_each_other() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let [one, two] = [(); 2].map(|()| workshop.stacks.workspace(&base, Writes::Anything).unwrap());
    for (workspace, called) in [(&one, "one"), (&two, "two")] {
        fs::write(path(&workspace.tree()).join("a"), called).unwrap();
    }
    for (workspace, called) in [(one, "one"), (two, "two")] {
        let chain = workshop.commit(workspace, &base, called);
        let seen = workshop.seen(&chain);
        assert_eq!(seen[Path::new("a")].kind, crate::tree::Kind::File(called.into()));
    }
}

#[test]
fn a_step_that_failed_leaves_nothing_behind() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let failed = workshop.stacks.workspace(&base, Writes::Anything).unwrap();
    let there = path(&failed.tree());
    fs::remove_dir_all(there.join("d")).unwrap();
    drop(failed);
    assert!(!there.exists());
    workshop.step(&base, "step", |top| assert!(top.join("d/e/h").exists()));
}

#[test]
fn a_tree_that_is_looked_at_is_not_written_to() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let chain = workshop.step(&base, "one", |top| fs::write(top.join("a"), "one").unwrap());
    let view = workshop.stacks.view(&chain).unwrap();
    workshop.step(&chain, "two", |top| fs::write(top.join("a"), "two").unwrap());
    assert_eq!(fs::read(path(&view.tree()).join("a")).unwrap(), b"one");
}

#[test]
fn programs_never_get_files_of_the_store() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let in_store = |chain: &[_]| {
        let file = |name| workshop.stacks.store().fs_dir(name).join("a");
        chain
            .iter()
            .map(|name| fs::metadata(file(name)).unwrap().ino())
            .collect::<Vec<_>>()
    };
    // What only croze writes to shares them: nothing is copied.
    let view = workshop.stacks.view(&base).unwrap();
    let inode = |tree: &Tree| fs::metadata(path(tree).join("a")).unwrap().ino();
    assert!(in_store(&base).contains(&inode(&view.tree())));
    drop(view);
    let own = workshop.stacks.workspace(&base, Writes::NewFiles).unwrap();
    assert!(in_store(&base).contains(&inode(&own.tree())));
    fs::remove_file(path(&own.tree()).join("a")).unwrap();
    fs::write(path(&own.tree()).join("a"), "replaced").unwrap();
    let chain = workshop.commit(own, &base, "own");
    let programs = workshop.stacks.workspace(&chain, Writes::Anything).unwrap();
    let given = inode(&programs.tree());
    assert!(!in_store(&chain).contains(&given));
    fs::write(path(&programs.tree()).join("a"), "rewritten").unwrap();
    drop(programs);
    assert_eq!(
        workshop.seen(&chain)[Path::new("a")].kind,
        crate::tree::Kind::File("replaced".into())
    );
}

#[test]
fn other_trees_of_the_same_files_are_no_changes() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let workspace = workshop.stacks.workspace(&base, Writes::NewFiles).unwrap();
    // Its files get another name, and with it another time of change, while the workspace is in use.
    let view = workshop.stacks.view(&base).unwrap();
    assert_ne!(path(&view.tree()), path(&workspace.tree()));
    fs::write(path(&workspace.tree()).join("new"), "").unwrap();
    fs::remove_file(path(&workspace.tree()).join("b")).unwrap();
    fs::write(path(&workspace.tree()).join("b"), "b").unwrap();
    workshop.commit(workspace, &base, "step");
    assert_eq!(super::members(&workshop.packed(&name("step"))), ["b", "new"]);
}

#[test]
fn trees_are_deleted_with_the_stacks() {
    let workshop = Workshop::new(Stacking::Flat);
    let mut chain = vec![workshop.base("base", files)];
    let trees = path(&workshop.stacks.view(&chain).unwrap().tree())
        .parent()
        .unwrap()
        .to_owned();
    for step in 0..8 {
        // The start of a chain is wanted again and again, so that there are many trees.
        let _first = workshop.stacks.view(&chain[..1]).unwrap();
        chain = workshop.step(&chain, &format!("step-{step}"), |top| {
            fs::write(top.join("a"), "").unwrap()
        });
    }
    assert!((1..=5).contains(&fs::read_dir(&trees).unwrap().count()));
    drop(workshop.stacks);
    assert_eq!(fs::read_dir(&trees).unwrap().count(), 0);
}

#[test]
fn trees_may_lie_on_another_file_system_than_the_store() {
    let workshop = Workshop::new(Stacking::Flat);
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let store = std::sync::Arc::clone(workshop.stacks.store());
    let stacks = snapshotter::Stacks::flat(store, elsewhere.path(), snapshotter::Evidence::Contents).unwrap();
    let base = [workshop.base("base", files)];
    let workspace = stacks.workspace(&base, Writes::NewFiles).unwrap();
    fs::write(path(&workspace.tree()).join("d/f"), "new").unwrap();
    let chain = workshop.commit(workspace, &base, "step");
    assert_eq!(super::members(&workshop.packed(&name("step"))), ["d/", "d/f"]);
    assert_eq!(super::seen(&stacks, &chain), workshop.seen(&chain));
}

#[test]
fn what_is_known_to_have_only_been_moved_is_no_change() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let mut workspace = workshop.stacks.workspace(&base, Writes::Anything).unwrap();
    let top = path(&workspace.tree());
    let elsewhere = tempfile::tempdir_in(top.parent().unwrap()).unwrap();
    for moved in ["a", "d", "link"] {
        fs::rename(top.join(moved), elsewhere.path().join(moved)).unwrap();
        fs::rename(elsewhere.path().join(moved), top.join(moved)).unwrap();
    }
    fs::write(top.join("d/f"), "changed").unwrap();
    fs::remove_file(top.join("b")).unwrap();
    fs::write(top.join("b"), "made anew").unwrap();
    workspace.set_moved(["a", "b", "d", "link"].map(PathBuf::from));
    workspace.commit(&name("step")).unwrap();
    assert_eq!(super::members(&workshop.packed(&name("step"))), ["b", "d/", "d/f"]);
}
