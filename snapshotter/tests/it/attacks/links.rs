//! Links that lead out, and what is done through them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use snapshotter::layer::{Limits, UnpackCause, UnpackMode};
use snapshotter::{Overlay, Root, Upper};

use super::{Arena, MODES, every_kind};
use crate::evil::{Header, archive, long, pax};
use crate::rerun::Mounted;
use crate::subject::unpack;
use crate::tree;

#[test]
fn u2_writing_through_a_planted_link_stays_inside() {
    for mode in MODES {
        for absolute in [true, false] {
            let arena = Arena::new();
            let target = if absolute {
                arena.outside()
            } else {
                PathBuf::from("../outside")
            };
            let members = [
                Header::file("source", "s"),
                long(b'K', target.as_os_str().as_encoded_bytes()),
                Header::symlink("esc", ""),
                Header::file("esc/victim", "overwritten"),
                Header::dir("esc/dir").mode(0o777).owner(5, 5),
                Header::symlink("esc/dir/file", "/"),
                Header::hard_link("esc/linked", "source"),
                Header::new(b'6', "esc/fifo"),
            ];
            arena.unpack(mode, &members).unwrap();
            let inside = if absolute {
                arena.outside().strip_prefix("/").unwrap().to_owned()
            } else {
                "outside".into()
            };
            assert_eq!(arena.content(inside.join("victim").to_str().unwrap()), "overwritten");
            assert_eq!(arena.content(inside.join("linked").to_str().unwrap()), "s");
        }
    }
}

#[test]
fn u2_a_link_from_a_lower_layer_is_no_way_out_either() {
    for mode in [UnpackMode::Merged, UnpackMode::Archive] {
        let arena = Arena::new();
        symlink(arena.outside(), arena.tree().join("esc")).unwrap();
        symlink("esc", arena.tree().join("twice")).unwrap();
        arena
            .unpack(
                mode,
                &[Header::file("twice/victim", "x"), Header::file("esc/dir/file", "y")],
            )
            .unwrap();
    }
}

#[test]
fn u2_chains_of_links_end_at_the_top_and_loops_end() {
    let arena = Arena::new();
    let chain = [
        Header::symlink("c", "/"),
        Header::symlink("b", "c/../.."),
        Header::symlink("a", "b"),
        Header::file("a/victim", "at the top"),
    ];
    arena.unpack(UnpackMode::Upper, &chain).unwrap();
    assert_eq!(arena.content("victim"), "at the top");
    for loops in [
        vec![Header::symlink("l", "l")],
        vec![Header::symlink("l", "m"), Header::symlink("m", "/l")],
    ] {
        let arena = Arena::new();
        arena
            .unpack(UnpackMode::Upper, &[loops, vec![Header::file("l/x", "")]].concat())
            .unwrap_err();
    }
    let arena = Arena::new();
    let mut deep: Vec<_> = (0..41)
        .map(|i| Header::symlink(format!("{i}"), format!("{}", i + 1)))
        .collect();
    deep.extend([Header::dir("41"), Header::file("0/x", "")]);
    arena.unpack(UnpackMode::Upper, &deep).unwrap_err();
}

#[test]
fn u2_whatever_has_the_name_of_an_entry_is_replaced_not_followed() {
    for mode in MODES {
        for member in every_kind("name") {
            let arena = Arena::new();
            let source = Header::file("source", "s");
            arena
                .unpack(
                    mode,
                    &[
                        source,
                        Header::symlink("name", arena.outside().join("victim").to_str().unwrap()),
                        member.clone(),
                    ],
                )
                .unwrap();
            let is_link = fs::symlink_metadata(arena.tree().join("name")).unwrap().is_symlink();
            assert_eq!(is_link, member.flag == b'2', "{mode:?} {}", char::from(member.flag));
        }
    }
}

#[test]
fn u3_a_hard_link_reaches_nothing_outside() {
    let arena = Arena::new();
    let victim = arena.outside().join("victim");
    let victim = victim.to_str().unwrap();
    for (target, climbs) in [
        ("../outside/victim", true),
        ("x/../../outside/victim", true),
        (victim, false),
    ] {
        for mode in [UnpackMode::Merged, UnpackMode::Archive] {
            let error = arena
                .unpack(mode, &[long(b'K', target), Header::hard_link("l", "")])
                .unwrap_err();
            match error.cause {
                UnpackCause::LinkTarget { .. } => assert!(climbs),
                UnpackCause::LinkTargetMissing { .. } => assert!(!climbs),
                other => panic!("{other:?}"),
            }
        }
    }
    let through = [
        long(b'K', arena.outside().to_str().unwrap()),
        Header::symlink("esc", ""),
        Header::hard_link("l", "esc/victim"),
    ];
    arena.unpack(UnpackMode::Archive, &through).unwrap_err();
    assert_eq!(fs::metadata(victim).unwrap().nlink(), 1);
}

