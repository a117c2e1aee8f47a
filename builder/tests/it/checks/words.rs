//! Variables in words, seen in the labels of an image.

use super::{Layout, lab};

/// Builds an image with a label for each word, and returns the labels' values.
fn labels(env: &str, words: &[&str]) -> Vec<String> {
    let labels: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(n, word)| format!("LABEL l{n}={word}\n"))
        .collect();
    let lab = lab(&format!("FROM scratch\n{env}{}", labels.concat()), &[]);
    let config = Layout::of(&lab, &[]).config();
    let label = |number: usize| {
        config["config"]["Labels"][format!("l{number}")]
            .as_str()
            .unwrap()
            .to_owned()
    };
    (0..words.len()).map(label).collect()
}

fn expands(env: &str, rows: &[(&str, &str)]) {
    let words: Vec<&str> = rows.iter().map(|(word, _)| *word).collect();
    for ((word, expected), found) in rows.iter().zip(labels(env, &words)) {
        assert_eq!(found, *expected, "{word} with {env}");
    }
}

/// Checks that each word is refused, with its line.
fn refused(env: &str, words: &[&str]) {
    for word in words {
        let lab = lab(&format!("FROM scratch\n{env}LABEL x={word}\n"), &[]);
        let line = 2 + env.lines().count();
        lab.croze(&["build", "context"])
            .fails(3, &[&format!("--> Dockerfile:{line}:")]);
    }
}

#[test]
fn quotes_escapes_and_variables_are_taken_out_of_words() {
    // BK-300
    let env = "ENV PWD=/home SHELL=bash KOREAN=한국어 NULL=\"\"\n";
    expands(
        env,
        &[
            ("he'll'o", "hello"),
            ("he\\'llo", "he'llo"),
            ("abc\\tdef", "abctdef"),
            ("\"abc\\tdef\"", "abc\\tdef"),
            ("\"abc\\\\tdef\"", "abc\\tdef"),
            ("'abc\\tdef'", "abc\\tdef"),
            ("hello\\\\", "hello\\"),
            ("\"hel'lo\"", "hel'lo"),
            ("'hello\\there'", "hello\\there"),
            ("\"''\"", "''"),
            ("$.", "$."),
            ("he$1x", "hex"),
            ("he$.x", "he$.x"),
            ("he$pwd.", "he."),
            ("he$PWD", "he/home"),
            ("he\\$PWD", "he$PWD"),
            ("he\\\\$PWD", "he\\/home"),
            ("\"he\\$PWD\"", "he$PWD"),
            ("\\${}", "${}"),
            ("he${hi}xx", "hexx"),
            ("he${XXX:-000}xx", "he000xx"),
            ("he${PWD:-000}xx", "he/homexx"),
            ("he${XXX:-${PWD:-yyy}}xx", "he/homexx"),
            ("he${PWD:?}", "he/home"),
            ("he${NULL?}", "he"),
            ("he${PWD:+${SHELL}}xx", "hebashxx"),
            ("he${XXX:+000}xx", "hexx"),
            ("'he${XX}'", "he${XX}"),
            ("\"he'$PWD'\"", "he'/home'"),
            ("he${PWD:+${PWD}:}xx", "he/home:xx"),
            ("he${XXX:-\\$PWD:}xx", "he$PWD:xx"),
            ("he${XXX:-\\${PWD}z}xx", "he${PWDz}xx"),
            ("${aaa}}", "}"),
            ("${aaa:-bbb}}", "bbb}"),
            ("$KOREAN", "한국어"),
            ("$1${1}${1:+b}", ""),
            ("${1:-bbb}", "bbb"),
            ("$999aaa", "aaa"),
            ("$@$*$#$?$-$$$!$0x", "x"),
            ("$@@@", "@@"),
        ],
    );
    refused(
        env,
        &[
            "he'llo",
            "\"hello",
            "\"hello\\\"",
            "${}",
            "he${.}",
            "he${XXX:YYY}",
            "he${XXX?}",
            "he${XXX:?}",
            "he${NULL:?}",
            "he${PWD",
            "he${PWD:=000}xx",
            "${{aaa}",
            "${:}",
            "${:-bbb}",
        ],
    );
}

#[test]
fn operators_know_unset_from_empty_and_patterns_from_text() {
    // BK-301
    let env = "ENV FOO=xxx BAR=\"\"\n";
    expands(
        env,
        &[
            ("${FOO-aaa}/${BAR-bbb}/${BAZ-ccc}", "xxx//ccc"),
            ("${FOO:-aaa}/${BAR:-bbb}/${BAZ:-ccc}", "xxx/bbb/ccc"),
            ("${FOO:-}", "xxx"),
            ("${FOO+aaa}/${BAR+bbb}/${BAZ+ccc}", "aaa/bbb/"),
            ("${FOO:+aaa}/${BAR:+bbb}/${BAZ:+ccc}", "aaa//"),
            ("${FOO?aaa}${BAR?bbb}${FOO:?aaa}", "xxxxxx"),
        ],
    );
    refused(
        env,
        &[
            "${BAZ?ccc}",
            "${BAR:?bbb}",
            "${BAZ:?}",
            "${FOO=aaa}",
            "${FOO=:aaa}",
            "${FOO=}",
        ],
    );
    expands(
        "ENV FOO=xxyy X=x NONE=\"\" STARS='xx**' MORE='a***yy*' MARKS='???y'\n",
        &[
            ("${FOO#*}", "xxyy"),
            ("${FOO#*x*y}", "y"),
            ("${FOO##*x}", "yy"),
            ("${FOO#}", "xxyy"),
            ("${FOO%x}", "xxyy"),
            ("${FOO#$X}", "xyy"),
            ("${FOO#$NONE}/${FOO%%$NONE}", "xxyy/xxyy"),
            ("${STARS%%\\**}", "xx"),
            ("${MORE%%\\**\\*}", "a"),
            ("${MARKS#?\\?}", "?y"),
        ],
    );
    refused(
        "ENV FOO=xxyy\n",
        &[
            "${FOO:#}",
            "${FOO:##}",
            "${FOO:%}",
            "${FOO:%%}",
            "${FOO//ww}",
            "${FOO//}",
        ],
    );
    expands(
        "ENV FOO=/a/foo/b/c.txt NEEDLE=/?/ SLASH=/ URL=http://google.de HTTP=http:// HTTPS=https:// TMP=/tmp/foo.txt NONE=\"\"\n",
        &[
            ("${FOO/$NEEDLE/$SLASH}", "/foo/b/c.txt"),
            ("${FOO//$NEEDLE/$SLASH}", "/foo/c.txt"),
            ("${URL/$HTTP/$HTTPS}", "https://google.de"),
            ("${TMP//\\//\\/}", "\\/tmp\\/foo.txt"),
            ("${TMP/$NONE/ww}", "ww/tmp/foo.txt"),
        ],
    );
    // What is demanded is said with its variables replaced.
    let lab = lab(
        "FROM scratch\nARG SUFFIX=x\nLABEL x=${VAR:?message\\ here$SUFFIX}\n",
        &[],
    );
    lab.croze(&["build", "context"]).fails(3, &["VAR: message herex"]);
}
