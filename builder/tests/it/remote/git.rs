//! `ADD` of git repositories, and contexts that are some: served by the dumb protocol, as any web server can.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::read;
use crate::harness::{Lab, WebServer, sh};

/// A repository with tags `v0.0.1` to `v0.0.3`, branches `base` and `feature`, and a submodule.
pub(super) struct Repository {
    pub(super) server: WebServer,
    pub(super) directory: TempDir,
}

impl Repository {
    pub(super) fn new(format: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = WebServer::of_directory(directory.path());
        let at = directory.path().display();
        let submodule = server.url("/submod.git");
        sh(&format!(
            r#"
            export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ALLOW_PROTOCOL=http:file
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
            export GIT_AUTHOR_DATE='1445412480 +0000' GIT_COMMITTER_DATE='1445412480 +0000'
            cd {at}
            git init -q --object-format={format} -b master sub
            (cd sub; echo -n 123 > file; git add file; git commit -qm sub)
            git clone -q --bare sub submod.git; git -C submod.git update-server-info
            git init -q --object-format={format} -b master work
            cd work
            echo -n v0.0.1 > foo; echo '#!/bin/sh' > tool; chmod 755 tool
            echo 'FROM scratch
COPY foo /' > Dockerfile
            echo 'FROM scratch
COPY . /repo/' > all.Dockerfile
            git add .; git commit -qm 1; git tag v0.0.1
            git branch base; git checkout -q base; echo -n base > foo; git commit -qam base; git checkout -q master
            git checkout -qb feature; mkdir sub; echo -n subfeature > sub/foo
            ln -s / root; ln -s sub link; ln -s /etc/passwd Dockerfile.link
            cp Dockerfile sub/; git add .; git commit -qm feature; git checkout -q master
            echo -n v0.0.2 > foo; git commit -qam 2; git tag -a -m annotated v0.0.2
            git submodule --quiet add {submodule} submod; git commit -qm submodule
            echo -n v0.0.3 > foo; git commit -qam 3; git tag v0.0.3
            cd ..; git clone -q --bare work repo.git; cd repo.git; git update-server-info
            "#
        ));
        Self { server, directory }
    }

    pub(super) fn url(&self) -> String {
        self.server.url("/repo.git")
    }

    fn commit(&self, name: &str) -> String {
        let at = self.directory.path().join("work");
        let commit = sh(&format!("git -C {} rev-parse '{name}^{{commit}}'", at.display()));
        commit.trim().to_owned()
    }
}

/// Builds with the address as source of an `ADD`, and returns what was added.
pub(super) fn added(lab: &Lab, flags: &str, url: &str) -> PathBuf {
    lab.write("Dockerfile", &format!("FROM scratch\nADD {flags} {url} /repo/\n"));
    lab.build_files(&[]).join("repo")
}

/// BK-096, BK-097, BK-098, BK-099, BK-100, BK-101, BK-102, in SHA-1 and SHA-256.
#[test]
fn a_commit_is_added_by_its_ref_and_held_to_its_checksum() {
    for format in ["sha1", "sha256"] {
        let repository = Repository::new(format);
        let (url, lab) = (repository.url(), Lab::new(""));
        let out = added(&lab, "", &format!("{url}#v0.0.1"));
        assert_eq!(read(&out, "foo"), "v0.0.1");
        assert!(!out.join(".git").exists());
        assert_eq!(fs::metadata(out.join("foo")).unwrap().mode() & 0o777, 0o644);
        assert_eq!(fs::metadata(out.join("tool")).unwrap().mode() & 0o777, 0o755);

        let commit = repository.commit("v0.0.2");
        let out = added(&lab, &format!("--checksum={commit}"), &format!("{url}#v0.0.2"));
        assert_eq!(read(&out, "foo"), "v0.0.2");
        assert!(!out.join(".git").exists());
        lab.write("Dockerfile", &format!("FROM scratch\nADD {url}#v0.0.2 /repo/\n"));
        let again = lab.build(&[]);
        assert!(again.stderr.contains("CACHED"), "{}", again.stderr);

        let out = added(&lab, "--keep-git-dir=true", &format!("{url}#{commit}"));
        assert_eq!(read(&out, "foo"), "v0.0.2");
        assert_eq!(read(&out, ".git/HEAD").trim(), commit);
        let status = format!("git -c safe.directory='*' -C {} status -s", out.display());
        assert_eq!(sh(&status), "");

        // Owned by another user, it is a clean repository of his.
        let flags = format!("--keep-git-dir=true --chown=4242:8484 --checksum={commit}");
        lab.write(
            "Dockerfile",
            &format!("FROM scratch\nADD {flags} {url}#v0.0.2 /repo/\n"),
        );
        lab.build(&["-o", "type=tar,dest=owned.tar"]);
        let owned = sh(&format!(
            "cd {}; mkdir owned; tar --numeric-owner -C owned -xpf owned.tar; stat -c %u:%g owned/repo/foo; setpriv \
             --reuid 4242 --regid 8484 --clear-groups env HOME=/ git -C owned/repo status -s; rm -r owned",
            lab.path().display()
        ));
        assert_eq!(owned, "4242:8484\n");

        let wrong = repository.commit("v0.0.1");
        lab.write(
            "Dockerfile",
            &format!("FROM scratch\nADD --checksum={wrong} {url}#v0.0.2 /\n"),
        );
        lab.croze(&["build", "context"])
            .fails(8, &["expected checksum to match", &wrong, &commit, "Dockerfile:2"]);
        lab.write("Dockerfile", &format!("FROM scratch\nADD --checksum=foobar {url} /\n"));
        lab.croze(&["build", "context"])
            .fails(3, &["invalid checksum", "expected hex commit hash"]);
    }
}