#[test]
fn u3_a_hard_link_to_itself_a_directory_or_a_later_entry_is_refused() {
    let arena = Arena::new();
    for bad in [
        vec![Header::file("f", "x"), Header::hard_link("f", "./f")],
        vec![Header::dir("d"), Header::hard_link("l", "d")],
        vec![Header::hard_link("l", "/")],
        vec![Header::hard_link("l", "")],
        vec![Header::hard_link("l", "later"), Header::file("later", "x")],
    ] {
        arena.unpack(UnpackMode::Archive, &bad).unwrap_err();
    }
}

#[test]
fn a_hard_link_to_a_link_links_the_link() {
    let arena = Arena::new();
    let victim = arena.outside().join("victim");
    arena
        .unpack(
            UnpackMode::Upper,
            &[
                Header::symlink("s", victim.to_str().unwrap()),
                Header::hard_link("h", "s"),
                Header::hard_link("h2", "h"),
            ],
        )
        .unwrap();
    let stat = |name: &str| fs::symlink_metadata(arena.tree().join(name)).unwrap();
    assert!(stat("h").is_symlink());
    assert_eq!((stat("h2").ino(), stat("h2").nlink()), (stat("s").ino(), 3));
}

#[test]
fn u4_metadata_is_never_set_through_a_link() {
    for mode in MODES {
        let arena = Arena::new();
        let to = |name: &str| arena.outside().join(name).to_str().unwrap().to_owned();
        let members = [
            Header::symlink("d", to("dir")),
            pax(&[("SCHILY.xattr.user.x", b"y"), ("mtime", b"5.5")]),
            Header::dir("d").mode(0o777).owner(7, 7),
            Header::symlink("l", to("victim")).owner(8, 8),
        ];
        arena.unpack(mode, &members).unwrap();
        let read = tree::read(&arena.tree());
        assert_eq!(read[Path::new("d")].kind, tree::Kind::Dir);
        assert_eq!(
            (
                read[Path::new("d")].mode,
                read[Path::new("d")].uid,
                read[Path::new("d")].mtime
            ),
            (0o777, 7, (5, 500_000_000))
        );
        assert_eq!(read[Path::new("l")].uid, 8);
    }
}

/// Kernels before 5.6 have no `openat2`, and filters of containers refuse it; `fchmodat2`, which is newer still, is not
/// used at all: modes are set on descriptors.
#[test]
fn u2_u4_without_openat2_nothing_leads_out_either() {
    crate::rerun::under(
        &[
            "strace",
            "--follow-forks",
            "-o",
            "/dev/null",
            "-e",
            "trace=openat2",
            "-e",
            "inject=openat2:error=ENOSYS",
        ],
        "attacks::links::u2_u4_without_openat2_nothing_leads_out_either",
        || {
            u2_writing_through_a_planted_link_stays_inside();
            u2_a_link_from_a_lower_layer_is_no_way_out_either();
            u2_chains_of_links_end_at_the_top_and_loops_end();
            u3_a_hard_link_reaches_nothing_outside();
            u4_metadata_is_never_set_through_a_link();
        },
    );
}

#[test]
fn u12_a_renamer_beside_us_cannot_redirect_writes() {
    let arena = Arena::new();
    let (real, link) = (arena.tree().join("d"), arena.tree().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(arena.outside(), &link).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::sync::atomic::Ordering;
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(rustix::fs::CWD, &real, rustix::fs::CWD, &link, exchange);
            }
        });
        for round in 0..300 {
            let members = [
                Header::dir("e"),
                Header::dir("d").mode(0o711).owner(9, 9),
                Header::file("d/victim", "written"),
                Header::hard_link("d/dir/file", "d/victim"),
                Header::new(b'6', "d/fifo"),
                Header::file(format!("e/{round}"), "x"),
            ];
            // May fail, when a name goes away in between; must not get out.
            let _ = unpack(
                &mut archive(&members).as_slice(),
                &Root::open(&arena.tree()).unwrap(),
                UnpackMode::Archive,
                &Limits::default(),
            );
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    arena.assert_untouched();
}

#[test]
fn u3_a_hard_link_to_a_lower_file_leaves_the_lower_layer_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = |name: &str| {
        fs::create_dir(scratch.path().join(name)).unwrap();
        scratch.path().join(name)
    };
    let (lower, upper, work) = (dir("lower"), dir("upper"), dir("work"));
    fs::write(lower.join("file"), "lower").unwrap();
    let before = (tree::read(&lower), fs::metadata(lower.join("file")).unwrap().ino());
    let layer = archive(&[Header::hard_link("link", "file"), Header::file("file", "new")]);
    let bare = unpack(
        &mut layer.as_slice(),
        &Root::open(&dir("bare")).unwrap(),
        UnpackMode::Upper,
        &Limits::default(),
    );
    assert!(bare.unwrap().needs_merged);
    let mount = Mounted::new(&Overlay {
        lower: vec![lower.clone()],
        upper: Some(Upper { dir: upper, work }),
    });
    unpack(
        &mut layer.as_slice(),
        &mount.root(),
        UnpackMode::Merged,
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(fs::read_to_string(mount.path().join("link")).unwrap(), "lower");
    assert_eq!(fs::read_to_string(mount.path().join("file")).unwrap(), "new");
    assert_eq!(
        (tree::read(&lower), fs::metadata(lower.join("file")).unwrap().ino()),
        before
    );
}
