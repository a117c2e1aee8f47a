//! Questions about a Dockerfile on the command line, and warnings of builds.

use crate::harness::Lab;

const ODD: &str = "FROM BASE/busybox as first\nCOPY $foo /\nFROM scratch\nMAINTAINER me\n";

#[test]
fn a_check_lists_warnings_of_all_stages_with_excerpts_and_exits_11() {
    let lab = Lab::new(ODD);
    let outcome = lab.croze(&["build", "--check", "--insecure-registry=BASE", "context"]);
    assert_eq!(outcome.code, 11, "{}", outcome.stderr);
    let expected = lab.fill(
        "Check complete, 3 warnings have been found!\n\n\
         WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n\
         'as' and 'FROM' keywords' casing do not match\nDockerfile:1\n--------------------\n   \
         1 | >>> FROM BASE/busybox as first\n   2 |     COPY $foo /\n   3 |     FROM scratch\n",
    );
    assert!(outcome.stdout.starts_with(&expected), "{}", outcome.stdout);
    for said in [
        "UndefinedVar",
        "Usage of undefined variable '$foo'",
        "MaintainerDeprecated",
    ] {
        assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
    }
    assert!(!lab.path().join("state/v1").exists(), "a check made a state directory");
}

#[test]
fn a_check_without_warnings_says_so_and_succeeds() {
    let lab = Lab::new("FROM scratch\nCOPY Dockerfile /\n");
    let outcome = lab.croze(&["build", "--call=check", "context"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "Check complete, no warnings found.\n")
    );
}

#[test]
fn a_check_answers_in_json_with_the_error_that_a_build_would_meet() {
    let lab = Lab::new("FROM scratch AS BadStageName\nMAINTAINER \\\n me\nBADCMD\n");
    let outcome = lab.croze(&["build", "--call=check,format=json", "context"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(answer["warnings"][0]["ruleName"], "StageNameCasing");
    let maintainer = &answer["warnings"][1];
    assert_eq!(
        maintainer["url"],
        "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/"
    );
    let ranges = serde_json::json!([
        { "start": { "line": 2 }, "end": { "line": 2 } },
        { "start": { "line": 3 }, "end": { "line": 3 } },
    ]);
    assert_eq!(maintainer["location"]["ranges"], ranges);
    assert_eq!(answer["sources"][0]["filename"], "Dockerfile");
    assert_eq!(answer["buildError"]["message"], "unknown instruction: BADCMD");
    assert_eq!(answer["buildError"]["location"]["ranges"][0]["start"]["line"], 4);
}

#[test]
fn a_build_shows_the_warnings_of_what_it_needs_and_succeeds() {
    let lab = Lab::new("FROM scratch AS unneeded\nCOPY $foo /\nFROM scratch\nCOPY Dockerfile $bar/x\nCMD run\n");
    let outcome = lab.build(&[]);
    for said in [
        "UndefinedVar: Usage of undefined variable '$bar' (line 4)",
        "JSONArgsRecommended: ",
        "--> Dockerfile:4:17",
        "https://docs.docker.com/go/dockerfile/rule/undefined-var/",
    ] {
        assert!(outcome.stderr.contains(said), "`{said}` is not in:\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("$foo'"), "{}", outcome.stderr);
    let raw = lab.croze(&["build", "--progress=rawjson", "context"]);
    assert_eq!(raw.code, 0, "{}", raw.stderr);
    let urls = raw
        .stderr
        .matches("\"url\":\"https://docs.docker.com/go/dockerfile/rule/")
        .count();
    assert_eq!(urls, 2, "{}", raw.stderr);
}

#[test]
fn warnings_that_are_errors_fail_a_build_before_anything_runs() {
    let lab = Lab::new("# check=error=true\nFROM BASE/busybox\nRUN echo ran\nCMD run\n");
    let outcome = lab.croze(&["build", "--progress=plain", "--insecure-registry=BASE", "context"]);
    outcome.fails(
        11,
        &["lint violation found for rules: JSONArgsRecommended", "Dockerfile:4:1"],
    );
    assert!(!outcome.stderr.contains("RUN echo ran"), "{}", outcome.stderr);
    let words = [
        "build",
        "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all",
        "context",
        "--insecure-registry=BASE",
    ];
    assert_eq!(lab.croze(&words).code, 0);
}

#[test]
fn a_build_warns_of_the_lines_that_can_be_read_before_it_fails_for_the_others() {
    let lab = Lab::new("FROM scratch AS BadStageName\nBADCMD\n");
    let outcome = lab.croze(&["build", "--progress=plain", "context"]);
    outcome.fails(
        3,
        &[
            "StageNameCasing: Stage name 'BadStageName' should be lowercase",
            "unknown instruction: BADCMD",
        ],
    );
}

#[test]
fn a_file_that_the_ignore_file_hides_is_warned_of() {
    let lab = Lab::new("FROM scratch\nCOPY secret.txt /\n");
    lab.write(".dockerignore", "*.txt\n").write("secret.txt", "x");
    let outcome = lab.croze(&["build", "--check", "context"]);
    assert_eq!(outcome.code, 11, "{}", outcome.stderr);
    let said = "Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
}

#[test]
fn outline_and_targets_answer_without_a_registry() {
    let lab = Lab::new(
        "# VERSION is the version\nARG VERSION=1\nFROM nowhere.invalid/base:$VERSION AS base\n\
         RUN --mount=type=secret,id=token,required true\n# app is what runs\nFROM base AS app\nARG MODE=fast\n",
    );
    let outline = lab.croze(&["build", "--call=outline", "context"]);
    assert_eq!(
        (outline.code, outline.stdout.as_str()),
        (
            0,
            "TARGET:      app\nDESCRIPTION: is what runs\n\nBUILD ARG   VALUE   DESCRIPTION\nVERSION     1       is the \
             version\nMODE        fast    \n\nSECRET   REQUIRED\ntoken    true\n\n"
        ),
        "{}",
        outline.stderr
    );
    let targets = lab.croze(&["build", "--call=targets", "context"]);
    assert_eq!(
        targets.stdout,
        "TARGET        DESCRIPTION\nbase          \napp (default) is what runs\n"
    );
    let json = lab.croze(&["build", "--call=targets,format=json", "context"]);
    let answer: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["targets"][1]["default"], true);
}

#[test]
fn what_another_frontend_would_read_is_asked_nothing() {
    let lab = Lab::new("# syntax=foobar\nthing {}\n");
    for question in ["--check", "--call=outline", "--call=targets,format=json"] {
        let outcome = lab.croze(&["build", question, "context"]);
        outcome.fails(3, &["the syntax `foobar` is not supported", "Dockerfile:1:10"]);
        assert_eq!(outcome.stdout, "", "{question}");
    }
    let lab = Lab::new("# syntax=foobar\nFROM scratch\nCOPY Dockerfile /\n");
    let own = "--build-arg=BUILDKIT_SYNTAX=docker/dockerfile:1";
    assert_eq!(lab.croze(&["build", "--check", own, "context"]).code, 0);
}
