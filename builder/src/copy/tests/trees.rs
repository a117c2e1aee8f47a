//! Merging directories: whose they are, what stays.

use snapshotter::{Overlay, Upper};

use super::*;
use crate::op::Chmod;

/// The source stage and the destination of BuildKit's ownership matrix.
fn ownership_world() -> World {
    let world = World::new(&["file", "dir/subdir/nestedfile"])
        .existing(&["existingdir/existingsubdir/", "existingdir/existingfile"]);
    chown(&world.context("file"), 100, 200);
    chown(&world.context("dir"), 100, 200);
    chown(&world.context("dir/subdir"), 101, 201);
    chown(&world.context("dir/subdir/nestedfile"), 102, 202);
    chown(&world.out("existingdir"), 500, 600);
    chown(&world.out("existingdir/existingsubdir"), 501, 601);
    chown(&world.out("existingdir/existingfile"), 501, 601);
    world
}

fn assert_owners(world: &World, expected: &[(&str, u32, u32)]) {
    for (path, uid, gid) in expected {
        assert_eq!(owner(&world.out(path)), (*uid, *gid), "{path}");
    }
}

// BK-037.
#[test]
fn owners_of_a_stage_are_kept_but_not_that_of_the_top() {
    let world = ownership_world();
    for (source, destination) in [("/file", "/"), ("/dir", "/dir"), ("/dir/.", "/existingdir")] {
        world.copy_as(&op(&[source], destination), None, true).unwrap();
    }
    assert_owners(
        &world,
        &[
            ("file", 100, 200),
            ("dir", 0, 0),
            ("dir/subdir", 101, 201),
            ("dir/subdir/nestedfile", 102, 202),
            ("existingdir", 500, 600),
            ("existingdir/existingsubdir", 501, 601),
            ("existingdir/existingfile", 501, 601),
            ("existingdir/subdir", 101, 201),
            ("existingdir/subdir/nestedfile", 102, 202),
        ],
    );
}

// BK-038.
#[test]
fn chown_reaches_what_arrives_and_what_is_made() {
    let world = ownership_world();
    let user = Some(Owner { uid: 300, gid: 400 });
    for (source, destination) in [
        ("/file", "/"),
        ("/dir", "/dir"),
        ("/dir/.", "/existingdir"),
        ("file", "/new/f"),
    ] {
        world.copy_as(&op(&[source], destination), user, true).unwrap();
    }
    assert_owners(
        &world,
        &[
            ("file", 300, 400),
            ("dir", 300, 400),
            ("dir/subdir", 300, 400),
            ("dir/subdir/nestedfile", 300, 400),
            ("existingdir", 500, 600),
            ("existingdir/existingsubdir", 501, 601),
            ("existingdir/existingfile", 501, 601),
            ("existingdir/subdir", 300, 400),
            ("existingdir/subdir/nestedfile", 300, 400),
            ("new", 300, 400),
            ("new/f", 300, 400),
        ],
    );
}

#[test]
fn files_of_a_context_become_roots() {
    let world = ownership_world();
    world.copy(&op(&["."], "/all/")).unwrap();
    assert_owners(
        &world,
        &[
            ("all/file", 0, 0),
            ("all/dir/subdir", 0, 0),
            ("all/dir/subdir/nestedfile", 0, 0),
        ],
    );
}

#[test]
fn a_nested_directory_that_existed_gets_the_sources_mode_and_owner() {
    let world = World::new(&["tree/both/new", "tree/both/inner/"]).existing(&["both/old", "both/inner/old"]);
    set_mode(&world.context("tree"), 0o711);
    set_mode(&world.context("tree/both"), 0o750);
    chown(&world.context("tree/both"), 7, 8);
    set_mode(&world.out("both"), 0o777);
    set_mode(&world.out(""), 0o755);
    world.copy_as(&op(&["tree"], "/"), None, true).unwrap();
    assert_eq!(
        world.listing(),
        ["both/", "both/inner/", "both/inner/old", "both/new", "both/old"]
    );
    assert_eq!((mode(&world.out("both")), owner(&world.out("both"))), (0o750, (7, 8)));
    assert_eq!(mode(&world.out("")), 0o755, "the top is the destination's");
}

// BK-047, BK-048.
#[test]
fn chmod_reaches_everything_below_a_directory() {
    let world = World::new(&["bar/sub", "bar/exec", "bar/inner/"]);
    set_mode(&world.context("bar/exec"), 0o700);
    let copy = |chmod: &str, destination: &str| {
        let chmod = Some(chmod.parse::<Chmod>().unwrap());
        world
            .copy(&CopyOp {
                chmod,
                ..op(&["bar"], destination)
            })
            .unwrap();
    };
    copy("777", "/baz");
    for path in ["baz", "baz/sub", "baz/exec", "baz/inner"] {
        assert_eq!(mode(&world.out(path)), 0o777, "{path}");
    }
    copy("u=rwX,go=rX", "/sym");
    for (path, expected) in [
        ("sym", 0o755),
        ("sym/sub", 0o644),
        ("sym/exec", 0o755),
        ("sym/inner", 0o755),
    ] {
        assert_eq!(mode(&world.out(path)), expected, "{path}");
    }
    copy("+x", "/plus");
    assert_eq!(mode(&world.out("plus/sub")), 0o711, "+x does not ask the umask");
}

