//! Operations in the JSON of LLB (BuildKit's `ops.proto`), as far as LLB has a word for what they do.
//!
//! Numbers stand for what they stand for there: mounts are of type 0 (bind), 1 (secret), 2 (SSH), 3 (cache) or 4 (tmpfs),
//! an input of -1 is none. Secrets are named and never told; addresses bear no user; proxies are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::oci::Platform;
use serde_json::{Map, Value, json};

use crate::dockerfile::Sharing;
use crate::image::LayoutImage;
use crate::op::{
    CopyOp, CopySource, GitOp, HttpForm, HttpOp, ImageOp, Mount, MountSource, Network, Op, RunOp, Security, WorkdirOp,
};
use crate::remote::masked;

/// Mode of directories that a step makes.
const DIRECTORY_MODE: u32 = 0o755;
/// Mode of a file whose content stands in the Dockerfile.
const FILE_MODE: u32 = 0o644;

/// Returns what an operation does.
pub(super) fn operation(op: &Op) -> Value {
    match op {
        Op::Image(op) => json!({"Op": {"source": image(op)}, "platform": platform(&op.platform)}),
        Op::Local(op) => json!({"Op": {"source": {"identifier": format!("local://{}", op.name)}}}),
        Op::Http(op) => json!({"Op": {"source": http(op)}}),
        Op::Git(op) => json!({"Op": {"source": git(op)}}),
        Op::Run(op) => json!({"Op": {"exec": run(op)}}),
        Op::Copy(op) => json!({"Op": {"file": {"actions": copy(op)}}}),
        Op::Workdir(op) => json!({"Op": {"file": {"actions": [workdir(op)]}}}),
        Op::Merge => json!({"Op": {"merge": {"inputs": [{"input": 0}, {"input": 1}]}}}),
    }
}

fn platform(platform: &Platform) -> Value {
    let mut parts = Map::new();
    parts.insert("Architecture".to_owned(), platform.architecture.clone().into());
    parts.insert("OS".to_owned(), platform.os.clone().into());
    if let Some(variant) = &platform.variant {
        parts.insert("Variant".to_owned(), variant.clone().into());
    }
    parts.into()
}

fn image(op: &ImageOp) -> Value {
    let scheme = if LayoutImage::is_named_by(&op.reference) {
        "oci-layout"
    } else {
        "docker-image"
    };
    json!({"identifier": format!("{scheme}://{}", op.reference)})
}

fn http(op: &HttpOp) -> Value {
    let mut attributes = Map::new();
    if let HttpForm::File { name } = &op.form {
        attributes.insert("http.filename".to_owned(), name.clone().into());
    }
    if let Some(checksum) = op.checksum {
        attributes.insert("http.checksum".to_owned(), checksum.to_string().into());
    }
    json!({"identifier": op.address.to_string(), "attrs": attributes})
}

fn git(op: &GitOp) -> Value {
    let mut attributes = Map::new();
    attributes.insert("git.fullurl".to_owned(), masked(&op.address.url).into());
    if op.keep_git_dir {
        attributes.insert("git.keepgitdir".to_owned(), "true".into());
    }
    if let Some(checksum) = &op.address.checksum {
        attributes.insert("git.checksum".to_owned(), checksum.clone().into());
    }
    let address = op.address.to_string();
    let address = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
    json!({"identifier": format!("git://{address}"), "attrs": attributes})
}

fn run(op: &RunOp) -> Value {
    let mut meta = Map::new();
    meta.insert("args".to_owned(), op.args.clone().into());
    let env = op
        .env
        .iter()
        .map(|(name, value)| Value::from(format!("{name}={}", masked(value))));
    meta.insert("env".to_owned(), env.collect());
    meta.insert("cwd".to_owned(), op.cwd.clone().into());
    if !op.user.is_empty() {
        meta.insert("user".to_owned(), op.user.clone().into());
    }
    meta.insert("hostname".to_owned(), op.hostname.clone().into());
    let root = json!({"input": if op.scratch { -1 } else { 0 }, "dest": "/", "output": 0});
    let script = op.script.iter().map(|(name, text)| {
        json!({"input": -1, "dest": format!("/dev/pipes/{name}"), "output": -1, "readonly": true, "data": text})
    });
    let mounts = std::iter::once(root)
        .chain(script)
        .chain(op.mounts.iter().filter_map(mount));
    let mut exec = Map::new();
    exec.insert("meta".to_owned(), meta.into());
    exec.insert("mounts".to_owned(), mounts.collect());
    match op.network {
        Network::Default => {}
        Network::Host => drop(exec.insert("network".to_owned(), 1.into())),
        Network::None => drop(exec.insert("network".to_owned(), 2.into())),
    }
    if op.security == Security::Insecure {
        exec.insert("security".to_owned(), 1.into());
    }
    if !op.devices.is_empty() {
        let devices = op.devices.iter().map(|name| json!({ "name": name }));
        exec.insert("cdiDevices".to_owned(), devices.collect());
    }
    let variables: Vec<Value> = op.mounts.iter().filter_map(secret_variable).collect();
    if !variables.is_empty() {
        exec.insert("secretenv".to_owned(), variables.into());
    }
    exec.into()
}

