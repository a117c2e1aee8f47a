//! Tables of what expands to what; `testdata` would only hide them.

use std::collections::BTreeMap;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn check(env: &BTreeMap<String, String>, cases: &[(&str, Option<&str>)]) {
    for (text, expected) in cases {
        let expanded = expand(text, '\\', env).ok().map(|expanded| expanded.text);
        assert_eq!(expanded.as_deref(), *expected, "{text}");
    }
}

#[test]
fn quotes_and_escapes_are_removed_as_buildkit_removes_them() {
    check(
        &env(&[]),
        &[
            ("he'll'o", Some("hello")),
            ("he'llo", None),
            ("he\\'llo", Some("he'llo")),
            ("abc\\tdef", Some("abctdef")),
            ("\"abc\\tdef\"", Some("abc\\tdef")),
            ("\"abc\\\\tdef\"", Some("abc\\tdef")),
            ("'abc\\tdef'", Some("abc\\tdef")),
            ("hello\\", Some("hello")),
            ("hello\\\\", Some("hello\\")),
            ("\"hello", None),
            ("\"hello\\\"", None),
            ("\"hel'lo\"", Some("hel'lo")),
            ("'hello\\'", Some("hello\\")),
            ("'hello\\there'", Some("hello\\there")),
            ("\"''\"", Some("''")),
        ],
    );
}

#[test]
fn variables_are_replaced_wherever_quotes_allow_it() {
    check(
        &env(&[("PWD", "/home"), ("SHELL", "bash"), ("NULL", ""), ("KOREAN", "한국어")]),
        &[
            ("$.", Some("$.")),
            ("he$1x", Some("hex")),
            ("he$.x", Some("he$.x")),
            ("he$pwd.", Some("he.")),
            ("he$PWD", Some("he/home")),
            ("he\\$PWD", Some("he$PWD")),
            ("he\\\\$PWD", Some("he\\/home")),
            ("\"he\\$PWD\"", Some("he$PWD")),
            ("\\${}", Some("${}")),
            ("${}", None),
            ("he${hi}xx", Some("hexx")),
            ("he${.}", None),
            ("he${XXX:-000}xx", Some("he000xx")),
            ("he${PWD:-000}xx", Some("he/homexx")),
            ("he${XXX:-${PWD:-yyy}}xx", Some("he/homexx")),
            ("he${XXX:YYY}", None),
            ("he${XXX?}", None),
            ("he${XXX:?}", None),
            ("he${PWD:?}", Some("he/home")),
            ("he${NULL?}", Some("he")),
            ("he${NULL:?}", None),
            ("he${PWD:+${SHELL}}xx", Some("hebashxx")),
            ("he${XXX:+000}xx", Some("hexx")),
            ("'he${XX}'", Some("he${XX}")),
            ("\"he'$PWD'\"", Some("he'/home'")),
            ("'\\$PWD'", Some("\\$PWD")),
            ("he${PWD", None),
            ("he${PWD:=000}xx", None),
            ("he${PWD:+${PWD}:}xx", Some("he/home:xx")),
            ("he${XXX:-\\$PWD:}xx", Some("he$PWD:xx")),
            ("he${XXX:-\\${PWD}z}xx", Some("he${PWDz}xx")),
            ("${{aaa}", None),
            ("${aaa}}", Some("}")),
            ("${aaa:-bbb}}", Some("bbb}")),
            ("${aaa:-bbb {foo}", Some("bbb {foo")),
            ("${:}", None),
            ("${:-bbb}", None),
            ("${:+bbb}", None),
            ("$KOREAN\\$", Some("한국어$")),
        ],
    );
}

#[test]
fn positional_and_special_parameters_are_never_set() {
    let env = env(&[]);
    for name in ["1", "@", "*", "#", "?", "-", "$", "!", "0"] {
        check(
            &env,
            &[
                (&format!("${name}"), Some("")),
                (&format!("${{{name}}}"), Some("")),
                (&format!("${{{name}:+b}}"), Some("")),
                (&format!("${{{name}:-bbb}}"), Some("bbb")),
                (&format!("${name}aaa"), Some("aaa")),
            ],
        );
    }
    check(
        &env,
        &[("$999aaa", Some("aaa")), ("$001aaa", Some("aaa")), ("$@@@", Some("@@"))],
    );
}

