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

/// Bytes that the list of one input's files may have: a record has a frame of one MiB for all of it.
const MOST_BYTES: usize = 128 << 10;

/// Bytes of a value that is told as it is; of a longer one the digest is.
const LONGEST: usize = 8 << 10;

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
    let mut tell = |name: &str, value: &str| match value.len() {
        0 => {}
        1..=LONGEST => drop(parts.insert(name.to_owned(), value.to_owned())),
        _ => drop(parts.insert(name.to_owned(), hidden(&Digest::of(value.as_bytes())))),
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

/// Returns the files of selections with what a copy or a mount sees of them; of too many their directories, if those are
/// few enough.
fn files(op: &Op, selections: &[Selection]) -> BTreeMap<String, String> {
    let used = match op {
        Op::Copy(op) => Use::Copy {
            chmod: op.chmod.as_ref(),
            keep_owner: op.chown.is_none() && op.sources.iter().any(keeps_owner),
        },
        _ => Use::Mount { keep_owner: true },
    };
    let entries = || {
        let entries = selections.iter().flat_map(|selection| selection.listing(used));
        entries.map(|(path, digest)| (path.display().to_string(), digest))
    };
    let count: usize = selections
        .iter()
        .flat_map(|selection| &selection.matches)
        .map(|matched| matched.entries.len())
        .sum();
    if count <= MOST_FILES {
        let each: BTreeMap<String, String> = entries().map(|(path, digest)| (path, hidden(&digest))).collect();
        if is_small(&each) {
            return each;
        }
    }
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (path, digest) in entries() {
        let top: Vec<&str> = path.splitn(3, '/').take(2).collect();
        let below = joined.entry(top.join("/")).or_default();
        *below = hidden(&Digest::of(format!("{below} {path} {digest}").as_bytes()));
    }
    if is_small(&joined) { joined } else { BTreeMap::new() }
}

/// Returns whether a list of files leaves room in a record.
fn is_small(listed: &BTreeMap<String, String>) -> bool {
    let bytes: usize = listed.iter().map(|(path, digest)| path.len() + digest.len()).sum();
    bytes <= MOST_BYTES
}

fn keeps_owner(source: &CopySource) -> bool {
    matches!(source, CopySource::Path { keep_owner: true, .. })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use snapshotter::{FileType, Stat, Timestamp};

    use super::*;
    use crate::context::{Content, Entry, FileContent, Match, Standing};

    /// Selects this many files with long names below each of these directories.
    fn selection(directories: usize, files: usize) -> Selection {
        let stat = Stat {
            file_type: FileType::RegularFile,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            blocks: 0,
            mtime: Timestamp::from_seconds(0),
            ctime: Timestamp::from_seconds(0),
            dev: (0, 0),
            ino: 1,
            nlink: 1,
            rdev: (0, 0),
        };
        let content = FileContent {
            digest: Digest::of(b""),
            has_xattrs: false,
        };
        let names = (0..directories).flat_map(|directory| (0..files).map(move |file| (directory, file)));
        let entries = names.map(|(directory, file)| Entry {
            path: PathBuf::from(format!("directory-{directory}/{}/{file}", "x".repeat(100))),
            stat,
            content: Content::File(content),
            standing: Standing::Selected,
        });
        let matched = Match {
            name: "src".into(),
            origin: "src".into(),
            entries: entries.collect(),
        };
        Selection { matches: vec![matched] }
    }

    fn listed(selection: Selection) -> BTreeMap<String, String> {
        files(&Op::Copy(CopyOp::into_scratch(Vec::new(), "/")), &[selection])
    }

    #[test]
    fn the_files_of_a_step_leave_room_in_its_record() {
        assert_eq!(listed(selection(2, 100)).len(), 200);
        let joined = listed(selection(2, 2000));
        let directories: Vec<&String> = joined.keys().collect();
        assert_eq!(directories, ["src/directory-0", "src/directory-1"]);
        assert_eq!(listed(selection(10_000, 1)).len(), 0, "too many even so");
    }
}
