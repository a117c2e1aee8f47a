//! `croze doctor`: what this machine has for a build, what it lacks, and how to get that.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{Format, FormatArgs};
use super::build::print;
use super::environment::Environment;
use super::failure::{Failure, Kind};
use crate::doctor::{self, Importance, Need, Status};

/// Prints the examination; fails with the exit code of a lacking machine if no `RUN` can be run here.
pub(super) fn run(args: &FormatArgs, root: &Path, environment: &Environment) -> Result<ExitCode, Failure> {
    let needs = doctor::examine(root, &environment.get("PATH").unwrap_or_default());
    let can_run = doctor::can_run(&needs);
    print(&match args.format {
        Format::Json => format!("{:#}\n", json!({ "sandbox": rung(can_run), "needs": needs })),
        Format::Text => text(&needs, can_run),
    })?;
    Ok(if can_run {
        ExitCode::SUCCESS
    } else {
        Kind::Environment.into()
    })
}

fn rung(can_run: bool) -> Option<&'static str> {
    can_run.then_some("userns")
}

fn text(needs: &[Need], can_run: bool) -> String {
    let mut text: String = needs.iter().map(line).collect();
    text.push_str(match rung(can_run) {
        Some(_) => "\nRUN steps are confined by `userns`: a user namespace with a full id map\n",
        None => "\nno RUN step can be run here\n",
    });
    text
}

fn line(need: &Need) -> String {
    let name = need.name;
    match (&need.status, need.importance) {
        (Status::Has { detail }, _) => format!("have  {name}: {detail}\n"),
        (Status::Misses { cause, fix }, importance) => {
            let word = match importance {
                Importance::Required => "MISS",
                Importance::Useful => "miss",
            };
            let fix = fix
                .as_ref()
                .map(|fix| format!("      fix: {fix}\n"))
                .unwrap_or_default();
            format!("{word}  {name}: {cause}\n{fix}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(importance: Importance, status: Status) -> Need {
        Need {
            name: "thing",
            importance,
            status,
        }
    }

    #[test]
    fn what_is_missing_comes_with_its_fix() {
        let has = need(
            Importance::Required,
            Status::Has {
                detail: "42".to_owned(),
            },
        );
        let misses = need(
            Importance::Useful,
            Status::Misses {
                cause: "gone".to_owned(),
                fix: Some("bring it back".to_owned()),
            },
        );
        let shown = text(&[has, misses], true);
        assert!(
            shown.starts_with("have  thing: 42\nmiss  thing: gone\n      fix: bring it back\n"),
            "{shown}"
        );
        assert!(shown.contains("`userns`") && text(&[], false).contains("no RUN step"));
    }
}
