//! A step's tree that is used as it is, most often in the place of the container's own `/`, from the turn to the way back.
//!
//! The monitor does this before it forks the step, and undoes it when nothing of the step is left. What a dead monitor
//! has not undone its guard undoes, and what neither has, the next one whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use snapshotter::{Ownership, Root};

use super::placements::{Placed, Wanted};
use super::shadows::Shadows;
use super::sources::is_wanted;
use crate::executor::plan::{Occupation, Site};
use crate::executor::setup_error::{OnPath, SetupError};
use crate::supervisor::Top;
use crate::swap::{self, HOME, Layout, Slot, Stash, Turn, root_slot};

/// Waits for the turn of a stash; `None` when croze wants nothing of this step any more.
pub(super) fn wait_for_turn<'a>(stash: &'a Stash, control: &UnixStream) -> Result<Option<Turn<'a>>, SetupError> {
    loop {
        if let Some(turn) = stash.turn()? {
            return Ok(Some(turn));
        }
        if !is_wanted(control)? {
            return Ok(None);
        }
    }
}

/// Opens what is to be exchanged by means of: one for all steps where all need the same place.
pub(super) fn stash(site: &Site) -> Result<Stash, SetupError> {
    Ok(match site {
        Site::Root { .. } => swap::stash()?,
        Site::Tree { stash } => Stash::open(&stash.join(std::process::id().to_string()))?,
    })
}

/// Removes a stash that nobody else uses. Everything is back in its place.
pub(super) fn close(site: &Site, stash: &Stash) -> Result<(), SetupError> {
    match (site, stash.path().file_name()) {
        (Site::Tree { stash }, Some(name)) => Ok(Root::open(stash)?.remove_tree(Path::new(name))?),
        _ => Ok(()),
    }
}

/// A tree that a step has for its root.
pub(super) struct Occupied<'a> {
    turn: &'a Turn<'a>,
    /// Where it lies: in `/`, or where it always does.
    root: PathBuf,
    /// What is covered in it where it is seen as it is.
    shadows: Option<Shadows>,
    placed: Vec<Placed>,
    /// The names in `/`, if they cannot be changed.
    top: Option<Top>,
    /// What was moved or has had entries come and go: where it lies, its name in the tree, and what it looked like before
    /// the step.
    noted: Vec<(PathBuf, PathBuf, Look)>,
}

impl<'a> Occupied<'a> {
    /// Puts a tree in place, and over it what is to be placed.
    pub(super) fn begin(turn: &'a Turn<'a>, occupation: Occupation) -> Result<Self, SetupError> {
        let Occupation {
            tree,
            site,
            placements,
            ownership,
        } = occupation;
        let wanted = placements
            .into_iter()
            .map(|(target, source)| Wanted::find(target, source));
        let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
        let (root, slots, layout, shadows) = match &site {
            Site::Root { in_use } => {
                let in_use: Vec<&Path> = in_use.iter().map(PathBuf::as_path).collect();
                let (slots, layout) = match ownership {
                    Ownership::Real => (vec![root_slot(&tree, &in_use)?], None),
                    Ownership::Emulated => {
                        let layout = Layout::read(&in_use)?;
                        (layout.slots(&tree)?, Some(layout))
                    }
                };
                (PathBuf::from("/"), slots, layout, None)
            }
            Site::Tree { .. } => {
                let root = fs::canonicalize(&tree).on("find", &tree)?;
                let shadows = Shadows::cast(&root)?;
                (root, Vec::new(), None, Some(shadows))
            }
        };
        let slots = turn.exchange(slots)?;
        let mut occupied = Self {
            turn,
            root,
            shadows,
            placed: Vec::new(),
            top: layout.map(|layout| top(&layout, &slots)),
            noted: Vec::new(),
        };
        let place = |wanted: Wanted| wanted.place(turn, &occupied.root, ownership);
        let placed = wanted.into_iter().map(place).collect::<Result<Vec<_>, _>>();
        let noted = placed.and_then(|placed| {
            occupied.placed = placed.into_iter().flatten().collect();
            occupied.note(&slots, &tree)
        });
        if let Err(error) = noted {
            turn.restore()?;
            occupied.shadows.map_or(Ok(Vec::new()), Shadows::clear)?;
            return Err(error);
        }
        Ok(occupied)
    }

    /// Returns the names in `/`, if they cannot be changed.
    pub(super) fn top(&self) -> Option<Top> {
        self.top.clone()
    }

    /// Puts everything back. `changed` tells which of the directories that stand for the step's it has made or removed, and
    /// whether they are there now. Returns the names in the tree that were moved, and to which nothing else was done.
    pub(super) fn end(self, changed: &BTreeMap<PathBuf, bool>) -> Result<Vec<PathBuf>, SetupError> {
        let copied = self.placed.iter().try_for_each(Placed::copy_back);
        let mut only_moved: BTreeSet<PathBuf> = BTreeSet::new();
        for (path, name, before) in &self.noted {
            if !self.is_made(path, changed) && Look::at(path).is_ok_and(|now| now == *before) {
                only_moved.insert(name.clone());
            }
        }
        only_moved.extend(
            self.placed
                .iter()
                .filter_map(|placed| placed.covered.as_deref())
                .map(|path| self.in_tree(path)),
        );
        if !changed.is_empty() {
            self.turn.note_existence(changed)?;
        }
        self.turn.restore()?;
        copied?;
        if let Some(shadows) = self.shadows {
            only_moved.extend(shadows.clear()?);
        }
        Ok(only_moved.into_iter().collect())
    }

    /// Whether a directory that stands for one has not stood for one before.
    fn is_made(&self, path: &Path, changed: &BTreeMap<PathBuf, bool>) -> bool {
        let existed = self.top.as_ref().and_then(|top| top.directories.get(path));
        existed == Some(&false) && changed.get(path) == Some(&true)
    }

    fn note(&mut self, slots: &[Slot], tree: &Path) -> Result<(), SetupError> {
        let mut names: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for slot in slots {
            let top = slot.tree.strip_prefix(tree).unwrap_or(&slot.tree);
            names.insert(slot.place.clone(), top.to_owned());
            for entry in fs::read_dir(&slot.place).on("list", &slot.place)? {
                let name = entry.on("list", &slot.place)?.file_name();
                if slot.moves(&name) {
                    names.insert(slot.place.join(&name), top.join(&name));
                }
            }
        }
        let changed = self.placed.iter().map(|placed| placed.directory.clone());
        names.extend(changed.map(|directory| (directory.clone(), self.in_tree(&directory))));
        for (path, name) in names {
            let look = Look::at(&path).on("stat", &path)?;
            self.noted.push((path, name, look));
        }
        Ok(())
    }

    fn in_tree(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }
}

fn top(layout: &Layout, slots: &[Slot]) -> Top {
    let root = Path::new("/");
    let directories = slots.iter().filter(|slot| slot.place.parent() == Some(root));
    let directories = directories.filter_map(|slot| Some((slot.place.clone(), slot.stands_for_existing()?)));
    Top {
        directories: directories.collect(),
        links: layout.links().map(ToOwned::to_owned).collect(),
        linked: layout.top(),
        own: HOME.into(),
    }
}

/// Enough of an inode to notice any change to it; the kernel alone sets the time of change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    changed: (i64, u32),
}

impl Look {
    fn at(path: &Path) -> rustix::io::Result<Self> {
        let stat = statx(
            CWD,
            path,
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::INO | StatxFlags::CTIME,
        )?;
        Ok(Self {
            inode: stat.stx_ino,
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        })
    }
}
