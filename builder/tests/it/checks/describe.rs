//! `--call=outline` and `--call=targets`.

use serde_json::{Value, json};

use super::lab;

/// Answers a question about a Dockerfile.
fn answer(text: &str, words: &[&str]) -> Value {
    let outcome = lab(text, &[]).croze(&[&["build"], words, &["context"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn at(line: usize) -> Value {
    json!({ "ranges": [{ "start": { "line": line }, "end": { "line": line } }] })
}

#[test]
fn an_outline_has_the_arguments_that_the_target_can_use() {
    // BK-268
    let text = "ARG inherited=box\nARG inherited2=box2\nARG unused=abc${inherited2}\n# sfx is a suffix\n\
                ARG sfx=y${inherited}\nFROM bus${sfx} AS b1\n# this is not assigned to anything\nARG first=123\n\
                # foo sets foo value\nARG foo=bar${first}\nFROM alpine${unused} AS b2\nARG BAR\n\
                # target defines build target\nFROM b1 AS target\nARG sfx\n";
    let words = [
        "--call=outline,format=json",
        "--target",
        "target",
        "--build-arg",
        "foo=123456",
    ];
    let outline = answer(text, &words);
    assert_eq!(
        (&outline["name"], &outline["description"]),
        (&json!("target"), &json!("defines build target"))
    );
    let args = json!([
        { "name": "inherited", "value": "box", "location": at(1) },
        { "name": "sfx", "description": "is a suffix", "value": "ybox", "location": at(5) },
        { "name": "first", "value": "123", "location": at(8) },
        { "name": "foo", "description": "sets foo value", "value": "123456", "location": at(10) },
    ]);
    assert_eq!(outline["args"], args);
}

#[test]
fn an_outline_has_the_secrets_and_agents_of_what_is_needed() {
    // BK-269
    let text = "FROM busybox AS first\nRUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\n\
                FROM alpine AS second\nRUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true\n\
                FROM scratch AS third\nARG BAR\nRUN --mount=type=secret,id=second${BAR} true\n\
                FROM third AS target\nCOPY --from=first /foo /\nRUN --mount=type=ssh,id=ssh3,required true\n";
    let outline = answer(text, &["--call=outline,format=json", "--target", "target"]);
    let secrets = json!([
        { "name": "passwd", "required": true, "location": at(2) },
        { "name": "second", "location": at(7) },
    ]);
    assert_eq!(outline["secrets"], secrets);
    let ssh = json!([
        { "name": "default", "location": at(2) },
        { "name": "ssh3", "required": true, "location": at(10) },
    ]);
    assert_eq!(outline["ssh"], ssh);
}

#[test]
fn an_argument_may_be_made_from_its_former_self() {
    // BK-270
    let text = "ARG FOO=123\nARG ABC=abc\nARG FOO=${FOO}${ABC}\nARG BAR=${FOO}456\nARG FOO=${FOO}456${BAR}\n\
                FROM scratch AS target\nARG FOO\nARG BAR\nCOPY Dockerfile /\n";
    let args = json!([
        { "name": "BAR", "value": "123abc456", "location": at(4) },
        { "name": "FOO", "value": "123abc456123abc456", "location": at(5) },
    ]);
    assert_eq!(answer(text, &["--call=outline,format=json"])["args"], args);
}

#[test]
fn targets_have_name_base_and_description() {
    // BK-271
    let text = "# build defines stage for compiling the binary\nFROM alpine AS build\nRUN true\nFROM busybox AS second\n\
                FROM alpine\nRUN false\n# binary returns the compiled binary\nFROM second AS binary\n";
    let expected = json!([
        { "name": "build", "description": "defines stage for compiling the binary", "base": "alpine", "location": at(2) },
        { "name": "second", "base": "busybox", "location": at(4) },
        { "base": "alpine", "location": at(5) },
        { "name": "binary", "default": true, "description": "returns the compiled binary", "base": "second",
          "location": at(8) },
    ]);
    assert_eq!(answer(text, &["--call=targets,format=json"])["targets"], expected);
}
