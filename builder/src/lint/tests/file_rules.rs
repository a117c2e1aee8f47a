//! The rules about files as a whole.

use super::{Case, check, said};

#[test]
fn stage_names_are_lower_case() {
    check(
        "\nFROM scratch AS BadStageName\n\nFROM scratch as base2\n\nFROM scratch AS base3\n",
        &[
            "2 StageNameCasing: Stage name 'BadStageName' should be lowercase",
            "4 FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        ],
    );
}

#[test]
fn as_is_written_like_its_from() {
    check(
        "\nfrom scratch AS base\n\nfrom scratch as base2\n",
        &["2 FromAsCasing: 'AS' and 'from' keywords' casing do not match"],
    );
    check("# check=skip=all\nFROM scratch \\\n  as x\n", &[]);
    check(
        "FROM scratch \\\n  as x\n",
        &["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"],
    );
}

#[test]
fn an_empty_line_inside_an_instruction_is_warned_of_where_the_instruction_ends() {
    check(
        "\nFROM scratch\n# warning: empty continuation line\nCOPY Dockerfile \\\n\n.\nCOPY Dockerfile \\\n.\n",
        &["6 NoEmptyContinuation: Empty continuation line"],
    );
}

#[test]
fn keywords_follow_the_majority() {
    let warning = |line, command, case| {
        format!(
            "{line} ConsistentInstructionCasing: Command '{command}' should match the case of the command majority \
             ({case})"
        )
    };
    for (text, expected) in [
        (
            "From scratch as base\nFROM scratch AS base2\n",
            Some((1, "From", "uppercase")),
        ),
        (
            "FROM scratch\ncopy x /foo\nCOPY x /bar\n",
            Some((2, "copy", "uppercase")),
        ),
        (
            "frOM scratch as base\nfrom scratch as base2\n",
            Some((1, "frOM", "lowercase")),
        ),
        (
            "from scratch\nCOPY x /foo\ncopy x /bar\n",
            Some((2, "COPY", "lowercase")),
        ),
        (
            "from scratch\nCOPY x /1\nCOPY x /2\nCOPY x /3\n",
            Some((1, "from", "uppercase")),
        ),
        (
            "FROM scratch\ncopy x /1\ncopy x /2\ncopy x /3\n",
            Some((1, "FROM", "lowercase")),
        ),
        ("from scratch\ncopy x /1\ncopy x /2\n", None),
        ("FROM scratch\nCOPY x /1\nCOPY x /2\n", None),
        ("FROM alpine\nRUN <<'EOT'\nenv\nEOT\n", None),
    ] {
        let expected: Vec<String> = expected
            .into_iter()
            .map(|(line, command, case)| warning(line, command, case))
            .collect();
        let case = Case {
            text,
            ..Case::default()
        };
        assert_eq!(said(case), expected, "{text}");
    }
}

#[test]
fn stage_names_are_unique_and_not_reserved() {
    check(
        "\nFROM scratch AS b\nFROM scratch AS b\n",
        &["3 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique"],
    );
    check("\nFROM scratch AS b1\nFROM scratch AS b2\n", &[]);
    check(
        "\nFROM scratch AS scratch\nFROM scratch AS context\n",
        &[
            "2 ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\"",
            "3 ReservedStageName: Stage name should not use the same name as reserved stage \"context\"",
        ],
    );
    check("\nFROM scratch\nFROM scratch AS a\n", &[]);
}

#[test]
fn maintainer_is_deprecated_unless_a_comment_says_that_it_is_known() {
    check(
        "\nFROM scratch\nMAINTAINER me@example.org\n",
        &["3 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    );
    check("\nFROM scratch\nLABEL org.opencontainers.image.authors=\"me\"\n", &[]);
    check(
        "\nFROM scratch\n# check=skip=MaintainerDeprecated\nMAINTAINER me\n",
        &[],
    );
}

#[test]
fn variables_in_from_are_declared() {
    for text in [
        "\nARG base=scratch\nFROM $base\n",
        "\nARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM scratch\n",
        "\nFROM --platform=$BUILDPLATFORM scratch\n",
        "\nARG DEBUG\nFROM scratch${DEBUG}\n",
        "\nARG DEBUG\nFROM scra${DEBUG:-tch}\n",
        "\nARG DEBUG=\"\"\nFROM scratch${DEBUG-@bogus}\n",
    ] {
        check(text, &[]);
    }
    check(
        "\nFROM --platform=$BULIDPLATFORM scratch\n",
        &["2 UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"],
    );
    check(
        "\nARG MY_OS=linux\nARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox\n",
        &["4 UndefinedArgInFrom: FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?)"],
    );
    check(
        "\nARG tag=latest\nFROM busybox:${tag}${version} AS b\n",
        &["3 UndefinedArgInFrom: FROM argument 'version' is not declared"],
    );
}

#[test]
fn defaults_make_a_valid_base_name_whatever_the_command_line_gives() {
    let warning = |base| {
        format!("3 InvalidDefaultArgInFrom: Default value for ARG {base} results in empty or invalid base image name")
    };
    for (text, argument, base) in [
        (
            "\nARG VERSION\nFROM busybox:$VERSION\n",
            ("VERSION", "latest"),
            Some("busybox:$VERSION"),
        ),
        (
            "\nARG IMAGE\nFROM $IMAGE\n",
            ("IMAGE", "busybox:latest"),
            Some("$IMAGE"),
        ),
        (
            "\nARG SFX=\"box:\"\nFROM busy${SFX}\n",
            ("SFX", "box:latest"),
            Some("busy${SFX}"),
        ),
        (
            "\nARG VERSION=\"latest\"\nFROM busybox:${VERSION}\n",
            ("VERSION", "latest"),
            None,
        ),
        (
            "\nARG VARIANT=\"\"\nFROM busybox:stable${VARIANT}\n",
            ("VARIANT", "-musl"),
            None,
        ),
        (
            "\nARG VARIANT\nFROM busybox:stable${VARIANT}\n",
            ("VARIANT", "-musl"),
            None,
        ),
    ] {
        let case = Case {
            text,
            build_args: &[argument],
            ..Case::default()
        };
        assert_eq!(said(case), base.map(warning).into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn the_target_platform_need_not_be_said_and_a_constant_one_should_not() {
    for written in ["$TARGETPLATFORM", "${TARGETPLATFORM}"] {
        check(
            &format!("\nFROM --platform={written} scratch\n"),
            &[&format!(
                "2 RedundantTargetPlatform: Setting platform to predefined {written} in FROM is redundant as this is \
                 the default behavior"
            )],
        );
    }
    check(
        "\n# check=skip=RedundantTargetPlatform\nFROM --platform=$TARGETPLATFORM scratch\n",
        &[],
    );
    check(
        "\nFROM --platform=linux/amd64 scratch\n",
        &["2 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\""],
    );
    check("\nFROM --platform=linux/amd64 scratch AS my_amd64_stage\n", &[]);
    check("\nFROM --platform=linux/amd64 scratch AS linux\n", &[]);
}

#[test]
fn descriptions_name_what_they_describe_where_the_experiment_is_on() {
    let good = "# foo this is the foo\nARG foo=bar\n\n# base this is the base image\nFROM scratch AS base\n\n\
                # version this is the version number\nARG version=latest\n\n# baz this is the baz\n\
                ARG foo=baz bar=qux baz=quux\n#\nARG bit=bat\n\n# comment for something else\nCOPY Dockerfile .\n";
    check(
        &format!("# check=skip=all;experimental=InvalidDefinitionDescription\n{good}"),
        &[],
    );
    let bad = "# bar this is the bar\nARG foo=bar\n# BasE this is the BasE image\nFROM scratch AS base\n\
               # definitely a bad comment\nARG version=latest\n# definitely a bad comment\n\
               ARG foo=baz bar=qux baz=quux\n";
    check(bad, &[]);
    let warning = |line, keyword, name| {
        format!(
            "{line} InvalidDefinitionDescription: Comment for {keyword} should follow the format: `# {name} \
             <description>`"
        )
    };
    let case = Case {
        text: &format!("# check=experimental=InvalidDefinitionDescription\n{bad}"),
        ..Case::default()
    };
    assert_eq!(
        said(case),
        [
            warning(3, "ARG", "foo"),
            warning(5, "FROM", "base"),
            warning(7, "ARG", "version"),
            warning(9, "ARG", "<arg_key>")
        ]
    );
}