#[test]
fn defaults_alternatives_and_demands_know_unset_from_empty() {
    let env = env(&[("FOO", "xxx"), ("BAR", "")]);
    check(
        &env,
        &[
            ("${FOO-aaa} ${BAR-bbb} ${BAZ-ccc}", Some("xxx  ccc")),
            ("${FOO:-aaa} ${BAR:-bbb} ${BAZ:-ccc}", Some("xxx bbb ccc")),
            ("${FOO:-}", Some("xxx")),
            ("${BAZ:-}", Some("")),
            ("${FOO+aaa} ${BAR+bbb} ${BAZ+ccc}", Some("aaa bbb ")),
            ("${FOO:+aaa} ${BAR:+bbb} ${BAZ:+ccc}", Some("aaa  ")),
            ("${FOO?aaa}", Some("xxx")),
            ("${BAR?bbb}", Some("")),
            ("${FOO:?aaa}", Some("xxx")),
            ("${FOO=aaa}", None),
            ("${FOO=:aaa}", None),
            ("${FOO=}", None),
        ],
    );
    for (text, message) in [
        ("${BAZ?ccc}", "BAZ: ccc"),
        ("${BAR:?message here $FOO}", "BAR: message here xxx"),
        ("${BAR:?}", "BAR: is not allowed to be empty"),
        ("${BAZ?}", "BAZ: is not allowed to be unset"),
    ] {
        assert_eq!(expand(text, '\\', &env).unwrap_err().to_string(), message);
    }
}

#[test]
fn ends_are_trimmed_by_patterns() {
    check(
        &env(&[
            ("FOO", "xxyy"),
            ("X", "x"),
            ("E", ""),
            ("S", "xx**"),
            ("A", "a***yy*"),
            ("Q", "???y"),
        ]),
        &[
            ("${FOO#*}", Some("xxyy")),
            ("${FOO#*x*y}", Some("y")),
            ("${FOO##*x}", Some("yy")),
            ("${FOO#}", Some("xxyy")),
            ("${FOO##}", Some("xxyy")),
            ("${FOO%}", Some("xxyy")),
            ("${FOO%x}", Some("xxyy")),
            ("${FOO%y*}", Some("xxy")),
            ("${FOO%%y*}", Some("xx")),
            ("${FOO#$X}", Some("xyy")),
            ("${FOO#$E},${FOO%%$E}", Some("xxyy,xxyy")),
            ("${S%%\\**}", Some("xx")),
            ("${A%%\\**\\*}", Some("a")),
            ("${Q#?\\?}", Some("?y")),
            ("${FOO#[x]}", Some("xxyy")),
            ("${BAZ#x}", Some("")),
            ("${FOO:#}", None),
            ("${FOO:##}", None),
            ("${FOO:%}", None),
            ("${FOO:%%}", None),
            ("${FOO#\\x}", None),
        ],
    );
    let odd = "()[]{}^$.*?|\\";
    check(&env(&[("FOO", odd)]), &[("${FOO#()[]{\\}^$.\\*\\?|\\\\}", Some(""))]);
}

#[test]
fn matches_are_replaced_by_patterns() {
    check(
        &env(&[
            ("FOO", "/a/foo/b/c.txt"),
            ("NEEDLE", "/?/"),
            ("REPLACEMENT", "/"),
            ("URL", "http://google.de"),
            ("HTTP", "http://"),
            ("HTTPS", "https://"),
            ("TMP", "/tmp/foo.txt"),
            ("E", ""),
        ]),
        &[
            (
                "${FOO/$NEEDLE/$REPLACEMENT} - ${FOO//$NEEDLE/$REPLACEMENT}",
                Some("/foo/b/c.txt - /foo/c.txt"),
            ),
            ("${URL/$HTTP/$HTTPS}", Some("https://google.de")),
            ("${TMP//\\//\\/}", Some("\\/tmp\\/foo.txt")),
            ("${URL/$E/ww}", Some("wwhttp://google.de")),
            ("${FOO//ww}", None),
            ("${FOO//}", None),
            ("${URL///}", Some("http://google.de")),
            ("${URL/g/", None),
        ],
    );
}

