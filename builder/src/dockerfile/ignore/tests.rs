//! Decisions, their reasons, and directories that need not be looked into.

use super::*;

fn matcher(text: &str) -> Matcher {
    Matcher::parse(text).unwrap()
}

#[test]
fn the_last_line_that_matches_decides_and_is_told() {
    let matcher = matcher("# all of it\n*.md\n\n!README.md\n docs/ \n");
    let decide = |path: &str| {
        let decision = matcher.decide(path);
        (
            decision.ignored,
            decision.pattern.map(|pattern| (pattern.line(), pattern.text())),
        )
    };
    assert_eq!(decide("a.md"), (true, Some((Some(2), "*.md"))));
    assert_eq!(decide("README.md"), (false, Some((Some(4), "!README.md"))));
    assert_eq!(decide("docs/x/y"), (true, Some((Some(5), "docs/"))));
    assert_eq!(decide("sub/a.md"), (false, None));
    assert_eq!(decide("."), (false, None));
}

#[test]
fn what_is_withheld_no_line_takes_back_in() {
    let matcher = matcher("a\n!**\n").withholding("s[t]*");
    for (path, ignored) in [
        ("a", false),
        ("s[t]*", true),
        ("s[t]*/v1/x", true),
        ("st", false),
        ("x/s[t]*", false),
    ] {
        assert_eq!(matcher.ignores(path), ignored, "{path}");
        assert_eq!(matcher.descent().decide(path).ignored, ignored, "{path}");
    }
    assert_eq!(matcher.decide("s[t]*").pattern.unwrap().line(), None);
}

#[test]
fn only_a_hash_in_the_first_column_is_a_comment() {
    assert!(!matcher("#a").ignores("#a"));
    assert!(matcher(" #a").ignores("#a"));
    assert!(!matcher("\u{feff}#a\nb").ignores("#a"));
    assert!(matcher("\u{feff}b\r\n").ignores("b"));
}

#[test]
fn lines_that_are_no_patterns_are_refused_with_their_place() {
    let text = "a\n  [ \n";
    let error = Matcher::parse(text).unwrap_err();
    assert_eq!(error.to_string(), "syntax error in pattern `[`");
    assert_eq!(&text[error.span().range()], "[");
    for text in ["!", "!/", "!  "] {
        assert_eq!(
            Matcher::parse(text).unwrap_err().to_string(),
            "illegal exclusion pattern: \"!\""
        );
    }
}

#[test]
fn an_exception_is_what_starts_with_its_mark_when_it_is_clean() {
    // `!..` is a name, which the next `..` takes away.
    assert!(matcher("!../../\u{36d}c").ignores("\u{36d}c"));
    assert!(!matcher("*\n./!a").ignores("a"));
    assert!(!matcher("*\n!!a").ignores("!a"));
}

#[test]
fn paths_are_cleaned_as_go_cleans_them() {
    for (path, cleaned) in [
        ("", "."),
        ("a//b/", "a/b"),
        ("./a/../b", "b"),
        ("../a", "../a"),
        ("../../a/..", "../.."),
        ("/..", "/"),
        ("/a/./b", "/a/b"),
    ] {
        assert_eq!(clean(path), cleaned, "{path}");
    }
}

#[test]
fn directories_are_skipped_unless_an_exception_may_reach_into_them() {
    let cases = [
        ("node_modules", "node_modules", true),
        ("node_modules\n!*.md", "node_modules", true),
        ("node_modules\n!node_modules/keep", "node_modules", false),
        ("*\n!src", "target", true),
        ("*\n!src/*/lib", "src", false),
        ("*\n!src/*/lib", "src/a", false),
        ("*\n!src/*/lib", "src/a/bin", true),
        ("*\n!**/x", "a", false),
        ("*\n![ab]/x", "c", false),
        ("a\n!*^a/b", "a", false),
        ("!a/b\na", "a", true),
        ("a\n!a", "a", false),
        ("b", "a", false),
    ];
    for (text, directory, skipped) in cases {
        assert_eq!(
            matcher(text).descent().ignores_all_below(directory),
            skipped,
            "{text:?} {directory}"
        );
    }
}

#[test]
fn a_walk_decides_as_if_each_path_were_asked_about_alone() {
    let matcher = matcher("a\n!a/b\na/b/c\n*/x\n!**/keep\nab");
    let paths = [
        "a",
        "a/b",
        "a/b/c",
        "a/b/c/keep",
        "a/b/d",
        "ab",
        "ab/c",
        "a/x",
        "b/x/y",
        "b",
        "a/b/c/d",
        "a/b/c",
    ];
    let mut walk = matcher.descent();
    for path in paths.iter().chain(paths.iter().rev()) {
        let alone = matcher.decide(path);
        let walked = walk.decide(path);
        assert_eq!(walked.ignored, alone.ignored, "{path}");
        assert_eq!(
            walked.pattern.map(Pattern::line),
            alone.pattern.map(Pattern::line),
            "{path}"
        );
    }
}

#[test]
fn beginnings_and_ends_rule_out_only_what_cannot_match() {
    for (pattern, path) in [
        ("a**/b", "ab"),
        ("**/a/*/b", "a/x/b"),
        ("a\\*b", "a*b"),
        ("*.\\d", "x.7"),
        ("x*", "x"),
        ("[]]a", "]a"),
        ("a*^b", "a*^b"),
        ("a?\\é", "ab"),
    ] {
        let Ok(matcher) = Matcher::parse(pattern) else { continue };
        let regex = matcher.patterns()[0].matches(path);
        assert_eq!(regex, !pattern.contains('^'), "{pattern} {path}");
    }
}

#[test]
fn g9_the_patterns_that_take_the_longest_decide_in_bounded_time() {
    let begun = std::time::Instant::now();
    // As many as there may be, none of which can be told by its beginning or its end.
    let length = MOST_WILDCARD_BYTES / MOST_PATTERNS;
    let patterns: String = (0..MOST_PATTERNS)
        .map(|number| format!("{:?<length$}\n", format!("*{number}*")))
        .collect();
    let matcher = Matcher::parse(&patterns).unwrap();
    let mut walk = matcher.descent();
    for number in 0..100 {
        assert!(!walk.ignores(format!("{}/file-{number}", "d/".repeat(20))));
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn g9_more_patterns_than_can_be_decided_about_are_refused() {
    let plain = |count: usize| "a/b/c\n".repeat(count);
    assert!(Matcher::parse(&plain(MOST_PATTERNS)).is_ok());
    let error = Matcher::parse(&plain(MOST_PATTERNS + 1)).unwrap_err();
    assert_eq!(error.span().start as usize, 6 * MOST_PATTERNS);
    let lines = format!("{}\n", "?".repeat(1000)).repeat(MOST_WILDCARD_BYTES / 1000 + 1);
    assert!(matches!(Matcher::parse(&lines), Err(PatternError::TooMany { .. })));
    assert!(matches!(
        Matcher::from_patterns(lines.split('\n')),
        Err(PatternError::TooMany { .. })
    ));
}
