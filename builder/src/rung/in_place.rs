//! The rungs that need nothing of the kernel but renames, `in-place` and `in-place-single`: tried by exchanging what lies in
//! `/` for an empty tree and back.

use std::fs;
use std::io;
use std::os::unix::fs::fchown;
use std::path::{Component, Path, PathBuf};

use nix::sys::prctl::set_dumpable;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, remove_capability_from_bounding_set, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use snapshotter::Root;

use super::copy::{Number, in_copy};
use super::trial::{Entry, Place, Refusal, Trial};
use super::{Confinement, Landlock, ProcView, Rung, StatePlace};
use crate::swap::{self, COMMON, HOME, Layout, Slot, Stash, SwapError, Turn};
use crate::sys;

/// Tries `in-place`.
pub(super) fn try_in_place(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::InPlace);
    let is_root = rustix::process::geteuid().is_root();
    let root = trial.needs(
        "root",
        Some(if is_root { Ok(()) } else { Err(Refusal::NotRoot) }),
        |()| "user 0".into(),
    );
    let rights = root.map(|()| try_rights(place.state_root));
    let rights = trial.needs("rights of root", rights, |()| "over owners, users and groups".into());
    let room = try_room(&mut trial, rights.is_some(), place);
    let slots: Slots = |tree, in_use| Ok(vec![swap::root_slot(tree, in_use)?]);
    try_renames(&mut trial, room, place, slots);
    trial
}

/// Tries in a copy of the process what a step's first process does to become a user of the image, and what unpacking does
/// to files. User 0 of a container need not have the rights for that.
fn try_rights(state_root: &Path) -> Result<(), Refusal> {
    let tried = in_copy(|| become_somebody(state_root)).map_err(Refusal::trial("hear from a trial"))?;
    tried.map_err(|(verb, number)| Refusal::NotAllRights {
        verb,
        source: number.into(),
    })
}

/// Gives up being root. What failed is told by its verb, and the error.
fn become_somebody(state_root: &Path) -> Result<(), (String, Number)> {
    let to = |verb: &str| {
        let verb = verb.to_owned();
        move |error: io::Error| (verb, Number::of(error))
    };
    const SOMEBODY: u32 = 1;
    let (user, group) = (Uid::from_raw(SOMEBODY), Gid::from_raw(SOMEBODY));
    let file = tempfile::tempfile_in(state_root).map_err(to("make a file in the state directory"))?;
    let gave = fchown(&file, Some(SOMEBODY), Some(SOMEBODY));
    gave.map_err(to("give a file to another user"))?;
    // No step has it; taking it away takes the right to do so even where it is not there.
    let dropped = remove_capability_from_bounding_set(CapabilitySet::SYS_ADMIN);
    dropped.map_err(io::Error::from).map_err(to("take capabilities away"))?;
    let grouped = set_thread_groups(&[group]).and_then(|()| set_thread_res_gid(group, group, group));
    grouped.map_err(io::Error::from).map_err(to("become another group"))?;
    let became = set_thread_res_uid(user, user, user);
    became.map_err(io::Error::from).map_err(to("become another user"))
}

/// Tries `in-place-single`.
pub(super) fn try_in_place_single(place: Place<'_>) -> Trial {
    let mut trial = Trial::of(Rung::InPlaceSingle);
    let layout = Layout::read(&[place.state_root]).map_err(Refusal::from);
    let layout = layout.and_then(|layout| match layout.lacks() {
        None => Ok(()),
        Some(path) => Err(Refusal::NotLaidOut { path }),
    });
    let layout = trial.needs("places in `/`", Some(layout), |()| "of this user's own".into());
    let room = try_room(&mut trial, layout.is_some(), place);
    let supervised = room.then(|| place.try_supervision());
    let supervised = trial.needs("supervision", supervised, |()| "system calls can be answered".into());
    let slots: Slots = |tree, in_use| {
        let mut slots = Layout::read(in_use)?.slots(tree)?;
        // There are dozens of places in which nothing lies and nothing comes: nothing can be learnt from them.
        slots.retain(|slot| !(is_empty(&slot.place) && is_empty(&slot.tree)));
        Ok(slots)
    };
    try_renames(&mut trial, supervised.is_some(), place, slots);
    trial
}

