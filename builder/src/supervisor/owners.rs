//! Owners that a step finds and those that it leaves, by path: what [`Specials`] knows by inode while the step runs.

use std::io;

use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use snapshotter::{Root, SpecialOwners, is_special, walk};

use super::place::Place;
use super::specials::Specials;

/// Notes the owners of the files that are there.
pub(super) fn note(place: &Place, owners: &SpecialOwners, specials: &Specials) -> io::Result<()> {
    for (path, owner) in owners.iter() {
        match place.open_in_tree(path).and_then(fstat) {
            Ok(stat) if is_special(FileType::from_raw_mode(stat.st_mode)) => {
                specials.set((stat.st_dev, stat.st_ino), FileType::from_raw_mode(stat.st_mode), owner)?;
            }
            // What had an owner is covered by something else.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Where a step has seen what it has changed, and with it the inodes that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// Under the same path below the step's root.
    BelowRoot,
    /// Where it is.
    There,
}

/// Finds the owners of the files that a step has made or changed: those below `changed`.
pub(super) fn find(place: &Place, changed: &Root, seen: Seen, specials: &Specials) -> io::Result<SpecialOwners> {
    let owner = |found: &walk::Place<'_>, file_type| {
        // By the inode that the step has seen. What is covered by a mount it has not.
        let stat = match seen {
            Seen::BelowRoot => place.open_in_tree(found.path).and_then(fstat),
            Seen::There => statat(found.dir, found.name, AtFlags::SYMLINK_NOFOLLOW),
        };
        let owner = stat
            .ok()
            .and_then(|stat| specials.owner((stat.st_dev, stat.st_ino), file_type));
        Ok(owner.unwrap_or_default())
    };
    SpecialOwners::collect(changed, owner).map_err(|error| error.source)
}
