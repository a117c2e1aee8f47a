//! What is said of Dockerfiles: each rule both by `--check` and by a build.

mod instructions;
mod stages;

use std::collections::BTreeSet;

use serde_json::Value;

use super::lab;
use crate::harness::Lab;

/// How a Dockerfile is looked at.
#[derive(Clone, Copy, Default)]
struct Case<'a> {
    /// The Dockerfile.
    text: &'a str,
    /// Further words of the command line.
    words: &'a [&'a str],
    /// The ignore file.
    ignore: Option<&'a str>,
    /// Whether the build fails for other reasons.
    broken: bool,
}

/// Makes the context of a case.
fn context(case: Case<'_>) -> Lab {
    let lab = lab(case.text, &[]);
    if let Some(ignore) = case.ignore {
        lab.write(".dockerignore", ignore);
    }
    lab
}

/// Returns what `--check` says, as `LINE Rule: detail`.
fn said_by_check(lab: &Lab, words: &[&str]) -> BTreeSet<String> {
    let outcome = lab.croze(&[&["build", "--call=check,format=json"], words, &["context"]].concat());
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.stderr));
    let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
    let said = warnings.iter().map(|warning| {
        let line = &warning["location"]["ranges"][0]["start"]["line"];
        let (rule, detail) = (warning["ruleName"].as_str(), warning["detail"].as_str());
        format!("{line} {}: {}", rule.unwrap(), detail.unwrap())
    });
    said.collect()
}

/// Returns what a build says, in the same form.
fn said_by_build(lab: &Lab, case: Case<'_>) -> BTreeSet<String> {
    let words = [
        &["build", "--progress=plain", "-o", "type=cacheonly"],
        case.words,
        &["context"],
    ]
    .concat();
    let outcome = lab.croze(&words);
    assert_eq!(outcome.code != 0, case.broken, "{}", outcome.stderr);
    let said = outcome.stderr.lines().filter_map(|line| {
        let (message, line) = line
            .strip_prefix("warning: ")?
            .strip_suffix(')')?
            .rsplit_once(" (line ")?;
        Some(format!("{line} {message}"))
    });
    said.collect()
}

fn warns(case: Case<'_>, expected: &[String]) {
    let (lab, expected) = (context(case), expected.iter().cloned().collect::<BTreeSet<_>>());
    assert_eq!(said_by_check(&lab, case.words), expected, "check of:\n{}", case.text);
    assert_eq!(said_by_build(&lab, case), expected, "build of:\n{}", case.text);
}

/// Checks that exactly this is said of a text that can be built.
fn says(text: &str, expected: &[&str]) {
    let case = Case {
        text,
        ..Case::default()
    };
    warns(
        case,
        &expected.iter().map(|said| (*said).to_owned()).collect::<Vec<_>>(),
    );
}

#[test]
fn what_is_checked_may_be_chosen() {
    // BK-243
    let casing = "2 FromAsCasing: 'as' and 'FROM' keywords' casing do not match";
    let violation = ["lint violation found for rules: FromAsCasing"];
    let body = "FROM scratch as base\ncopy Dockerfile .\n";
    for (directive, argument, expected, fails) in [
        ("skip=all", None, vec![], false),
        ("skip=all;error=true", None, vec![], false),
        (
            "skip=ConsistentInstructionCasing,FromAsCasing;error=true",
            None,
            vec![],
            false,
        ),
        ("skip=ConsistentInstructionCasing", None, vec![casing.to_owned()], false),
        (
            "skip=ConsistentInstructionCasing;error=true",
            None,
            vec![casing.to_owned()],
            true,
        ),
        (
            "skip=all",
            Some("skip=ConsistentInstructionCasing;error=true"),
            vec![casing.to_owned()],
            true,
        ),
        ("error=true", Some("skip=all"), vec![], false),
    ] {
        let text = format!("#check={directive}\n{body}");
        let argument = argument.map(|value| format!("BUILDKIT_DOCKERFILE_CHECK={value}"));
        let words: Vec<&str> = argument
            .iter()
            .flat_map(|value| ["--build-arg", value.as_str()])
            .collect();
        let case = Case {
            text: &text,
            words: &words,
            broken: fails,
            ..Case::default()
        };
        warns(case, &expected);
        if fails {
            let lab = context(case);
            lab.croze(&[&["build"], words.as_slice(), &["context"]].concat())
                .fails(11, &violation);
            lab.croze(&[&["build", "--check"], words.as_slice(), &["context"]].concat())
                .fails(11, &violation);
        }
    }
}

#[test]
fn a_check_looks_at_all_stages_and_a_build_at_those_that_it_needs() {
    // BK-267
    let lab = lab(
        "FROM scratch AS first\nCOPY $foo .\nFROM scratch AS second\nCOPY Dockerfile $bar/x\n",
        &[],
    );
    let foo = "2 UndefinedVar: Usage of undefined variable '$foo'".to_owned();
    let bar = "4 UndefinedVar: Usage of undefined variable '$bar'".to_owned();
    assert_eq!(said_by_check(&lab, &[]), BTreeSet::from([foo.clone(), bar.clone()]));
    assert_eq!(said_by_check(&lab, &["--target", "first"]), BTreeSet::from([foo]));
    assert_eq!(said_by_build(&lab, Case::default()), BTreeSet::from([bar]));
}
