//! `--parents` and `--exclude`.

use super::*;

fn parents(sources: &[&str], destination: &str) -> CopyOp {
    CopyOp {
        parents: true,
        ..op(sources, destination)
    }
}

fn excluding(patterns: &[&str], sources: &[&str], destination: &str) -> CopyOp {
    let exclude = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    CopyOp {
        exclude,
        ..op(sources, destination)
    }
}

/// The paths that are not directories.
fn files(world: &World) -> Vec<String> {
    world
        .listing()
        .into_iter()
        .filter(|path| !path.ends_with('/'))
        .collect()
}

// BK-057.
#[test]
fn the_path_of_the_source_is_kept() {
    let world = World::new(&["foo1/foo2/bar", "foo1/foo2/baz", "foo1/other"]);
    world.copy(&parents(&["foo1/foo2/bar"], "/")).unwrap();
    world.copy(&parents(&["foo1/foo2/ba*"], "/test/")).unwrap();
    assert_eq!(
        files(&world),
        ["foo1/foo2/bar", "test/foo1/foo2/bar", "test/foo1/foo2/baz"]
    );
}

// BK-058 to BK-064.
#[test]
fn the_path_is_kept_from_the_first_pivot_on() {
    let table: [(&[&str], &[&str]); 8] = [
        (&["/test/a/b/./c/d"], &["out/c/d/e/bay", "out/c/d/foo"]),
        (
            &["/test/a/b/c/d/."],
            &["out/test/a/b/c/d/e/bay", "out/test/a/b/c/d/foo"],
        ),
        (&["./test/a/b/c/d"], &["out/test/a/b/c/d/e/bay", "out/test/a/b/c/d/foo"]),
        (&["/test/a/./b/./c"], &["out/b/c/d/e/bay", "out/b/c/d/foo"]),
        (
            &["/test/a/./*/c"],
            &["out/b/c/d/e/bay", "out/b/c/d/foo", "out/b2/c/d/e/bar"],
        ),
        (&["/test/a/b*/./c/**/e"], &["out/c/d/e/bar", "out/c/d/e/bay"]),
        (
            &["/test/a/b/c*/./d/**/baz", "/test/a/b*/./c/**/bar"],
            &["out/c/d/e/bar", "out/d/e/baz", "out/d/e2/baz"],
        ),
        (&["test/**/bay"], &["out/test/a/b/c/d/e/bay"]),
    ];
    for (sources, expected) in table {
        let world = World::new(&[
            "test/a/b/c/d/foo",
            "test/a/b/c/d/e/bay",
            "test/a/b2/c/d/e/bar",
            "test/a/b/c2/d/e/baz",
            "test/a/b/c2/d/e2/baz",
        ]);
        world.copy(&parents(sources, "/out/")).unwrap();
        assert_eq!(files(&world), expected, "{sources:?}");
    }
}

#[test]
fn directories_that_lead_to_nothing_are_not_made() {
    let world = World::new(&["a/empty/", "a/b/wanted.txt", "a/c/other.md"]);
    world.copy(&parents(&["a/**/*.txt"], "/")).unwrap();
    assert_eq!(world.listing(), ["a/", "a/b/", "a/b/wanted.txt"]);
    let world = World::new(&["a/empty/", "a/b/wanted.txt"]);
    world.copy(&parents(&["a"], "/")).unwrap();
    assert_eq!(world.listing(), ["a/", "a/b/", "a/b/wanted.txt", "a/empty/"]);
}

// BK-065, BK-066.
#[test]
fn a_literal_that_is_missing_is_an_error_and_a_wildcard_is_not() {
    let world = World::new(&["test/a/b/file", "link -> test"]);
    for missing in [
        "/test/nonexistent-file",
        "/test/a/./nonexistent",
        "/nowhere/./file",
        "test/a/b/file/below",
        "link/a",
    ] {
        let error = world.copy(&parents(&[missing], "/out/")).unwrap_err();
        assert!(
            matches!(error, Failure::Select(SelectError::NotFound { .. })),
            "{missing}: {error}"
        );
        assert!(error.to_string().contains("\": not found"), "{error}");
    }
    world.copy(&parents(&["/test/a/b2*/c"], "/out/")).unwrap();
    world.copy(&parents(&["/test/a/b/./c2*"], "/out/")).unwrap();
    assert_eq!(world.listing(), ["out/"]);
}

