//! What each rule says of which Dockerfile: `line Rule: detail`, a row for each case of BuildKit's own tests.

mod file_rules;
mod stage_rules;

use std::sync::Arc;

use registry::oci::{Digest, ImageConfig, Platform, Reference};

use super::{Linter, RULES, Report};
use crate::diagnostic::SourceFile;
use crate::dockerfile;
use crate::dockerfile::ignore::Matcher;
use crate::frontend::{self, Request, ResolveError, ResolveImage, ResolvedImage};

/// Images that have a `PATH` and are for linux/amd64, or for linux/arm64 if their name says so; `shelled` has a
/// shell, `triggering` triggers.
struct Images;

impl ResolveImage for Images {
    fn resolve(&self, reference: &Reference, _: &Platform) -> Result<ResolvedImage, ResolveError> {
        let name = reference.repository();
        let architecture = if name.ends_with("arm64") { "arm64" } else { "amd64" };
        let shell = if name.ends_with("shelled") {
            r#""Shell": ["/bin/bash", "-c"],"#
        } else {
            ""
        };
        let triggers = if name.ends_with("triggering") {
            r#""OnBuild": ["ENV A b", "WORKDIR x", "COPY $nothing secret /", "CMD run", "ARG TOKEN"],"#
        } else {
            ""
        };
        let text = format!(
            r#"{{"os": "linux", "architecture": "{architecture}",
                 "config": {{{shell} {triggers} "Env": ["PATH=/bin"]}},
                 "rootfs": {{"type": "layers", "diff_ids": []}}}}"#
        );
        let config: ImageConfig = serde_json::from_str(&text).unwrap();
        let digest = Digest::of(name.as_bytes());
        Ok(ResolvedImage {
            reference: reference.with_digest(digest),
            manifest_digest: digest,
            config,
        })
    }
}

/// How a Dockerfile is looked at.
#[derive(Clone, Copy, Default)]
struct Case<'a> {
    text: &'a str,
    build_args: &'a [(&'a str, &'a str)],
    ignore: Option<&'a str>,
    target: Option<&'a str>,
}

fn lint(case: Case<'_>) -> Report {
    let (dockerfile, errors) = dockerfile::parse_partially(Arc::new(SourceFile::new("Dockerfile", case.text)));
    let mut request = Request::new(dockerfile, "linux/amd64".parse().unwrap());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    request.build_args = case.build_args.iter().map(owned).collect();
    request.target = case.target.map(str::to_owned);
    let ignored = case.ignore.map(|text| Matcher::parse(text).unwrap());
    let mut linter = Linter::new(&request, ignored).unwrap();
    linter.file(&request);
    if errors.is_empty() {
        frontend::inspect(&request, &Images, &mut linter);
    }
    linter.finish(&request)
}

/// Returns what is said of a Dockerfile, in the order of lines.
fn said(case: Case<'_>) -> Vec<String> {
    let report = lint(case);
    let lines = report.warnings.iter().map(|warning| {
        let line = report.source.lines(warning.instruction).0;
        format!("{line} {}: {}", warning.rule.name, warning.detail)
    });
    lines.collect()
}

/// Checks that exactly this is said of a text.
fn check(text: &str, expected: &[&str]) {
    let case = Case {
        text,
        ..Case::default()
    };
    assert_eq!(said(case), expected, "of:\n{text}");
}