/// Returns a mount; `None` for a secret that is a variable only.
fn mount(mount: &Mount) -> Option<Value> {
    let Mount { target, source } = mount;
    let number = |input: &Option<usize>| input.and_then(|input| i64::try_from(input).ok()).unwrap_or(-1);
    Some(match source {
        MountSource::Bind { input, path, writable } => json!({
            "input": number(input), "selector": path, "dest": target, "output": -1, "readonly": !writable,
        }),
        MountSource::Cache {
            id,
            sharing,
            input,
            path,
            readonly,
            ..
        } => json!({
            "input": number(input), "selector": path, "dest": target, "output": -1, "readonly": readonly, "mountType": 3,
            "cacheOpt": {"ID": id, "sharing": match sharing {
                Sharing::Shared => 0,
                Sharing::Private => 1,
                Sharing::Locked => 2,
            }},
        }),
        MountSource::Tmpfs { size } => json!({
            "input": -1, "dest": target, "output": -1, "mountType": 4, "TmpfsOpt": {"size": size.unwrap_or(0)},
        }),
        MountSource::Secret { .. } if target.is_empty() => return None,
        MountSource::Secret {
            id,
            required,
            mode,
            uid,
            gid,
            ..
        } => json!({
            "input": -1, "dest": target, "output": -1, "mountType": 1,
            "secretOpt": {"ID": id, "uid": uid, "gid": gid, "mode": mode, "optional": !required},
        }),
        MountSource::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
        } => json!({
            "input": -1, "dest": target, "output": -1, "mountType": 2,
            "SSHOpt": {"ID": id, "uid": uid, "gid": gid, "mode": mode, "optional": !required},
        }),
    })
}

fn secret_variable(mount: &Mount) -> Option<Value> {
    match &mount.source {
        MountSource::Secret {
            id,
            required,
            env: Some(name),
            ..
        } => Some(json!({"ID": id, "name": name, "optional": !required})),
        _ => None,
    }
}

/// Returns one action for each source.
fn copy(op: &CopyOp) -> Vec<Value> {
    let actions = op.sources.iter().map(|source| {
        let (from, verb, mut action) = match source {
            CopySource::Path {
                input, path, unpack, ..
            } => {
                let mut action = Map::new();
                action.insert("src".to_owned(), path.clone().into());
                action.insert("dest".to_owned(), op.destination.clone().into());
                if *unpack {
                    action.insert("attemptUnpackDockerCompatibility".to_owned(), true.into());
                }
                (i64::try_from(*input).unwrap_or(-1), "copy", action)
            }
            CopySource::Inline(file) => {
                let mut action = Map::new();
                let path = match op.destination.strip_suffix('/') {
                    Some(directory) => format!("{directory}/{}", file.name),
                    None => op.destination.clone(),
                };
                action.insert("path".to_owned(), path.into());
                action.insert("mode".to_owned(), FILE_MODE.into());
                action.insert("data".to_owned(), STANDARD.encode(&file.content).into());
                (-1, "mkfile", action)
            }
        };
        if let Some(owner) = &op.chown {
            action.insert("owner".to_owned(), owner.clone().into());
        }
        if let Some(mode) = &op.chmod {
            action.insert("modeStr".to_owned(), mode.to_string().into());
        }
        if !op.exclude.is_empty() {
            action.insert("excludePatterns".to_owned(), op.exclude.clone().into());
        }
        let input = if op.scratch { -1 } else { 0 };
        json!({"input": input, "secondaryInput": from, "output": 0, "Action": {verb: action}})
    });
    actions.collect()
}

fn workdir(op: &WorkdirOp) -> Value {
    let mut action = Map::new();
    action.insert("path".to_owned(), op.path.clone().into());
    action.insert("mode".to_owned(), DIRECTORY_MODE.into());
    action.insert("makeParents".to_owned(), true.into());
    if !op.user.is_empty() {
        action.insert("owner".to_owned(), op.user.clone().into());
    }
    let input = if op.scratch { -1 } else { 0 };
    json!({"input": input, "secondaryInput": -1, "output": 0, "Action": {"mkdir": action}})
}
