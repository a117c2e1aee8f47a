//! The rules that watch stages being lowered.

use super::{Case, check, lint, said};

#[test]
fn the_exec_form_is_recommended_unless_a_shell_was_chosen() {
    for name in ["CMD", "ENTRYPOINT"] {
        check(
            &format!("\nFROM scratch\n{name} mycommand\n"),
            &[&format!(
                "3 JSONArgsRecommended: JSON arguments recommended for {name} to prevent unintended behavior related \
                 to OS signals"
            )],
        );
        for before in [
            "FROM scratch\nSHELL [\"/usr/bin/customshell\"]",
            "FROM scratch AS base\nSHELL [\"/usr/bin/customshell\"]\nFROM base",
            "FROM shelled",
            "FROM scratch\n# check=skip=JSONArgsRecommended",
        ] {
            check(&format!("{before}\n{name} mycommand\n"), &[]);
        }
        check(&format!("FROM scratch\n{name} [\"mycommand\"]\n"), &[]);
    }
}

#[test]
fn a_relative_workdir_needs_an_absolute_one_before_it() {
    check(
        "\nFROM scratch\nWORKDIR app/\n",
        &["3 WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes"],
    );
    check(
        "\nFROM scratch AS a\nWORKDIR /app\n\nFROM a AS b\nWORKDIR subdir/\n",
        &[],
    );
    check("\nFROM scratch\n# check=skip=WorkdirRelativePath\nWORKDIR app/\n", &[]);
}

#[test]
fn variables_are_defined_before_they_are_used() {
    check("\nFROM scratch\nARG foo\nCOPY Dockerfile${foo} .\n", &[]);
    check(
        "\nFROM alpine AS base\nARG foo=Dockerfile\n\nFROM base\nCOPY $foo .\n",
        &[],
    );
    check("\nFROM alpine\nRUN echo $PATH $nothing\n", &[]);
    check(
        "\nFROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n",
        &["3 UndefinedVar: Usage of undefined variable '$foo'"],
    );
    check(
        "\nFROM alpine\nARG DIR_BINARIES=binaries/\nARG DIR_ASSETS=assets/\nARG DIR_CONFIG=config/\nCOPY $DIR_ASSET .\n",
        &["6 UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"],
    );
    check(
        "\nFROM alpine\nENV PATH=$PAHT:/tmp/bin\n",
        &["3 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"],
    );
    check("FROM alpine\n# check=skip=UndefinedVar // known\nCOPY $foo /\n", &[]);
}

#[test]
fn of_commands_that_replace_each_other_the_earlier_is_warned_of() {
    let warning = |line, name| {
        format!(
            "{line} MultipleInstructionsDisallowed: Multiple {name} instructions should not be used in the same stage \
             because only the last one will be used"
        )
    };
    let three = |lines: [usize; 3]| {
        let [entrypoint, cmd, healthcheck] = lines;
        vec![
            warning(entrypoint, "ENTRYPOINT"),
            warning(cmd, "CMD"),
            warning(healthcheck, "HEALTHCHECK"),
        ]
    };
    let text = "\nFROM scratch\nENTRYPOINT [\"/a\"]\nENTRYPOINT [\"/b\"]\nCMD [\"/a\"]\nCMD [\"/b\"]\n\
                HEALTHCHECK CMD [\"/a\"]\nHEALTHCHECK CMD [\"/b\"]\n";
    let case = Case {
        text,
        ..Case::default()
    };
    assert_eq!(said(case), three([3, 5, 7]));
    let text = "\nFROM scratch\nENTRYPOINT [\"/a\"]\nCMD [\"/a\"]\nHEALTHCHECK CMD [\"/a\"]\nCOPY <<EOF /a.txt\nHello\n\
                EOF\nENTRYPOINT [\"/b\"]\nCMD [\"/b\"]\nHEALTHCHECK CMD [\"/b\"]\n";
    let case = Case {
        text,
        ..Case::default()
    };
    assert_eq!(said(case), three([3, 4, 5]));
    check(
        "FROM scratch AS a\nENTRYPOINT [\"/a\"]\nCMD [\"/a\"]\nFROM a AS b\nENTRYPOINT [\"/b\"]\nCMD [\"/b\"]\n",
        &[],
    );
}

#[test]
fn keys_and_values_are_joined_by_an_equals_sign() {
    let both = [
        "3 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
        "4 LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
    ];
    check("\nFROM scratch\nENV testkey value\nLABEL key value\n", &both);
    check("\nFROM scratch\nENV testkey=value\nLABEL key=value\n", &[]);
    check(
        "FROM scratch\n# check=skip=LegacyKeyValueFormat\nENV a b\n# check=skip=LegacyKeyValueFormat\nLABEL key value\n",
        &[],
    );
    // A stage that the target does not need is of no interest.
    let case = Case {
        text: "FROM scratch AS a\nFROM a AS b\nENV testkey value\nFROM a AS c\n",
        target: Some("c"),
        ..Case::default()
    };
    assert_eq!(said(case), [""; 0]);
}

