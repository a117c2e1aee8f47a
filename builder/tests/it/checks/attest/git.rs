//! Provenance of what is built from a repository.

use std::fs;

use serde_json::{Value, json};

use super::{Attested, Told, VERSIONS, lab};
use crate::harness::{WebServer, base_registry, sh};

#[test]
fn a_repository_is_told_by_its_commit() {
    // BK-275
    for format in ["sha1", "sha256"] {
        let directory = tempfile::tempdir().unwrap();
        let server = WebServer::of_directory(directory.path());
        let dockerfile = format!(
            "FROM {}/busybox\nRUN --network=none echo git > /foo\nCOPY myapp.Dockerfile /\n",
            base_registry()
        );
        fs::write(directory.path().join("myapp.Dockerfile"), dockerfile).unwrap();
        let at = directory.path().display();
        let commit = sh(&format!(
            "cd {at}; git init -q --object-format={format} -b main .; git config user.email a@b; git config user.name a
             git add myapp.Dockerfile; git commit -qm initial; git branch v1; git update-server-info; git rev-parse v1"
        ));
        let commit = commit.trim();
        let address = server.url("/.git#v1").replace("http://", "http://user:pass@");
        let masked = server.url("/.git#v1").replace("http://", "http://xxxxx:xxxxx@");
        let busybox = format!("pkg:docker/{}/busybox@latest?platform=linux%2Famd64", base_registry());
        for (asked, version) in VERSIONS {
            let lab = lab("", &[]);
            let attest = format!("type=provenance,{asked}mode=max");
            let tag = format!("{}/checks/attest-git-{format}:1", base_registry());
            let words = [
                "-f",
                "myapp.Dockerfile",
                "--attest",
                &attest,
                "-t",
                &tag,
                "--push",
                &address,
            ];
            let outcome = lab.croze(&[&["build"], &words[..]].concat());
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            let image = Attested::of(&lab, &tag);
            let predicate = image.predicate();
            let told = Told::of(&predicate);
            assert_eq!(told.is_v1, version == "v1");
            let digest = json!({format: commit, "gitCommit": commit});
            assert_eq!(told.source()["uri"], masked.as_str());
            assert_eq!(
                (&told.source()["digest"], told.path()),
                (&digest, &json!("myapp.Dockerfile"))
            );
            let materials = told.materials();
            assert_eq!(materials.len(), 2, "{materials:?}");
            assert_eq!(materials[0]["uri"], busybox.as_str());
            assert_eq!(materials[1], json!({"uri": masked, "digest": digest}));
            assert_eq!(told.locals(), [""; 0]);
            assert_eq!(told.completeness(), [true, true]);
            assert!(told.is_hermetic() && !told.is_reproducible());
            assert_eq!(told.extension()["vcs"], Value::Null);
            assert!(!predicate.to_string().contains("pass"), "{predicate}");
        }
    }
}

#[test]
fn what_an_add_fetches_is_a_material() {
    let directory = tempfile::tempdir().unwrap();
    let server = WebServer::of_directory(directory.path());
    fs::write(directory.path().join("file"), "content").unwrap();
    let url = server.url("/file");
    let lab = lab(&format!("FROM scratch\nADD {url} /\n"), &[]);
    let image = Attested::pushed(&lab, "web", &["--provenance=true"]);
    let predicate = image.predicate();
    let told = Told::of(&predicate);
    let sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    assert_eq!(told.materials(), [json!({"uri": url, "digest": {"sha256": sha256}})]);
    // A local context has no address, so that nobody can know all that went in.
    assert_eq!(told.completeness(), [true, false]);
}
