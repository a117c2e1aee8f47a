//! Where files go, and what is made on the way.

use super::*;
use crate::op::Chmod;

// BK-001, BK-033, BK-034, BK-051, BK-053, BK-054, BK-055.
#[test]
fn a_file_goes_where_the_destination_says() {
    let table: [(&[&str], &str, &[&str]); 14] = [
        (&["foo"], "/foo2", &["foo2"]),
        (&["foo"], "/", &["foo"]),
        (&["/foo"], "/", &["foo"]),
        (&["../../foo"], "/", &["foo"]),
        (&["foo"], "/sample/", &["sample/", "sample/foo"]),
        (&["foo"], "/a/b/c", &["a/", "a/b/", "a/b/c"]),
        (&["foo", "bar"], "/two", &["two/", "two/bar", "two/foo"]),
        (&["f*"], "/x", &["x"]),
        (
            &["*o*"],
            "/x",
            &["x/", "x/foo", "x/sub/", "x/sub/dir/", "x/sub/dir/deep"],
        ),
        (&["foo", "nomatch*"], "/", &["foo"]),
        (&["nomatch*"], "/missing/", &[]),
        (&["[bf]??"], "/g/", &["g/", "g/bar", "g/foo"]),
        (&["foo/"], "/", &["foo"]),
        (
            &["test-äöü.txt", "test-%C3%A4.txt"],
            "/",
            &["test-%C3%A4.txt", "test-äöü.txt"],
        ),
    ];
    for (sources, destination, expected) in table {
        let files = ["foo", "bar", "so/sub/dir/deep", "test-äöü.txt", "test-%C3%A4.txt"];
        let world = World::new(&files);
        world.copy(&op(sources, destination)).unwrap();
        assert_eq!(world.listing(), expected, "COPY {sources:?} {destination}");
    }
}

// BK-053, BK-054, BK-004.
#[test]
fn a_directory_gives_its_content() {
    let table: [(&str, &str, &[&str]); 9] = [
        (
            "sub",
            "/out",
            &["out/", "out/dir1/", "out/dir1/dir2/", "out/dir1/dir2/foo"],
        ),
        (
            "sub/",
            "/out/",
            &["out/", "out/dir1/", "out/dir1/dir2/", "out/dir1/dir2/foo"],
        ),
        ("sub/.", "/", &["dir1/", "dir1/dir2/", "dir1/dir2/foo"]),
        ("sub/*", "/subdest/", &["subdest/", "subdest/dir2/", "subdest/dir2/foo"]),
        ("sub/*/dir2/foo", "/s2/", &["s2/", "s2/foo"]),
        ("sub/*/dir2/foo", "/s3/bar", &["s3/", "s3/bar"]),
        ("sub/dir1/", "/s4", &["s4/", "s4/dir2/", "s4/dir2/foo"]),
        ("sub/dir1/dir2/../.", "/s5", &["s5/", "s5/dir2/", "s5/dir2/foo"]),
        (
            ".",
            "/all/",
            &[
                "all/",
                "all/sub/",
                "all/sub/dir1/",
                "all/sub/dir1/dir2/",
                "all/sub/dir1/dir2/foo",
            ],
        ),
    ];
    for (source, destination, expected) in table {
        let world = World::new(&["sub/dir1/dir2/foo"]);
        world.copy(&op(&[source], destination)).unwrap();
        assert_eq!(world.listing(), expected, "COPY {source} {destination}");
    }
}

