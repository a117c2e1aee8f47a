//! Credential helpers, as real processes on a search path of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use registry::auth::{Credential, CredentialSource, Credentials, Secret, login, logout};

/// Keeps one credential in a file beside itself and writes down how it was called.
const HELPER: &str = r#"#!/bin/sh
dir=${0%/*}
echo "$1" >> "$dir/calls"
case $1 in
get)
    read -r key
    if [ "$key" = broken.example ]; then echo "the key store is locked" >&2; exit 3; fi
    if [ "$key" = odd.example ]; then echo "not json"; exit 0; fi
    if [ -f "$dir/kept" ]; then cat "$dir/kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
store) cat > "$dir/kept" ;;
erase) if [ -f "$dir/kept" ]; then rm "$dir/kept"; else echo "credentials not found"; exit 1; fi ;;
esac
"#;

struct Setup {
    dir: tempfile::TempDir,
    config: PathBuf,
    path: String,
}

fn setup(config: &str) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("docker-credential-test");
    std::fs::write(&program, HELPER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let file = dir.path().join("config.json");
    std::fs::write(&file, config).unwrap();
    Setup {
        config: file,
        path,
        dir,
    }
}

impl Setup {
    fn credentials(&self) -> Credentials {
        Credentials::anonymous()
            .with_file(&self.config)
            .with_helper_path(&self.path)
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default()
    }

    fn keep(&self, json: &str) {
        std::fs::write(self.dir.path().join("kept"), json).unwrap();
    }
}

#[tokio::test]
async fn a_helper_is_asked_for_its_registry() {
    let setup = setup(r#"{"credHelpers":{"ghcr.io":"test"}}"#);
    setup.keep(r#"{"ServerURL":"ghcr.io","Username":"me","Secret":"hunter2"}"#);
    let (credential, source) = setup.credentials().lookup("ghcr.io", "a/b").await.found.unwrap();
    assert_eq!(credential, Credential::password("me", "hunter2"));
    let expected = format!(
        "the helper `docker-credential-test` (named in `{}`)",
        setup.config.display()
    );
    assert_eq!(source.to_string(), expected);
    assert!(setup.credentials().lookup("quay.io", "a/b").await.found.is_none());
    assert_eq!(setup.calls(), "get\n");
}

#[tokio::test]
async fn a_store_is_asked_for_what_the_file_does_not_have() {
    let setup = setup(r#"{"credsStore":"test","auths":{"quay.io":{"auth":"dTpw"},"ghcr.io":{}}}"#);
    setup.keep(r#"{"Username":"<token>","Secret":"refresh"}"#);
    let lookup = setup.credentials().lookup("ghcr.io", "a").await;
    assert_eq!(
        lookup.found.unwrap().0,
        Credential::IdentityToken(Secret::new("refresh"))
    );
    let lookup = setup.credentials().lookup("quay.io", "a").await;
    assert_eq!(
        lookup.found.unwrap(),
        (
            Credential::password("u", "p"),
            CredentialSource::File(setup.config.clone())
        )
    );
}

#[tokio::test]
async fn a_helper_that_knows_nothing_is_no_problem_and_one_that_fails_is_one() {
    let setup = setup(r#"{"credsStore":"test","credHelpers":{"missing.example":"absent"}}"#);
    let lookup = setup.credentials().lookup("ghcr.io", "a").await;
    assert!(lookup.found.is_none() && lookup.problems.is_empty(), "{lookup:?}");
    for (registry, problem) in [
        ("broken.example", "failed (exit status: 3): the key store is locked"),
        ("odd.example", "answered with something that is no credential"),
        (
            "missing.example",
            "cannot run the credential helper `docker-credential-absent`",
        ),
    ] {
        let lookup = setup.credentials().lookup(registry, "a").await;
        assert!(lookup.found.is_none());
        assert!(lookup.problems[0].to_string().contains(problem), "{lookup:?}");
    }
}

#[tokio::test]
async fn r6_a_helpers_name_cannot_lead_out_of_the_search_path() {
    for name in ["../evil", "a/b", "", " ", "x;y", "ü", "\\u001b[2J"] {
        let setup = setup(&format!(r#"{{"credHelpers":{{"ghcr.io":"{name}"}}}}"#));
        std::fs::create_dir(setup.dir.path().join("docker-credential-..")).unwrap();
        std::fs::copy(
            setup.dir.path().join("docker-credential-test"),
            setup.dir.path().join("evil"),
        )
        .unwrap();
        let lookup = setup.credentials().lookup("ghcr.io", "a").await;
        assert!(lookup.found.is_none() && setup.calls().is_empty(), "{name}: {lookup:?}");
        let reported = lookup
            .problems
            .iter()
            .any(|problem| problem.to_string().contains("is not the name"));
        assert_eq!(reported, !name.is_empty(), "{lookup:?}");
    }
}

#[tokio::test]
async fn login_and_logout_go_through_the_helper() {
    let setup = setup(r#"{"credsStore":"test","other":1}"#);
    let path = Some(Path::new(&setup.path).as_os_str());
    let credential = Credential::password("me", "hunter2");
    let source = login(&setup.config, "docker.io", &credential, path).await.unwrap();
    assert!(matches!(source, CredentialSource::Helper { .. }), "{source}");
    let text = std::fs::read_to_string(&setup.config).unwrap();
    assert!(
        !text.contains("hunter2") && text.contains(r#""https://index.docker.io/v1/": {}"#),
        "{text}"
    );
    assert_eq!(
        setup
            .credentials()
            .lookup("docker.io", "library/x")
            .await
            .found
            .unwrap()
            .0,
        credential
    );
    assert!(logout(&setup.config, "docker.io", path).await.unwrap());
    assert!(!logout(&setup.config, "docker.io", path).await.unwrap());
    assert_eq!(setup.calls(), "store\nget\nerase\nerase\n");
}
