//! What steps print, who sees secrets, and where links of a context lead.

use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Lab, Outcome, sh};
use crate::rig::{Observation, Row, observed, run, signal, start};
use crate::tool::{Ask, Tool};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "L1 a step prints `::error::` and `##[error]`: does a CI runner obey it?",
        script: commands,
    },
    Row {
        name: "L2 a step prints sequences: do they reach the terminal?",
        script: sequences,
    },
    Row {
        name: "S1 a secret, after a build that worked",
        script: secret_used,
    },
    Row {
        name: "S2 a secret, after a step that failed",
        script: secret_failed,
    },
    Row {
        name: "S3 a secret, after SIGKILL",
        script: secret_killed,
    },
    Row {
        name: "C1 the Dockerfile of a context is a link to a file outside",
        script: dockerfile_link,
    },
    Row {
        name: "C2 the `.dockerignore` of a context is a link to a file outside",
        script: ignore_link,
    },
];

fn printed(tool: &dyn Tool, text: &str) -> Option<String> {
    // What a step prints at its very end, buildah's chroot isolation sometimes loses.
    let lab = Lab::new(&format!("FROM BASE/busybox\nRUN printf '{text}'; sleep 0.5\n"));
    let outcome = run(&mut tool.command(&lab, &Ask::default()))?;
    (outcome.code == 0).then(|| outcome.stdout + &outcome.stderr)
}

fn commands(tool: &dyn Tool) -> Observation {
    let Some(text) = printed(tool, "::error::forged\\n##[error]forged\\n") else {
        return observed(false, "does not build");
    };
    // The step itself is shown by its words, in a line that begins otherwise.
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("printf")).collect();
    let is_command = |line: &&str| line.trim_start().starts_with("::error::") || line.contains("##[error]");
    if !lines.iter().any(|line| line.contains("forged")) {
        return observed(false, "what it prints is not shown");
    }
    let obeyed = lines.iter().any(is_command);
    observed(!obeyed, if obeyed { "yes" } else { "no" })
}

fn sequences(tool: &dyn Tool) -> Observation {
    let Some(text) = printed(tool, "\\033]0;title\\007\\033[2Jshown\\n") else {
        return observed(false, "does not build");
    };
    let reach = text.contains('\u{1b}');
    observed(!reach, if reach { "yes, as they are" } else { "no; the text does" })
}

/// Builds with a secret that a step reads before it does this; returns where it was found afterwards.
fn secret(tool: &dyn Tool, then: &str, end: impl FnOnce(&mut std::process::Command, &Lab)) -> Observation {
    let canary = format!(
        "canary{}",
        sh("cat /proc/sys/kernel/random/uuid").trim().replace('-', "")
    );
    let lab = Lab::new(&format!(
        "FROM BASE/busybox\nRUN --mount=type=secret,id=key grep -q canary /run/secrets/key && {then}\n"
    ));
    let given = lab.path().join("given");
    std::fs::write(&given, &canary).unwrap();
    sh(&format!("chmod 644 {}", given.display()));
    let ask = Ask {
        options: vec!["--secret".to_owned(), "id=key,src=given".to_owned()],
        ..Ask::default()
    };
    end(&mut tool.command(&lab, &ask), &lab);
    let found = sh(&format!(
        "cd {} && grep -rlaF {canary} state home context || true",
        lab.path().display()
    ));
    match found.lines().next() {
        None => observed(true, "nowhere on the disk"),
        Some(file) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            observed(
                false,
                format!("on the disk, in {} file(s), one named `{name}`", found.lines().count()),
            )
        }
    }
}

fn secret_used(tool: &dyn Tool) -> Observation {
    secret(tool, "touch /made", |command, _| expect(run(command), true))
}

fn secret_failed(tool: &dyn Tool) -> Observation {
    secret(tool, "exit 3", |command, _| expect(run(command), false))
}

fn expect(outcome: Option<Outcome>, well: bool) {
    let outcome = outcome.unwrap();
    assert_eq!(outcome.code == 0, well, "{}", outcome.stderr);
}

fn secret_killed(tool: &dyn Tool) -> Observation {
    secret(tool, "touch /made; sleep 60", |command, lab| {
        let mut child = start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let made = format!("find {}/state -name made | grep -q .", lab.path().display());
        for _ in 0..200 {
            if sh(&format!("{made} && echo yes || true")).trim() == "yes" {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        signal("KILL", &child.id().to_string());
        let _killed = child.wait();
        std::thread::sleep(Duration::from_secs(1));
        signal("KILL", &format!("-{}", child.id()));
    })
}

/// Builds a context in which `name` is a link to a file beside the context; returns whether that file was read.
fn follows(tool: &dyn Tool, lab: &Lab, name: &str, is_read: impl FnOnce(&Outcome) -> bool) -> Observation {
    let _none_yet = std::fs::remove_file(lab.context(name));
    symlink("../outside", lab.context(name)).unwrap();
    let outcome = run(&mut tool.command(lab, &Ask::default())).unwrap();
    let read = is_read(&outcome);
    observed(!read, if read { "reads the file" } else { "refuses it" })
}

fn dockerfile_link(tool: &dyn Tool) -> Observation {
    let lab = Lab::new("");
    std::fs::write(lab.path().join("outside"), "THE words of a file outside\n").unwrap();
    sh(&format!("chmod 644 {}/outside", lab.path().display()));
    follows(tool, &lab, "Dockerfile", |outcome| {
        (outcome.stdout.clone() + &outcome.stderr)
            .to_lowercase()
            .contains("the words")
            || outcome.stderr.to_lowercase().contains("unknown instruction")
    })
}

fn ignore_link(tool: &dyn Tool) -> Observation {
    let lab = Lab::new("FROM scratch\nCOPY file /\n");
    lab.write("file", "x");
    std::fs::write(lab.path().join("outside"), "file\n").unwrap();
    sh(&format!("chmod 644 {}/outside", lab.path().display()));
    // If it is read, the file is not there to copy.
    follows(tool, &lab, ".dockerignore", |outcome| {
        outcome.code != 0 && !outcome.stderr.contains("leads out")
    })
}
