//! What policies say: BuildKit's own cases, and croze's.

use serde_json::{Value, json};

use super::*;
use crate::diagnostic::chain;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::remote::{GitAddress, WebAddress};

fn policy(rules: &Value) -> Policy {
    Policy::parse(&json!({ "version": 1, "rules": rules }).to_string()).unwrap()
}

fn image(reference: &str) -> Place {
    Place::Image(reference.parse().unwrap())
}

fn file(url: &str) -> Place {
    Place::Remote(Box::new(Op::Http(HttpOp {
        address: WebAddress { url: url.to_owned() },
        form: HttpForm::File {
            name: "file".to_owned(),
        },
        checksum: None,
    })))
}

fn repository(url: &str) -> Place {
    Place::Remote(Box::new(Op::Git(GitOp {
        address: GitAddress::of_repository(url).unwrap(),
        keep_git_dir: false,
    })))
}

fn selects(selector: Value, place: &Place) -> bool {
    let rule = json!([{ "action": "DENY", "selector": selector }]);
    policy(&rule).decide(place).is_err()
}

#[test]
fn a_selector_matches_as_buildkits_does() {
    let busybox = image("busybox");
    let name = "docker-image://docker.io/library/busybox:latest";
    for (selector, is_match) in [
        (json!({ "identifier": name }), true),
        (json!({ "identifier": name, "match_type": "EXACT" }), true),
        (json!({ "identifier": "*" }), true),
        (
            json!({ "identifier": "docker-image://docker.io/library/busybox:*" }),
            true,
        ),
        (
            json!({ "identifier": "docker-image://docker.io/library/busybox:*", "matchType": 1 }),
            false,
        ),
        (json!({ "identifier": "http://docker.io/library/busybox:*" }), false),
        (json!({ "identifier": "library/busy", "match_type": "REGEX" }), true),
        (json!({ "identifier": "library/busy$", "match_type": 2 }), false),
        // What stands for nothing special is nothing special.
        (
            json!({ "identifier": "docker-image://docker.io/library.busybox:*" }),
            false,
        ),
    ] {
        assert_eq!(selects(selector.clone(), &busybox), is_match, "{selector}");
    }
    assert!(selects(
        json!({ "identifier": "https://h/*.txt" }),
        &file("https://h/a/b.txt")
    ));
    assert!(selects(
        json!({ "identifier": "local://*" }),
        &Place::Local("context".to_owned())
    ));
    assert!(selects(
        json!({ "identifier": "git://h/o/r.git#v1:sub" }),
        &repository("https://user:word@h/o/r.git#v1:sub")
    ));
    assert!(selects(
        json!({ "identifier": "git://h/o/r" }),
        &repository("git@h:o/r")
    ));
}

#[test]
fn constraints_are_about_attributes() {
    let place = repository("https://h/r.git?keep-git-dir=1");
    for (key, value, condition, is_match) in [
        ("git.fullurl", "https://h/r.git", "EQUAL", true),
        ("git.fullurl", "https://h/r", "EQUAL", false),
        ("git.fullurl", "https://h/r", "NOTEQUAL", true),
        ("git.fullurl", "^https:", "MATCHES", true),
        ("git.fullurl", "^http:", "MATCHES", false),
        ("absent", "", "EQUAL", true),
        ("absent", "x", "EQUAL", false),
    ] {
        let constraint = json!({ "key": key, "value": value, "condition": condition });
        let selector = json!({ "identifier": "*", "constraints": [constraint] });
        assert_eq!(selects(selector, &place), is_match, "{key} {value} {condition}");
    }
}

#[test]
fn the_last_of_the_rules_that_match_decides() {
    let rule = |action: &str, identifier: &str| json!({ "action": action, "selector": { "identifier": identifier } });
    let (allow, deny) = (
        rule("ALLOW", "docker-image://*busybox*"),
        rule("DENY", "docker-image://*"),
    );
    assert_eq!(policy(&json!([deny, allow])).decide(&image("busybox")), Ok(None));
    let denied = policy(&json!([allow, deny])).decide(&image("busybox"));
    assert_eq!(
        denied.unwrap_err().to_string(),
        "source \"docker-image://docker.io/library/busybox:latest\" denied by policy"
    );
    assert_eq!(policy(&json!([deny])).decide(&file("http://h/")), Ok(None));
    let denied = policy(&json!([rule("DENY", "*")])).decide(&file("http://user:word@h/"));
    assert!(!denied.unwrap_err().to_string().contains("word"));
}

