//! `--allow`: what a build may do beyond the ordinary.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::args::{BuildArgs, NetworkArg};
use super::environment::absolute;
use super::failure::{Failure, Kind};
use super::request::usage;
use super::values::ValueError;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::frontend::{DeviceConsent, Entitlement};

/// Lets `mode=delete` empty directories anywhere, as buildx calls it.
const LOCAL_DELETE: &str = "buildx.local.delete";

/// The names that can be given.
const NAMES: [&str; 4] = ["network.host", "security.insecure", "device", LOCAL_DELETE];

/// Reads what the Dockerfile may ask for.
///
/// # Errors
/// Usage for a name that is none, or that cannot be given, and for options that need one that is not given.
pub(super) fn of_dockerfile(args: &BuildArgs) -> Result<BTreeSet<Entitlement>, Failure> {
    let mut allowed = BTreeSet::new();
    for text in &args.allow {
        match text.as_str() {
            "network.host" => drop(allowed.insert(Entitlement::NetworkHost)),
            "security.insecure" => drop(allowed.insert(Entitlement::SecurityInsecure)),
            "device" | LOCAL_DELETE => {}
            other if other.starts_with("device=") => {}
            other => {
                let problem = format!(
                    "no entitlement has this name{}; there are `{}`",
                    did_you_mean(other, NAMES),
                    NAMES.join("`, `")
                );
                return Err(usage(ValueError::new("--allow", text, problem)));
            }
        }
    }
    if args.network == NetworkArg::Host && !allowed.contains(&Entitlement::NetworkHost) {
        let message = Diagnostic::error("`--network host` needs consent").help("add `--allow network.host`");
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(allowed)
}

/// Reads which devices the Dockerfile may ask for: `device`, or `device=NAME[,alias=OTHER]`.
///
/// # Errors
/// Usage for an option that is none.
pub(super) fn devices(args: &BuildArgs) -> Result<DeviceConsent, Failure> {
    let mut consent = DeviceConsent::default();
    for text in &args.allow {
        match text.split_once('=') {
            None if text == "device" => consent.all = true,
            Some(("device", given)) => match given.split_once(',') {
                None => drop(consent.names.insert(given.to_owned())),
                Some((name, options)) => {
                    let Some(alias) = options.strip_prefix("alias=") else {
                        let problem = format!("`{options}` is not `alias=NAME`");
                        return Err(usage(ValueError::new("--allow", text, problem)));
                    };
                    consent.aliases.insert(alias.to_owned(), name.to_owned());
                }
            },
            _ => {}
        }
    }
    Ok(consent)
}

/// Refuses to delete in a directory that is not below the working directory, unless that is allowed.
///
/// # Errors
/// Usage if it is not.
pub(super) fn check_delete(args: &BuildArgs, directory: &Path) -> Result<(), Failure> {
    if args.allow.iter().any(|name| name == LOCAL_DELETE) {
        return Ok(());
    }
    let is_below = std::env::current_dir().and_then(|here| {
        let (here, there) = (here.canonicalize()?, real_path(&absolute(directory))?);
        Ok(there != here && there.starts_with(here))
    });
    if is_below.unwrap_or(false) {
        return Ok(());
    }
    let message = format!(
        "`mode=delete` would delete files in `{}`, which is not below the working directory",
        directory.display()
    );
    let help = format!("add `--allow {LOCAL_DELETE}` if that is meant");
    Err(Failure::new(Kind::Usage, Diagnostic::error(message).help(help)))
}

/// Returns where a path leads that need not exist yet.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(real_path(parent)?.join(name))
        }
        (found, ..) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_yet_leads_where_its_parent_does() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("/", top.join("link")).unwrap();
        assert_eq!(real_path(&top.join("a/b")).unwrap(), top.join("a/b"));
        assert_eq!(real_path(&top.join("link/nowhere")).unwrap(), Path::new("/nowhere"));
        assert!(real_path(&top.join("missing/..")).is_err());
    }
}