/// Tries whether neither the image nor the state directory is in the way of other images.
fn try_room(trial: &mut Trial, is_tried: bool, place: Place<'_>) -> bool {
    let own = is_tried.then(try_image);
    let own = trial.needs("an image of croze's own", own, |()| {
        format!("nothing lies outside of `{HOME}`")
    });
    let state = own.map(|()| match in_the_way(place.state_root) {
        Some(path) => Err(Refusal::StateInTheWay { path }),
        None if is_with_root(place.state_root)? => Ok(()),
        None => Err(Refusal::StateElsewhere),
    });
    let state = trial.needs("room for the state directory", state, |()| {
        "out of the way of images".into()
    });
    state.is_some()
}

/// Tries whether the image that this container runs is croze's own.
fn try_image() -> Result<(), Refusal> {
    let stash = swap::existing_stash()?;
    // What a dead process has left there is put back on this occasion.
    let turn = stash.as_ref().map(Stash::turn).transpose()?;
    if let Some(None) = turn {
        // The image that is there is a step's, whose croze has found this out.
        return Ok(());
    }
    match swap::foreign_directory()? {
        None => Ok(()),
        Some(path) => Err(Refusal::ForeignImage { path }),
    }
}

/// Returns where a tree takes the place of what lies in `/`, but for paths in use.
type Slots = fn(&Path, &[&Path]) -> Result<Vec<Slot>, SwapError>;

fn try_renames(trial: &mut Trial, is_tried: bool, place: Place<'_>, slots: Slots) {
    let moved = is_tried.then(|| exchange(place.state_root, slots));
    let moved = trial.needs("renames in `/`", moved, |()| {
        "what lies there can be moved away and back".into()
    });
    if moved.is_some() {
        trial.entry = Entry::Here;
        trial.confinement = Some(Confinement {
            rung: trial.rung,
            stacking: trial.rung.stacking(),
            proc: ProcView::Bound,
            state: StatePlace::Disk,
            landlock: Landlock::find(),
        });
    }
}

/// Whether what lies in a directory can be moved to `/`.
fn is_with_root(dir: &Path) -> Result<bool, Refusal> {
    let mount = |path: &Path| statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id);
    let both = mount(dir).and_then(|own| Ok(own == mount(Path::new("/"))?));
    both.map_err(io::Error::from)
        .map_err(Refusal::trial("look at the state directory"))
}

/// Returns the directory in `/` that the state directory would keep from an image.
fn in_the_way(state_root: &Path) -> Option<PathBuf> {
    let top = state_root.components().find_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })?;
    COMMON.contains(&top).then(|| Path::new("/").join(top))
}

/// Whether nothing is to be seen in a directory, which need not be there.
fn is_empty(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Puts a tree with next to nothing in it in the place of what lies in `/`, and everything back.
fn exchange(state_root: &Path, slots: Slots) -> Result<(), Refusal> {
    let stash = swap::stash()?;
    // Whoever has the turn has shown that it works.
    let Some(turn) = stash.turn()? else { return Ok(()) };
    const NAME: &str = "trial";
    let tree = stash.path().join(NAME);
    fs::create_dir_all(tree.join("usr/bin")).map_err(Refusal::trial("make a directory in `/.croze`"))?;
    let tried = try_turn(&turn, slots(&tree, &[state_root]));
    let removed = Root::open(stash.path()).and_then(|stash| stash.remove_tree(Path::new(NAME)));
    tried?;
    removed.map_err(|error| Refusal::trial("remove a directory from `/.croze`")(error.source))
}

fn try_turn(turn: &Turn<'_>, slots: Result<Vec<Slot>, SwapError>) -> Result<(), Refusal> {
    turn.exchange(slots?)?;
    turn.restore()?;
    Ok(())
}

/// Prepares croze for running steps as what it is itself, beside itself: they are not to read its memory, and what they
/// see as `/etc` is not to reach it.
pub(super) fn settle(rung: Rung) -> Result<(), Refusal> {
    // Who is not root could then not use what `/proc` says of croze itself. There it is the step that is closed off.
    if rung == Rung::InPlace {
        close_memory()?;
    }
    sys::fix_host_lookup().map_err(Refusal::trial("fix how host names are looked up"))
}

/// Keeps steps that are what croze is from reading its memory.
pub(super) fn close_memory() -> Result<(), Refusal> {
    let closed = set_dumpable(false).map_err(io::Error::from);
    closed.map_err(Refusal::trial("close croze's memory to steps"))
}
