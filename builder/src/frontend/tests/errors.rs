//! What is wrong with a Dockerfile, and on which line it is said.

use super::{request, try_build};
use crate::frontend::{LowerError, references};

/// Returns the errors as `line: message`, the line being that of the first label.
fn errors(text: &str, flags: &[&str]) -> Vec<String> {
    let error = try_build(text, flags)
        .err()
        .unwrap_or_else(|| panic!("this should fail: {text}"));
    let line = |diagnostic: crate::diagnostic::Diagnostic| {
        let source = diagnostic.source.clone().unwrap();
        let line = diagnostic
            .labels
            .first()
            .map_or(0, |label| source.line_of(label.span.start));
        format!("{line}: {}", diagnostic.message)
    };
    error.into_diagnostics().into_iter().map(line).collect()
}

#[test]
fn every_error_says_what_and_on_which_line() {
    let table: &[(&str, &[&str], &str)] = &[
        // Targets and bases.
        (
            "FROM scratch AS build",
            &["--target bulid"],
            "0: target stage \"bulid\" could not be found (did you mean build?)",
        ),
        (
            "FROM scratch",
            &["--target x"],
            "0: target stage \"x\" could not be found",
        ),
        ("FROM \"\"", &[], "1: base name (\"\") should not be blank"),
        ("FROM ${BLANK}", &[], "1: base name (${BLANK}) should not be blank"),
        ("FROM busybox:a:b", &[], "1: failed to parse stage name \"busybox:a:b\""),
        (
            "FROM missing",
            &[],
            "1: cannot resolve the image `docker.io/library/missing:latest` for linux/amd64",
        ),
        (
            "FROM scratch AS biuld\nFROM build",
            &[],
            "2: cannot resolve the image `docker.io/library/build:latest` for linux/amd64 (did you mean biuld?)",
        ),
        // Global arguments.
        (
            "ARG FOO=${FOO:?\"custom error\"}\nFROM busybox",
            &[],
            "1: FOO: custom error",
        ),
        (
            "ARG FOO\nARG BAR=${FOO:?\"foo missing\"}\nFROM busybox",
            &[],
            "2: FOO: foo missing",
        ),
        ("FROM busybox\nARG FOO=${FOO:?missing}", &[], "2: FOO: missing"),
        (
            "ARG SOURCE_DATE_EPOCH=not-a-timestamp\nFROM scratch",
            &[],
            "1: invalid SOURCE_DATE_EPOCH: not-a-timestamp",
        ),
        (
            "FROM scratch AS src\nFROM scratch",
            &["--build-arg SOURCE_DATE_EPOCH=src"],
            "1: SOURCE_DATE_EPOCH stage must contain exactly one remote ADD",
        ),
        // Platforms.
        (
            "FROM --platform=$BULIDPLATFORM scratch",
            &[],
            "1: empty platform value from expression $BULIDPLATFORM (did you mean BUILDPLATFORM?)",
        ),
        (
            "ARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} scratch",
            &[],
            "2: failed to parse platform linux/${MYARCH} (did you mean MY_ARCH?)",
        ),
        // References between stages.
        (
            "FROM busybox AS a\nCOPY --from=a x /y",
            &[],
            "2: circular dependency detected on stage: a",
        ),
        (
            "FROM busybox AS s0\nCOPY --from=s2 f /\nFROM busybox AS s1\nCOPY --from=s0 f /\nFROM busybox AS s2\n\
             COPY --from=s1 f /",
            &[],
            "2: circular dependency detected on stage: s0",
        ),
        (
            "FROM busybox AS target\nCOPY --from=build / /out\nFROM alpine AS build\nFROM target",
            &[],
            "2: cannot copy from stage \"build\", it needs to be defined before current stage \"target\"",
        ),
        (
            "FROM busybox AS a\nRUN --mount=from=1,target=/x true\nFROM alpine AS b\nFROM a",
            &[],
            "2: cannot mount from stage \"1\", it needs to be defined before current stage \"a\"",
        ),
        ("FROM scratch\nCOPY --from=1 a b", &[], "2: invalid stage index 1"),
        ("FROM scratch\nCOPY --from=-1 a b", &[], "2: invalid stage index -1"),
        (
            "FROM scratch\nCOPY --from=In..valid a b",
            &[],
            "2: failed to parse stage name \"In..valid\"",
        ),
        // An unneeded stage must still make sense.
        (
            "FROM scratch\nCOPY --from=7 a b\nFROM scratch",
            &[],
            "2: invalid stage index 7",
        ),
        // Sources.
        (
            "FROM scratch\nCOPY http://x.org/a /",
            &[],
            "2: source can't be a URL for COPY",
        ),
        (
            "FROM scratch\nENV u=https://x.org/a.git\nCOPY $u /",
            &[],
            "3: source can't be a git ref for COPY",
        ),
        (
            "FROM scratch\nADD --checksum=md5:7695 https://x.org/a /",
            &[],
            "2: unsupported digest algorithm: `md5`",
        ),
        (
            "FROM scratch\nADD --checksum=7695 https://x.org/a /",
            &[],
            "2: invalid checksum digest format: `7695`",
        ),
        (
            "FROM scratch\nADD --checksum=foobar https://x.org/a.git /",
            &[],
            "2: invalid checksum \"foobar\": expected hex commit hash",
        ),
        (
            "FROM scratch\nADD --keep-git-dir=true https://x.org/a /",
            &[],
            "2: --keep-git-dir requires a git source",
        ),
        (
            "FROM scratch\nADD https://x.org/a.git?tag=a#b /",
            &[],
            "2: ref conflicts: \"b\" vs \"refs/tags/a\"",
        ),
        (
            "FROM scratch\nADD --checksum=sha256:00 a /",
            &[],
            "2: checksum requires HTTP(S) or Git sources",
        ),
        (
            "FROM scratch\nADD --checksum=sha256:00 a b /",
            &[],
            "2: checksum can't be specified for multiple sources",
        ),
        (
            "FROM scratch\nADD --keep-git-dir=true a /",
            &[],
            "2: --keep-git-dir requires a git source",
        ),
        (
            "FROM scratch\nCOPY --chmod=64a a /",
            &[],
            "2: invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777, or symbolic like `u=rwX,go=rX`",
        ),
        (
            "FROM scratch\nARG m=10000\nADD --chmod=$m a /",
            &[],
            "3: invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777, or symbolic like `u=rwX,go=rX`",
        ),
        (
            "FROM scratch\nCOPY --chown=app a /",
            &[],
            "2: `app` cannot be looked up: the stage has no `/etc/passwd` yet",
        ),
        // RUN.
        (
            "FROM busybox\nRUN --network=host x",
            &[],
            "2: entitlement network.host is not allowed",
        ),
        (
            "FROM busybox\nRUN --security=insecure x",
            &[],
            "2: entitlement security.insecure is not allowed",
        ),
        (
            "FROM busybox\nRUN --device=vendor.com/gpu=0,required x",
            &[],
            "2: required device \"vendor.com/gpu=0\" is not registered",
        ),
        (
            "FROM busybox\nENV t=/\nRUN --mount=type=tmpfs,target=$t x",
            &[],
            "3: invalid mount target \"/\"",
        ),
        (
            "FROM busybox\nARG t=tmp\nRUN --mount=type=$t,target=/x x",
            &[],
            "3: unsupported mount type \"tmp\" (did you mean tmpfs?)",
        ),
        // The rest.
        (
            "FROM scratch\nEXPOSE 80/x",
            &[],
            "2: invalid port: \"80/x\": invalid proto: x",
        ),
        (
            "FROM scratch\nENV e=\nVOLUME $e",
            &[],
            "3: VOLUME specified can not be an empty string",
        ),
        ("FROM scratch\nSTOPSIGNAL SIGFOO", &[], "2: invalid signal: SIGFOO"),
        ("FROM scratch\nENV a=${b:?needed}", &[], "2: b: needed"),
        (
            "FROM badonbuild\nRUN x",
            &[],
            "1: unsupported mount type \"cahce\" (did you mean cache?)",
        ),
        (
            "FROM onbuild",
            &[],
            "1: cannot resolve the image `docker.io/library/source:latest` for linux/amd64",
        ),
    ];
    for (text, flags, wanted) in table {
        assert_eq!(errors(text, flags), [*wanted], "{text}");
    }
}

