//! `croze du` and `croze prune`.

use std::path::Path;

use serde_json::json;
use snapshotter::{Ownership, Usage};

use super::args::{Format, FormatArgs, PruneArgs};
use super::failure::{Failure, Kind};
use super::values;
use crate::progress::Bytes;
use crate::state_dir::{Class, PrunePolicy, StateDir, StateDirError, UsageByClass};

/// Returns what the store holds, as text or JSON.
pub(super) fn usage(root: &Path, args: &FormatArgs) -> Result<String, Failure> {
    let mut usage = UsageByClass::from(Class::ALL.map(|class| (class, Usage::default())));
    for state in existing(root)? {
        add(&mut usage, state.usage().map_err(state_failure)?);
    }
    Ok(table(&usage, args.format, "in all"))
}

/// Removes what the store need not keep, and returns what that freed.
pub(super) fn prune(root: &Path, args: &PruneArgs) -> Result<String, Failure> {
    let age = args
        .older_than
        .as_deref()
        .map(|text| values::age("--older-than", text))
        .transpose();
    let age = age.map_err(|error| Failure::because(Kind::Usage, &error))?;
    let policy = if args.all {
        PrunePolicy::all()
    } else {
        PrunePolicy::cache()
    };
    let policy = PrunePolicy {
        older_than: age,
        ..policy
    };
    let mut freed = UsageByClass::new();
    for state in existing(root)? {
        let pruned = state.lock_for_prune().and_then(|lock| state.prune(&lock, &policy));
        add(&mut freed, pruned.map_err(state_failure)?);
    }
    Ok(table(&freed, args.format, "freed"))
}

/// Opens the store with real owners and the one with emulated ones, as far as they are there.
fn existing(root: &Path) -> Result<Vec<StateDir>, Failure> {
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
        Class::Scratch => "work of running builds",
    }
}

/// Chooses the exit code for trouble with the state directory.
pub(super) fn state_failure(error: StateDirError) -> Failure {
    let kind = match &error {
        StateDirError::InUse { .. } | StateDirError::BeingPruned { .. } => Kind::Lock,
        StateDirError::NotOwned { .. } | StateDirError::WritableByOthers { .. } => Kind::Environment,
        _ => super::failure::resource_or(&error, Kind::Environment),
    };
    Failure::because(kind, &error)
}