/// BK-103 to BK-119, BK-128: each as an `ADD` and as the context.
#[test]
fn a_repository_is_addressed_by_fragment_and_query() {
    let repository = Repository::new("sha1");
    let (latest, second) = (repository.commit("master"), repository.commit("v0.0.2"));
    let lab = Lab::new("");
    for (suffix, expected) in [
        (String::new(), Ok("v0.0.3")),
        ("#v0.0.2".to_owned(), Ok("v0.0.2")),
        ("?ref=base".to_owned(), Ok("base")),
        ("?branch=base".to_owned(), Ok("base")),
        (
            "?branch=invalid".to_owned(),
            Err((5, "repository does not contain ref")),
        ),
        ("?branch=v0.0.2".to_owned(), Err((5, "repository does not contain ref"))),
        ("?tag=v0.0.2#refs/tags/v0.0.2".to_owned(), Ok("v0.0.2")),
        (format!("?commit={latest}"), Ok("v0.0.3")),
        (
            format!("?commit={}", &second[..8]),
            Err((8, "expected checksum to match")),
        ),
        (format!("?commit={}", &latest[..8]), Ok("v0.0.3")),
        (format!("?ref={second}"), Ok("v0.0.2")),
        (
            format!("?ref={}", &second[..8]),
            Err((5, "repository does not contain ref")),
        ),
        (format!("?tag=v0.0.2&commit={second}"), Ok("v0.0.2")),
        (
            format!("?tag=v0.0.2&commit={latest}"),
            Err((8, "expected checksum to match")),
        ),
        (format!("?ref={second}&commit={second}"), Ok("v0.0.2")),
        ("?tag=v0.0.2#refs/heads/master".to_owned(), Err((0, "ref conflicts"))),
        ("#feature:sub".to_owned(), Ok("subfeature")),
        ("?subdir=sub&ref=feature".to_owned(), Ok("subfeature")),
    ] {
        let url = format!("{}{suffix}", repository.url());
        lab.write("Dockerfile", &format!("FROM scratch\nADD {url} /\n"));
        let out = lab.path().join("out");
        for (words, usage) in [(vec!["context"], 3), (vec![url.as_str()], 2)] {
            let _first = fs::remove_dir_all(&out);
            let outcome = lab.croze(&[&["build", "-o", "out"], words.as_slice()].concat());
            match expected {
                Ok(content) => {
                    assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
                    assert_eq!(read(&out, "foo"), content, "{words:?} {suffix}");
                }
                Err((0, said)) => outcome.fails(usage, &[said]),
                Err((code, said)) => outcome.fails(code, &[said]),
            }
        }
    }
}