#[test]
fn independent_errors_are_reported_together() {
    let text = "FROM scratch AS a\nSTOPSIGNAL x\nFROM a AS b\nRUN y\nFROM scratch AS c\nEXPOSE x\nFROM scratch\n\
                COPY --from=b / /\nCOPY --from=c / /";
    assert_eq!(
        errors(text, &[]),
        [
            "2: invalid signal: x",
            "6: invalid port: \"x\": invalid containerPort: x"
        ]
    );
    let text = "FROM a:b:c\nFROM scratch\nCOPY --from=9 a b\nCOPY --from=8 a b";
    assert_eq!(
        errors(text, &[]),
        [
            "1: failed to parse stage name \"a:b:c\"",
            "3: invalid stage index 9",
            "4: invalid stage index 8"
        ]
    );
}

#[test]
fn a_circle_marks_every_step_of_it() {
    let text = "FROM busybox AS s0\nCOPY --from=s1 f /\nFROM busybox AS s1\nCOPY --from=s0 f /";
    let Err(LowerError::Dockerfile(errors)) = try_build(text, &[]) else {
        panic!()
    };
    let source = errors[0].source.clone().unwrap();
    let lines: Vec<usize> = errors[0]
        .labels
        .iter()
        .map(|label| source.line_of(label.span.start))
        .collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn a_missing_image_keeps_its_cause_for_the_caller() {
    let Err(LowerError::Resolve {
        error: source,
        diagnostic,
        ..
    }) = try_build("FROM busybox:nosuchtag", &[])
    else {
        panic!()
    };
    assert_eq!(
        source.0.to_string(),
        "`docker.io/library/busybox:nosuchtag` is not in the registry"
    );
    assert_eq!(diagnostic.notes, [source.0.to_string()]);
}

#[test]
fn references_fail_like_lowering() {
    let errors = references(&request("FROM scratch\nCOPY --from=1 a b", &[])).unwrap_err();
    assert_eq!(errors[0].message, "invalid stage index 1");
}

#[test]
fn what_can_be_done_is_said() {
    let help = |text: &str| try_build(text, &[]).err().unwrap().into_diagnostics().remove(0).help;
    let said = |text: &str| Some(Box::from(text));
    assert_eq!(help("ARG BASE\nFROM $BASE"), said("give it with `--build-arg BASE=…`"));
    assert_eq!(
        help("ARG BASE=x\nFROM $BSAE"),
        said("declare `ARG BSAE` before the first FROM (did you mean BASE?)")
    );
    assert_eq!(help("FROM Scratch"), said("write `scratch` in lower case"));
    assert_eq!(
        help("FROM scratch\nCOPY --chown=a b /"),
        said("use numbers, as in `--chown=1000:1000`")
    );
    assert_eq!(
        help("FROM busybox\nRUN --network=host x"),
        said("allow it with `--allow network.host`")
    );
}

#[test]
fn a_word_that_cannot_be_expanded_is_quoted() {
    let wanted = "2: failed to process \"a'b\": unexpected end of statement while looking for matching single-quote";
    assert_eq!(errors("FROM scratch\nWORKDIR a'b", &[]), [wanted]);
}

#[test]
fn a_stage_or_context_that_is_called_nearly_like_an_image_is_told() {
    let near = |text: &str, flags: &[&str]| {
        let needed = references(&request(text, flags)).unwrap();
        needed.into_iter().map(|image| image.near).collect::<Vec<_>>()
    };
    let build = || Some("build".to_owned());
    assert_eq!(near("FROM scratch AS build\nFROM bild", &[]), [build()]);
    assert_eq!(
        near("FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /a /", &[]),
        [build()]
    );
    assert_eq!(
        near("FROM bild", &["--build-context build=docker-image://scratch"]),
        [build()]
    );
    assert_eq!(near("FROM scratch AS build\nFROM busybox", &[]), [None]);
}

#[test]
fn a_file_may_have_more_stages_than_a_stack_has_room_for() {
    let mut text = "FROM scratch AS s0\n".to_owned();
    for stage in 1..20_000 {
        text += &format!("FROM scratch AS s{stage}\nCOPY --from=s{} / /\n", stage - 1);
    }
    let text = text.replacen("AS s0\n", "AS s0\nCOPY --from=s19999 / /\n", 1);
    let error = &errors(&text, &[])[0];
    assert_eq!(error, "2: circular dependency detected on stage: s0");
}
