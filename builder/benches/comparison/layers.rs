//! Base images whose layers try to write outside of their tree; a sentry tells whether they have.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::harness::{Lab, Outcome, sh};
use crate::rig::{Observation, Row, observed, reason, registry, run, worse};
use crate::tool::{Ask, Tool};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "U1 a layer writes through its own link to a directory outside",
        script: through_link,
    },
    Row {
        name: "U2 a layer links hard to a file outside, then writes to it",
        script: hard_link,
    },
    Row {
        name: "U3 a layer's names lead out with `..`, or whiteouts remove what lies there",
        script: upwards,
    },
    Row {
        name: "U4 a layer has a device, and a setuid program: can steps open the one?",
        script: device,
    },
];

/// What one entry of a layer is.
struct Entry {
    kind: EntryType,
    name: String,
    target: String,
    mode: u32,
    content: &'static str,
}

fn entry(kind: EntryType, name: &str, target: &str) -> Entry {
    Entry {
        kind,
        name: name.to_owned(),
        target: target.to_owned(),
        mode: 0o777,
        content: "",
    }
}

fn file(name: &str) -> Entry {
    Entry {
        content: "overwritten",
        ..entry(EntryType::Regular, name, "")
    }
}

/// Returns a layer whose names are exactly these: the crate's own setters would refuse them.
fn layer(entries: &[Entry]) -> Bytes {
    let mut archive = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_size(entry.content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        if entry.kind == EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.as_old_mut().name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        header.as_old_mut().linkname[..entry.target.len()].copy_from_slice(entry.target.as_bytes());
        header.set_cksum();
        archive.append(&header, entry.content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().into()
}

/// A directory beside the context, short of name, that nothing may touch.
struct Sentry {
    directory: tempfile::TempDir,
}

impl Sentry {
    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("s")
            .rand_bytes(4)
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::write(directory.path().join("file"), "untouched").unwrap();
        sh(&format!(
            "chown -R croze-ci: {0} && chmod -R u+rwX,go+rX {0}",
            directory.path().display()
        ));
        Self { directory }
    }

    fn path(&self) -> String {
        self.directory.path().display().to_string()
    }

    fn is_untouched(&self) -> bool {
        let file = self.directory.path().join("file");
        let entries = fs::read_dir(self.directory.path()).map_or(0, Iterator::count);
        fs::read(&file).is_ok_and(|content| content == b"untouched")
            && fs::metadata(&file).is_ok_and(|metadata| metadata.nlink() == 1)
            && entries == 1
    }
}

/// Builds on `busybox` with one more layer; returns how the build ended.
fn build_on(tool: &dyn Tool, entries: &[Entry], command: &str) -> Option<Outcome> {
    let registry = registry();
    let address = registry.address.clone();
    let raw = |what: &str| {
        let text = sh(&format!(
            "skopeo inspect {what} --raw --tls-verify=false docker://{address}/busybox"
        ));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let (mut manifest, mut config) = (raw(""), raw("--config"));
    let bytes = layer(entries);
    let made = registry.put_blob("busybox", &bytes);
    config["rootfs"]["diff_ids"]
        .as_array_mut()
        .unwrap()
        .push(json!(made.digest.to_string()));
    if let Some(history) = config["history"].as_array_mut() {
        history.push(json!({"created_by": "evil"}));
    }
    let config: Bytes = serde_json::to_vec(&config).unwrap().into();
    let described = registry.put_blob("busybox", &config);
    manifest["config"]["digest"] = json!(described.digest.to_string());
    manifest["config"]["size"] = json!(config.len());
    manifest["layers"].as_array_mut().unwrap().push(json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": made.digest.to_string(),
        "size": bytes.len(),
    }));
    let media_type = manifest["mediaType"]
        .as_str()
        .unwrap_or("application/vnd.oci.image.manifest.v1+json")
        .to_owned();
    registry.put_manifest(
        "busybox",
        "evil",
        &media_type,
        &serde_json::to_vec(&manifest).unwrap().into(),
    );
    let lab = Lab::new(&format!("FROM {address}/busybox:evil\nRUN {command}\n"));
    run(&mut tool.command(&lab, &Ask::default()))
}

/// Builds on a layer that attacks a sentry.
fn attacked(tool: &dyn Tool, sentry: &Sentry, entries: &[Entry]) -> Observation {
    let outcome = build_on(tool, entries, "true");
    let untouched = sentry.is_untouched();
    let said = match (untouched, outcome) {
        (false, _) => "writes outside",
        (true, None) => "hangs",
        (true, Some(outcome)) if outcome.code == 0 => "stays inside; the build works",
        (true, Some(_)) => "refuses the image",
    };
    observed(untouched && said != "hangs", said)
}

fn through_link(tool: &dyn Tool) -> Observation {
    let sentry = Sentry::new();
    let link = entry(EntryType::Symlink, "escape", &sentry.path());
    attacked(tool, &sentry, &[link, file("escape/pwned"), file("escape/file")])
}

fn hard_link(tool: &dyn Tool) -> Observation {
    let sentry = Sentry::new();
    let up = "../".repeat(20);
    let link = entry(
        EntryType::Link,
        "stolen",
        &format!("{up}{}/file", sentry.path().trim_start_matches('/')),
    );
    attacked(tool, &sentry, &[link, file("stolen")])
}

fn upwards(tool: &dyn Tool) -> Observation {
    let sentry = Sentry::new();
    let up = format!("{}{}", "../".repeat(20), sentry.path().trim_start_matches('/'));
    let names = [file(&format!("{up}/pwned")), file(&format!("{up}/file"))];
    let whiteouts = [file(&format!("{up}/.wh.file")), file("bin/.wh..."), file(".wh..")];
    worse(attacked(tool, &sentry, &names), attacked(tool, &sentry, &whiteouts))
}

fn device(tool: &dyn Tool) -> Observation {
    let mut program = file("program");
    program.mode = 0o4755;
    let entries = [entry(EntryType::Char, "null", ""), program];
    let command = "test -u /program && if head -c 1 /null; then echo it opens; fi; sleep 0.5";
    match build_on(tool, &entries, command) {
        Some(outcome) if outcome.code != 0 => observed(false, format!("does not build: `{}`", reason(&outcome))),
        Some(outcome)
            if format!("{}{}", outcome.stdout, outcome.stderr)
                .lines()
                .any(|line| line.ends_with("it opens")) =>
        {
            observed(false, "the device opens")
        }
        Some(_) => observed(
            true,
            "the device is of no use, the program keeps its mode; the build works",
        ),
        None => observed(false, "hangs"),
    }
}