#[test]
fn names_that_speak_of_secrets_do_not_belong_in_arg_and_env() {
    let text = "\n\nFROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\n\
                ARG super_duper_secret_token=foo auth=bar\nENV apikey=bar sunflower=foo\nENV git_key=\nENV PUBLIC_KEY=\n\
                ARG public_token\nARG SECRET_PASSPHRASE_FILE\nENV password_file=bar secret_File=baz\n\
                ARG AUTH_MODULE_VERSION\n# check=skip=SecretsUsedInArgOrEnv // allow secret in environment\n\
                ENV password=bar\n# check=skip=all // is local to only this instruction\nARG alternate_password\n";
    let warning = |(line, variable)| {
        format!("{line} SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data ({variable})")
    };
    let expected = [
        (4, "ARG \"SECRET_PASSPHRASE\""),
        (5, "ENV \"SUPER_Secret\""),
        (6, "ENV \"password\""),
        (6, "ENV \"secret\""),
        (7, "ARG \"super_duper_secret_token\""),
        (7, "ARG \"auth\""),
        (8, "ENV \"apikey\""),
        (9, "ENV \"git_key\""),
    ];
    let case = Case {
        text,
        ..Case::default()
    };
    assert_eq!(said(case), expected.map(warning));
}

#[test]
fn a_base_image_for_another_platform_is_warned_of() {
    check(
        "\nFROM example.com/for-arm64\nENV foo=bar\n",
        &[
            "2 InvalidBaseImagePlatform: Base image example.com/for-arm64 was pulled with platform \"linux/arm64\", \
           expected \"linux/amd64\" for current build",
        ],
    );
    check("\nFROM example.com/for-amd64\nENV foo=bar\n", &[]);
}

#[test]
fn paths_that_the_ignore_file_hides_cannot_be_copied() {
    let hidden = |line, verb, path| {
        format!("{line} CopyIgnoredFile: Attempting to {verb} file \"{path}\" that is excluded by .dockerignore")
    };
    let two = "\nFROM scratch\nCOPY Dockerfile .\nADD Dockerfile /windy\n";
    let both = vec![hidden(3, "Copy", "Dockerfile"), hidden(4, "Add", "Dockerfile")];
    for (text, ignore, expected) in [
        (two, "\nDockerfile\n", both),
        (
            "# check=skip=CopyIgnoredFile\nFROM scratch\nCOPY Dockerfile .\n",
            "Dockerfile\n",
            vec![],
        ),
        (
            "FROM scratch AS base\nCOPY Dockerfile /foobar\nFROM base\nCOPY --from=base /foobar /Dockerfile\n",
            "foobar\n",
            vec![],
        ),
        ("FROM scratch\nCOPY ./Dockerfile .\n", "**\n!Dockerfile\n", vec![]),
        ("FROM scratch\nCOPY . .\n", "**\n!Dockerfile\n", vec![]),
        ("FROM scratch\nCOPY . .\n", ".*\n", vec![]),
        ("FROM scratch\nCOPY . .\n", "*\n", vec![hidden(2, "Copy", ".")]),
        ("FROM scratch\nCOPY <<a /x\na\n", "*\n", vec![]),
    ] {
        let case = Case {
            text,
            ignore: Some(ignore),
            ..Case::default()
        };
        assert_eq!(said(case), expected, "{text} {ignore}");
    }
}

#[test]
fn ports_are_bare_numbers_and_protocols_lower_case() {
    check(
        "\nFROM scratch\nEXPOSE 80/TcP 8080/TCP 8080/udp\n",
        &[
            "3 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
            "3 ExposeProtoCasing: Defined protocol '8080/TCP' in EXPOSE instruction should be lowercase",
        ],
    );
    let mapping = |found| {
        format!(
            "3 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found \
             '{found}'"
        )
    };
    let case = Case {
        text: "\nFROM scratch\nEXPOSE 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000\n",
        ..Case::default()
    };
    assert_eq!(
        said(case),
        ["127.0.0.1:80:80", "[::1]:8080:8080", "5000:5000"].map(mapping)
    );
}

#[test]
fn triggers_of_an_image_are_warned_of_where_it_is_named() {
    let text = "FROM scratch\n\n# check=skip=WorkdirRelativePath\nFROM triggering\nCMD [\"x\"]\n";
    let case = Case {
        text,
        ignore: Some("secret"),
        ..Case::default()
    };
    assert_eq!(
        said(case),
        [
            "4 CopyIgnoredFile: Attempting to Copy file \"secret\" that is excluded by .dockerignore",
            "4 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS \
             signals",
            "4 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "4 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because \
             only the last one will be used",
            "4 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"TOKEN\")",
            "4 UndefinedVar: Usage of undefined variable '$nothing'",
            "4 WorkdirRelativePath: Relative workdir \"x\" can have unexpected results if the base image changes",
        ]
    );
    let from = &text[lint(case).warnings[0].span.range()];
    assert_eq!(from, "FROM triggering");
}