fn convert(identifier: &str, match_type: &str, updates: Value) -> Value {
    json!({
        "action": "CONVERT",
        "selector": { "identifier": identifier, "match_type": match_type },
        "updates": updates,
    })
}

#[test]
fn a_conversion_keeps_what_the_wildcard_stood_for() {
    let golang = "docker-image://docker.io/library/golang:*";
    let alpine = json!({ "identifier": "docker-image://docker.io/library/golang:${1}-alpine" });
    let to = |rules: Value, place: Place| policy(&rules).decide(&place);
    // Converted once only: what it becomes is excluded.
    let once = json!([convert(
        "^(.*golang:[0-9.]+)$",
        "REGEX",
        json!({ "identifier": "$1-alpine" })
    )]);
    assert_eq!(to(once, image("golang:1.19")), Ok(Some(image("golang:1.19-alpine"))));
    let circle = to(json!([convert(golang, "WILDCARD", alpine)]), image("golang:1.19"));
    assert!(matches!(circle, Err(PolicyError::TooMany(_))));
    let mirror = json!([convert(
        "docker-image://docker.io/*",
        "WILDCARD",
        json!({ "identifier": "docker-image://mirror.example/hub/${1}" })
    )]);
    assert_eq!(to(mirror, image("a/b:1")), Ok(Some(image("mirror.example/hub/a/b:1"))));
    let exact = json!([convert(
        "docker-image://docker.io/library/a:latest",
        "EXACT",
        json!({ "identifier": "local://a" })
    )]);
    assert_eq!(to(exact.clone(), image("a")), Ok(Some(Place::Local("a".to_owned()))));
    assert_eq!(to(exact, image("b")), Ok(None));
}

#[test]
fn files_and_commits_can_be_pinned() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let pin = json!([convert(
        "https://*",
        "WILDCARD",
        json!({ "attrs": { "http.checksum": digest } })
    )]);
    let Ok(Some(Place::Remote(op))) = policy(&pin).decide(&file("https://h/f")) else {
        panic!("a file")
    };
    let Op::Http(op) = *op else { panic!("a file") };
    assert_eq!(op.checksum.unwrap().to_string(), digest);
    assert_eq!(
        (op.address.url.as_str(), op.form),
        (
            "https://h/f",
            HttpForm::File {
                name: "file".to_owned()
            }
        )
    );

    let commit = "2".repeat(40);
    let pin = json!([convert(
        "git://h/r.git#main",
        "EXACT",
        json!({ "identifier": format!("git://h/r.git#{commit}") })
    )]);
    let decided = policy(&pin).decide(&repository("https://user@h/r.git#main"));
    assert_eq!(decided, Ok(Some(repository(&format!("https://user@h/r.git#{commit}")))));
}

#[test]
fn what_cannot_be_used_is_told() {
    let to = |identifier: &str, place: Place| {
        let rules = json!([convert("*", "WILDCARD", json!({ "identifier": identifier }))]);
        policy(&rules)
            .decide(&place)
            .map_err(|error| chain(&error))
            .unwrap_err()
    };
    assert!(to("docker-image://A b", image("a")).contains("converts \"docker-image://docker.io/library/a:latest\" to"));
    assert!(to("ftp://h/", image("a")).contains("no such place"));
    assert!(to("git://other/r", repository("https://h/r.git")).contains("git.fullurl"));
}

#[test]
fn what_is_misspelt_is_refused() {
    for (text, problem) in [
        ("", "not a source policy"),
        (r#"{"version":2}"#, "version 2"),
        (r#"{"rule":[]}"#, "unknown field `rule`"),
        (
            r#"{"rules":[{"action":"REFUSE","selector":{"identifier":"*"}}]}"#,
            "`REFUSE` is none of `ALLOW`, `DENY`",
        ),
        (
            r#"{"rules":[{"action":2,"selector":{"identifier":"*"}}]}"#,
            "needs `updates`",
        ),
        (r#"{"rules":[{"action":1}]}"#, "missing field `selector`"),
        (r#"{"rules":[{"selector":{"identifier":"a**b"}}]}"#, "invalid wildcard"),
        (
            r#"{"rules":[{"selector":{"identifier":"(","match_type":"REGEX"}}]}"#,
            "not a regular expression",
        ),
        (
            r#"{"rules":[{"action":2,"selector":{"identifier":"*"},"updates":{"attrs":{"http.header.x":"y"}}}]}"#,
            "rule 1 of the source policy makes no sense: croze cannot change the attribute `http.header.x`",
        ),
    ] {
        let error = Policy::parse(text).map_err(|error| chain(&error)).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    assert!(Policy::parse(r#"{"rules":[]}"#).is_ok());
}
