//! From objects to files: a working tree of one commit, with its submodules, in a snapshot.
//!
//! The tree is made in scratch space and moved when it is complete, so that a directory of it can stand for all.

use std::fs::{self, File, Metadata, Permissions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, openat, renameat, utimensat};
use snapshotter::ActiveSnapshot;

use super::argument;
use super::command::Git;
use super::refs::Found;
use crate::fetch::{FetchError, blocking};
use crate::op::GitOp;
use crate::remote::MtimeOf;

/// The protocols of strangers.
const NETWORK: &str = "http:https:git:ssh";
/// The protocol of our own repository, beside them.
const OWN: &str = "file";

/// Checks a commit out into a snapshot; `time` is the commit's.
pub(super) async fn checkout(
    git: &Git,
    repository: &Path,
    op: &GitOp,
    found: &Found,
    time: i64,
    scratch: &Path,
    into: &ActiveSnapshot,
) -> Result<(), FetchError> {
    let place = tempfile::tempdir_in(scratch).map_err(FetchError::io("create in", scratch))?;
    let tree = place.path().join("tree");
    fs::create_dir(&tree).map_err(FetchError::io("create", &tree))?;
    let commit = found.commit.as_str();
    let format = if commit.len() == 64 { "sha256" } else { "sha1" };
    // A ref of our own makes the commit one that may be asked for.
    let own_ref = format!("refs/croze/{commit}");
    let pin = ["update-ref", own_ref.as_str(), commit];
    git.run("update-ref", &pin, &[], Some(repository)).await?;
    let init = ["init", "--quiet", "--template=", &format!("--object-format={format}")];
    git.run_in("init", &tree, &init, NETWORK).await?;
    let own = argument(repository);
    let fetch = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth=1",
        "--",
        own.as_str(),
        own_ref.as_str(),
    ];
    git.run_in("fetch", &tree, &fetch, OWN).await?;
    git.run_in(
        "checkout",
        &tree,
        &["checkout", "--quiet", "--force", "--detach", commit],
        NETWORK,
    )
    .await?;
    if op.address.submodules.unwrap_or(true) && tree.join(".gitmodules").symlink_metadata().is_ok_and(|m| m.is_file()) {
        submodules(git, &tree).await?;
    }
    // Git stays where the whole commit is wanted: a directory of it is no repository.
    let keep_git_dir = op.keep_git_dir && op.address.subdir.is_empty();
    if keep_git_dir {
        remember_origin(git, &tree).await?;
    }
    let time = (op.address.mtime == Some(MtimeOf::Commit)).then_some(time);
    let (subdir, upper) = (op.address.subdir.clone(), into.upper().to_owned());
    blocking(move || {
        let top = open_real(&tree, &subdir)?;
        tidy(&top.1, keep_git_dir, time)?;
        move_content(&top.0, &top.1, &upper)?;
        drop(place);
        Ok(())
    })
    .await
}

/// Checks submodules out, as shallow as their servers can.
async fn submodules(git: &Git, tree: &Path) -> Result<(), FetchError> {
    // What an address without a host is relative to.
    let config = tree.join(".git/config");
    let origin = format!("[remote \"origin\"]\n\turl = {}\n", quoted(git.url()));
    let written = File::options().append(true).open(&config);
    let written = written.and_then(|mut file| file.write_all(origin.as_bytes()));
    written.map_err(FetchError::io("write", &config))?;
    let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
    let shallow = [update.as_slice(), &["--depth=1"]].concat();
    if git.run_in("submodule update", tree, &shallow, NETWORK).await.is_ok() {
        return Ok(());
    }
    git.run_in("submodule update", tree, &update, NETWORK).await.map(drop)
}

/// Writes a value as files of git's configuration have it.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// Writes down where a repository that stays came from, without user and password.
async fn remember_origin(git: &Git, tree: &Path) -> Result<(), FetchError> {
    for (key, value) in [
        ("remote.origin.url", git.url()),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
    ] {
        git.run_in("config", tree, &["config", "--local", key, value], NETWORK)
            .await?;
    }
    match fs::remove_file(tree.join(".git/FETCH_HEAD")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FetchError::io("remove", tree)(error)),
        _ => Ok(()),
    }
}

/// Opens a directory of the tree, each part of which must be a real directory: no link leads anywhere.
fn open_real(tree: &Path, subdir: &str) -> Result<(OwnedFd, PathBuf), FetchError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |at: &OwnedFd, name: &str| openat(at, name, flags, Mode::empty());
    let failed = |errno: rustix::io::Errno| FetchError::io("open", tree)(errno.into());
    let mut directory = openat(CWD, tree, flags, Mode::empty()).map_err(failed)?;
    let mut path = tree.to_owned();
    for part in subdir.split('/').filter(|part| !part.is_empty()) {
        directory = open(&directory, part).map_err(|_| FetchError::NoSubdir(subdir.to_owned()))?;
        path.push(part);
    }
    Ok((directory, path))
}

/// Removes `.git` unless it stays, and gives files their modes and, if asked for, the commit's time.
fn tidy(dir: &Path, keep_git_dir: bool, time: Option<i64>) -> Result<(), FetchError> {
    for entry in fs::read_dir(dir).map_err(FetchError::io("list", dir))? {
        let entry = entry.map_err(FetchError::io("list", dir))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(FetchError::io("stat", &path))?;
        if entry.file_name() == ".git" && !keep_git_dir {
            let removed = if metadata.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(FetchError::io("remove", &path))?;
            continue;
        }
        if metadata.is_dir() {
            tidy(&path, keep_git_dir, time)?;
        }
        dress(&path, &metadata, time)?;
    }
    Ok(())
}

fn dress(path: &Path, metadata: &Metadata, time: Option<i64>) -> Result<(), FetchError> {
    if !metadata.is_symlink() {
        let is_executable = metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0;
        let mode = if is_executable { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(FetchError::io("change the mode of", path))?;
    }
    let Some(time) = time else { return Ok(()) };
    let stamp = Timespec {
        tv_sec: time,
        tv_nsec: 0,
    };
    let stamps = Timestamps {
        last_access: stamp,
        last_modification: stamp,
    };
    utimensat(CWD, path, &stamps, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| FetchError::io("set the time of", path)(errno.into()))
}

/// Moves what is in a directory to another, which is empty.
fn move_content(from: &OwnedFd, shown: &Path, to: &Path) -> Result<(), FetchError> {
    for entry in fs::read_dir(shown).map_err(FetchError::io("list", shown))? {
        let name = entry.map_err(FetchError::io("list", shown))?.file_name();
        renameat(from, &name, CWD, to.join(&name))
            .map_err(|errno| FetchError::io("move", &shown.join(&name))(errno.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_line_in_a_file_of_configuration() {
        assert_eq!(quoted("https://u:p@h/x.git"), "\"https://u:p@h/x.git\"");
        assert_eq!(quoted("a\"b\\c\nd;#"), "\"a\\\"b\\\\c\\nd;#\"");
    }
}
