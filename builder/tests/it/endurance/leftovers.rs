//! What a killed build leaves beside its outputs, which lie where no store is that would look after them.

use std::process::Stdio;

use super::rig::Rig;
use crate::harness::{Outcome, sh};

/// Builds with an output, in a store of the rig's.
fn build(rig: &Rig, variables: &[&str], output: &str) -> Outcome {
    let root = format!("--root={}", rig.state.display());
    let words = [&root, "build", "--progress=plain", output, "context"];
    let mut command = rig.lab.command_with(variables, &words);
    Outcome::of(command.stdin(Stdio::null()).output().unwrap())
}

/// Returns the files outside the store that no output is named by.
fn left(rig: &Rig) -> String {
    let (lab, state) = (rig.lab.path().display(), rig.state.display());
    sh(&format!("find {lab} -path {state} -prune -o -name '.croze-*' -print"))
}

#[test]
fn what_a_killed_build_left_beside_its_outputs_the_next_removes() {
    let rig = Rig::new();
    for (number, (fault, output)) in [
        ("output.rename:1", "--output=type=oci,dest=out.tar"),
        ("output.sync:1", "--output=type=tar,dest=files.tar"),
        ("output.rename:2", "--output=type=oci,tar=false,dest=layout"),
        ("output.rename:1", "--iidfile=id"),
        ("cache.rename:2", "--cache-to=type=local,dest=cache"),
    ]
    .into_iter()
    .enumerate()
    {
        rig.content(2 * number);
        let killed = build(&rig, &[&format!("CROZE_FAULT={fault}:kill")], output);
        assert_eq!(killed.code, 137, "{output}: {}", killed.stderr);
        assert_ne!(left(&rig), "", "{output}: the test is of use");
        // Of another context, so that most of what is written is something else.
        rig.content(2 * number + 1);
        let next = build(&rig, &[], output);
        assert_eq!(next.code, 0, "{output}: {}", next.stderr);
        assert_eq!(left(&rig), "", "{output}");
    }
}
