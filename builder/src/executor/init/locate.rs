//! Finds out where in a tree a path leads, and how much of it does not exist.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::Errno;

/// How many links a path may pass; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Where a path leads: no part of it is a link or `..`.
#[derive(Debug)]
pub(super) struct Location {
    /// The part that exists, from the root.
    pub(super) existing: PathBuf,
    /// What it stands for.
    pub(super) fd: OwnedFd,
    /// The names that do not exist below it.
    pub(super) missing: Vec<OsString>,
}

impl Location {
    /// Returns the whole path.
    pub(super) fn path(&self) -> PathBuf {
        let mut path = self.existing.clone();
        path.extend(&self.missing);
        path
    }
}

/// Follows a path within `root` as far as it exists. Links are followed within the root, also those that dangle: what
/// is missing is then what they point to.
pub(super) fn locate(root: BorrowedFd<'_>, path: &Path) -> Result<Location, Errno> {
    let mut names: VecDeque<OsString> = names(path).collect();
    let mut existing = PathBuf::from("/");
    let mut fd = step_to(root, &existing)?;
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name == ".." {
            existing.pop();
            fd = step_to(root, &existing)?;
            continue;
        }
        let next = existing.join(&name);
        let found = match step_to(root, &next) {
            Err(Errno::NOENT) => {
                names.push_front(name);
                return Ok(Location {
                    existing,
                    fd,
                    missing: without_parents(names)?,
                });
            }
            found => found?,
        };
        if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Symlink {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            let link = readlinkat(&found, "", Vec::new())?;
            let link = PathBuf::from(OsString::from(link.into_string().map_err(|_| Errno::ILSEQ)?));
            if link.is_absolute() {
                existing = PathBuf::from("/");
                fd = step_to(root, &existing)?;
            }
            for name in self::names(&link).collect::<Vec<_>>().into_iter().rev() {
                names.push_front(name);
            }
            continue;
        }
        existing = next;
        fd = found;
    }
    Ok(Location {
        existing,
        fd,
        missing: Vec::new(),
    })
}

/// Opens a path that has no links in it; one that has appeared since is an error.
fn step_to(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let parent = path.parent().unwrap_or(path);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let dir = openat2(
        root,
        parent,
        flags | OFlags::DIRECTORY,
        Mode::empty(),
        within | ResolveFlags::NO_SYMLINKS,
    )?;
    let name = path.file_name().unwrap_or(".".as_ref());
    // The last name may be a link, which is opened as such.
    openat2(dir.as_fd(), name, flags, Mode::empty(), within)
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Resolves `..` among names that do not exist. One that would lead out of them has no meaning.
fn without_parents(names: VecDeque<OsString>) -> Result<Vec<OsString>, Errno> {
    let mut kept = Vec::new();
    for name in names {
        if name == ".." {
            kept.pop().ok_or(Errno::NOENT)?;
        } else {
            kept.push(name);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree whose links try to get out.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        symlink("/a", dir.path().join("absolute")).unwrap();
        symlink("../../../../a/b", dir.path().join("a/up")).unwrap();
        symlink("/run/systemd/resolv.conf", dir.path().join("dangling")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        dir
    }

    fn located(path: &str) -> Result<(String, Vec<OsString>), Errno> {
        let tree = tree();
        let root = fs::File::open(tree.path()).unwrap();
        let location = locate(root.as_fd(), Path::new(path))?;
        Ok((location.existing.to_str().unwrap().to_owned(), location.missing))
    }

    #[track_caller]
    fn leads_to(path: &str, existing: &str, missing: &[&str]) {
        let missing = missing.iter().map(OsString::from).collect();
        assert_eq!(located(path), Ok((existing.to_owned(), missing)));
    }

    #[test]
    fn links_are_followed_within_the_root() {
        leads_to("/a/b", "/a/b", &[]);
        leads_to("absolute/b", "/a/b", &[]);
        leads_to("/a/up", "/a/b", &[]);
        leads_to("/../../a/./b/..", "/a", &[]);
        leads_to("/", "/", &[]);
    }

    #[test]
    fn what_is_missing_is_named_from_where_the_links_lead() {
        leads_to("/a/x/y", "/a", &["x", "y"]);
        leads_to("/dangling", "/", &["run", "systemd", "resolv.conf"]);
        leads_to("/absolute/new", "/a", &["new"]);
        leads_to("/x/../y", "/", &["y"]);
    }

    #[test]
    fn what_leads_nowhere_is_an_error() {
        assert_eq!(located("/loop"), Err(Errno::LOOP));
        assert_eq!(located("/file/x"), Err(Errno::NOTDIR));
        assert_eq!(located("/x/../../a"), Err(Errno::NOENT));
    }
}
