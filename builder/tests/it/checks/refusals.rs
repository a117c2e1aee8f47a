//! What is refused before anything runs, and with which words.

use super::lab;

/// Dockerfile, further words, and what is said.
type Refusal = (&'static str, &'static [&'static str], &'static [&'static str]);

fn refused(table: &[Refusal]) {
    for (text, words, said) in table {
        let outcome = lab(text, &[("a", ""), ("b", "")]).croze(&[&["build", "context"], *words].concat());
        assert_ne!(outcome.code, 0, "{text}");
        let spoken = outcome.stderr.replace('`', "\"").to_lowercase();
        for said in *said {
            let wanted = said.replace('`', "\"").to_lowercase();
            assert!(spoken.contains(&wanted), "{text}: {said}: {}", outcome.stderr);
        }
    }
}

#[test]
fn what_is_misspelt_is_refused_with_a_suggestion() {
    refused(&[
        // BK-013
        (
            "FROM scratch AS build\n",
            &["--target", "bulid"],
            &["target stage \"bulid\" could not be found (did you mean build?)"],
        ),
        // BK-020
        (
            "FROM scratch\nFNTRYPOINT [\"/bin/sh\"]\n",
            &[],
            &["unknown instruction: FNTRYPOINT", "did you mean ENTRYPOINT?"],
        ),
        // BK-156
        (
            "FROM scratch\nRUN --mont=target=/x ls\n",
            &[],
            &["unknown flag: --mont", "did you mean mount?"],
        ),
        // BK-157
        (
            "FROM scratch\nRUN --mount=typ=tmpfs ls\n",
            &[],
            &["unexpected key 'typ'", "did you mean type?"],
        ),
        // BK-158
        (
            "FROM scratch\nRUN --mount=type=tmp,target=/x ls\n",
            &[],
            &["unsupported mount type \"tmp\"", "did you mean tmpfs?"],
        ),
        // BK-252
        (
            "FROM --platform=$BULIDPLATFORM scratch\n",
            &[],
            &["empty platform value from expression $BULIDPLATFORM (did you mean BUILDPLATFORM?)"],
        ),
        (
            "ARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} scratch\n",
            &[],
            &[
                "failed to parse platform linux/${MYARCH}",
                "\"\" is an invalid component of \"linux/\"",
                "(did you mean MY_ARCH?)",
            ],
        ),
    ]);
}

#[test]
fn stages_that_do_not_fit_together_are_refused() {
    refused(&[
        // BK-025
        (
            "FROM scratch AS target\nCOPY --from=build / /out\nFROM scratch AS build\nCOPY a /d2\nFROM target\n",
            &[],
            &["cannot copy from stage", "needs to be defined before current stage"],
        ),
        (
            "FROM scratch AS target\nCOPY --from=build /d2 /out\nFROM scratch AS build\nCOPY a /d2\nFROM target\n",
            &[],
            &["cannot copy from stage", "needs to be defined before current stage"],
        ),
        // BK-026
        ("ARG foo=bar\n", &[], &["dockerfile contains no stages to build"]),
        // BK-349
        (
            "FROM BASE/busybox AS stage0\nCOPY --from=stage0 f1 /sub/\n",
            &[],
            &["circular dependency detected on stage: stage0"],
        ),
        (
            "FROM BASE/busybox AS stage0\nCOPY --from=stage2 f1 /sub/\nFROM BASE/busybox AS stage1\n\
             COPY --from=stage0 f1 /sub/\nFROM BASE/busybox AS stage2\nCOPY --from=stage1 f1 /sub/\n",
            &[],
            &["circular dependency detected on stage: stage0"],
        ),
        // BK-348
        ("FROM \"\"\n", &[], &["base name", "should not be blank"]),
        ("FROM ${BLANK}\n", &[], &["base name", "should not be blank"]),
    ]);
}

#[test]
fn what_a_copy_cannot_do_is_refused() {
    refused(&[
        // BK-032
        (
            "FROM scratch\nARG FOO=bar\nCOPY --from=$FOO . .\n",
            &[],
            &[
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
               scope as a workaround",
            ],
        ),
        // BK-049 BK-050
        (
            "FROM scratch\nCOPY --chmod=64a a /\n",
            &[],
            &["invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777"],
        ),
        (
            "FROM scratch\nCOPY --chmod=10000 a /\n",
            &[],
            &["invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777"],
        ),
        // BK-089
        (
            "FROM scratch\nADD --chmod=64a a /\n",
            &[],
            &["invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777"],
        ),
        (
            "FROM scratch\nADD --chmod=10000 a /\n",
            &[],
            &["invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777"],
        ),
        // BK-095
        (
            "FROM scratch\nADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d a /\n",
            &[],
            &["checksum requires HTTP(S) or Git sources"],
        ),
        // BK-347
        (
            "FROM scratch\nCOPY http://example.com/a /\n",
            &[],
            &["source can't be a URL for COPY"],
        ),
        // BK-335
        (
            "FROM scratch\nCOPY /foo <<EOF\nx\nEOF\n",
            &[],
            &["COPY cannot accept a heredoc as a destination"],
        ),
        // BK-065
        (
            "FROM BASE/busybox AS base\nFROM scratch\nCOPY --parents --from=base /test/nonexistent-file /out/\n",
            &[],
            &["\"/test/nonexistent-file\"", "not found"],
        ),
    ]);
}

#[test]
fn arguments_that_must_be_given_are_asked_for() {
    refused(&[
        // BK-143
        (
            "ARG FOO=${FOO:?\"custom error\"}\nFROM scratch\n",
            &[],
            &["FOO: custom error"],
        ),
        // BK-144
        (
            "ARG FOO\nARG BAR=${FOO:?\"foo missing\"}\nFROM scratch\n",
            &[],
            &["FOO: foo missing"],
        ),
        // BK-233
        (
            "ARG SOURCE_DATE_EPOCH=not-a-timestamp\nFROM scratch\n",
            &[],
            &["invalid SOURCE_DATE_EPOCH: not-a-timestamp"],
        ),
    ]);
}

#[test]
fn what_needs_consent_or_a_secret_is_refused_without() {
    refused(&[
        // BK-166
        (
            "FROM BASE/busybox\nENV ttt=test\nRUN --mount=from=$ttt,type=cache,target=/tmp ls\n",
            &[],
            &["'from' doesn't support variable expansion, define alias stage instead"],
        ),
        // BK-172
        (
            "FROM BASE/busybox\nRUN --mount=type=secret,required,id=mysecret cat /run/secrets/mysecret\n",
            &[],
            &["mysecret", "not found"],
        ),
        // BK-178
        (
            "FROM BASE/busybox\nRUN --network=host true\n",
            &[],
            &["entitlement network.host is not allowed"],
        ),
        // BK-180
        (
            "FROM BASE/busybox\nRUN --security=insecure true\n",
            &[],
            &["entitlement security.insecure is not allowed"],
        ),
    ]);
}

#[test]
fn ports_and_instructions_that_are_malformed_are_refused() {
    refused(&[
        // BK-346
        (
            "FROM scratch\nEXPOSE 0.0.0.0:1234-1235:\n",
            &[],
            &["invalid port", "no port specified"],
        ),
        ("FROM scratch\nEXPOSE localhost:1234:1234/tcp\n", &[], &["invalid port"]),
        // BK-337
        (
            "FROM scratch\nCOPY\t\n quux \\\n bar",
            &[],
            &["COPY requires at least two arguments"],
        ),
        (
            "FROM scratch\nCOPY quux\n",
            &[],
            &["COPY requires at least two arguments"],
        ),
        (
            "FROM scratch\nONBUILD FROM scratch\n",
            &[],
            &["FROM isn't allowed as an ONBUILD trigger"],
        ),
        (
            "FROM scratch\nONBUILD ONBUILD RUN x\n",
            &[],
            &["Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
        ),
        ("FROM scratch\nMAINTAINER --boo joe\n", &[], &["unknown flag: --boo"]),
        ("FROM scratch\nENV =arg2\n", &[], &["names can not be blank"]),
        ("FROM scratch\nLABEL =arg2\n", &[], &["names can not be blank"]),
        (
            "FROM scratch\nHEALTHCHECK --interval=50ns CMD x\n",
            &[],
            &["cannot be less than 1ms"],
        ),
        // BK-326
        (
            "FROM scratch\nUSER <<INVALID\nINVALID\n",
            &[],
            &["unknown instruction: INVALID"],
        ),
    ]);
}