/// BK-120 to BK-127: each as an `ADD` and as the context.
#[test]
fn git_and_submodules_are_there_as_the_query_says() {
    let repository = Repository::new("sha1");
    let (lab, url) = (Lab::new(""), repository.url());
    for (query, git, submodule) in [
        ("", false, true),
        ("?keep-git-dir=true", true, true),
        ("?keep-git-dir=false", false, true),
        ("?keep-git-dir&submodules", true, true),
        ("?tag=v0.0.3&keep-git-dir=true", true, true),
        ("?submodules", false, true),
        ("?submodules=true", false, true),
        ("?submodules=false", false, false),
    ] {
        let url = format!("{url}{query}");
        for is_context in [false, true] {
            let out = if is_context {
                let out = lab.path().join("out");
                fs::remove_dir_all(&out).unwrap();
                let outcome = lab.croze(&["build", "-o", "out", "-f", "all.Dockerfile", &url]);
                assert_eq!(outcome.code, 0, "{}", outcome.stderr);
                out.join("repo")
            } else {
                added(&lab, "", &url)
            };
            assert_eq!(out.join(".git/HEAD").exists(), git, "{query}");
            assert_eq!(out.join("submod/file").exists(), submodule, "{query}");
            if git {
                assert_eq!(read(&out, ".git/HEAD").trim(), repository.commit("master"));
            }
            if submodule {
                assert_eq!(read(&out, "submod/file"), "123");
            }
            assert_eq!(out.join("submod/.git").exists(), git && submodule, "{query}");
        }
    }
}

#[test]
fn a_tag_has_the_time_of_its_commit_also_when_it_is_named_as_an_object() {
    let repository = Repository::new("sha1");
    let at = repository.directory.path().join("work");
    let tag = sh(&format!("git -C {} rev-parse v0.0.2", at.display()));
    let lab = Lab::new("");
    let out = added(&lab, "", &format!("{}?mtime=commit#{}", repository.url(), tag.trim()));
    assert_eq!(read(&out, "foo"), "v0.0.2");
    assert_eq!(fs::metadata(out.join("foo")).unwrap().mtime(), 1_445_412_480);
}

