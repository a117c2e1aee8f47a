//! `croze du` and `croze prune`, and the end of a build, when the store is put in order.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::json;
use snapshotter::{Ownership, Usage};

use super::args::{BoundsArgs, Format, FormatArgs, PruneArgs};
use super::environment::Environment;
use super::failure::{Failure, Kind, out_of};
use super::values::{self, ValueError};
use crate::collect::{self, Bounds, Collected, Policy};
use crate::diagnostic::Diagnostic;
use crate::progress::Bytes;
use crate::state_dir::{Class, Lease, StateDir, StateDirError, UsageByClass};

/// Returns what the store holds, as text or JSON.
pub(super) fn usage(root: &Path, args: &FormatArgs) -> Result<String, Failure> {
    let mut usage = UsageByClass::from(Class::ALL.map(|class| (class, Usage::default())));
    for state in existing(root)? {
        add(&mut usage, state.usage().map_err(state_failure)?);
    }
    Ok(table(&usage, args.format, "in all"))
}

/// Removes what the store need not keep, or says what that would be, and returns what that frees.
pub(super) fn prune(root: &Path, args: &PruneArgs) -> Result<String, Failure> {
    let policy = policy(args).map_err(|error| Failure::because(Kind::Usage, &error))?;
    let mut freed = UsageByClass::new();
    for state in existing(root)? {
        let collected = match args.dry_run {
            true => collect::dry_run(&state, &policy),
            false => collect::prune(&state, &policy),
        };
        add(&mut freed, collected.map_err(state_failure)?.freed);
    }
    Ok(table(
        &freed,
        args.format,
        if args.dry_run { "would be freed" } else { "freed" },
    ))
}

fn policy(args: &PruneArgs) -> Result<Policy, ValueError> {
    let mut policy = if args.all { Policy::all() } else { Policy::cache() };
    let mut older_than = args
        .older_than
        .as_deref()
        .map(|text| values::age("--older-than", text))
        .transpose()?;
    let mut named = BTreeSet::new();
    for filter in &args.filters {
        let error = |problem: &str| ValueError::new("--filter", filter, problem);
        match filter.split_once('=') {
            Some(("until", age)) => older_than = Some(values::age("--filter", age)?),
            Some(("type", name)) => named.extend(classes(name).ok_or_else(|| error("there is no such type"))?),
            _ => return Err(error("expected `type=TYPE` or `until=AGE`")),
        }
    }
    if !named.is_empty() {
        policy.classes = named;
    }
    policy.older_than = older_than;
    policy.bounds = bounds(&args.bounds)?;
    Ok(policy)
}

/// Reads what bounds the store, as far as it is said.
fn bounds(args: &BoundsArgs) -> Result<Bounds, ValueError> {
    let size = |option, text: &Option<String>| text.as_deref().map(|text| values::size(option, text)).transpose();
    let keep = args.keep.as_deref().map(|text| values::age("--keep", text));
    Ok(Bounds {
        max_size: size("--max-size", &args.max_size)?,
        min_free: size("--min-free", &args.min_free)?,
        keep: keep.transpose()?,
    })
}

/// Reads what bounds the store after a build: options, else variables.
pub(super) fn bounds_of_build(args: &BoundsArgs, environment: &Environment) -> Result<Bounds, ValueError> {
    let or_variable = |option: &Option<String>, name| option.clone().or_else(|| environment.text(name));
    bounds(&BoundsArgs {
        max_size: or_variable(&args.max_size, "CROZE_MAX_SIZE"),
        min_free: or_variable(&args.min_free, "CROZE_MIN_FREE"),
        keep: or_variable(&args.keep, "CROZE_KEEP"),
    })
}

/// Ends a build that relies on nothing any more: what it made becomes safe, and the store is brought within its bounds.
/// What fails here is no failure of the build; it is returned to be told, as is what could not be done in time.
pub(super) fn after_build(state: &StateDir, lease: &Lease, bounds: &Bounds, sync: Sync) -> Vec<Diagnostic> {
    let epoch = lease.epoch();
    let changed = epoch.has_changed();
    let synced = match sync {
        Sync::Wait => epoch.settle(),
        Sync::No => Ok(()),
    };
    let collected = bounds
        .or_default(state)
        .and_then(|bounds| collect::after_build(state, &bounds, changed, collect::SLICE));
    let warn = |message: &str, error: StateDirError| Diagnostic::warning(message).because(&error);
    let synced = synced.map_err(|error| warn("the results could not be synced to the disk", error));
    let unkempt = match collected {
        Ok(collected) => collected.and_then(|collected| postponed(&collected)),
        Err(error) => Some(warn("the store could not be brought within its bounds", error)),
    };
    synced.err().into_iter().chain(unkempt).collect()
}

