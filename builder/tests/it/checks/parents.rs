//! COPY with `--parents` and `--exclude`.

use super::{Files, builds, lab, read, script};
use crate::harness::WebServer;

#[test]
fn parents_are_kept() {
    // BK-057
    let out = Files::of(
        "FROM scratch\nCOPY --parents foo1/foo2/bar /\nWORKDIR /test\nCOPY --parents foo1/foo2/ba* .\n",
        &[("foo1/foo2/bar", "bar"), ("foo1/foo2/baz", "baz")],
        &[],
    );
    assert_eq!(out.read("foo1/foo2/bar"), "bar");
    assert_eq!(out.read("test/foo1/foo2/bar"), "bar");
    assert_eq!(out.read("test/foo1/foo2/baz"), "baz");
}

/// Copies from a tree and checks what of `/out` is there and what is not.
fn copied(sources: &str, there: &[&str], absent: &[&str]) {
    let there = there.iter().map(|path| format!("[ -e /out/{path} ]"));
    let absent = absent.iter().map(|path| format!("[ ! -e /out/{path} ]"));
    let script: Vec<String> = there.chain(absent).collect();
    builds(
        &format!(
            "FROM BASE/busybox AS base\nRUN mkdir -p /test/a/b/c/d/e /test/a/b2/c/d/e /test/a/b/c2/d/e /test/a/b/c2/d/e2 && \
             cd /test/a && touch b/c/d/foo b/c/d/e/bay b2/c/d/e/bar b/c2/d/e/baz b/c2/d/e2/baz\n\
             FROM BASE/busybox\nCOPY --parents --from=base {sources} /out/\nRUN set -x; {}\n",
            script.join(" && ")
        ),
        &[],
        &[],
    );
}

#[test]
fn a_pivot_says_where_the_kept_parents_begin() {
    // BK-058
    copied("/test/a/b/./c/d", &["c/d/e", "c/d/foo"], &["a", "e", "test"]);
    // BK-061
    copied("/test/a/./b/./c", &["b/c/d/e", "b/c/d/foo"], &["test", "c"]);
}

#[test]
fn without_a_pivot_all_parents_are_kept() {
    // BK-059 BK-060
    copied("/test/a/b/c/d/.", &["test/a/b/c/d/e", "test/a/b/c/d/foo"], &["e"]);
    copied("./test/a/b/c/d", &["test/a/b/c/d/e", "test/a/b/c/d/foo"], &["e"]);
}

#[test]
fn wildcards_may_stand_on_both_sides_of_a_pivot() {
    // BK-062
    copied("/test/a/./*/c", &["b/c/d/e", "b2/c/d/e/bar"], &["test"]);
    // BK-063
    copied("/test/a/b*/./c/**/e", &["c/d/e/bay", "c/d/e/bar"], &["test", "b"]);
    // BK-064
    copied(
        "/test/a/b/c*/./d/**/baz /test/a/b*/./c/**/bar",
        &["d/e/baz", "d/e2/baz", "c/d/e/bar"],
        &["d/e/bay"],
    );
    // BK-066
    copied("/test/a/b2*/none", &[""], &["test", "none"]);
    copied("/test/a/b/./none*", &[""], &["test", "c"]);
}

/// The files that exclusions choose from.
fn assorted(dockerfile: &str) -> super::Lab {
    let lab = lab(
        dockerfile,
        &[
            ("dir1/file-101.png", ""),
            ("dir1/file-102.txt", ""),
            ("dir1/file-103.jpeg", ""),
            ("dir2/file-201.pdf", ""),
            ("dir2/file-202.jpeg", ""),
            ("dir2/file-203.png", ""),
            ("dir3/file-301.mp3", ""),
            ("dir3/file-302.mpeg", ""),
            ("dir4/file-401.txt", "401"),
        ],
    );
    script(
        &lab,
        "cd context/dir4; ln -s file-401.txt file-402.txt; ln -s file-404.txt file-403.txt",
    );
    lab
}

/// The six ways to leave files out, where `from` says where they come from.
fn excluding(copy: &str, add: &str) -> String {
    format!(
        "{copy} --exclude=*/*.png --exclude=*/*.jpeg . /1\n{copy} --exclude=*/*.pdf --exclude=*/*.txt . /2\n\
         {add} --exclude=*.mp3 dir3/ /3/\n\
         {copy} --exclude=*.mp3 --exclude=*.png --exclude=*.jpeg --exclude=*.pdf --exclude=*.txt dir* /4/\n\
         {add} --exclude=*.mp* --exclude=*.png --exclude=*.jpeg --exclude=*.txt dir* /5\n{add} --exclude=* dir* /6\n"
    )
}

/// Builds and looks at what the six ways have left.
fn excludes(lab: &super::Lab) {
    lab.build_files(&[]);
    let names = |directory: &str| {
        let found = script(
            lab,
            &format!("cd out/{directory}; find . -not -type d -name 'file*' | sort"),
        );
        found
            .replace("./", "")
            .replace("file-", "")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names("1"),
        "dir1/102.txt dir2/201.pdf dir3/301.mp3 dir3/302.mpeg dir4/401.txt dir4/402.txt dir4/403.txt"
    );
    assert_eq!(
        script(lab, "readlink out/1/dir4/file-40[23].txt"),
        "file-401.txt\nfile-404.txt\n"
    );
    assert_eq!(
        names("2"),
        "dir1/101.png dir1/103.jpeg dir2/202.jpeg dir2/203.png dir3/301.mp3 dir3/302.mpeg"
    );
    assert_eq!(
        [names("3"), names("4"), names("5")],
        ["302.mpeg", "302.mpeg", "201.pdf"]
    );
    assert_eq!(script(lab, "find out/6"), "out/6\n");
    assert_eq!(read(&lab.path().join("out"), "1/dir4/file-402.txt"), "401");
}

#[test]
fn what_is_excluded_is_not_copied() {
    // BK-067 BK-068 BK-069 BK-070 BK-071 BK-072
    excludes(&assorted(&format!("FROM scratch\n{}", excluding("COPY", "ADD"))));
}

#[test]
fn what_is_excluded_of_a_repository_is_not_copied() {
    // BK-073
    let lab = assorted("");
    script(
        &lab,
        "export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
         GIT_COMMITTER_EMAIL=a@b; cp -rP context work; rm work/Dockerfile; git init -q work; cd work; git add .; \
         git commit -qm 1; git tag 0.1; git clone -q --bare . ../served/repo.git; git -C ../served/repo.git update-server-info",
    );
    let server = WebServer::of_directory(&lab.path().join("served"));
    let copies = excluding("COPY --from=base", "COPY --from=base");
    let url = server.url("/repo.git");
    lab.write(
        "Dockerfile",
        &format!("FROM scratch AS base\nADD --keep-git-dir=true {url}#0.1 /\nFROM scratch\n{copies}"),
    );
    excludes(&lab);
    assert!(lab.path().join("out/1/.git/HEAD").exists());
}