#[test]
fn directives_and_the_build_argument_choose_what_is_said_and_whether_it_fails() {
    const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";
    let body = "FROM scratch as base\ncopy Dockerfile .\n";
    let casing = "2 FromAsCasing: 'as' and 'FROM' keywords' casing do not match";
    let violation = Some("lint violation found for rules: FromAsCasing");
    for (directive, argument, expected, error) in [
        ("skip=all", None, &[][..], None),
        ("skip=all;error=true", None, &[], None),
        ("skip=ConsistentInstructionCasing,FromAsCasing", None, &[], None),
        (
            "skip=ConsistentInstructionCasing,FromAsCasing;error=true",
            None,
            &[],
            None,
        ),
        ("skip=ConsistentInstructionCasing", None, &[casing], None),
        (
            "skip=ConsistentInstructionCasing;error=true",
            None,
            &[casing],
            violation,
        ),
        (
            "skip=all",
            Some("skip=ConsistentInstructionCasing;error=true"),
            &[casing],
            violation,
        ),
        ("error=true", Some("skip=all"), &[], None),
    ] {
        let text = format!("#check={directive}\n{body}");
        let build_args: Vec<_> = argument.iter().map(|value| (ARGUMENT, *value)).collect();
        let case = Case {
            text: &text,
            build_args: &build_args,
            ..Case::default()
        };
        assert_eq!(said(case), expected, "{directive} {argument:?}");
        let found = lint(case).violation().map(|violation| violation.message);
        assert_eq!(found.as_deref(), error, "{directive} {argument:?}");
    }
}

#[test]
fn options_that_cannot_be_read_are_an_error_at_their_place() {
    let source = Arc::new(SourceFile::new("Dockerfile", "# check=err=true\nFROM scratch"));
    let dockerfile = dockerfile::parse(source).unwrap();
    let request = Request::new(dockerfile, "linux/amd64".parse().unwrap());
    let error = Linter::new(&request, None).err().unwrap();
    assert_eq!(
        error.message,
        "failed to parse check options: invalid check option \"err\""
    );
    assert_eq!(error.labels.len(), 1);
}

#[test]
fn what_can_be_read_is_looked_at_even_if_a_line_is_wrong() {
    check(
        "\nFROM scratch AS BadStageName\nMAINTAINER me@example.org\nBADCMD\n",
        &[
            "2 StageNameCasing: Stage name 'BadStageName' should be lowercase",
            "3 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
        ],
    );
}

#[test]
fn without_a_target_all_stages_are_looked_at_and_with_one_those_that_it_needs() {
    let text = "\nFROM scratch AS first\nCOPY $foo .\n\nFROM scratch AS second\nCOPY $bar .\n";
    let foo = "3 UndefinedVar: Usage of undefined variable '$foo'";
    let bar = "6 UndefinedVar: Usage of undefined variable '$bar'";
    for (target, expected) in [
        (None, &[foo, bar][..]),
        (Some("second"), &[bar]),
        (Some("first"), &[foo]),
    ] {
        let case = Case {
            text,
            target,
            ..Case::default()
        };
        assert_eq!(said(case), expected, "{target:?}");
    }
}

#[test]
fn a_warning_tells_line_description_and_where_to_read_more() {
    let report = lint(Case {
        text: "FROM scratch\nMAINTAINER \\\n me\n",
        ..Case::default()
    });
    let diagnostic = report.warnings[0].diagnostic(&report.source);
    assert_eq!(
        diagnostic.message,
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)"
    );
    assert_eq!(
        diagnostic.notes,
        ["The MAINTAINER instruction is deprecated, use a label instead to define an image author"]
    );
    assert_eq!(
        diagnostic.url.as_deref(),
        Some("https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/")
    );
    assert_eq!(&report.source.text()[diagnostic.labels[0].span.range()], "MAINTAINER");
}

#[test]
fn every_rule_has_a_page_under_its_name_in_kebab_case() {
    assert_eq!(RULES.len(), 22);
    for rule in RULES.iter().filter(|rule| rule.name != "InvalidBaseImagePlatform") {
        let kebab = rule
            .name
            .replace("JSON", "Json")
            .chars()
            .fold(String::new(), |mut kebab, c| {
                if c.is_uppercase() && !kebab.is_empty() {
                    kebab.push('-');
                }
                kebab.extend(c.to_lowercase());
                kebab
            });
        let url = format!("https://docs.docker.com/go/dockerfile/rule/{kebab}/");
        assert_eq!(rule.url(), Some(url), "{}", rule.name);
    }
}
