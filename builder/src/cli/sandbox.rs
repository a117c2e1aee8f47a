//! Entering a sandbox on behalf of a command, and saying which one it is.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{Access, access};
use snapshotter::Ownership;

use super::args::GlobalArgs;
use super::doctor;
use super::environment::Environment;
use super::failure::{Failure, Kind};
use crate::diagnostic::{Diagnostic, chain};
use crate::rung::{self, Confinement, NoRung, Rung, Sandbox, StatePlace, Trial};
use crate::state_dir::StateDir;

/// How much is said about the sandbox that was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Say {
    /// Nothing.
    Nothing,
    /// Which it is.
    Choice,
    /// Which it is, and why it is none of the others that were tried.
    Reasons,
}

impl Say {
    /// What the commands say that only need a sandbox to reach the store.
    pub(super) fn of_store(global: &GlobalArgs) -> Self {
        if global.verbose { Self::Reasons } else { Self::Nothing }
    }
}

/// Enters the wanted sandbox, or the strongest; must be called before there is a second thread.
///
/// Where that fails, standard error gets what `croze doctor` would say.
pub(super) fn enter(
    wanted: Option<Rung>,
    root: &Path,
    environment: &Environment,
    say: Say,
) -> Result<Confinement, Failure> {
    match rung::enter(wanted, root) {
        Ok(entered) => {
            let text = match say {
                Say::Nothing => String::new(),
                Say::Choice => chosen(entered.confinement),
                Say::Reasons => reasons(&entered.trials) + &chosen(entered.confinement),
            };
            let _unseen = io::stderr().write_all(text.as_bytes());
            Ok(entered.confinement)
        }
        Err(error) => {
            if say != Say::Nothing {
                let _unseen = io::stderr().write_all(doctor::report(wanted, root, environment).as_bytes());
            }
            Err(failure(&error))
        }
    }
}

/// Enters a sandbox for a command that only looks after the store, unless all files in it are the user's own.
pub(super) fn enter_for_store(root: &Path, environment: &Environment, global: &GlobalArgs) -> Result<(), Failure> {
    if !StateDir::exists(root, Ownership::Real) {
        return Ok(());
    }
    if let Err(error) = access(root, Access::WRITE_OK) {
        let message = Diagnostic::error(format!("cannot write in the state directory `{}`", root.display()));
        return Err(Failure::new(Kind::Environment, message.because(&error)));
    }
    enter(None, root, environment, Say::of_store(global)).map(drop)
}

/// Enters the wanted sandbox, or the strongest, for a build; without any the build can still do all but run steps.
/// Returns with that what to say if it must. Must be called before there is a second thread.
pub(super) fn enter_for_build(
    wanted: Option<Rung>,
    root: &Path,
    environment: &Environment,
    say: Say,
) -> Result<(Sandbox, Option<Failure>), Failure> {
    if wanted.is_some() {
        return Ok((Sandbox::Entered(enter(wanted, root, environment, say)?), None));
    }
    let (sandbox, trials, failure) = match rung::enter(None, root) {
        Ok(entered) => (Sandbox::Entered(entered.confinement), entered.trials, None),
        Err(error) => {
            let failure = failure(&error);
            (Sandbox::none(root), error.trials, Some(failure))
        }
    };
    let choice = match sandbox.confinement() {
        Some(confinement) => chosen(confinement),
        None => "sandbox: none, so `RUN` cannot be used\n".to_owned(),
    };
    let text = match say {
        Say::Nothing => String::new(),
        Say::Choice => choice,
        Say::Reasons => reasons(&trials) + &choice,
    };
    let _unseen = io::stderr().write_all(text.as_bytes());
    Ok((sandbox, failure))
}

fn chosen(confinement: Confinement) -> String {
    let warning = match confinement.state {
        StatePlace::Disk => "",
        StatePlace::Memory => {
            "warning: no snapshot can be kept in the state directory, which may be a container's own root; state is \
             kept in memory and lost at the end: see `croze doctor`\n"
        }
    };
    format!("sandbox: {confinement}\n{warning}")
}

fn reasons(trials: &[Trial]) -> String {
    let mut text = String::new();
    for trial in trials {
        if let Some(refusal) = trial.shortcoming() {
            let _infallible = writeln!(text, "sandbox: `{}`: {}", trial.rung, chain(refusal));
        }
    }
    text
}

fn failure(error: &NoRung) -> Failure {
    let mut diagnostic = Diagnostic::error(error.to_string());
    let refusals = error
        .trials
        .iter()
        .filter_map(|trial| Some((trial.rung, trial.shortcoming()?)));
    for (rung, refusal) in refusals.clone() {
        diagnostic = diagnostic.note(format!("`{rung}`: {}", chain(refusal)));
    }
    // Of the strongest alone: the others are in the examination.
    let remedies = refusals
        .map(|(_, refusal)| refusal.remedies())
        .next()
        .unwrap_or_default();
    let remedies: Vec<String> = remedies.iter().map(ToString::to_string).collect();
    let help = match remedies.as_slice() {
        [] => "run `croze doctor` to see what this machine lacks".to_owned(),
        remedies => remedies.join("; "),
    };
    Failure::new(Kind::Environment, diagnostic.help(help))
}
