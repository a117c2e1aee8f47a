//! Rules about single instructions.

use super::super::lab;
use super::{Case, context, said_by_build, said_by_check, says, warns};

#[test]
fn a_command_is_better_written_as_json_and_only_once() {
    // BK-249
    let json = |line, name| {
        format!(
            "{line} JSONArgsRecommended: JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
        )
    };
    says("FROM scratch\nCMD mycommand\nCOPY Dockerfile /\n", &[&json(2, "CMD")]);
    says(
        "FROM scratch\nENTRYPOINT mycommand\nCOPY Dockerfile /\n",
        &[&json(2, "ENTRYPOINT")],
    );
    for before in [
        "FROM scratch\nSHELL [\"/usr/bin/customshell\"]",
        "FROM scratch AS base\nSHELL [\"/usr/bin/customshell\"]\nFROM base",
    ] {
        says(&format!("{before}\nCMD mycommand\nCOPY Dockerfile /\n"), &[]);
    }
    // BK-255
    let many = |line, name| {
        format!(
            "{line} MultipleInstructionsDisallowed: Multiple {name} instructions should not be used in the same stage \
             because only the last one will be used"
        )
    };
    says(
        "FROM scratch\nENTRYPOINT [\"/a\"]\nENTRYPOINT [\"/b\"]\nCMD [\"/a\"]\nCMD [\"/b\"]\nHEALTHCHECK CMD [\"/a\"]\n\
         HEALTHCHECK CMD [\"/b\"]\nCOPY Dockerfile /\n",
        &[&many(2, "ENTRYPOINT"), &many(4, "CMD"), &many(6, "HEALTHCHECK")],
    );
    says(
        "FROM scratch AS a\nCMD [\"/a\"]\nFROM a AS b\nCMD [\"/b\"]\nCOPY Dockerfile /\n",
        &[],
    );
}

#[test]
fn what_is_old_is_named_with_what_is_new() {
    // BK-250
    says(
        "FROM scratch\nMAINTAINER me@example.org\nCOPY Dockerfile /\n",
        &["2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    );
    says(
        "FROM scratch\n# check=skip=MaintainerDeprecated\nMAINTAINER me\nCOPY Dockerfile /\n",
        &[],
    );
    // BK-256
    says(
        "FROM scratch\nENV testkey value\nLABEL key value\nCOPY Dockerfile /\n",
        &[
            "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "3 LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
        ],
    );
    let lab = lab(
        "FROM scratch AS a\nFROM a AS b\nENV testkey value\nFROM a AS c\nCOPY Dockerfile /\n",
        &[],
    );
    let case = Case {
        words: &["--target", "c"],
        ..Case::default()
    };
    assert!(said_by_build(&lab, case).is_empty() && said_by_check(&lab, case.words).is_empty());
}

#[test]
fn paths_and_variables_are_what_they_seem() {
    // BK-253
    says(
        "FROM scratch\nWORKDIR app/\n",
        &["2 WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes"],
    );
    says("FROM scratch AS a\nWORKDIR /app\nFROM a AS b\nWORKDIR subdir/\n", &[]);
    // BK-254
    says(
        "FROM BASE/busybox\nCOPY Dockerfile$foo .\nARG foo=bar\nRUN echo $foo $nothing\n",
        &["2 UndefinedVar: Usage of undefined variable '$foo'"],
    );
    says(
        "FROM BASE/busybox\nARG DIR_BINARIES=/\nARG DIR_ASSETS=/\nCOPY Dockerfile $DIR_ASSET/x\nENV PATH=$PAHT:/tmp/bin\n",
        &[
            "4 UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)",
            "5 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ],
    );
    says(
        "FROM BASE/busybox AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .\n",
        &[],
    );
}

#[test]
fn secrets_do_not_belong_into_arguments_and_variables() {
    // BK-259
    let warning = |(line, variable): (u32, &str)| {
        format!("{line} SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data ({variable})")
    };
    let text = "FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\n\
                ARG super_duper_secret_token=foo auth=bar\nENV apikey=bar sunflower=foo\nENV git_key=\nENV PUBLIC_KEY=\n\
                ARG public_token\nARG SECRET_PASSPHRASE_FILE\nENV password_file=bar secret_File=baz\n\
                ARG AUTH_MODULE_VERSION\n# check=skip=SecretsUsedInArgOrEnv // allow secret in environment\n\
                ENV password=bar\n# check=skip=all // is local to only this instruction\nARG alternate_password\n\
                COPY Dockerfile /\n";
    let expected = [
        (2, "ARG \"SECRET_PASSPHRASE\""),
        (3, "ENV \"SUPER_Secret\""),
        (4, "ENV \"password\""),
        (4, "ENV \"secret\""),
        (5, "ARG \"super_duper_secret_token\""),
        (5, "ARG \"auth\""),
        (6, "ENV \"apikey\""),
        (7, "ENV \"git_key\""),
    ];
    let case = Case {
        text,
        ..Case::default()
    };
    warns(case, &expected.map(warning));
}

#[test]
fn what_the_ignore_file_hides_cannot_be_copied() {
    // BK-262
    let hidden = |line, verb, path| {
        format!("{line} CopyIgnoredFile: Attempting to {verb} file \"{path}\" that is excluded by .dockerignore")
    };
    let text = "FROM scratch\nCOPY Dockerfile .\nADD Dockerfile /windy\n";
    let both = vec![hidden(2, "Copy", "Dockerfile"), hidden(3, "Add", "Dockerfile")];
    let rows = [
        (text, "Dockerfile\n", both, true),
        (
            "FROM scratch AS base\nCOPY Dockerfile /foobar\nFROM base\nCOPY --from=base /foobar /Dockerfile\n",
            "foobar\n",
            vec![],
            false,
        ),
        (
            "FROM scratch\nCOPY ./Dockerfile .\n",
            "**\n!Dockerfile\n",
            vec![],
            false,
        ),
        // BK-263
        ("FROM scratch\nCOPY . .\n", ".*\n", vec![], false),
        ("FROM scratch\nCOPY . .\n", "*\n", vec![hidden(2, "Copy", ".")], false),
    ];
    for (text, ignore, expected, broken) in rows {
        let case = Case {
            text,
            ignore: Some(ignore),
            broken,
            ..Case::default()
        };
        warns(case, &expected);
        if broken {
            let outcome = context(case).croze(&["build", "context"]);
            outcome.fails(5, &["`Dockerfile`", ".dockerignore:1"]);
        }
    }
}

#[test]
fn ports_are_plain() {
    // BK-265
    says(
        "FROM scratch\nEXPOSE 80/TcP 8080/TCP 8080/udp\nCOPY Dockerfile /\n",
        &[
            "2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
            "2 ExposeProtoCasing: Defined protocol '8080/TCP' in EXPOSE instruction should be lowercase",
        ],
    );
    // BK-266
    let mapping = |found| {
        format!(
            "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '{found}'"
        )
    };
    let case = Case {
        text: "FROM scratch\nEXPOSE 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000\nCOPY Dockerfile /\n",
        ..Case::default()
    };
    warns(case, &["127.0.0.1:80:80", "[::1]:8080:8080", "5000:5000"].map(mapping));
}
