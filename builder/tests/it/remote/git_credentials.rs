//! Passwords and tokens for git: whom they reach, and where they are not kept.

use std::fs;

use super::git::{Repository, added};
use super::read;
use crate::harness::{Lab, Page, WebServer, sh};

/// G4: a token goes to its host and is not taken along by a redirect.
#[test]
fn a_token_reaches_its_own_host_only() {
    let repository = Repository::new("sha1");
    let (lab, other) = (Lab::new(""), WebServer::start());
    let basic = sh("printf x-access-token:s3cret | base64 -w0");
    repository.server.require(&format!("basic {basic}"));
    fs::write(lab.path().join("token"), "s3cret\n").unwrap();
    let secret = ["--secret", "id=GIT_AUTH_TOKEN.127.0.0.1,src=token"];
    let outcome = lab.croze(&["build", &repository.url()]);
    assert_eq!(outcome.code, 7, "{}", outcome.stderr);
    let words = ["build", secret[0], secret[1], &repository.url()];
    let outcome = lab.croze(&words);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);

    let moved = WebServer::start();
    moved.put(
        "/repo.git/info/refs",
        Page {
            location: Some(other.url("/repo.git/info/refs")),
            ..Page::default()
        },
    );
    let outcome = lab.croze(&["build", secret[0], secret[1], &moved.url("/repo.git")]);
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(&basic), "{}", outcome.stderr);
    assert!(!moved.asked().is_empty());
    assert!(other.asked().is_empty(), "the redirect was followed");
}

/// G4: a password of an address serves its submodules, too, and is not kept with the repository.
#[test]
fn a_password_of_an_address_is_in_no_file_of_a_repository_that_stays() {
    let repository = Repository::new("sha1");
    let (lab, at) = (Lab::new(""), repository.directory.path().display());
    sh(&format!(
        "cd {at}/work; git config -f .gitmodules submodule.submod.url ../submod.git; git -c user.name=a -c user.email=a@b \
         commit -qam relative; git push -q ../repo.git master; git -C ../repo.git update-server-info"
    ));
    let url = repository.url().replace("http://", "http://user:s3cret@");
    let added = added(&lab, "--keep-git-dir", &format!("{url}#master"));
    assert_eq!(read(&added, "submod/file"), "123");
    let config = read(&added, ".git/config");
    assert!(config.contains(&repository.server.url("/submod.git")), "{config}");
    let holding = sh(&format!("grep -rl s3cret {} || true", added.display()));
    assert_eq!(holding, "");
}
