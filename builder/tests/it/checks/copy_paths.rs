//! COPY: which paths are meant.

use super::{Files, lab, read};

#[test]
fn sources_may_come_from_variables() {
    // BK-052
    let out = Files::of(
        "FROM scratch\nENV FOO bar\nCOPY $FOO baz\n",
        &[("bar", "bar-contents")],
        &[],
    );
    assert_eq!(out.read("baz"), "bar-contents");
}

#[test]
fn wildcards_name_files_and_directories() {
    // BK-053
    let out = Files::of(
        "FROM scratch\nCOPY *.go /gofiles/\nCOPY f*.go foo2.go\nCOPY sub/* /subdest/\n\
         COPY sub/*/dir2/foo /subdest2/\nCOPY sub/*/dir2/foo /subdest3/bar\nCOPY . all/\nCOPY sub/dir1/ subdest4\n\
         COPY sub/dir1/. subdest5\nCOPY sub/dir1 subdest6\n",
        &[
            ("foo.go", "foo-contents"),
            ("bar.go", "bar-contents"),
            ("sub/dir1/dir2/foo", "foo-sub"),
        ],
        &[],
    );
    for (path, content) in [
        ("gofiles/foo.go", "foo-contents"),
        ("gofiles/bar.go", "bar-contents"),
        ("foo2.go", "foo-contents"),
        ("subdest/dir2/foo", "foo-sub"),
        ("subdest2/foo", "foo-sub"),
        ("subdest3/bar", "foo-sub"),
        ("all/foo.go", "foo-contents"),
        ("subdest4/dir2/foo", "foo-sub"),
        ("subdest5/dir2/foo", "foo-sub"),
        ("subdest6/dir2/foo", "foo-sub"),
    ] {
        assert_eq!(out.read(path), content, "{path}");
    }
}

#[test]
fn destinations_begin_at_the_work_directory() {
    // BK-054
    let out = Files::of(
        "FROM scratch\nWORKDIR /test1\nWORKDIR test2\nCOPY foo ./\nADD foo ./bar/baz\nCOPY foo ./bar/baz2\n\
         WORKDIR ..\nCOPY foo ./\nCOPY foo /test3/\nWORKDIR /test4\nCOPY . .\nWORKDIR /test5/test6\nCOPY foo ../\n",
        &[("foo", "foo-contents")],
        &[],
    );
    for path in [
        "test1/test2/foo",
        "test1/test2/bar/baz",
        "test1/test2/bar/baz2",
        "test1/foo",
        "test3/foo",
        "test4/foo",
        "test5/foo",
    ] {
        assert_eq!(out.read(path), "foo-contents", "{path}");
    }
}

#[test]
fn names_are_neither_decoded_nor_changed() {
    // BK-055
    let names = ["test-äöü.txt", "test-%C3%A4%C3%B6%C3%BC.txt", "test+aou.txt"];
    let files: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
    let text: String = names.iter().map(|name| format!("COPY {name} /\n")).collect();
    let lab = lab(&format!("FROM scratch\n{text}"), &files);
    let out = lab.build_files(&[]);
    for name in names {
        assert_eq!(read(&out, name), name);
    }
}
