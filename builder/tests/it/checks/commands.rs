//! CMD, ENTRYPOINT, SHELL, and the forms of a command.

use serde_json::{Value, json};

use super::{Layout, builds, lab, pushed};

#[test]
fn a_shell_is_a_prefix_and_an_entry_point_clears_an_inherited_command() {
    // BK-014
    let base = pushed("command", "FROM scratch\nCMD [\"test\"]\n", &[]);
    let lab = lab(&format!("FROM {base}\nSHELL [\"ls\"]\nENTRYPOINT my entrypoint\n"), &[]);
    let config = Layout::of(&lab, &[]).config();
    assert_eq!(config["config"]["Cmd"], Value::Null);
    assert_eq!(config["config"]["Entrypoint"], json!(["ls", "my entrypoint"]));
}

#[test]
fn shell_and_path_are_those_of_the_platform() {
    // BK-015
    let lab = lab("FROM scratch\nENTRYPOINT foo bar\nCOPY Dockerfile .\n", &[]);
    let layout = Layout::of(&lab, &["--platform", "windows/amd64,linux/amd64"]);
    let configs = layout.configs();
    assert_eq!(configs[0]["os"], "windows");
    assert_eq!(
        configs[0]["config"]["Entrypoint"],
        json!(["cmd", "/S", "/C", "foo bar"])
    );
    assert_eq!(configs[0]["config"]["Env"], Value::Null);
    assert_eq!(configs[1]["os"], "linux");
    assert_eq!(configs[1]["config"]["Entrypoint"], json!(["/bin/sh", "-c", "foo bar"]));
    assert_eq!(
        configs[1]["config"]["Env"],
        json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    );
    for manifest in layout.manifests() {
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_step_does_not_use_the_entry_point() {
    // BK-016
    builds(
        "FROM BASE/busybox\nENTRYPOINT [\"/nosuchcmd\"]\nRUN [\"ls\"]\n",
        &[],
        &[],
    );
}

#[test]
fn what_is_no_json_is_given_to_the_shell() {
    // BK-017
    let lab = lab("FROM BASE/busybox\nRUN [\"echo\", \"hello\"]this is invalid\n", &[]);
    lab.croze(&["build", "context"]).fails(4, &["this is invalid"]);
    // BK-018
    lab.write("Dockerfile", "FROM scratch\nENTRYPOINT []random string\n");
    let config = Layout::of(&lab, &[]).config();
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/bin/sh", "-c", "[]random string"])
    );
}

#[test]
fn a_command_that_is_not_there_is_shown_with_its_shell_and_code() {
    // BK-019
    lab("FROM BASE/busybox\nRUN invalidcmd\n", &[])
        .croze(&["build", "context"])
        .fails(
            4,
            &["/bin/sh -c invalidcmd", "did not complete successfully: exit code: 127"],
        );
}

#[test]
fn every_error_names_its_lines() {
    // BK-021
    let cases = [
        ("FROM BASE/busybox\nenv\n", "Dockerfile:2:"),
        ("#syntax=foobar\nFROM BASE/busybox\n", "Dockerfile:1:"),
        ("FROM scratch\nenv foo=bar\nrun what\nenv bar=baz\n", "Dockerfile:3:"),
        (
            "FROM scratch\nenv foo=bar\ncopy foo bar\nenv bar=baz\n",
            "Dockerfile:3:",
        ),
        (
            "FROM scratch\nenv foo=bar\ncopy --foo=bar / /\nenv bar=baz\n",
            "Dockerfile:3:",
        ),
        (
            "FROM scratch\nenv foo=bar\ncopy --from=BASE/absent foo bar\nenv bar=baz\n",
            "Dockerfile:3:",
        ),
    ];
    for (text, place) in cases {
        let outcome = lab(text, &[]).croze(&["build", "context"]);
        assert!(
            outcome.code != 0 && outcome.stderr.contains(place),
            "{text}: {}",
            outcome.stderr
        );
    }
    let outcome = lab("FROM scratch\nrun wh\\\nat\nenv bar=baz\n", &[]).croze(&["build", "context"]);
    for shown in ["Dockerfile:2:", "2 | / run wh\\", "3 | | at"] {
        assert!(outcome.stderr.contains(shown), "{}", outcome.stderr);
    }
}