#[test]
fn words_are_split_where_nothing_quotes_the_white_space() {
    let env = env(&[("space", "abc  def"), ("edges", "  a b  ")]);
    let split = |text: &str| expand_words(text, '\\', &env).ok().map(|expanded| expanded.words);
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(split("hello${space}bye"), words(&["helloabc", "defbye"]));
    assert_eq!(split("hello\"${space}\"bye"), words(&["helloabc  defbye"]));
    assert_eq!(split("x${edges}y"), words(&["x", "a", "b", "y"]));
    assert_eq!(split("hello\\ there"), words(&["hello there"]));
    assert_eq!(split("hello there"), words(&["hello", "there"]));
    assert_eq!(split("hello\" there"), None);
    assert_eq!(split("hello\\\" there"), words(&["hello\"", "there"]));
    assert_eq!(split("'\\\\there'"), words(&["\\\\there"]));
    assert_eq!(split("a \"\" b"), words(&["a", "b"]));
    assert_eq!(split("80${x:-1}"), words(&["801"]));
}

#[test]
fn the_escape_character_is_the_one_of_the_file() {
    let expanded = expand("`$x \\a \"`\"\"", '`', &Unset).unwrap();
    assert_eq!(expanded.text, "$x \\a \"");
}

#[test]
fn heredoc_bodies_keep_their_quotes() {
    let env = env(&[("name", "world")]);
    let body = |text: &str| expand_body(text, &env).unwrap().text;
    assert_eq!(body("'${name}' \"$name\"\n"), "'world' \"world\"\n");
    assert_eq!(body("\\\n\\\\\n\\$\n"), "\n\\\n$\n");
    assert_eq!(body("it's `$name`\n"), "it's `world`\n");
}

#[test]
fn a_command_is_shown_with_its_quotes_and_unset_variables() {
    let env = env(&[("A", "1")]);
    assert_eq!(
        expand_for_display("echo \"$A\" ${B:-x} $C", '\\', &env),
        "echo \"1\" ${B:-x} $C"
    );
    assert_eq!(expand_for_display("echo it's $A", '\\', &env), "echo it's $A");
}

#[test]
fn what_was_asked_for_is_told() {
    let expanded = expand("$A ${B:-$C} $A ${D+}", '\\', &env(&[("A", ""), ("C", "c")])).unwrap();
    assert_eq!(expanded.text, " c  ");
    assert_eq!(expanded.used, ["A", "C"]);
    assert_eq!(expanded.unset, ["B", "D"]);
}

#[test]
fn substitutions_are_nested_to_a_limit() {
    let nested = |depth: usize| format!("{}x{}", "${a-".repeat(depth), "}".repeat(depth));
    assert_eq!(expand(&nested(100), '\\', &Unset).unwrap().text, "x");
    assert_eq!(expand(&nested(101), '\\', &Unset), Err(WordError::TooDeep));
    assert_eq!(expand(&nested(1 << 20), '\\', &Unset), Err(WordError::TooDeep));
}

#[test]
fn a_text_grows_to_a_limit() {
    let env = env(&[("mib", &"x".repeat(1 << 20)), ("k", &"x".repeat(1000))]);
    assert_eq!(expand("$mib$mib$mib$mib", '\\', &env).unwrap().text.len(), 4 << 20);
    for text in [
        "$mib$mib$mib$mib$mib",
        "\"$mib$mib$mib$mib$mib\"",
        "${k//x/$mib}",
        "${k+$mib$mib$mib$mib}$mib",
    ] {
        assert_eq!(expand(text, '\\', &env), Err(WordError::TooLong), "{text}");
    }
}
