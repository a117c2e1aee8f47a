//! What people know an operation by: the parts of its key, in their words.
//!
//! Values of variables are digests: a build argument is no place for a secret, but some are put there.

use std::collections::BTreeMap;

use registry::oci::Digest;

use super::Ops;
use crate::cache::{Aspects, hidden};
use crate::context::{Selection, Use};
use crate::graph::Vertex;
use crate::op::{CopyOp, CopySource, MountSource, Network, Op, RunOp, Security, WorkdirOp};

/// Files that are listed by themselves; of more, the directories two levels deep are.
const MOST_FILES: usize = 4000;

impl Ops {
    /// Returns the aspects of a vertex; those of the files that it reads as far as they were digested and not copied yet.
    pub(super) fn aspects_of(&self, vertex: &Vertex<Op>) -> Aspects {
        let mut aspects = Aspects {
            definition: definition(&vertex.op),
            ..Aspects::default()
        };
        for (position, input) in vertex.inputs.iter().enumerate() {
            if let Some(Op::Image(op)) = self.source_ops.get(input) {
                let pins = self.images.pins();
                let pin = pins.iter().find(|pin| pin.manifest_is(&op.reference));
                let name = pin.map_or_else(
                    || op.reference.familiar(),
                    |pin| format!("{}@{}", pin.named.familiar(), pin.digest),
                );
                aspects.sources.insert(position, name);
            }
            if let Some(files) = self.with_selected(vertex, position, |selections| files(&vertex.op, selections)) {
                aspects.files.insert(position, files);
            }
        }
        aspects
    }
}

fn definition(op: &Op) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let mut tell = |name: &str, value: &str| {
        if !value.is_empty() {
            parts.insert(name.to_owned(), value.to_owned());
        }
    };
    match op {
        Op::Run(op) => run(op, &mut tell),
        Op::Copy(op) => copy(op, &mut tell),
        Op::Workdir(WorkdirOp { path, user, mtime, .. }) => {
            tell("directory", path);
            tell("user", user);
            tell(
                "SOURCE_DATE_EPOCH",
                &mtime.map_or_else(String::new, |time| time.to_string()),
            );
        }
        Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Merge => {}
    }
    parts
}

fn run(op: &RunOp, tell: &mut dyn FnMut(&str, &str)) {
    let shell = op.args.len() == 3 && op.args[1].starts_with('-');
    if shell {
        tell("shell", &op.args[..2].join(" "));
        tell("command", &op.args[2]);
    } else {
        tell("command", &op.args.join(" "));
    }
    for (name, value) in &op.env {
        tell(&format!("variable {name}"), &hidden(&Digest::of(value.as_bytes())));
    }
    tell("working directory", &op.cwd);
    tell("user", &op.user);
    for mount in &op.mounts {
        let (kind, detail) = match &mount.source {
            MountSource::Bind { path, writable, .. } => ("bind", format!("{path} {writable}")),
            MountSource::Cache {
                id,
                path,
                readonly,
                mode,
                uid,
                gid,
                ..
            } => ("cache", format!("{id} {path} {readonly} {mode:o} {uid} {gid}")),
            MountSource::Tmpfs { .. } => ("tmpfs", String::new()),
            MountSource::Secret {
                id,
                required,
                mode,
                uid,
                gid,
                env,
            } => ("secret", format!("{id} {required} {mode:o} {uid} {gid} {env:?}")),
            MountSource::Ssh {
                id,
                required,
                mode,
                uid,
                gid,
            } => ("ssh", format!("{id} {required} {mode:o} {uid} {gid}")),
        };
        tell(&format!("{kind} mount {}", mount.target), &format!("#{detail}"));
    }
    if let Some((_, text)) = &op.script {
        tell("heredoc", &hidden(&Digest::of(text.as_bytes())));
    }
    tell("devices", &op.devices.join(" "));
    tell("host name", &op.hostname);
    match op.network {
        Network::Default => {}
        Network::None => tell("network", "none"),
        Network::Host => tell("network", "host"),
    }
    if op.security == Security::Insecure {
        tell("security", "insecure");
    }
}

fn copy(op: &CopyOp, tell: &mut dyn FnMut(&str, &str)) {
    let mut paths = Vec::new();
    for source in &op.sources {
        match source {
            CopySource::Path { path, .. } => paths.push(path.as_str()),
            CopySource::Inline(file) => {
                tell(
                    &format!("heredoc {}", file.name),
                    &hidden(&Digest::of(file.content.as_bytes())),
                );
            }
        }
    }
    tell("sources", &paths.join(" "));
    tell("destination", &op.destination);
    tell("owner", op.chown.as_deref().unwrap_or_default());
    tell("mode", &op.chmod.as_ref().map_or_else(String::new, ToString::to_string));
    tell("exclude", &op.exclude.join(" "));
    if op.parents {
        tell("parents", "true");
    }
    tell(
        "SOURCE_DATE_EPOCH",
        &op.mtime.map_or_else(String::new, |time| time.to_string()),
    );
}

/// Returns the files of selections with what a copy or a mount sees of them.
fn files(op: &Op, selections: &[Selection]) -> BTreeMap<String, String> {
    let used = match op {
        Op::Copy(op) => Use::Copy {
            chmod: op.chmod.as_ref(),
            keep_owner: op.chown.is_none() && op.sources.iter().any(keeps_owner),
        },
        _ => Use::Mount { keep_owner: true },
    };
    let entries = || selections.iter().flat_map(|selection| selection.listing(used));
    let count: usize = selections
        .iter()
        .flat_map(|selection| &selection.matches)
        .map(|matched| matched.entries.len())
        .sum();
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    for (path, digest) in entries() {
        let path = path.display().to_string();
        if count <= MOST_FILES {
            listed.insert(path, hidden(&digest));
            continue;
        }
        let top: Vec<&str> = path.splitn(3, '/').take(2).collect();
        let joined = listed.entry(top.join("/")).or_default();
        *joined = hidden(&Digest::of(format!("{joined} {path} {digest}").as_bytes()));
    }
    if listed.len() > MOST_FILES {
        BTreeMap::new()
    } else {
        listed
    }
}

fn keeps_owner(source: &CopySource) -> bool {
    matches!(source, CopySource::Path { keep_owner: true, .. })
}
