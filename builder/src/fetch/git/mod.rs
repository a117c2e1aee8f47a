//! Commits of git repositories: a ref is resolved to a commit in every build, a commit is checked out once.
//!
//! | attack | what stops it |
//! |---|---|
//! | a name that is an option | [`crate::remote`] refuses it; the repository's address is never an argument, only configuration in the environment, and `--` stands before refs |
//! | other protocols, `ext::`, local paths, also in submodules | `GIT_ALLOW_PROTOCOL` |
//! | the user's or the machine's configuration, hooks, fsmonitor, templates, prompts | none of it is read: own environment, `core.hooksPath=/dev/null` |
//! | a redirect that takes credentials along | with credentials no redirect is followed |
//! | a directory that is a link out of the repository | each part of it is opened as a real directory |
//!
//! A repository's objects are kept bare under the state directory and fetched into; they are locked while in use.
//! Modes are 0644 and 0755 whatever the umask, as BuildKit's are.

mod checkout;
mod command;
mod origin;
mod refs;
#[cfg(feature = "fuzzing")]
pub(super) mod foreign;

pub use origin::CheckedOut;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::oci::Digest;
use rustix::fs::{FlockOperation, flock};
use snapshotter::Root;

use super::http::host_of;
use super::{FetchError, Fetched, Fetcher, Revision, blocking, snapshot_name};
use crate::op::key::Define as _;
use crate::op::{GitOp, Op};
use crate::remote::{GitAddress, is_commit};
use crate::state_dir::{Class, note};
use command::Git;
use refs::Found;

impl Fetcher {
    /// Pins a commit and makes sure that its files are at hand.
    ///
    /// # Errors
    /// If the repository cannot be asked, has no such ref, or the commit is not what the checksum names.
    pub async fn git(&self, op: &GitOp) -> Result<Fetched, FetchError> {
        let address = &op.address;
        let git = self.git_for(address)?;
        let found = resolve(&git, address).await?;
        if let Some(expected) = &address.checksum
            && !found.is_named(expected)
        {
            return Err(FetchError::Commit {
                expected: expected.clone(),
                actual: found.commit,
            });
        }
        let identity = Digest::of(format!("git {} {}", Op::Git(op.clone()).operation(), found.commit).as_bytes());
        let (snapshot, remembered) = (snapshot_name("git", identity)?, self.time_note(&found.commit));
        if !self.is_kept(&snapshot)? {
            let repository = self.lock_repository(address).await?;
            repository.fetch(&git, address, &found).await?;
            let time = repository.time_of(&git, &found.commit).await?;
            note::write(&remembered, &self.scratch, &time).map_err(FetchError::io("write", &remembered))?;
            let active = self.snapshots.prepare()?;
            checkout::checkout(&git, &repository.directory, op, &found, time, &self.scratch, &active).await?;
            active.commit(&snapshot)?;
        }
        let time = note::read(&remembered);
        Ok(Fetched {
            identity,
            revision: Revision::Commit(found.commit),
            snapshot,
            time,
        })
    }

    /// Prepares git with the credentials for one repository.
    fn git_for(&self, address: &GitAddress) -> Result<Git, FetchError> {
        let mut git = Git::new(&self.environment, &address.url, self.secrets.agents.get("default"));
        let Some((scheme @ ("http" | "https"), rest)) = address.url.split_once("://") else {
            return Ok(git);
        };
        let host = host_of(&address.url);
        let named = |kind: &str| [format!("GIT_AUTH_{kind}.{host}"), format!("GIT_AUTH_{kind}")];
        let authority = rest.split('/').next().unwrap_or_default();
        let origin = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(header) = self.credential(&named("HEADER"))? {
            git.authorize(&format!("{scheme}://{origin}/"), &header);
        } else if let Some(token) = self.credential(&named("TOKEN"))? {
            git.authorize(&format!("{scheme}://{origin}/"), &command::basic(&token));
        }
        Ok(git)
    }

    async fn lock_repository(&self, address: &GitAddress) -> Result<Repository, FetchError> {
        let name = format!("git-{}", Digest::of(address.url.as_bytes()).hex());
        let (directory, lease) = (self.memory.join(&name), Arc::clone(&self.lease));
        blocking(move || {
            // What git has half of it does not fetch again.
            let held = lease.hold_directory(Class::Remotes, &name, empty);
            held.map_err(FetchError::io("create", &directory))?;
            // Nobody but us has business in there, whatever the umask was.
            fs::set_permissions(&directory, Permissions::from_mode(0o700))
                .map_err(FetchError::io("change the mode of", &directory))?;
            let lock = File::open(&directory).map_err(FetchError::io("open", &directory))?;
            flock(&lock, FlockOperation::LockExclusive).map_err(|e| FetchError::io("lock", &directory)(e.into()))?;
            Ok(Repository { directory, _lock: lock })
        })
        .await
    }

