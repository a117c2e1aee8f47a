//! Source policies: what a build may use, and what it uses instead.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Lab, Outcome, Page, WebServer, base_registry};

/// Writes a policy beside the context.
fn policy(lab: &Lab, rules: &Value) {
    let text = json!({ "version": 1, "rules": rules }).to_string();
    fs::write(lab.path().join("policy.json"), text).unwrap();
}

fn rule(action: &str, identifier: &str) -> Value {
    json!({ "action": action, "selector": { "identifier": identifier } })
}

fn convert(identifier: &str, updates: Value) -> Value {
    json!({ "action": "CONVERT", "selector": { "identifier": identifier }, "updates": updates })
}

const POLICY: [&str; 2] = ["--source-policy-file", "policy.json"];

#[test]
fn an_image_may_become_the_files_of_a_context() {
    // BK-220
    let lab = Lab::new("FROM scratch AS replace\nFROM scratch\nCOPY --from=replace /foo /\n");
    lab.write("foo", "bar");
    fs::create_dir(lab.path().join("other")).unwrap();
    fs::write(lab.path().join("other/foo"), "foo").unwrap();
    let alpine = "docker-image://docker.io/library/alpine:latest";
    policy(&lab, &json!([convert(alpine, json!({ "identifier": "local://test" }))]));
    let replace = [
        "--build-context",
        "replace=docker-image://docker.io/library/alpine:latest",
    ];
    let test = ["--build-context", "test=other"];
    let out = lab.build_files(&[&POLICY[..], &replace, &test].concat());
    assert_eq!(fs::read_to_string(out.join("foo")).unwrap(), "foo");
    lab.croze(&[&["build", "context"], &POLICY[..], &replace].concat())
        .fails(11, &["context \"test\", which is not given"]);
}

#[test]
fn what_is_denied_is_not_even_asked_for() {
    let web = WebServer::start();
    web.put("/file", Page::tagged("content", "1"));
    let host = web.url("").replace("http://", "");
    let lab = Lab::new(&format!(
        "FROM {host}/image AS image\nFROM scratch AS added\nADD {} /\n\
         FROM scratch AS context\nCOPY Dockerfile /\nFROM BASE/busybox AS free\n",
        web.url("/file")
    ));
    policy(
        &lab,
        &json!([
            rule("DENY", "*"),
            rule("ALLOW", "docker-image://*busybox*"),
            rule("ALLOW", "local://*")
        ]),
    );
    let build = |target: &str| lab.croze(&[&["build", "context", "--target", target], &POLICY[..]].concat());
    build("image").fails(
        11,
        &[
            &format!("source \"docker-image://{host}/image:latest\" denied by policy"),
            "Dockerfile:1:6",
        ],
    );
    build("added").fails(
        11,
        &[
            &format!("source \"{}\" denied by policy", web.url("/file")),
            "Dockerfile:3:1",
        ],
    );
    assert!(web.asked().is_empty());
    // Nobody asks for the stages that name what is denied.
    for target in ["free", "context"] {
        assert_eq!(build(target).code, 0, "{}", build(target).stderr);
    }
    policy(&lab, &json!([rule("DENY", "local://context")]));
    build("context").fails(11, &["source \"local://context\" denied by policy"]);
    policy(&lab, &json!([rule("DENY", "http://*")]));
    lab.croze(&[&["build", &web.url("/file")], &POLICY[..]].concat())
        .fails(11, &["denied by policy"]);
    assert!(web.asked().is_empty());
}

#[test]
fn an_image_may_be_pinned_or_come_from_elsewhere() {
    let registry = base_registry();
    let lab = Lab::new("FROM nowhere.example/tools:1\nRUN busybox true\n");
    let to = json!({ "identifier": format!("docker-image://{registry}/busybox:latest") });
    policy(&lab, &json!([convert("docker-image://nowhere.example/tools:*", to)]));
    let outcome = lab.build(&POLICY);
    assert!(
        outcome
            .stderr
            .contains(&format!("load metadata for {registry}/busybox:latest")),
        "{}",
        outcome.stderr
    );
    // The digest that is found is a source of its own.
    policy(
        &lab,
        &json!([
            convert(
                "docker-image://nowhere.example/tools:*",
                json!({ "identifier": format!("docker-image://{registry}/busybox:latest") })
            ),
            rule("DENY", "docker-image://*@sha256:*"),
        ]),
    );
    lab.croze(&[&["build", "context"], &POLICY[..]].concat())
        .fails(11, &["@sha256:", "denied by policy", "Dockerfile:1:6"]);
}

#[test]
fn files_may_be_pinned_and_the_variable_of_buildx_names_the_policy() {
    let web = WebServer::start();
    web.put("/file", Page::tagged("content", "1"));
    web.put("/mirror/file", Page::tagged("content", "1"));
    let lab = Lab::new(&format!("FROM scratch\nADD {} /\n", web.url("/file")));
    let right = "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let to = |sum: &str| json!({ "identifier": web.url("/mirror/file"), "attrs": { "http.checksum": sum } });
    policy(&lab, &json!([convert(&web.url("/file"), to(right))]));
    let out = lab.build_files(&POLICY);
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "content");
    assert!(web.asked().iter().all(|asked| asked.path == "/mirror/file"));

    policy(
        &lab,
        &json!([convert(&web.url("/file"), to(&format!("sha256:{}", "0".repeat(64))))]),
    );
    lab.croze(&[&["build", "context"], &POLICY[..]].concat())
        .fails(8, &["digest"]);
    let variable = ["EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=policy.json"];
    let output = lab.command_with(&variable, &["build", "context"]).output().unwrap();
    Outcome::of(output).fails(8, &["digest"]);

    fs::write(
        lab.path().join("policy.json"),
        r#"{"rules":[{"action":"DENI","selector":{"identifier":"*"}}]}"#,
    )
    .unwrap();
    lab.croze(&[&["build", "context"], &POLICY[..]].concat()).fails(
        2,
        &["cannot use `policy.json`", "`DENI` is none of", "line 1 column 26"],
    );
    lab.croze(&["build", "context", "--source-policy-file", "absent.json"])
        .fails(5, &["cannot read the source policy `absent.json`"]);
}
