//! `croze doctor`: what this machine has for a build, what it lacks, and how to get that.

use std::path::Path;
use std::process::ExitCode;

use super::args::{DoctorArgs, Format};
use super::build::print;
use super::environment::Environment;
use super::failure::{Failure, Kind};
use crate::doctor::{self, Examination, Importance, Need, Status};
use crate::rung::Rung;

/// Prints the examination; fails with the exit code of a lacking machine if no `RUN` can be run here.
pub(super) fn run(args: &DoctorArgs, root: &Path, environment: &Environment) -> Result<ExitCode, Failure> {
    let examination = examine(args.sandbox.rung(), root, environment);
    print(&match args.format {
        Format::Json => json(&examination)?,
        Format::Text => text(&examination),
    })?;
    Ok(if examination.can_run() {
        ExitCode::SUCCESS
    } else {
        Kind::Environment.into()
    })
}

/// Returns what is printed where a build cannot start.
pub(super) fn report(wanted: Option<Rung>, root: &Path, environment: &Environment) -> String {
    text(&examine(wanted, root, environment))
}

fn examine(wanted: Option<Rung>, root: &Path, environment: &Environment) -> Examination {
    doctor::examine(wanted, root, &environment.get("PATH").unwrap_or_default())
}

fn json(examination: &Examination) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(examination);
    Ok(json.map_err(|error| Failure::because(Kind::Bug, &error))? + "\n")
}

fn text(examination: &Examination) -> String {
    let mut text = String::new();
    for examined in &examination.rungs {
        let verdict = if examined.works { "works" } else { "does not work" };
        text.push_str(&format!("`{}` {verdict}: {}\n", examined.rung, examined.rung.summary()));
        text.extend(examined.needs.iter().map(line));
        let weaknesses = examined.weaknesses.iter().filter(|_| examined.works);
        text.extend(weaknesses.map(|weakness| format!("  weak  {}\n", weakness.text)));
        text.push('\n');
    }
    text.push_str("this machine\n");
    text.extend(examination.needs.iter().map(line));
    text.push_str(&match examination.confinement {
        Some(confinement) if examination.can_run() => format!("\nRUN steps are confined by {confinement}\n"),
        _ => "\nno RUN step can be run here\n".to_owned(),
    });
    text
}

fn line(need: &Need) -> String {
    let name = need.name;
    match (&need.status, need.importance) {
        (Status::Has { detail }, _) => format!("  have  {name}: {detail}\n"),
        (Status::Untried, _) => format!("  ?     {name}: not tried, for want of the above\n"),
        (Status::Misses { cause, fixes }, importance) => {
            let word = match importance {
                Importance::Required => "MISS",
                Importance::Useful => "miss",
            };
            let fixes: String = fixes.iter().map(|fix| format!("          {fix}\n")).collect();
            format!("  {word}  {name}: {cause}\n{fixes}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::ExaminedRung;
    use crate::rootless::Remedy;

    #[test]
    fn what_is_missing_comes_with_its_fix() {
        let need = |importance, status| Need {
            name: "thing",
            importance,
            status,
        };
        let misses = |cause: &str, fixes: &[Remedy]| Status::Misses {
            cause: cause.to_owned(),
            fixes: fixes.to_vec(),
        };
        let fixes = [Remedy::host("`bring it back`"), Remedy::kubernetes("`bring: back`")];
        let has = Status::Has {
            detail: "42".to_owned(),
        };
        let examination = Examination {
            confinement: None,
            rungs: vec![ExaminedRung {
                rung: Rung::Direct,
                works: false,
                needs: vec![
                    need(Importance::Required, has),
                    need(Importance::Useful, misses("gone", &fixes)),
                    need(Importance::Required, misses("never was", &[])),
                    need(Importance::Required, Status::Untried),
                ],
                weaknesses: Rung::Direct.weaknesses().to_vec(),
            }],
            needs: Vec::new(),
        };
        assert_eq!(
            text(&examination),
            "`direct` does not work: namespaces without a user namespace of croze's own\n  \
               have  thing: 42\n  \
               miss  thing: gone\n          \
                       on the machine: `bring it back`\n          \
                       in Kubernetes: `bring: back`\n  \
               MISS  thing: never was\n  \
               ?     thing: not tried, for want of the above\n\n\
             this machine\n\n\
             no RUN step can be run here\n"
        );
    }
}