/// Tells in a line of what a collection had no time for.
fn postponed(collected: &Collected) -> Option<Diagnostic> {
    (collected.postponed > 0).then(|| {
        let bytes = Bytes(collected.postponed);
        Diagnostic::warning(format!(
            "the store is still {bytes} over its bounds, more than there was time to remove; the next build goes on with it"
        ))
    })
}

/// Tells whoever waits for a build why nothing happens yet.
pub(super) fn tell_of_sweep(directory: &Path) {
    let directory = directory.display();
    let _unseen = writeln!(
        io::stderr(),
        "waiting for another croze, which removes things from `{directory}`"
    );
}

/// Whether a build ends only when the disk has its results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sync {
    /// It does.
    Wait,
    /// It does not: `--no-sync`.
    No,
}

/// Returns the classes that a name stands for: that of a directory, as `du --format json` has it, or one of BuildKit's.
fn classes(name: &str) -> Option<Vec<Class>> {
    let own = Class::ALL.into_iter().find(|class| class.directory() == name);
    own.map(|class| vec![class]).or(match name {
        "regular" => Some(vec![Class::Snapshots, Class::Blobs]),
        "source.local" => Some(vec![Class::Contexts]),
        "source.git.checkout" => Some(vec![Class::Remotes]),
        "exec.cachemount" => Some(vec![Class::Mounts]),
        _ => None,
    })
}

/// Opens the store with real owners and the one with emulated ones, as far as they are there.
pub(super) fn existing(root: &Path) -> Result<Vec<StateDir>, Failure> {
    let open = |ownership| StateDir::open_existing(root, ownership).map_err(state_failure);
    let both = [open(Ownership::Real)?, open(Ownership::Emulated)?];
    Ok(both.into_iter().flatten().collect())
}

fn add(sum: &mut UsageByClass, more: UsageByClass) {
    for (class, usage) in more {
        let counted = sum.entry(class).or_default();
        counted.bytes += usage.bytes;
        counted.inodes += usage.inodes;
    }
}

fn table(usage: &UsageByClass, format: Format, total: &str) -> String {
    let bytes = usage.values().map(|usage| usage.bytes).sum();
    match format {
        Format::Json => {
            let classes: serde_json::Map<_, _> = usage
                .iter()
                .map(|(class, usage)| {
                    (
                        class.directory().to_owned(),
                        json!({ "bytes": usage.bytes, "inodes": usage.inodes }),
                    )
                })
                .collect();
            format!("{:#}\n", json!({ "classes": classes, "bytes": bytes }))
        }
        Format::Text => {
            let line = |name: &str, bytes: u64| format!("{:>10}  {name}\n", Bytes(bytes).to_string());
            let lines: String = usage
                .iter()
                .map(|(class, usage)| line(describe(*class), usage.bytes))
                .collect();
            lines + &line(total, bytes)
        }
    }
}

fn describe(class: Class) -> &'static str {
    match class {
        Class::Records => "cache records",
        Class::Layers => "notes about packed layers",
        Class::Images => "notes about base images",
        Class::Contexts => "digests of files in build contexts",
        Class::Remotes => "git repositories, and what is known of web files",
        Class::Snapshots => "unpacked layers and results of steps",
        Class::Tags => "image names",
        Class::Blobs => "manifests, configs and compressed layers",
        Class::Mounts => "cache mounts",
        Class::Logs => "logs",
        Class::Epochs => "notes about what is on the disk for certain",
        Class::Scratch => "work of running builds",
    }
}

/// Chooses the exit code for trouble with the state directory.
pub(super) fn state_failure(error: StateDirError) -> Failure {
    match &error {
        StateDirError::InUse { .. } => Failure::because(Kind::Lock, &error),
        _ => out_of(&error, Kind::Environment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collection_had_no_time_for_is_told_in_one_line() {
        assert!(postponed(&Collected::default()).is_none());
        let told = postponed(&Collected {
            postponed: 3 << 30,
            ..Collected::default()
        });
        let told = told.unwrap();
        assert_eq!(
            told.message,
            "the store is still 3.22GB over its bounds, more than there was time to remove; the next build goes on with it"
        );
        assert!(told.notes.is_empty() && told.help.is_none());
    }
}
