//! Archives that want to get out, or to lie about what they hold.
//!
//! Each test unpacks beside a directory of victims and compares it before and after; the numbers U1 to U19 are rows
//! of the threat table.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use snapshotter::layer::{Limits, UnpackCause, UnpackError, UnpackMode, Unpacked, unpack};
use snapshotter::{Overlay, Root, Upper};

use crate::evil::{Header, archive, long, pax};
use crate::rerun::{self, Mounted};
use crate::tree::{self, Tree};

const MODES: [UnpackMode; 3] = [
    UnpackMode::Upper,
    UnpackMode::Merged,
    UnpackMode::Archive { owner: None },
];

/// A directory to unpack into, and victims beside it.
struct Arena {
    scratch: tempfile::TempDir,
    before: Tree,
}

impl Arena {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let outside = scratch.path().join("outside");
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::write(outside.join("victim"), "secret").unwrap();
        fs::write(outside.join("dir/file"), "in a directory").unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, outside.join("fifo"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        fs::create_dir(scratch.path().join("tree")).unwrap();
        let before = tree::read(&outside);
        Self { scratch, before }
    }

    fn outside(&self) -> PathBuf {
        self.scratch.path().join("outside")
    }

    fn tree(&self) -> PathBuf {
        self.scratch.path().join("tree")
    }

    fn unpack(&self, mode: UnpackMode, members: &[Header]) -> Result<Unpacked, UnpackError> {
        let result = unpack(
            &mut archive(members).as_slice(),
            &Root::open(&self.tree()).unwrap(),
            mode,
            &Limits::default(),
        );
        self.assert_untouched();
        result
    }

    fn assert_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "something new beside the tree: {names:?}");
        assert_eq!(tree::read(&self.outside()), self.before, "the outside has changed");
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.tree().join(path)).is_ok()
    }

    fn content(&self, path: &str) -> String {
        fs::read_to_string(self.tree().join(path)).unwrap()
    }
}

/// Returns one member of every kind with a name.
fn every_kind(name: &str) -> Vec<Header> {
    let mut kinds = vec![
        Header::file(name, "x"),
        Header::dir(name),
        Header::symlink(name, "target"),
        Header::hard_link(name, "source"),
        Header::new(b'6', name),
    ];
    kinds.push(Header {
        device: (1, 3),
        ..Header::new(b'3', name)
    });
    kinds
}

#[test]
fn u1_a_name_that_climbs_is_refused() {
    for name in [
        "../o",
        "a/../../o",
        "./../o",
        "a//..//../o",
        "..",
        &("../".repeat(300) + "o"),
        "/../o",
    ] {
        for mode in MODES {
            for member in every_kind("") {
                let arena = Arena::new();
                let error = arena.unpack(mode, &[long(b'L', name), member]).unwrap_err();
                assert!(matches!(error.cause, UnpackCause::Climbs), "{name}: {error:?}");
                assert_eq!(error.entry, 1);
            }
        }
    }
}

#[test]
fn u1_a_leading_slash_is_the_top_of_the_tree() {
    let arena = Arena::new();
    let target = arena.outside().join("victim").into_os_string().into_encoded_bytes();
    arena
        .unpack(UnpackMode::Upper, &[long(b'L', &target), Header::file("", "harmless")])
        .unwrap();
    assert_eq!(arena.content(&String::from_utf8(target).unwrap()[1..]), "harmless");
    arena
        .unpack(UnpackMode::Archive { owner: None }, &[Header::file("a/../b", "b")])
        .unwrap();
    assert_eq!(arena.content("b"), "b");
}

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
    for mode in [UnpackMode::Merged, UnpackMode::Archive { owner: None }] {
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
        for mode in [UnpackMode::Merged, UnpackMode::Archive { owner: None }] {
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
    arena.unpack(UnpackMode::Archive { owner: None }, &through).unwrap_err();
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
        arena.unpack(UnpackMode::Archive { owner: None }, &bad).unwrap_err();
    }
}