    fn time_note(&self, commit: &str) -> PathBuf {
        self.memory.join(format!("commit-{commit}"))
    }
}

/// Finds out which commit is meant.
async fn resolve(git: &Git, address: &GitAddress) -> Result<Found, FetchError> {
    let whole = address.checksum.as_deref().filter(|name| is_commit(name));
    let by_name = match &address.reference {
        Some(reference) if is_commit(reference) => Some(reference.as_str()),
        None => whole,
        Some(_) => whole.filter(|_| address.fetch_by_commit),
    };
    if let Some(commit) = by_name {
        return Ok(Found::by_name(commit));
    }
    let reference = address.reference.as_deref().unwrap_or("HEAD");
    let listed = git
        .run(
            "ls-remote",
            &["ls-remote", "--", "origin"],
            &refs::patterns(reference),
            None,
        )
        .await?;
    refs::choose(reference, &listed).ok_or_else(|| FetchError::NoRef {
        reference: reference.to_owned(),
    })
}

/// Removes a repository, all but its stamp.
fn empty(repository: &Path) -> io::Result<()> {
    let root = Root::open(repository).map_err(|error| error.source)?;
    for entry in fs::read_dir(repository)? {
        let name = entry?.file_name();
        if name != "stamp" {
            root.remove_tree(Path::new(&name)).map_err(|error| error.source)?;
        }
    }
    Ok(())
}

/// The objects of one repository, bare, locked against other builds.
struct Repository {
    directory: PathBuf,
    _lock: File,
}

impl Repository {
    /// Makes sure that a commit is there.
    async fn fetch(&self, git: &Git, address: &GitAddress, found: &Found) -> Result<(), FetchError> {
        let directory = Some(self.directory.as_path());
        let is_new = !self.directory.join("HEAD").exists();
        if is_new {
            let format = if found.commit.len() == 64 {
                "--object-format=sha256"
            } else {
                "--object-format=sha1"
            };
            let init = ["init", "--quiet", "--bare", "--template=", format];
            git.run("init", &init, &[], directory).await?;
        }
        if self.has(git, &found.commit).await {
            return Ok(());
        }
        // A ref may name another commit by now. A commit that no ref names is given by good servers only; others, and those
        // of the dumb protocol, which knows no depth, give all refs.
        let shallow = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", "origin"];
        let names = found.reference.iter().chain([&found.commit]);
        for name in names {
            let wanted = format!("+{name}:refs/croze/{}", found.commit);
            let fetched = git.run("fetch", &shallow, &[wanted], directory).await;
            if fetched.is_ok() && self.has(git, &found.commit).await {
                return Ok(());
            }
        }
        let everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"].map(str::to_owned);
        let mut full = vec!["fetch", "--quiet", "--no-tags"];
        if self.directory.join("shallow").exists() {
            // What lies behind the commits that were fetched before would not come otherwise.
            full.push("--unshallow");
        }
        full.extend(["--", "origin"]);
        git.run("fetch", &full, &everything, directory).await?;
        if self.has(git, &found.commit).await {
            return Ok(());
        }
        Err(FetchError::NoRef {
            reference: address.reference.clone().unwrap_or_else(|| found.commit.clone()),
        })
    }

    async fn has(&self, git: &Git, commit: &str) -> bool {
        let object = [format!("{commit}^{{tree}}")];
        git.run("cat-file", &["cat-file", "-e"], &object, Some(&self.directory))
            .await
            .is_ok()
    }

    /// Returns the time of a commit in seconds since 1970.
    async fn time_of(&self, git: &Git, commit: &str) -> Result<i64, FetchError> {
        let show = ["show", "--no-patch", "--format=%ct", "--end-of-options"];
        // What was asked for may be the name of a tag.
        let object = [format!("{commit}^{{commit}}")];
        let printed = git.run("show", &show, &object, Some(&self.directory)).await?;
        let time = printed.trim().parse();
        time.map_err(|_| FetchError::NoTime(commit.to_owned()))
    }
}

/// Returns a path as an argument.
fn argument(path: &Path) -> String {
    path.display().to_string()
}