// BK-003, and G9: a destination that climbs stays in the root.
#[test]
fn links_in_the_destination_are_followed_inside_the_root() {
    let table = [
        ("/link/", "target/foo"),
        ("/link/foo", "target/foo"),
        ("/absolute/x", "target/x"),
        ("/to-file", "file"),
        ("/dangling", "new/place"),
        ("/climbs/x", "target/x"),
        ("../../../x", "x"),
        ("/link/../y", "y"),
    ];
    for (destination, arrived) in table {
        let world = World::new(&["foo=new"]).existing(&[
            "link -> ../target",
            "target/",
            "absolute -> /target",
            "to-file -> /file",
            "file=old",
            "dangling -> /new/place",
            "climbs -> ../../../../target",
        ]);
        world.copy(&op(&["foo"], destination)).unwrap();
        assert_eq!(world.read(arrived), "new", "{destination}");
        assert!(fs::symlink_metadata(world.out("link")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(world.out("to-file")).unwrap().is_symlink());
        assert_eq!(
            fs::read_dir(world.dir.path()).unwrap().count(),
            2,
            "{destination} left the root"
        );
    }
}

#[test]
fn a_link_that_has_the_name_of_the_file_is_replaced() {
    let world = World::new(&["foo=new"]).existing(&["dir/foo -> /victim", "victim=old"]);
    world.copy(&op(&["foo"], "/dir/")).unwrap();
    assert_eq!(
        (world.read("dir/foo").as_str(), world.read("victim").as_str()),
        ("new", "old")
    );
    assert!(fs::symlink_metadata(world.out("dir/foo")).unwrap().is_file());
}

#[test]
fn a_loop_in_the_destination_is_an_error() {
    let world = World::new(&["foo"]).existing(&["a -> b", "b -> a"]);
    let error = world.copy(&op(&["foo"], "/a/x")).unwrap_err();
    assert!(
        matches!(error, Failure::Copy(CopyError::TooManyLinks { .. })),
        "{error}"
    );
}

// The words are BuildKit's.
#[test]
fn files_and_directories_do_not_replace_each_other() {
    let world = World::new(&["foo", "dir/foo"]).existing(&["x/foo/", "file", "y/foo/"]);
    let message = |sources: &str, destination: &str| world.copy(&op(&[sources], destination)).unwrap_err().to_string();
    assert_eq!(message("foo", "/x/"), "cannot replace to directory /x/foo with file");
    assert_eq!(message("dir", "/y"), "cannot replace to directory /y/foo with file");
    assert_eq!(message("dir", "/file"), "cannot copy to non-directory: /file");
    assert_eq!(message("foo", "/file/"), "cannot copy to non-directory: /file");
    let world = World::new(&["tree/name/foo"]).existing(&["z/name", "w/name -> ../z"]);
    let message = |destination: &str| world.copy(&op(&["tree"], destination)).unwrap_err().to_string();
    assert_eq!(message("/z"), "cannot copy to non-directory: /z/name");
    assert_eq!(message("/w"), "cannot copy to non-directory: /w/name");
}

// BK-048.
#[test]
fn directories_that_are_made_have_an_octal_chmod_but_no_symbolic_one() {
    let table = [
        (None, "/parent/sub/foo", 0o600, 0o755),
        (Some("777"), "/parent/sub/foo", 0o777, 0o777),
        (Some("0770"), "/parent/sub/", 0o770, 0o770),
        (Some("u+x,g+r"), "/parent/sub/foo", 0o740, 0o755),
    ];
    for (chmod, destination, file, directory) in table {
        let world = World::new(&["foo"]);
        let chmod = chmod.map(|chmod| chmod.parse::<Chmod>().unwrap());
        world
            .copy(&CopyOp {
                chmod,
                ..op(&["foo"], destination)
            })
            .unwrap();
        let arrived = if destination.ends_with('/') {
            "parent/sub/foo"
        } else {
            destination.trim_start_matches('/')
        };
        assert_eq!(mode(&world.out(arrived)), file);
        assert_eq!(mode(&world.out("parent")), directory);
        assert_eq!(mode(&world.out("parent/sub")), directory);
    }
}

// BK-131.
#[test]
fn what_a_copy_makes_itself_bears_the_time_that_is_asked_for() {
    let time = |world: &World, path: &str| fs::metadata(world.out(path)).unwrap().mtime();
    let world = World::new(&["dir/sub/file", "file"]).existing(&["there/"]);
    let at = |op: CopyOp| CopyOp {
        mtime: Some(1_445_412_480),
        ..op
    };
    world.copy(&at(op(&["/file"], "/there/a/b/c/"))).unwrap();
    world.copy(&at(op(&["/dir", "/file"], "/merged/into/"))).unwrap();
    world.copy(&at(heredocs(&[("note", "")], "/notes/"))).unwrap();
    for made in [
        "there/a",
        "there/a/b",
        "there/a/b/c",
        "merged",
        "merged/into",
        "notes",
        "notes/note",
    ] {
        assert_eq!(time(&world, made), 1_445_412_480, "{made}");
    }
    // What came from somewhere keeps the time that it had there.
    for kept in ["there/a/b/c/file", "merged/into/sub", "merged/into/sub/file"] {
        assert_ne!(time(&world, kept), 1_445_412_480, "{kept}");
    }
    world.copy(&op(&["/file"], "/now/")).unwrap();
    assert_ne!(time(&world, "now"), 1_445_412_480);
}

#[test]
fn heredocs_become_files() {
    let world = World::new(&[]);
    world
        .copy(&heredocs(&[("EOF", "single file\n")], "/dest/single"))
        .unwrap();
    world
        .copy(&heredocs(&[("EOF", "first\n"), ("EOF2", "second\n")], "/dest/double/"))
        .unwrap();
    let chmod = Some(Chmod::Octal(0o777));
    world
        .copy(&CopyOp {
            chmod,
            ..heredocs(&[("EOF", "")], "/perm/all")
        })
        .unwrap();
    let user = Some(Owner { uid: 1000, gid: 1001 });
    world
        .copy_as(&heredocs(&[("EOF", "")], "/perm/owned"), user, false)
        .unwrap();
    assert_eq!(world.read("dest/single"), "single file\n");
    assert_eq!(world.read("dest/double/EOF"), "first\n");
    assert_eq!(world.read("dest/double/EOF2"), "second\n");
    assert_eq!(
        (mode(&world.out("dest/single")), mode(&world.out("perm/all"))),
        (0o644, 0o777)
    );
    assert_eq!(owner(&world.out("perm/owned")), (1000, 1001));
}
