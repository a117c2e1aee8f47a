//! A tree that changes between being digested and being copied (G8).

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::context::Selection;
use crate::context::Use;

fn select_all(tree: &Tree) -> Selection {
    select(
        tree,
        Query::Source {
            path: ".",
            parents: false,
            exclude: &[],
        },
        None,
    )
    .unwrap()
}

/// Copies what was selected before `change`.
fn copy_after(world: &World, op: &CopyOp, change: impl FnOnce()) -> Result<(), CopyError> {
    let tree = world.tree();
    let selection = select_all(&tree);
    change();
    let root = Root::open(&world.out("")).unwrap();
    Copier::new(op, None, &root).add_selection(&tree, &selection, Arrival::default())
}

/// Something that is done to a file.
type Change = fn(&Path);

#[test]
fn bytes_that_were_not_digested_are_not_copied() {
    let changes: [(&str, Change); 6] = [
        ("other bytes", |file| fs::write(file, "other").unwrap()),
        ("fewer bytes", |file| fs::write(file, "").unwrap()),
        ("a link", |file| {
            fs::remove_file(file).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
        }),
        ("a FIFO", |file| {
            fs::remove_file(file).unwrap();
            rustix::fs::mknodat(
                rustix::fs::CWD,
                file,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )
            .unwrap();
        }),
        ("nothing", |file| fs::remove_file(file).unwrap()),
        ("its directory a link", |file| {
            let directory = file.parent().unwrap();
            fs::rename(directory, directory.with_extension("moved")).unwrap();
            std::os::unix::fs::symlink(directory.with_extension("moved"), directory).unwrap();
        }),
    ];
    for (what, change) in changes {
        let world = World::new(&["dir/file=bytes"]);
        let error = copy_after(&world, &op(&["."], "/"), || change(&world.context("dir/file"))).unwrap_err();
        assert!(
            matches!(error, CopyError::ChangedWhileReading { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(error.to_string(), "\"/dir/file\" changed while it was read");
    }
}

#[test]
fn an_archive_that_changes_is_noticed_as_well() {
    let world = World::new(&["t.tar"]);
    let mut header = tar::Header::new_ustar();
    header.set_path("foo").unwrap();
    header.set_size(0);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend([0; 1024]);
    fs::write(world.context("t.tar"), &bytes).unwrap();
    let tree = world.tree();
    let selection = select(
        &tree,
        Query::Source {
            path: "t.tar",
            parents: false,
            exclude: &[],
        },
        None,
    )
    .unwrap();
    bytes.extend([1; 10]);
    bytes[1000] = 1;
    fs::write(world.context("t.tar"), &bytes).unwrap();
    let (add, root) = (op(&["t.tar"], "/"), Root::open(&world.out("")).unwrap());
    let error = Copier::new(&add, None, &root)
        .add_selection(
            &tree,
            &selection,
            Arrival {
                unpack: true,
                ..Arrival::default()
            },
        )
        .unwrap_err();
    assert!(matches!(error, CopyError::ChangedWhileReading { .. }), "{error:?}");
}

#[test]
fn what_is_appended_later_does_not_matter() {
    let world = World::new(&["log=first\n"]);
    copy_after(&world, &op(&["."], "/"), || {
        fs::write(world.context("log"), "first\nsecond\n").unwrap()
    })
    .unwrap();
    assert_eq!(world.read("log"), "first\n");
}

#[test]
fn attributes_arrive_as_they_were_digested() {
    let world = World::new(&["file"]);
    copy_after(&world, &op(&["."], "/"), || set_mode(&world.context("file"), 0o777)).unwrap();
    assert_eq!(mode(&world.out("file")), 0o600);
}

#[test]
fn under_a_constant_rewrite_every_success_has_the_digested_bytes() {
    let world = World::new(&["file"]);
    let (path, stop) = (world.context("file"), AtomicBool::new(false));
    let versions = ["a".repeat(100_000), "b".repeat(100_000)];
    fs::write(&path, &versions[0]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::os::unix::fs::FileExt as _;
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            for version in versions.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
                file.write_all_at(version.as_bytes(), 0).unwrap();
            }
        });
        let tree = world.tree();
        let mut copied = 0;
        for _ in 0..200 {
            let selection = select_all(&tree);
            let _ = fs::remove_file(world.out("file"));
            let (copy, root) = (op(&["."], "/"), Root::open(&world.out("")).unwrap());
            if Copier::new(&copy, None, &root)
                .add_selection(&tree, &selection, Arrival::default())
                .is_ok()
            {
                let arrived = select_all(&Tree::root_fs(Root::open(&world.out("")).unwrap()));
                let used = Use::Copy {
                    chmod: None,
                    keep_owner: false,
                };
                assert_eq!(arrived.digest(used), selection.digest(used));
                copied += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(copied > 0, "no copy succeeded, so none was looked at");
    });
}
