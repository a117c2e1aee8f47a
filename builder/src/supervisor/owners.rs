//! Owners that a step finds and those that it leaves, by path: what [`Specials`] knows by inode while the step runs.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use snapshotter::{FsError, Root, SpecialOwners, walk};

use super::place::Place;
use super::specials::Specials;

/// Notes the owners of the files that are there.
pub(super) fn note(place: &Place, owners: &SpecialOwners, specials: &Specials) -> io::Result<()> {
    for (path, owner) in owners.iter() {
        match place.open_in_tree(path).and_then(fstat) {
            Ok(stat) if is_special(FileType::from_raw_mode(stat.st_mode)) => {
                specials.set((stat.st_dev, stat.st_ino), FileType::from_raw_mode(stat.st_mode), owner);
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
pub(super) fn find(place: &Place, changed: Root, seen: Seen, specials: &Specials) -> io::Result<SpecialOwners> {
    let mut finder = Finder {
        place,
        specials,
        seen,
        found: SpecialOwners::default(),
    };
    let top = changed.open_dir(Path::new("")).map_err(into_io)?;
    walk::walk(top, &mut finder).map_err(into_io)?;
    Ok(finder.found)
}

fn into_io(error: FsError) -> io::Error {
    error.source
}

fn is_special(file_type: FileType) -> bool {
    matches!(file_type, FileType::Symlink | FileType::Fifo | FileType::Socket)
}

struct Finder<'a> {
    place: &'a Place,
    specials: &'a Specials,
    seen: Seen,
    found: SpecialOwners,
}

impl walk::Visitor for Finder<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &walk::Place<'_>) -> Result<walk::Next, FsError> {
        let file_type = match place.file_type {
            FileType::Unknown => statat(place.dir, place.name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            known => known,
        };
        if file_type == FileType::Directory {
            return Ok(walk::Next::Enter(walk::open_dir(place)?));
        }
        if is_special(file_type) {
            // By the inode that the step has seen. What is covered by a mount it has not.
            let seen = match self.seen {
                Seen::BelowRoot => self.place.open_in_tree(place.path).and_then(fstat),
                Seen::There => statat(place.dir, place.name, AtFlags::SYMLINK_NOFOLLOW),
            };
            let owner = seen
                .ok()
                .and_then(|seen| self.specials.owner((seen.st_dev, seen.st_ino), file_type));
            self.found.set(place.path.to_owned(), owner.unwrap_or_default());
        }
        Ok(walk::Next::Pass)
    }
}
