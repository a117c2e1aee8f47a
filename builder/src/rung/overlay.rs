//! Whether the kernel's overlay works on the state directory.

use std::error::Error;
use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, FsWord, Mode, mkdirat, statfs, unlinkat};
use snapshotter::{Overlay, Upper};

use super::trial::{Place, Thoroughness};

/// File systems on which every kernel stacks that stacks in user namespaces at all: the magic numbers of ext4, XFS and
/// Btrfs.
const SURE: [FsWord; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];

/// Stacks two directories and replaces one of the lower, which is where overlays without `userxattr` fail. Says what
/// failed.
pub(super) fn try_on(
    Place {
        state_root,
        thoroughness,
    }: Place<'_>,
) -> Result<(), String> {
    // The trial leaves a dozen directories to delete: on a busy disk that takes longer than a small build.
    let is_sure = || statfs(state_root).is_ok_and(|stat| SURE.contains(&stat.f_type));
    if thoroughness == Thoroughness::Quick && is_sure() {
        return Ok(());
    }
    let dir = state_root.join(format!(".croze-trial-{}", std::process::id()));
    let tried = stack_and_replace(&dir);
    let _best_effort = fs::remove_dir_all(&dir);
    tried.map_err(|error| chain(error.as_ref()))
}

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

/// Returns an error's text with that of its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
