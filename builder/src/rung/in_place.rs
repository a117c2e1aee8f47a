//! The rung that needs nothing of the kernel but renames, `in-place`: tried by exchanging `/` for an empty tree and back.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::sys::prctl::set_dumpable;
use snapshotter::Root;

use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, ProcView, Rung, StatePlace};
use crate::swap::{self, HOME, Turn};
use crate::sys;

/// Tries it.
pub(super) fn try_in_place(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::InPlace);
    let is_root = rustix::process::geteuid().is_root();
    let root = trial.needs(
        "root",
        Some(if is_root { Ok(()) } else { Err(Refusal::NotRoot) }),
        |()| "user 0".into(),
    );
    let own = root.map(|()| match swap::foreign_directory() {
        Ok(None) => Ok(()),
        Ok(Some(path)) => Err(Refusal::ForeignImage { path }),
        Err(error) => Err(error.into()),
    });
    let own = trial.needs("an image of croze's own", own, |()| {
        format!("nothing lies outside of `{HOME}`")
    });
    let state = own.map(|()| match in_the_way(place.state_root) {
        None => Ok(()),
        Some(path) => Err(Refusal::StateInTheWay { path }),
    });
    let state = trial.needs("room for the state directory", state, |()| {
        "out of the way of images".into()
    });
    let moved = state.map(|()| exchange(place.state_root));
    let moved = trial.needs("renames in `/`", moved, |()| {
        "what lies there can be moved away and back".into()
    });
    if moved.is_some() {
        trial.entry = Entry::Here;
        trial.confinement = Some(Confinement {
            rung: Rung::InPlace,
            stacking: Rung::InPlace.stacking(),
            proc: ProcView::Bound,
            state: StatePlace::Disk,
        });
    }
    trial
}

/// What images have in `/`.
const COMMON: [&str; 18] = [
    "bin", "boot", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "root", "run", "sbin",
    "srv", "tmp", "usr", "var",
];

/// Returns the directory in `/` that the state directory would keep from an image.
fn in_the_way(state_root: &Path) -> Option<PathBuf> {
    let top = state_root.components().find_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })?;
    COMMON.contains(&top).then(|| Path::new("/").join(top))
}

/// Puts an empty tree in the place of what lies in `/`, and everything back.
fn exchange(state_root: &Path) -> Result<(), Refusal> {
    let stash = swap::stash()?;
    // Whoever has the turn has shown that it works.
    let Some(turn) = stash.turn()? else { return Ok(()) };
    const NAME: &str = "trial";
    let tree = stash.path().join(NAME);
    fs::create_dir_all(tree.join("trial")).map_err(Refusal::trial("make a directory in `/.croze`"))?;
    let tried = try_turn(&turn, &tree, state_root);
    let removed = Root::open(stash.path()).and_then(|stash| stash.remove_tree(Path::new(NAME)));
    tried?;
    removed.map_err(|error| Refusal::trial("remove a directory from `/.croze`")(error.source))
}

fn try_turn(turn: &Turn<'_>, tree: &Path, state_root: &Path) -> Result<(), Refusal> {
    let slot = swap::root_slot(tree, &[state_root])?;
    turn.exchange(vec![slot])?;
    turn.restore()?;
    Ok(())
}

/// Prepares croze for running steps as what it is itself, beside itself: they are not to read its memory, and what they
/// see as `/etc` is not to reach it.
pub(super) fn settle() -> Result<(), Refusal> {
    close_memory()?;
    sys::fix_host_lookup().map_err(Refusal::trial("fix how host names are looked up"))
}

/// Keeps steps that are what croze is from reading its memory.
pub(super) fn close_memory() -> Result<(), Refusal> {
    let closed = set_dumpable(false).map_err(io::Error::from);
    closed.map_err(Refusal::trial("close croze's memory to steps"))
}
