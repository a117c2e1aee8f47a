//! .dockerignore.

use super::{lab, read};

#[test]
fn the_last_pattern_that_matches_decides() {
    // BK-184
    let lab = lab(
        "FROM scratch\nCOPY . .\n",
        &[
            (".dockerignore", "\nba*\nDockerfile\n!bay\n.dockerignore\n"),
            ("foo", "foo-contents"),
            ("bar", ""),
            ("baz", ""),
            ("bay", "bay-contents"),
        ],
    );
    let out = lab.build_files(&[]);
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["bay", "foo"]);
    assert_eq!(read(&out, "foo"), "foo-contents");
}

#[test]
fn a_pattern_that_is_none_is_refused() {
    // BK-185
    let lab = lab("FROM scratch\nCOPY . .\n", &[(".dockerignore", "!\n")]);
    lab.croze(&["build", "context"]).fails(3, &[".dockerignore:1"]);
}

#[test]
fn each_dockerfile_may_have_its_own_patterns() {
    // BK-186
    let lab = lab(
        "FROM scratch\nCOPY . .\n",
        &[
            ("Dockerfile.dockerignore", "bar\n"),
            ("Dockerfile2", "FROM scratch\nCOPY . .\n"),
            ("Dockerfile2.dockerignore", "foo\n"),
            (".dockerignore", "*\n"),
            ("foo", "foo"),
            ("bar", "bar"),
        ],
    );
    let there = |words: &[&str]| {
        let out = lab.build_files(words);
        (out.join("foo").exists(), out.join("bar").exists())
    };
    assert_eq!(there(&["-f", "context/Dockerfile"]), (true, false));
    assert_eq!(there(&["-f", "context/Dockerfile2"]), (false, true));
    assert_eq!(there(&[]), (true, false), "without -f the file is the same");
}

#[test]
fn a_file_is_hidden_though_a_directory_of_its_name_might_show_something() {
    let lab = lab(
        "FROM BASE/busybox AS run\nRUN --mount=target=/c ls -R /c > /list\nFROM scratch\nCOPY --from=run /list /\n",
        &[
            (".dockerignore", "*\n!src/*/lib\n!dir/*/lib\n"),
            ("src", "secret"),
            ("dir/a/lib", "shown"),
            ("dir/b", "secret"),
        ],
    );
    let list = std::fs::read_to_string(lab.build_files(&["--insecure-registry=BASE"]).join("list")).unwrap();
    assert_eq!(list, "/c:\ndir\n\n/c/dir:\na\n\n/c/dir/a:\nlib\n");
}