#[test]
fn u3_a_hard_link_to_a_link_links_the_link() {
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

#[test]
fn u5_the_top_stays_a_directory_and_takes_a_layers_attributes() {
    for name in ["./", "/", "."] {
        for mode in MODES {
            for member in every_kind(name).into_iter().filter(|member| member.flag != b'5') {
                let arena = Arena::new();
                // With a final slash a file is refused for that already.
                arena.unpack(mode, &[member]).unwrap_err();
            }
            let arena = Arena::new();
            arena
                .unpack(
                    mode,
                    &[Header::dir(name).mode(0o700).owner(3, 4), Header::file("f", "")],
                )
                .unwrap();
            let top = &tree::read(&arena.tree())[Path::new("")];
            let applied = (top.mode, top.uid, top.mtime) == (0o700, 3, (1_000_000_000, 0));
            assert_eq!(
                applied,
                mode != UnpackMode::Archive { owner: None },
                "{mode:?}: {top:?}"
            );
        }
    }
}

#[test]
fn u6_implied_directories_are_made_inside_with_fixed_attributes() {
    rerun::under(
        &["sh", "-c", "umask 077; exec \"$@\"", "sh"],
        "attacks::u6_implied_directories_are_made_inside_with_fixed_attributes",
        || {
            let arena = Arena::new();
            let unpacked = arena
                .unpack(
                    UnpackMode::Upper,
                    &[Header::symlink("s", ".."), Header::file("s/x/y/z", "")],
                )
                .unwrap();
            assert!(unpacked.needs_merged);
            for path in ["x", "x/y"] {
                let node = &tree::read(&arena.tree())[Path::new(path)];
                assert_eq!(
                    (node.mode, node.uid, node.gid, node.mtime),
                    (0o755, 0, 0, (1_000_000_000, 0))
                );
            }
            assert_eq!(tree::read(&arena.tree())[Path::new("x/y/z")].mode, 0o644);
        },
    );
}

#[test]
fn u7_a_whiteout_deletes_nothing_outside() {
    for name in [".wh.", ".wh..", ".wh...", ".wh.a/b", "x/.wh.y/.wh.z"] {
        for mode in [UnpackMode::Upper, UnpackMode::Merged] {
            let error = Arena::new().unpack(mode, &[Header::file(name, "")]).unwrap_err();
            assert!(matches!(error.cause, UnpackCause::Whiteout), "{name}: {error:?}");
        }
    }
    for mode in [UnpackMode::Upper, UnpackMode::Merged] {
        let arena = Arena::new();
        let esc = Header::symlink("esc", arena.outside().to_str().unwrap());
        let members = [
            esc,
            Header::file("esc/.wh.victim", ""),
            Header::file("esc/.wh..wh..opq", ""),
            Header::file("esc/dir/.wh.file", ""),
        ];
        arena.unpack(mode, &members).unwrap();
        arena
            .unpack(
                mode,
                &[Header::file(".wh..wh.plnk/17.4", ""), Header::file(".wh..wh.aufs", "")],
            )
            .unwrap();
        assert!(!arena.exists(".wh..wh.plnk") && !arena.exists(".wh..wh.aufs"));
    }
}

#[test]
fn u7_in_a_users_archive_such_names_are_ordinary() {
    let arena = Arena::new();
    fs::write(arena.tree().join("a"), "kept").unwrap();
    arena
        .unpack(
            UnpackMode::Archive { owner: None },
            &[Header::file(".wh.a", "1"), Header::file(".wh..wh..opq", "2")],
        )
        .unwrap();
    assert_eq!(
        [
            arena.content("a"),
            arena.content(".wh.a"),
            arena.content(".wh..wh..opq")
        ],
        ["kept", "1", "2"]
    );
}

#[test]
fn u8_a_layer_cannot_speak_to_overlay() {
    let arena = Arena::new();
    for mode in MODES {
        let error = arena.unpack(mode, &[Header::new(b'3', "lower-file")]).unwrap_err();
        assert!(matches!(error.cause, UnpackCause::OverlayWhiteout), "{error:?}");
    }
    let lower = arena.scratch.path().join("outside");
    let members = [
        pax(&[
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.redirect", b"/"),
            ("SCHILY.xattr.user.overlays", b"kept"),
        ]),
        Header::dir("dir"),
        pax(&[
            ("SCHILY.xattr.user.overlay.whiteout", b""),
            ("SCHILY.xattr.user.overlay.metacopy", b""),
        ]),
        Header::file("victim", ""),
    ];
    let unpacked = arena.unpack(UnpackMode::Upper, &members).unwrap();
    assert_eq!(unpacked.xattrs_skipped, 5);
    let mount = Mounted::new(&Overlay {
        lower: vec![arena.tree(), lower],
        upper: None,
    });
    let seen = tree::read(&mount.path());
    assert!(
        seen.contains_key(Path::new("dir/file")),
        "the lower directory was hidden"
    );
    assert!(seen.contains_key(Path::new("victim")));
    assert_eq!(seen[Path::new("dir")].xattrs.len(), 1);
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
                UnpackMode::Archive { owner: None },
                &Limits::default(),
            );
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    arena.assert_untouched();
}

#[test]
fn u19_a_stream_cut_anywhere_ends_in_an_error() {
    let whole = archive(&[
        Header::dir("d"),
        pax(&[("path", b"d/long")]),
        Header::file("d/x", [7; 1500]),
        long(b'L', [b'n'; 600]),
        Header::file("", "y"),
    ]);
    let arena = Arena::new();
    // The last two blocks only say that the archive ends.
    for cut in (1..whole.len() - 1024).filter(|cut| cut % 100 == 0 || cut % 512 == 0) {
        let result = unpack(
            &mut &whole[..cut],
            &Root::open(&arena.tree()).unwrap(),
            UnpackMode::Upper,
            &Limits::default(),
        );
        let at_member = [512, 512 + 512 * 6].contains(&cut);
        assert_eq!(result.is_ok(), at_member, "cut at {cut}: {result:?}");
    }
    arena.assert_untouched();
}

#[test]
fn a_refused_entry_is_named_without_its_escapes() {
    let error = Arena::new()
        .unpack(
            UnpackMode::Upper,
            &[Header::dir("ok"), Header::file("../\x1b[2J\n", "")],
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot unpack entry 2 of the archive, `../\\u{1b}[2J\\n`"
    );
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
