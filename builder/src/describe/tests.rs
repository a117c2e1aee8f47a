//! What is said of Dockerfiles: the cases of BuildKit's own tests.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{outline, targets};
use crate::diagnostic::SourceFile;
use crate::dockerfile;
use crate::frontend::Request;

fn outlined(text: &str, target: Option<&str>, build_args: &[(&str, &str)]) -> Value {
    let dockerfile = dockerfile::parse(Arc::new(SourceFile::new("Dockerfile", text))).unwrap();
    let mut request = Request::new(dockerfile, "linux/amd64".parse().unwrap());
    request.target = target.map(str::to_owned);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    request.build_args = build_args.iter().map(owned).collect();
    serde_json::to_value(outline(&request).unwrap()).unwrap()
}

fn at(line: usize) -> Value {
    json!({ "ranges": [{ "start": { "line": line }, "end": { "line": line } }] })
}

#[test]
fn an_outline_lists_the_arguments_that_the_target_can_use() {
    let text = "ARG inherited=box\nARG inherited2=box2\nARG unused=abc${inherited2}\n\
                # sfx is a suffix\nARG sfx=y${inherited}\n\nARG platform=linux/amd64\nFROM --platform=$platform bus${sfx} AS b1\n\
                # this is not assigned to anything\nARG first=123\n# foo sets foo value\nARG foo=bar${first}\nRUN true\n\n\
                FROM alpine${unused} AS b2\nARG BAR\nRUN true\n\n# target defines build target\nFROM b1 AS target\nARG sfx\n";
    let outline = outlined(text, Some("target"), &[("foo", "123456")]);
    assert_eq!(outline["name"], "target");
    assert_eq!(outline["description"], "defines build target");
    let args = json!([
        { "name": "inherited", "value": "box", "location": at(1) },
        { "name": "sfx", "description": "is a suffix", "value": "ybox", "location": at(5) },
        { "name": "platform", "value": "linux/amd64", "location": at(7) },
        { "name": "first", "value": "123", "location": at(10) },
        { "name": "foo", "description": "sets foo value", "value": "123456", "location": at(12) },
    ]);
    assert_eq!(outline["args"], args);
}

#[test]
fn an_outline_lists_secrets_and_agents_of_the_stages_that_are_needed() {
    let text = "FROM busybox AS first\nRUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\n\n\
                FROM alpine AS second\nRUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true\n\n\
                FROM scratch AS third\nARG BAR\nRUN --mount=type=secret,id=second${BAR} true\n\n\
                FROM third AS target\nCOPY --from=first /foo /\nRUN --mount=type=ssh,id=ssh3,required true\n";
    let outline = outlined(text, Some("target"), &[]);
    let secrets = json!([
        { "name": "passwd", "required": true, "location": at(2) },
        { "name": "second", "location": at(9) },
    ]);
    assert_eq!(outline["secrets"], secrets);
    let ssh = json!([
        { "name": "default", "location": at(2) },
        { "name": "ssh3", "required": true, "location": at(13) },
    ]);
    assert_eq!(outline["ssh"], ssh);
}

#[test]
fn an_argument_that_is_defined_again_has_the_last_value_and_place() {
    let text = "ARG FOO=123\nARG ABC=abc\nARG FOO=${FOO}${ABC}\nARG BAR=${FOO}456\nARG FOO=${FOO}456${BAR}\n\
                FROM scratch AS target\nARG FOO\nARG BAR\nCOPY Dockerfile /\n";
    let outline = outlined(text, Some("target"), &[]);
    // What only an earlier definition used is not listed, as in BuildKit.
    let args = json!([
        { "name": "BAR", "value": "123abc456", "location": at(4) },
        { "name": "FOO", "value": "123abc456123abc456", "location": at(5) },
    ]);
    assert_eq!(outline["args"], args);
}

#[test]
fn targets_are_listed_with_base_description_and_which_is_the_default() {
    let text = "# build defines stage for compiling the binary\nFROM alpine AS build\nRUN true\n\nFROM busybox AS second\n\
                RUN false\n\nFROM alpine\nRUN false\n\n# binary returns the compiled binary\nFROM second AS binary\n";
    let dockerfile = dockerfile::parse(Arc::new(SourceFile::new("Dockerfile", text))).unwrap();
    let listed = serde_json::to_value(targets(&dockerfile)).unwrap();
    let expected = json!([
        { "name": "build", "description": "defines stage for compiling the binary", "base": "alpine", "location": at(2) },
        { "name": "second", "base": "busybox", "location": at(5) },
        { "base": "alpine", "location": at(8) },
        { "name": "binary", "default": true, "description": "returns the compiled binary", "base": "second",
          "location": at(12) },
    ]);
    assert_eq!(listed["targets"], expected);
}
