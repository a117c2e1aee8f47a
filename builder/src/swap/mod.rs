//! Exchanging what lies in `/` for a tree, and back, by renames alone.
//!
//! Root of a container that may neither mount nor make namespaces can still rename the top-level directories of its
//! own file system. So a step sees its image at `/` without any of the kernel's help: the container's own entries move
//! to a *stash*, the tree's move in. Mounts travel along with the directory that holds them (`/etc/resolv.conf`); what
//! is itself a mount point (`/proc`, a volume) stays where it is.
//!
//! ```text
//! /.croze/swap/     the stash, on the container's own file system
//!   lock            held by whose turn it is: a container has one `/`
//!   journal         which slots are exchanged and how far; none while the container's own files are in place
//!   own/0/ …        the container's own entries, by slot
//!   covered/0 …     what lies otherwise where something was placed
//!   discarded/      what nobody wants any more
//! ```
//!
//! Where `/` is somebody else's, what it has makes room instead of the whole: see [`Layout`].
//!
//! Whoever holds the [`Turn`] may die after any rename: the next one finds the journal and puts everything back.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, chmod, mkdir};
use rustix::io::Errno;

use error::OnPath as _;

mod error;
mod exchange;
mod journal;
mod layout;
mod looks;
mod place;
mod root;
mod slot;
mod stash;
#[cfg(test)]
mod tests;

pub use error::SwapError;
pub use journal::{Placement, Stay};
pub use layout::{COMMON, Layout, TOP};
pub use root::{foreign_directory, root_slot};
pub use slot::Slot;
pub use stash::{Stash, Turn};

/// The directory in `/` that is croze's own. Its name keeps it out of `/*`.
pub const HOME: &str = "/.croze";

/// The stash's name there.
const STASH: &str = "swap";

/// How long to wait for a turn that may be a dying process's, and how long between two tries.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(10));

/// Opens the stash of this container's `/` if it has one.
pub fn existing_stash() -> Result<Option<Stash>, SwapError> {
    let path = Path::new(HOME).join(STASH);
    path.is_dir().then(|| Stash::open(&path)).transpose()
}

/// Puts back what a process has left exchanged that has been killed. Whoever has the turn meanwhile has done so.
pub fn put_back() -> Result<(), SwapError> {
    let stash = stash()?;
    let (patience, pause) = PATIENCE;
    let began = Instant::now();
    while stash.turn()?.is_none() && began.elapsed() < patience {
        sleep(pause);
    }
    Ok(())
}

/// Opens the stash of this container's `/`. Steps that are not root's are kept out.
pub fn stash() -> Result<Stash, SwapError> {
    let home = Path::new(HOME);
    match mkdir(home, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => chmod(home, Mode::RWXU).on("change the mode of", home)?,
        Err(error) => return Err(error).on("create", home),
    }
    Stash::open(&home.join(STASH))
}
