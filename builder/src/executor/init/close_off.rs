//! What Landlock keeps from a step: sockets, processes and files outside of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

use crate::executor::plan::{CloseOff, ClosedFiles, StepRoot};
use crate::executor::setup_error::{OnPath, SetupError};
use crate::swap::{HOME, TOP};

/// What can be permitted for a file: all but to control devices, which steps need of those that they are handed.
const RIGHTS: ABI = ABI::V3;

/// Closes off the abstract sockets of every process outside of the step, all of them from its signals, or files. Kernels
/// before 6.12 and those without Landlock can do neither of the first two, which `croze doctor` tells.
///
/// All in one set of rules: one that has nothing to say about files still takes renames between directories away, as soon
/// as there is another one that has.
pub(super) fn close_off(what: CloseOff) -> Result<(), SetupError> {
    let sockets = what.sockets.then_some(Scope::AbstractUnixSocket);
    let signals = what.signals.then_some(Scope::Signal);
    let scopes: BitFlags<Scope> = sockets.into_iter().chain(signals).collect();
    let open = match what.files {
        ClosedFiles::None => None,
        // Directories can be listed everywhere, or `/` could not.
        ClosedFiles::OfCroze => {
            let rights = AccessFs::from_all(RIGHTS) & !BitFlags::from(AccessFs::ReadDir);
            Some((rights, vec![(open_paths()?, rights)]))
        }
        ClosedFiles::Outside => {
            let rights = AccessFs::from_all(RIGHTS);
            Some((rights, vec![(vec!["/".into()], rights)]))
        }
        ClosedFiles::OutsideOf(StepRoot { tree, programs }) => {
            let rights = AccessFs::from_all(RIGHTS);
            let to_run = AccessFs::Execute | AccessFs::ReadFile;
            Some((rights, vec![(vec![tree], rights), (Vec::from_iter(programs), to_run)]))
        }
    };
    if let Some((rights, open)) = open {
        let restricted = restrict_to(open, rights, scopes).map_err(io::Error::other);
        return restricted.on("close the step off from files but those in", "/");
    }
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(scopes);
    // Not with *no new privileges*, which would break `sudo`: the step still has CAP_SYS_ADMIN here.
    let restrict = |created: RulesetCreated| created.no_new_privs(false).restrict_self();
    let _best_effort = ruleset.and_then(Ruleset::create).and_then(restrict);
    Ok(())
}

/// Returns all that does not lie in croze's own directory, and in there that which stands for names in `/`.
///
/// Rules can only allow, and always with everything below: so there is one for each entry of `/`. None is made through a
/// link, which may be the image's.
fn open_paths() -> Result<Vec<PathBuf>, SetupError> {
    let root = Path::new("/");
    let mut open = vec![root.join(TOP)];
    for entry in fs::read_dir(root).on("list", root)? {
        let entry = entry.on("list", root)?;
        let is_link = entry.file_type().on("stat", entry.path())?.is_symlink();
        if !is_link && entry.path() != Path::new(HOME) {
            open.push(entry.path());
        }
    }
    Ok(open)
}

/// Permits for each list of paths no more than these rights, and else none of those that are handled.
fn restrict_to(
    open: Vec<(Vec<PathBuf>, BitFlags<AccessFs>)>,
    handled: BitFlags<AccessFs>,
    scopes: BitFlags<Scope>,
) -> Result<(), RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)?
        .scope(scopes)?
        .create()?;
    for (paths, rights) in open {
        rules = rules.add_rules(path_beneath_rules(paths, rights))?;
    }
    rules.no_new_privs(false).restrict_self()?;
    Ok(())
}
