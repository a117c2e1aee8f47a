//! Archives that want to get out, or to lie about what they hold.
//!
//! Each test unpacks beside a directory of victims and compares it before and after; the numbers U1 to U19 are rows
//! of the threat table.

mod links;

use std::fs;
use std::path::{Path, PathBuf};

use snapshotter::layer::{Limits, UnpackCause, UnpackError, UnpackMode, Unpacked};
use snapshotter::{Overlay, Root};

use crate::evil::{Header, archive, long, pax};
use crate::rerun::{self, Mounted};
use crate::subject::unpack;
use crate::tree::{self, Tree};

const MODES: [UnpackMode; 3] = [UnpackMode::Upper, UnpackMode::Merged, UnpackMode::Archive];

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
        .unpack(UnpackMode::Archive, &[Header::file("a/../b", "b")])
        .unwrap();
    assert_eq!(arena.content("b"), "b");
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
            assert_eq!(applied, mode != UnpackMode::Archive, "{mode:?}: {top:?}");
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
fn in_a_users_archive_the_names_of_whiteouts_are_ordinary() {
    let arena = Arena::new();
    fs::write(arena.tree().join("a"), "kept").unwrap();
    arena
        .unpack(
            UnpackMode::Archive,
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
fn u18_modes_are_those_of_the_archive_under_any_umask() {
    // The mask is the whole process's.
    let test = "attacks::u18_modes_are_those_of_the_archive_under_any_umask";
    rerun::under(&["env"], test, under_any_umask);
}

fn under_any_umask() {
    let members = [
        Header::dir("d").mode(0o2775),
        Header::file("d/setuid", "x").mode(0o4755).owner(0, 0),
        Header::file("implied/by/name", "x").mode(0o640),
        Header::new(b'6', "fifo").mode(0o622),
    ];
    let mut seen = Vec::new();
    for mask in [0o000, 0o022, 0o077, 0o777] {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        let arena = Arena::new();
        arena.unpack(UnpackMode::Upper, &members).unwrap();
        rustix::process::umask(before);
        let mut read = tree::read(&arena.tree());
        read.remove(Path::new(""));
        seen.push(read);
    }
    assert_eq!(seen[0][Path::new("d/setuid")].mode, 0o4755);
    assert!(seen.iter().all(|tree| *tree == seen[0]), "{seen:#?}");
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
