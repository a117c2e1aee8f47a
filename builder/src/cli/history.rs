//! `croze history`, `explain`, `graph` and `logs`: past builds.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use registry::oci::Reference;
use snapshotter::Ownership;

use super::args::{ExplainArgs, Format, FormatArgs, GraphArgs, GraphFormat, LogsArgs, WhichBuild};
use super::failure::{Failure, Kind};
use super::store::state_failure;
use crate::diagnostic::Diagnostic;
use crate::history::{self, BuildRecord, Outcome, StepResult};
use crate::progress::{Lines, clean};
use crate::state_dir::{Class, StateDir};

/// A build, and the state directory that it is of.
struct Past {
    state: StateDir,
    record: BuildRecord,
}

/// Returns the list of builds.
pub(super) fn list(root: &Path, args: &FormatArgs) -> Result<String, Failure> {
    let builds: Vec<BuildRecord> = all(root)?.into_iter().map(|past| past.record).collect();
    Ok(match args.format {
        Format::Json => json(&builds)?,
        Format::Text => builds.iter().map(line).collect(),
    })
}

/// Returns why each step of a build hit or missed.
pub(super) fn explain(root: &Path, args: &ExplainArgs) -> Result<String, Failure> {
    let past = find(root, &args.build)?;
    match args.format {
        Format::Json => json(&past.record),
        Format::Text => Ok(history::explain(&past.record)),
    }
}

/// Returns the graph of a build.
pub(super) fn graph(root: &Path, args: &GraphArgs) -> Result<String, Failure> {
    let past = find(root, &args.build)?;
    Ok(match args.format {
        GraphFormat::Text => history::text(&past.record),
        GraphFormat::Dot => history::dot(&past.record),
        GraphFormat::Mermaid => history::mermaid(&past.record),
        GraphFormat::Svg => history::svg(&past.record),
        GraphFormat::Json => json(&past.record)?,
    })
}

/// Prints what the steps of a build have printed: each with a heading, or only those that are asked for.
pub(super) fn logs(root: &Path, args: &LogsArgs) -> Result<(), Failure> {
    let past = find(root, &args.build)?;
    let directory = past.state.path(Class::Logs).join(&past.record.id);
    let mut found = false;
    for step in &past.record.steps {
        let is_wanted = args.step.as_ref().is_none_or(|text| step.name.contains(text));
        let Some(log) = step.log.filter(|_| is_wanted) else {
            continue;
        };
        found = true;
        // A step that prints nothing has no log.
        let Ok(mut file) = File::open(directory.join(format!("{log}.log"))) else {
            continue;
        };
        let mut out = io::stdout().lock();
        let heading = match args.step {
            None => format!("==> {} <==\n", clean(step.name.as_bytes())),
            Some(_) => String::new(),
        };
        let copied = out.write_all(heading.as_bytes()).and_then(|()| match args.step {
            None => copy_clean(&mut file, &mut out),
            Some(_) => io::copy(&mut file, &mut out).map(drop),
        });
        match copied {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            copied => copied.map_err(|error| Failure::because(Kind::Resource, &error))?,
        }
    }
    match (&args.step, found) {
        (Some(text), false) => {
            let message = format!("build `{}` has no step with `{text}` in its name", past.record.id);
            Err(Failure::new(Kind::Input, Diagnostic::error(message)))
        }
        _ => Ok(()),
    }
}

/// Copies a log so that it steers neither a terminal nor a CI runner.
fn copy_clean(log: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let (mut lines, mut piece) = (Lines::default(), vec![0; 64 * 1024]);
    loop {
        let length = log.read(&mut piece)?;
        let complete = match length {
            0 => lines.finish().into_iter().collect(),
            length => lines.push(&piece[..length]),
        };
        for line in complete {
            writeln!(out, " | {line}")?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

fn line(build: &BuildRecord) -> String {
    let outcome = match &build.outcome {
        Outcome::Succeeded => "ok",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
    };
    let what = build
        .tags
        .first()
        .unwrap_or(&build.dockerfile)
        .replace(char::is_control, " ");
    let ran = build.count(StepResult::Ran) + build.count(StepResult::Failed);
    format!(
        "{}  {:.19}  {:>6}.{}s  {outcome:<9}  {:>3} hits {ran:>3} runs  {what}\n",
        build.id,
        build.started,
        build.took_ms / 1000,
        build.took_ms % 1000 / 100,
        build.count(StepResult::Hit),
    )
}

/// Returns all builds of both kinds of store, the latest first.
fn all(root: &Path) -> Result<Vec<Past>, Failure> {
    let mut found = Vec::new();
    for ownership in [Ownership::Real, Ownership::Emulated] {
        let Some(state) = StateDir::open_existing(root, ownership).map_err(state_failure)? else {
            continue;
        };
        let records = history::list(&state.path(Class::Logs));
        let records = records.map_err(|error| Failure::because(Kind::Resource, &error))?;
        found.extend(records.into_iter().map(|record| Past {
            state: state.clone(),
            record,
        }));
    }
    found.sort_by(|a, b| b.record.started.cmp(&a.record.started));
    Ok(found)
}

fn find(root: &Path, which: &WhichBuild) -> Result<Past, Failure> {
    let missing = |message: String| {
        let help = "`croze history` lists the builds that are remembered";
        Failure::new(Kind::Input, Diagnostic::error(message).help(help))
    };
    let mut builds = all(root)?.into_iter();
    let Some(name) = &which.name else {
        return builds
            .next()
            .ok_or_else(|| missing("no build is remembered".to_owned()));
    };
    let tag = name.parse().ok().map(|reference: Reference| reference.familiar());
    let is_meant = |past: &Past| {
        let has_tag = |tag: &String| past.record.tags.contains(tag);
        past.record.id.starts_with(name.as_str()) || tag.as_ref().is_some_and(has_tag)
    };
    builds
        .find(is_meant)
        .ok_or_else(|| missing(format!("no build is remembered that is called `{name}`")))
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::because(Kind::Bug, &error))?;
    Ok(text + "\n")
}
