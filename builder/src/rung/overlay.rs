//! Whether the kernel's overlay works on the state directory, or else in memory.

use std::error::Error;
use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, FsWord, Mode, mkdirat, statfs, unlinkat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};
use snapshotter::{Overlay, Upper};

use super::trial::{Place, Thoroughness};
use crate::diagnostic::chain;

/// File systems on which every kernel stacks that stacks in user namespaces at all: the magic numbers of ext4, XFS and
/// Btrfs.
const SURE: [FsWord; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];

/// Where directories can be stacked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Stackable {
    /// On the file system of the state directory.
    OnDisk,
    /// In memory only.
    InMemory {
        /// What failed on the state directory, with its causes.
        cause: String,
    },
    /// Nowhere.
    Nowhere {
        /// What failed on the state directory, with its causes.
        cause: String,
    },
}

/// Stacks directories where state will be kept; if that fails, in a tmpfs.
pub(super) fn try_on(place: Place<'_>) -> Stackable {
    // The trial leaves a dozen directories to delete: on a busy disk that takes longer than a small build.
    let is_sure = || statfs(place.state_root).is_ok_and(|stat| SURE.contains(&stat.f_type));
    if place.thoroughness == Thoroughness::Quick && is_sure() {
        return Stackable::OnDisk;
    }
    let dir = place.state_root.join(format!(".croze-trial-{}", std::process::id()));
    let cause = stack_and_replace(&dir).map_err(|error| chain(error.as_ref()));
    let stackable = match cause {
        Ok(()) => Stackable::OnDisk,
        Err(cause) if in_memory(&dir).is_ok() => Stackable::InMemory { cause },
        Err(cause) => Stackable::Nowhere { cause },
    };
    let _best_effort = fs::remove_dir_all(&dir);
    stackable
}

fn in_memory(dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    mount_memory(dir)?;
    let stacked = stack_and_replace(dir);
    unmount(dir, UnmountFlags::DETACH)?;
    stacked
}

/// Covers a directory with a tmpfs that only its owner can enter.
pub(super) fn mount_memory(dir: &Path) -> rustix::io::Result<()> {
    mount(
        "tmpfs",
        dir,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"mode=0700",
    )
}

/// Replaces a directory of the lower ones, which is where overlays without `userxattr` fail.
fn stack_and_replace(dir: &Path) -> Result<(), Box<dyn Error>> {
    for part in ["lower/replaced", "upper", "work"] {
        fs::create_dir_all(dir.join(part))?;
    }
    let overlay = Overlay {
        lower: vec![dir.join("lower")],
        upper: Some(Upper {
            dir: dir.join("upper"),
            work: dir.join("work"),
        }),
    };
    let mount = overlay.mount()?;
    unlinkat(&mount, "replaced", AtFlags::REMOVEDIR)?;
    mkdirat(&mount, "replaced", Mode::from_raw_mode(0o755))?;
    Ok(unlinkat(&mount, "replaced", AtFlags::REMOVEDIR)?)
}
