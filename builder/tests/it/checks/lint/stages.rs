//! Rules about names, stages and their bases.

use std::collections::BTreeSet;

use super::super::{lab, pushed};
use super::{Case, said_by_build, said_by_check, says, warns};

#[test]
fn names_and_keywords_have_a_case() {
    // BK-244
    says(
        "FROM scratch AS BadStageName\nFROM scratch as base2\nFROM badstagename\nCOPY --from=base2 . /\n",
        &[
            "1 StageNameCasing: Stage name 'BadStageName' should be lowercase",
            "2 FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        ],
    );
    says(
        "from scratch AS base\ncopy Dockerfile .\n",
        &["1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"],
    );
    // BK-246
    let case = "should match the case of the command majority";
    for (text, line, command, majority) in [
        (
            "FROM scratch\ncopy Dockerfile /foo\nCOPY Dockerfile /bar\n",
            2,
            "copy",
            "uppercase",
        ),
        ("frOM scratch\ncopy Dockerfile /foo\n", 1, "frOM", "lowercase"),
        (
            "from scratch\nCOPY Dockerfile /foo\ncopy Dockerfile /bar\n",
            2,
            "COPY",
            "lowercase",
        ),
    ] {
        let expected = format!("{line} ConsistentInstructionCasing: Command '{command}' {case} ({majority})");
        says(text, &[&expected]);
    }
    says("FROM BASE/busybox\nRUN <<'EOT'\nenv\nEOT\n", &[]);
}

#[test]
fn an_empty_line_in_an_instruction_is_warned_of() {
    // BK-245
    says(
        "FROM scratch\n# warning: empty continuation line\nCOPY Dockerfile \\\n\n.\nCOPY Dockerfile \\\n.\n",
        &["5 NoEmptyContinuation: Empty continuation line"],
    );
}

#[test]
fn stage_names_are_unique_and_not_taken() {
    // BK-247
    says(
        "FROM scratch AS b\nFROM scratch AS b\nCOPY Dockerfile /\n",
        &["2 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique"],
    );
    // BK-248
    let reserved = "Stage name should not use the same name as reserved stage";
    says(
        "FROM scratch AS scratch\nFROM scratch AS context\nCOPY Dockerfile /\n",
        &[
            &format!("1 ReservedStageName: {reserved} \"scratch\""),
            &format!("2 ReservedStageName: {reserved} \"context\""),
        ],
    );
}

#[test]
fn bases_and_platforms_are_declared_and_not_repeated() {
    // BK-252
    let undeclared = |text, words, expected: &str| {
        let case = Case {
            text,
            words,
            broken: true,
            ..Case::default()
        };
        warns(case, &[expected.to_owned()]);
    };
    undeclared(
        "FROM --platform=$BULIDPLATFORM scratch\nCOPY Dockerfile .\n",
        &[],
        "1 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)",
    );
    undeclared(
        "ARG MY_OS=linux\nARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox\n",
        &[],
        "3 UndefinedArgInFrom: FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?)",
    );
    says("ARG DEBUG\nFROM scra${DEBUG:-tch}\nCOPY Dockerfile .\n", &[]);
    says("ARG DEBUG=\"\"\nFROM scratch${DEBUG-@bogus}\nCOPY Dockerfile .\n", &[]);
    // BK-258 BK-261
    for written in ["$TARGETPLATFORM", "${TARGETPLATFORM}"] {
        let expected = format!(
            "1 RedundantTargetPlatform: Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
        );
        says(
            &format!("FROM --platform={written} scratch\nCOPY Dockerfile .\n"),
            &[&expected],
        );
    }
    says(
        "FROM --platform=linux/amd64 scratch\nCOPY Dockerfile .\n",
        &["1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\""],
    );
    says(
        "FROM --platform=linux/amd64 scratch AS my_amd64_stage\nCOPY Dockerfile .\n",
        &[],
    );
    says("FROM --platform=linux/amd64 scratch AS linux\nCOPY Dockerfile .\n", &[]);
    // BK-260
    let lab = lab("ARG VERSION\nFROM BASE/busybox:$VERSION\n", &[]);
    let invalid = lab.fill("2 InvalidDefaultArgInFrom: Default value for ARG BASE/busybox:$VERSION results in empty or invalid base image name");
    let case = Case {
        words: &["--build-arg", "VERSION=latest"],
        ..Case::default()
    };
    let expected = BTreeSet::from([invalid]);
    assert_eq!(
        (said_by_check(&lab, case.words), said_by_build(&lab, case)),
        (expected.clone(), expected)
    );
    says("ARG VARIANT\nFROM BASE/busybox:latest${VARIANT}\n", &[]);
}

#[test]
fn a_base_for_another_platform_is_warned_of() {
    // BK-257
    let other = pushed(
        "lint-arm",
        "FROM --platform=linux/arm64 scratch AS arm64\nCOPY Dockerfile /\n",
        &[],
    );
    let copied = other.replace("lint-arm", "lint-mismatch");
    // Under one name without a platform of its own, as tools push that know only one.
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    lab.build(&["-t", &copied, "--push", "--platform", "linux/arm64"]);
    let text = format!("FROM {copied}\nENV foo=bar\n");
    let expected = format!(
        "1 InvalidBaseImagePlatform: Base image {copied} was pulled with platform \"linux/arm64\", expected \"linux/amd64\" \
         for current build"
    );
    says(&text, &[&expected]);
}

#[test]
fn descriptions_are_checked_on_request() {
    // BK-264
    let text = "# bar this is the bar\nARG foo=bar\n# BasE this is the BasE image\nFROM scratch AS base\n\
                # definitely a bad comment\nARG version=latest\nCOPY Dockerfile /\n";
    says(text, &[]);
    let warning = |line, keyword, name| {
        format!(
            "{line} InvalidDefinitionDescription: Comment for {keyword} should follow the format: `# {name} <description>`"
        )
    };
    let expected = [(3, "ARG", "foo"), (5, "FROM", "base"), (7, "ARG", "version")];
    let case = Case {
        text: &format!("# check=experimental=InvalidDefinitionDescription\n{text}"),
        ..Case::default()
    };
    warns(
        case,
        &expected.map(|(line, keyword, name)| warning(line, keyword, name)),
    );
}
