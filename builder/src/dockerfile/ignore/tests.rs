//! Decisions, their reasons, and directories that need not be looked into.

use proptest::prelude::*;

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
    assert_eq!(decide("a.md"), (true, Some((2, "*.md"))));
    assert_eq!(decide("README.md"), (false, Some((4, "!README.md"))));
    assert_eq!(decide("docs/x/y"), (true, Some((5, "docs/"))));
    assert_eq!(decide("sub/a.md"), (false, None));
    assert_eq!(decide("."), (false, None));
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
        ("!a/b\na", "a", true),
        ("a\n!a", "a", false),
        ("b", "a", false),
    ];
    for (text, directory, skipped) in cases {
        assert_eq!(
            matcher(text).ignores_all_below(directory),
            skipped,
            "{text:?} {directory}"
        );
    }
}

/// The same decision, from the definition: try each pattern on each way to cut the path.
fn slow_ignores(lines: &[String], path: &str) -> bool {
    let mut ignored = false;
    for line in lines {
        let (exception, pattern) = match line.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, line.as_str()),
        };
        let pattern: Vec<&str> = pattern.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        if (1..=path.len()).any(|length| slow_match(&pattern, &path[..length])) {
            ignored = !exception;
        }
    }
    ignored
}

fn slow_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        // At the end, `**` stands for at least one name; before more, for any number, even none.
        (["**"], path) => !path.is_empty(),
        (["**", rest @ ..], path) => (0..=path.len()).any(|skip| slow_match(rest, &path[skip..])),
        ([first, pattern @ ..], [name, path @ ..]) => {
            slow_name(&first.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
                && slow_match(pattern, path)
        }
        _ => false,
    }
}

fn slow_name(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], name) => (0..=name.len()).any(|skip| slow_name(rest, &name[skip..])),
        (['?', rest @ ..], [_, name @ ..]) => slow_name(rest, name),
        ([c, rest @ ..], [d, name @ ..]) => c == d && slow_name(rest, name),
        _ => false,
    }
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.]?[abc]", 1..4).prop_map(|names| names.join("/"))
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        "[abc]",
        "\\*[abc]",
        "[abc]\\*",
        "[abc]\\?",
        Just("*".to_owned()),
        Just("**".to_owned())
    ];
    // Two `**` in a row, or one as the whole pattern, are moby's business, not that of the definition.
    let pattern = prop::collection::vec(name, 1..4)
        .prop_filter("plain", |names| {
            names != &["**"] && !names.windows(2).any(|two| two == ["**", "**"])
        })
        .prop_map(|names| names.join("/"));
    prop::collection::vec((any::<bool>(), pattern), 0..5).prop_map(|lines| {
        lines
            .into_iter()
            .map(|(exception, pattern)| if exception { format!("!{pattern}") } else { pattern })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decisions_agree_with_the_definition(lines in lines(), path in path()) {
        let matcher = Matcher::parse(&lines.join("\n")).unwrap();
        prop_assert_eq!(matcher.ignores(&path), slow_ignores(&lines, &path));
    }

    #[test]
    fn nothing_below_a_skipped_directory_is_taken(lines in lines(), directory in path(), below in path()) {
        let matcher = Matcher::parse(&lines.join("\n")).unwrap();
        if matcher.ignores_all_below(&directory) {
            let path = format!("{}/{}", directory, below);
            prop_assert!(matcher.ignores(&path));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[!#*?\\[\\]\\\\^/.a-c\\-:&~\u{e9} \n]{0,24}", path in path()) {
        if let Ok(matcher) = Matcher::parse(&text) {
            let _ = (matcher.ignores(&path), matcher.ignores_all_below(&path));
        }
    }
}