/// BK-234.
#[test]
fn a_repository_is_a_context_with_a_time_of_its_own() {
    let repository = Repository::new("sha1");
    let lab = Lab::new("");
    let archive = lab.path().join("oci.tar");
    let outcome = lab.croze(&[
        "build",
        "--build-arg",
        "SOURCE_DATE_EPOCH=context",
        "-o",
        "type=oci,dest=oci.tar",
        &repository.url(),
    ]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let config = sh(&format!("skopeo inspect --config oci-archive:{}", archive.display()));
    assert!(config.contains("2015-10-21T07:28:00Z"), "{config}");
}

/// G2, G5.
#[test]
fn no_link_of_a_repository_leads_out_of_it() {
    let repository = Repository::new("sha1");
    let (lab, url) = (Lab::new(""), repository.url());
    for subdir in ["root", "root/etc", "link", "foo", "missing"] {
        lab.croze(&["build", &format!("{url}#feature:{subdir}")])
            .fails(5, &["is not a directory of the repository"]);
    }
    lab.croze(&["build", &format!("{url}#feature:../../etc")])
        .fails(2, &["is not a directory below the repository"]);
    let outcome = lab.croze(&["build", "-f", "Dockerfile.link", &format!("{url}#feature")]);
    outcome.fails(5, &["cannot read the Dockerfile `Dockerfile.link`"]);
    assert!(!outcome.stderr.contains("root:x:"), "{}", outcome.stderr);
}

/// G1, G3.
#[test]
fn no_name_is_an_option_and_no_submodule_is_a_directory_of_this_machine() {
    let repository = Repository::new("sha1");
    let (lab, at) = (Lab::new(""), repository.directory.path().display());
    for address in [
        format!("{}#--upload-pack=touch", repository.url()),
        "ssh://-oProxyCommand=touch/x".to_owned(),
    ] {
        let outcome = lab.croze(&["build", &address]);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    }
    sh(&format!(
        "cd {at}/work; git config -f .gitmodules submodule.submod.url {at}/sub; git -c user.name=a -c user.email=a@b \
         commit -qam evil; git push -q ../repo.git master; git -C ../repo.git update-server-info"
    ));
    lab.croze(&["build", &repository.url()])
        .fails(6, &["git submodule update failed", "transport 'file' not allowed"]);
}

/// G3: a repository's files are never programs of the checkout's, whatever they are called and wherever they land.
#[test]
fn nothing_of_a_repository_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let (at, server) = (directory.path().display(), WebServer::of_directory(directory.path()));
    let lab = Lab::new("");
    let sentry = lab.path().join("fired");
    let git = "export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
               GIT_COMMITTER_EMAIL=a@b";
    // A hook of the user's own, and one that a submodule checks out into its own repository (CVE-2025-48384).
    sh(&format!(
        "{git}; mkdir -p {lab}/home/hooks; printf '#!/bin/sh\\ntouch {fired}\\n' > {lab}/home/hooks/post-checkout
        chmod 755 {lab}/home/hooks/post-checkout; printf '[core]\\nhooksPath={lab}/home/hooks\\n' > {lab}/home/.gitconfig
        cd {at}; git init -q sub; cp {lab}/home/hooks/post-checkout sub/; git -C sub add .; git -C sub commit -qm sub
        git clone -q --bare sub sub.git; git -C sub.git update-server-info; chmod -R a+rwX {lab}/home
        git init -q work; cd work; printf 'FROM scratch\\nCOPY . /\\n' > Dockerfile; ln -s .git/modules/sub/hooks sub
        printf '[submodule \"sub\"]\\n\\tpath = \"sub\\r\"\\n\\turl = {url}\\n' > .gitmodules; git add Dockerfile sub .gitmodules
        git update-index --add --cacheinfo \"160000,$(git -C ../sub rev-parse HEAD),$(printf 'sub\\r')\"
        git commit -qm hook; cd ..; git clone -q --bare work hook.git; git -C hook.git update-server-info",
        lab = lab.path().display(),
        fired = sentry.display(),
        url = server.url("/sub.git"),
    ));
    let _built_or_refused = lab.croze(&["build", &server.url("/hook.git")]);
    assert!(!server.asked().is_empty() && !sentry.exists(), "a hook was run");

    // Names that would land in the repository itself, or above it: no git writes them by itself.
    for name in [".git", ".GIT", "..", "git~1"] {
        sh(&format!(
            "{git}; cd {at}; rm -rf evil evil.git; git init -q evil; cd evil; blob=$(git hash-object -w ../sub/post-checkout)
            tree=$(printf '100755 blob %s\\tpost-checkout\\n' $blob | git mktree)
            tree=$(printf '040000 tree %s\\thooks\\n' $tree | git mktree)
            tree=$(printf '040000 tree %s\\t{name}\\n' $tree | git mktree)
            git update-ref refs/heads/master $(git commit-tree -m evil $tree); git symbolic-ref HEAD refs/heads/master
            cd ..; git clone -q --bare evil evil.git; git -C evil.git update-server-info"
        ));
        let outcome = lab.croze(&["build", &server.url("/evil.git")]);
        assert_eq!(outcome.code, 6, "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("invalid path"), "{name}: {}", outcome.stderr);
        assert!(!sentry.exists(), "{name}");
    }
}

/// A named context may be a repository.
#[test]
fn a_named_context_may_be_a_repository() {
    let repository = Repository::new("sha1");
    let lab = Lab::new("FROM source AS built\nFROM scratch\nCOPY --from=built /foo /\n");
    let context = format!("source={}#v0.0.1", repository.url());
    assert_eq!(read(&lab.build_files(&["--build-context", &context]), "foo"), "v0.0.1");
}

/// BK-073: what a repository brought is excluded like anything else.
#[test]
fn files_of_a_repository_can_be_excluded() {
    let repository = Repository::new("sha1");
    let url = repository.url();
    let lab = Lab::new(&format!(
        "FROM scratch AS base\nADD --keep-git-dir=true {url}#v0.0.3 /\nFROM scratch\nCOPY --from=base --exclude=foo \
         --exclude=.git* / /1/\nCOPY --from=base --exclude=**/file --exclude=!foo submod /2/\nADD \
         --exclude=*ockerfile {url} /3/\n"
    ));
    let out = lab.build_files(&[]);
    assert!(out.join("1/tool").exists() && !out.join("1/foo").exists() && !out.join("1/.git").exists());
    assert!(out.join("2").is_dir() && !out.join("2/file").exists());
    assert!(out.join("3/foo").exists() && !out.join("3/Dockerfile").exists());
}

#[test]
fn a_repository_can_be_asked_about() {
    let repository = Repository::new("sha1");
    let lab = Lab::new("FROM scratch\n");
    let url = repository.url();
    let outcome = lab.croze(&["build", "--check", &format!("{url}#v0.0.2")]);
    let said = (outcome.code, outcome.stdout.as_str());
    assert_eq!(said, (0, "Check complete, no warnings found.\n"), "{}", outcome.stderr);
    let missing = lab.croze(&["build", "--call=targets", "-f", "other.Dockerfile", &url]);
    missing.fails(5, &["cannot read the Dockerfile `other.Dockerfile`"]);
}
