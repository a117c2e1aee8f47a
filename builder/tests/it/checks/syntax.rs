//! Directives, flags, comments and heredocs: what the lines of a Dockerfile are.

use super::{Files, Layout, builds, lab};

/// Checks that each text is refused with this message, on this line.
fn refused(rows: &[(&str, &str, usize)]) {
    for (text, message, line) in rows {
        lab(text, &[])
            .croze(&["build", "context"])
            .fails(3, &[message, &format!("--> Dockerfile:{line}:")]);
    }
}

#[test]
fn a_foreign_syntax_is_refused_unless_the_command_line_says_that_it_is_ours() {
    // BK-287
    let text = "# syntax=nonexistent/image\nFROM scratch\nCOPY Dockerfile /\n";
    builds(text, &[], &["--build-arg", "BUILDKIT_SYNTAX=dockerfile.v0"]);
    refused(&[(text, "the syntax `nonexistent/image` is not supported", 1)]);
}

#[test]
fn directives_stand_first_and_in_every_form() {
    // BK-336
    let foreign = "the syntax `some/other` is not supported";
    let body = "FROM scratch\nCOPY Dockerfile /\n";
    for (directive, line) in [
        ("# syntax = some/other // opts\n", 1),
        ("#!/bin/sh\n# syntax=some/other\n", 2),
        ("\u{feff}# SYNTAX=some/other\n", 1),
    ] {
        let text = format!("{directive}{body}");
        refused(&[(&text, foreign, line)]);
    }
    for ours in [
        "# syntax = docker/dockerfile:experimental // opts\n",
        "\n# syntax=some/other\n",
        "# a comment\n# syntax=some/other\n",
        "# unknown=directive\n# syntax=some/other\n",
    ] {
        builds(&format!("{ours}{body}"), &[], &[]);
    }
    // The character that continues lines is one of them, in any case.
    let out = Files::of("# EScape=`\nFROM scratch\nCOPY `\nDockerfile /C:\\dir\\\n", &[], &[]);
    assert!(out.has("C:\\dir\\"));
    refused(&[
        (
            "# escape=x\nFROM scratch\n",
            "invalid escape token 'x' does not match ` or \\",
            1,
        ),
        (
            "# escape=`\n# escape=`\nFROM scratch\n",
            "only one escape parser directive can be used",
            2,
        ),
    ]);
}

#[test]
fn flags_are_known_given_once_and_of_their_kind() {
    // BK-344
    refused(&[
        (
            "FROM scratch\nCOPY --frm=x a /\n",
            "unknown flag: --frm (did you mean from?)",
            2,
        ),
        (
            "FROM scratch\nCOPY --link --link a /\n",
            "duplicate flag specified: --link",
            2,
        ),
        (
            "FROM scratch\nCOPY --link=maybe a /\n",
            "expecting boolean value for flag --link, not: maybe",
            2,
        ),
        (
            "FROM scratch\nCOPY --chown a /\n",
            "missing a value on flag: --chown",
            2,
        ),
        ("FROM scratch\nCMD --x=y run\n", "unknown flag: --x", 2),
    ]);
    // BK-345
    let out = Files::of(
        "FROM scratch\nCOPY --link=FALSE -- --name.txt /\n",
        &[("--name.txt", "x")],
        &[],
    );
    assert_eq!(out.read("--name.txt"), "x");
}

#[test]
fn durations_have_units_and_a_smallest_value() {
    // BK-341
    let check = |flags: &str| format!("FROM scratch\nHEALTHCHECK {flags} CMD hello world\n");
    for (flags, message) in [
        ("--interval=50ns", "Interval \"interval\" cannot be less than 1ms"),
        ("--timeout=0.5us", "cannot be less than 1ms"),
        ("--interval=5", "missing unit in duration"),
        ("--retries=-1", "--retries cannot be negative"),
    ] {
        refused(&[(&check(flags), message, 2)]);
    }
    let lab = lab(&check("--interval=0ms --timeout=1h2m3.5s"), &[]);
    let config = Layout::of(&lab, &[]).config();
    let healthcheck = &config["config"]["Healthcheck"];
    assert_eq!(healthcheck["Test"], serde_json::json!(["CMD-SHELL", "hello world"]));
    assert_eq!(healthcheck["Timeout"], 3_723_500_000_000_u64);
    assert!(healthcheck["Interval"].is_null());
}

#[test]
fn comments_describe_what_follows_them() {
    // BK-343
    let text = "# foo is the first\nARG foo\n# elsewhere\n\n# base is what is built\nFROM scratch AS base\n#foo no blank\nARG foo\n";
    let outcome = lab(text, &[]).croze(&["build", "--call=outline,format=json", "context"]);
    let outline: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(outline["description"], "is what is built");
    let targets = lab(text, &[]).croze(&["build", "--call=targets", "context"]);
    assert!(
        targets.stdout.contains("base (default) is what is built"),
        "{}",
        targets.stdout
    );
}

#[test]
fn a_heredoc_is_named_by_its_word_however_it_is_quoted() {
    // BK-327 to BK-331, BK-333, BK-334
    let body = |opener: &str, end: &str| format!("FROM scratch\nARG x=1\nCOPY {opener} /dest/\n$x\n{end}\n");
    for (opener, name, content) in [
        ("<<EOF", "EOF", "1\n"),
        ("<<eo'f'", "eof", "$x\n"),
        ("<<eo\\'f", "eo'f", "1\n"),
        ("<<$EOF", "$EOF", "1\n"),
    ] {
        let out = Files::of(&body(opener, name), &[], &[]);
        assert_eq!(out.read(&format!("dest/{name}")), content, "{opener}");
    }
    // In a command, blanks may stand in the word.
    builds(
        "FROM BASE/busybox\nRUN <<'one two'\necho $((1 + 1)) > /x\none two\nRUN [ $(cat /x) = 2 ]\n",
        &[],
        &[],
    );
    // Stripped of tabs, the end may be indented.
    let out = Files::of("FROM scratch\nCOPY <<-EOF /x\n\tindented\n\tEOF\n", &[], &[]);
    assert_eq!(out.read("x"), "indented\n");
    refused(&[
        ("FROM scratch\nCOPY <<'EOF /x\nEOF\n", "unknown instruction: EOF", 3),
        ("FROM scratch\nCOPY <<<EOF /x\nEOF\n", "unknown instruction: EOF", 3),
        ("FROM scratch\nUSER <<EOF\nEOF\n", "unknown instruction: EOF", 3),
    ]);
}