// BK-045, BK-046, BK-366.
#[test]
fn links_inside_a_directory_stay_links_and_named_ones_are_followed() {
    let files = [
        "bar=bar-contents",
        "foo -> bar",
        "sub/lfile",
        "sub/l0 -> subfile",
        "sub/subfile=subfile-contents",
    ];
    let more = [
        "sub/l1 -> second",
        "sub/second -> baz",
        "sub/baz=baz-contents",
        "sub/escape -> /etc/passwd",
    ];
    let world = World::new(&[files.as_slice(), more.as_slice()].concat());
    world.copy(&op(&["foo"], "/")).unwrap();
    world.copy(&op(&["sub/l*"], "/all/")).unwrap();
    world.copy(&op(&["sub"], "/sub")).unwrap();
    assert_eq!(world.read("foo"), "bar-contents");
    assert!(!fs::symlink_metadata(world.out("foo")).unwrap().is_symlink());
    assert_eq!(
        (world.read("all/l0").as_str(), world.read("all/l1").as_str()),
        ("subfile-contents", "baz-contents")
    );
    let links: Vec<_> = world
        .listing()
        .into_iter()
        .filter(|line| line.contains(" -> "))
        .collect();
    assert_eq!(
        links,
        [
            "sub/escape -> /etc/passwd",
            "sub/l0 -> subfile",
            "sub/l1 -> second",
            "sub/second -> baz"
        ]
    );
}

// BK-042, BK-043.
#[test]
fn a_source_behind_a_link_is_found() {
    let world = World::new(&["sub/foo=data", "link -> sub", "absolute -> /sub"]);
    for (source, name) in [("link/foo", "one"), ("absolute/foo", "two"), ("link/f*", "three")] {
        world.copy(&op(&[source], name)).unwrap();
        assert_eq!(world.read(name), "data", "{source}");
    }
}

#[test]
fn names_of_one_inode_stay_names_of_one_inode() {
    let world = World::new(&["tree/a/first=same", "tree/z"]).existing(&["out/b=old"]);
    fs::hard_link(world.context("tree/a/first"), world.context("tree/b")).unwrap();
    fs::hard_link(world.context("tree/a/first"), world.context("outside")).unwrap();
    world.copy(&op(&["tree"], "/out")).unwrap();
    let first = fs::metadata(world.out("out/a/first")).unwrap();
    assert_eq!(
        (first.nlink(), first.ino()),
        (2, fs::metadata(world.out("out/b")).unwrap().ino())
    );
    assert_eq!(fs::metadata(world.out("out/z")).unwrap().nlink(), 1);
}

#[test]
fn copying_the_same_again_changes_nothing() {
    let world = World::new(&["tree/a/b/c", "tree/link -> a"]);
    for _ in 0..2 {
        world.copy(&op(&["tree"], "/")).unwrap();
        assert_eq!(world.listing(), ["a/", "a/b/", "a/b/c", "link -> a"]);
    }
}

#[test]
fn a_tree_deeper_than_the_open_directories_is_copied_whole() {
    let deep = "d/".repeat(300);
    let world = World::new(&[&format!("{deep}leaf=deep")]);
    fs::write(world.context(&format!("{}after", "d/".repeat(100))), "on the way back").unwrap();
    world.copy(&op(&["."], "/")).unwrap();
    assert_eq!(world.read(&format!("{deep}leaf")), "deep");
    assert_eq!(world.read(&format!("{}after", "d/".repeat(100))), "on the way back");
}

#[test]
fn a_copy_through_an_overlay_leaves_the_lower_tree_alone() {
    let world = World::new(&["tree/dir/new=new", "tree/dir/file=changed", "tree/link=now a file"]);
    let lower = world.dir.path().join("lower");
    populate(&lower, &["dir/file=old", "dir/kept", "link -> dir", "gone/"]);
    let (upper, work) = (world.dir.path().join("upper"), world.dir.path().join("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    set_mode(&upper, 0o755);
    let overlay = Overlay {
        lower: vec![lower.clone()],
        upper: Some(Upper { dir: upper, work }),
    };
    let root = Root::from_fd(overlay.mount().unwrap());
    copy_into(&root, &world.tree(), &op(&["tree"], "/"), None, false).unwrap();
    let read = |path: &str| String::from_utf8(root.read_file(Path::new(path), 100).unwrap().unwrap()).unwrap();
    assert_eq!(
        (read("dir/file"), read("dir/new"), read("dir/kept")),
        ("changed".into(), "new".into(), "dir/kept".into())
    );
    assert_eq!(read("link"), "now a file");
    assert_eq!(fs::read_to_string(lower.join("dir/file")).unwrap(), "old");
    assert!(fs::symlink_metadata(lower.join("link")).unwrap().is_symlink());
}
