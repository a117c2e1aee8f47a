//! Graphs, configs and histories as text: everything that matters, nothing that is as usual.

use std::fmt::Write as _;

use super::Built;
use crate::graph::Vertex;
use crate::op::{CopyOp, CopySource, Network, Op, RunOp, WorkdirOp};

/// Prints a graph: a line for each vertex with its name, then what it does.
pub(super) fn graph(built: &Built) -> String {
    let mut out = String::new();
    for vertex in built.graph.iter() {
        let inputs: Vec<String> = vertex.inputs.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "{}({}) {}",
            vertex.id,
            inputs.join(", "),
            shorten(&vertex.meta.name)
        )
        .unwrap();
        for line in operation(vertex) {
            writeln!(out, "    {}", shorten(&line)).unwrap();
        }
    }
    let rootfs = built
        .lowered
        .rootfs
        .map_or("nothing".to_owned(), |vertex| vertex.to_string());
    writeln!(out, "root file system: {rootfs}").unwrap();
    if let Some(base) = &built.lowered.base {
        let vertex = base.vertex.map_or("no layers".to_owned(), |vertex| vertex.to_string());
        writeln!(out, "base: {} ({vertex})", shorten(&base.image.reference.to_string())).unwrap();
    }
    out
}

/// Prints the config as JSON.
pub(super) fn config(built: &Built) -> String {
    serde_json::to_string_pretty(&built.lowered.config).unwrap() + "\n"
}

/// Prints the history: one line for each entry, with its layer.
pub(super) fn history(built: &Built) -> String {
    let line = |entry: &super::super::HistoryEntry| {
        let layer = entry.layer.map_or("-".to_owned(), |vertex| vertex.to_string());
        format!("{layer}\t{}\n", entry.created_by.replace('\n', "\\n"))
    };
    built.lowered.history.iter().map(line).collect()
}

fn operation(vertex: &Vertex<Op>) -> Vec<String> {
    match &vertex.op {
        Op::Image(image) => vec![format!("image {} for {}", image.reference, image.platform)],
        Op::Http(http) => vec![format!("http {} {:?} {:?}", http.address, http.form, http.checksum)],
        Op::Git(git) => vec![format!(
            "git {}{}",
            git.address,
            if git.keep_git_dir { " with .git" } else { "" }
        )],
        Op::Local(local) => vec![format!("local {}", local.name)],
        Op::Run(run) => run_lines(run),
        Op::Copy(copy) => copy_lines(copy),
        Op::Workdir(WorkdirOp {
            path,
            user,
            mtime,
            scratch,
        }) => {
            vec![format!(
                "workdir {path}{}{}{}",
                by(user),
                mtime.map(|time| format!(" of {time}")).unwrap_or_default(),
                if *scratch { " in nothing" } else { "" }
            )]
        }
        Op::Merge => vec!["merge".to_owned()],
    }
}

fn by(user: &str) -> String {
    if user.is_empty() {
        String::new()
    } else {
        format!(" by {user}")
    }
}

fn run_lines(run: &RunOp) -> Vec<String> {
    let start = if run.scratch { "run in nothing" } else { "run" };
    let mut lines = vec![format!("{start} {:?} in {}{}", run.args, run.cwd, by(&run.user))];
    let variables = |variables: &[(String, String)]| {
        variables
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.push(format!("env {}", variables(&run.env)));
    if !run.proxy_env.is_empty() {
        lines.push(format!("proxy {}", variables(&run.proxy_env)));
    }
    for mount in &run.mounts {
        lines.push(format!("mount {:?} {:?}", mount.target, mount.source));
    }
    if let Some((name, text)) = &run.script {
        lines.push(format!("script {name} {text:?}"));
    }
    if run.network != Network::Default {
        lines.push(format!("network {:?}", run.network));
    }
    if run.hostname != "buildkitsandbox" {
        lines.push(format!("hostname {}", run.hostname));
    }
    lines.extend(
        run.extra_hosts
            .iter()
            .map(|(address, name)| format!("host {name} is {address}")),
    );
    lines.extend(run.no_cache.then(|| "ignores the cache".to_owned()));
    lines
}

fn copy_lines(copy: &CopyOp) -> Vec<String> {
    let start = if copy.scratch { "copy to nothing" } else { "copy" };
    let mut lines = vec![format!("{start} {}", copy.destination)];
    for source in &copy.sources {
        lines.push(match source {
            CopySource::Path {
                input,
                path,
                keep_owner,
                unpack,
            } => {
                format!(
                    "from input {input} {path}{}{}",
                    if *keep_owner { " with owners" } else { "" },
                    if *unpack { " unpacked" } else { "" }
                )
            }
            CopySource::Inline(file) => format!("inline {} {:?}", file.name, file.content),
        });
    }
    if let Some(chown) = &copy.chown {
        let names = copy
            .names_from
            .map_or(String::new(), |input| format!(" looked up in input {input}"));
        lines.push(format!("chown {chown}{names}"));
    }
    lines.extend(copy.chmod.as_ref().map(|chmod| format!("chmod {chmod:?}")));
    lines.extend(copy.parents.then(|| "parents".to_owned()));
    lines.extend(copy.exclude.iter().map(|pattern| format!("exclude {pattern}")));
    lines
}

/// Cuts digests down to what tells them apart.
fn shorten(text: &str) -> String {
    match text.split_once("sha256:") {
        Some((before, after)) if after.len() >= 64 => format!("{before}sha256:{}…{}", &after[..6], &after[64..]),
        _ => text.to_owned(),
    }
}