#[test]
fn parents_that_are_made_look_like_the_sources_and_existing_ones_keep_their_owner() {
    let world = World::new(&["made/there/file"]).existing(&["there/"]);
    for path in ["made", "made/there"] {
        set_mode(&world.context(path), 0o751);
        chown(&world.context(path), 3, 4);
    }
    chown(&world.out("there"), 9, 9);
    world.copy_as(&parents(&["made/there/file"], "/"), None, true).unwrap();
    world
        .copy_as(&parents(&["made/./there/file"], "/"), None, true)
        .unwrap();
    for (path, expected) in [("made", (3, 4)), ("made/there", (3, 4)), ("there", (9, 9))] {
        assert_eq!(
            (mode(&world.out(path)), owner(&world.out(path))),
            (0o751, expected),
            "{path}"
        );
    }
}

// BK-067 to BK-072.
#[test]
fn excluded_files_stay_behind() {
    let files_of_context = [
        "dir1/file-101.png",
        "dir1/file-102.txt",
        "dir1/file-103.jpeg",
        "dir2/file-201.pdf",
        "dir2/file-202.jpeg",
        "dir2/file-203.png",
        "dir3/file-301.mp3",
        "dir3/file-302.mpeg",
        "dir4/file-401.txt",
        "dir4/file-402.txt -> file-401.txt",
        "dir4/file-403.txt -> file-404.txt",
    ];
    let table: [(&[&str], &[&str], &[&str]); 6] = [
        (
            &["*/*.png", "*/*.jpeg"],
            &["."],
            &[
                "x/dir1/file-102.txt",
                "x/dir2/file-201.pdf",
                "x/dir3/file-301.mp3",
                "x/dir3/file-302.mpeg",
                "x/dir4/file-401.txt",
                "x/dir4/file-402.txt -> file-401.txt",
                "x/dir4/file-403.txt -> file-404.txt",
            ],
        ),
        (
            &["*/*.pdf", "*/*.txt"],
            &["."],
            &[
                "x/dir1/file-101.png",
                "x/dir1/file-103.jpeg",
                "x/dir2/file-202.jpeg",
                "x/dir2/file-203.png",
                "x/dir3/file-301.mp3",
                "x/dir3/file-302.mpeg",
            ],
        ),
        (&["*.mp3"], &["dir3/"], &["x/file-302.mpeg"]),
        (
            &["*.mp3", "*.png", "*.jpeg", "*.pdf", "*.txt"],
            &["dir*"],
            &["x/file-302.mpeg"],
        ),
        (&["*"], &["dir*"], &[]),
        (&["*.txt", "*.png"], &["dir1/*"], &["x/file-103.jpeg"]),
    ];
    for (patterns, sources, expected) in table {
        let world = World::new(&files_of_context);
        world.copy(&excluding(patterns, sources, "/x/")).unwrap();
        assert_eq!(files(&world), expected, "{patterns:?} {sources:?}");
        assert!(world.out("x").is_dir(), "excluding everything gives an empty directory");
    }
}

#[test]
fn an_exception_brings_back_a_file_with_its_directories() {
    let world = World::new(&["src/a/drop", "src/a/keep", "src/b/drop"]);
    world.copy(&excluding(&["*", "!a/keep"], &["src"], "/x/")).unwrap();
    assert_eq!(world.listing(), ["x/", "x/a/", "x/a/keep"]);
}

#[test]
fn exclude_and_parents_work_together() {
    let world = World::new(&["src/a/x.rs", "src/a/x.md", "src/b/y.rs"]);
    let both = CopyOp {
        exclude: vec!["**/*.md".to_owned(), "src/b".to_owned()],
        ..parents(&["src"], "/")
    };
    world.copy(&both).unwrap();
    assert_eq!(world.listing(), ["src/", "src/a/", "src/a/x.rs"]);
}
