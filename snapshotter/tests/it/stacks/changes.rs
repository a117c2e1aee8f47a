//! No change goes unnoticed, however it is hidden, and nothing else is taken for one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use snapshotter::Stacking;

use super::{Workshop, conform, files, name};
use crate::tree::set_mtime;

#[test]
fn nothing_done_is_an_empty_layer() {
    assert_eq!(conform(files, |_| {}), [""; 0]);
    let looks = |top: &Path| {
        fs::read(top.join("d/e/h")).unwrap();
        fs::read_dir(top.join("d")).unwrap().count();
    };
    assert_eq!(conform(files, looks), [""; 0]);
}

#[test]
fn what_is_made_is_there_with_the_directories_above_it() {
    let made = conform(files, |top| {
        fs::write(top.join("d/e/new"), "x").unwrap();
        fs::create_dir_all(top.join("n/m")).unwrap();
        symlink("nowhere", top.join("n/l")).unwrap();
        fs::hard_link(top.join("d/e/new"), top.join("n/again")).unwrap();
    });
    assert_eq!(made, ["d/", "d/e/", "d/e/new", "n/", "n/again", "n/l", "n/m/"]);
}

#[test]
fn a_rewrite_of_the_same_size_with_the_old_time_is_a_change() {
    let made = conform(files, |top| {
        let path = top.join("d/e/h");
        let before = fs::metadata(&path).unwrap();
        fs::write(&path, "X/X/X").unwrap();
        set_mtime(&path, (before.mtime(), before.mtime_nsec()));
    });
    assert_eq!(made, ["d/", "d/e/", "d/e/h"]);
}

#[test]
fn two_files_that_change_places_are_changes() {
    let made = conform(files, |top| {
        fs::rename(top.join("a"), top.join("t")).unwrap();
        fs::rename(top.join("b"), top.join("a")).unwrap();
        fs::rename(top.join("t"), top.join("b")).unwrap();
    });
    assert_eq!(made, ["a", "b"]);
}

#[test]
fn a_file_renamed_over_another_is_a_change_and_a_deletion() {
    let made = conform(files, |top| fs::rename(top.join("a"), top.join("d/f")).unwrap());
    assert_eq!(made, [".wh.a", "d/", "d/f"]);
}

#[test]
fn mode_owner_attribute_and_time_are_changes_on_their_own() {
    let made = conform(files, |top| {
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o4755)).unwrap();
        lchown(top.join("b"), Some(7), Some(8)).unwrap();
        lchown(top.join("link"), Some(9), None).unwrap();
        setxattr(top.join("d/f"), "user.note", b"n", XattrFlags::empty()).unwrap();
        set_mtime(&top.join("d/g"), (5, 0));
        fs::set_permissions(top.join("d/e"), fs::Permissions::from_mode(0o1777)).unwrap();
    });
    assert_eq!(made, ["a", "b", "d/", "d/e/", "d/f", "d/g", "link"]);
}

#[test]
fn what_is_removed_is_a_deletion_once() {
    let made = conform(files, |top| {
        fs::remove_file(top.join("a")).unwrap();
        fs::remove_dir_all(top.join("d")).unwrap();
        fs::remove_file(top.join("link")).unwrap();
    });
    assert_eq!(made, [".wh.a", ".wh.d", ".wh.link"]);
}

#[test]
fn a_directory_made_anew_hides_what_the_old_one_held() {
    let made = conform(files, |top| {
        fs::remove_dir_all(top.join("d")).unwrap();
        fs::create_dir(top.join("d")).unwrap();
        fs::create_dir(top.join("d/e")).unwrap();
        fs::write(top.join("d/new"), "").unwrap();
    });
    assert_eq!(made, ["d/", "d/.wh..wh..opq", "d/e/", "d/new"]);
}

#[test]
fn one_kind_of_file_in_the_place_of_another() {
    let made = conform(files, |top| {
        fs::remove_file(top.join("a")).unwrap();
        fs::create_dir(top.join("a")).unwrap();
        fs::remove_file(top.join("b")).unwrap();
        symlink("a", top.join("b")).unwrap();
        fs::remove_dir_all(top.join("d/e")).unwrap();
        fs::write(top.join("d/e"), "").unwrap();
        fs::remove_file(top.join("link")).unwrap();
        mknodat(CWD, top.join("link"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    assert_eq!(made, ["a/", "a/.wh..wh..opq", "b", "d/", "d/e", "link"]);
}

#[test]
fn what_comes_and_goes_leaves_its_directory() {
    let made = conform(files, |top| {
        fs::write(top.join("d/e/t"), "").unwrap();
        fs::remove_file(top.join("d/e/t")).unwrap();
        fs::create_dir(top.join("t")).unwrap();
        fs::remove_dir(top.join("t")).unwrap();
    });
    assert_eq!(made, ["d/", "d/e/"]);
}

#[test]
fn a_new_name_of_an_old_file_brings_the_old_name_along() {
    let made = conform(files, |top| {
        fs::hard_link(top.join("b"), top.join("d/linked")).unwrap();
    });
    assert_eq!(made, ["b", "d/", "d/linked"]);
}

#[test]
fn the_top_directory_is_as_new_in_each_step() {
    for stacking in [Stacking::Overlay, Stacking::Flat] {
        let workshop = Workshop::new(stacking);
        let mut chain = vec![workshop.base("base", |top| {
            fs::set_permissions(top, fs::Permissions::from_mode(0o700)).unwrap();
        })];
        for step in ["one", "two"] {
            chain = workshop.step(&chain, step, |top| {
                assert_eq!(fs::metadata(top).unwrap().mode() & 0o7777, 0o755);
                fs::set_permissions(top, fs::Permissions::from_mode(0o711)).unwrap();
            });
            let view = workshop.stacks.view(&chain).unwrap();
            let stat = view.open().unwrap().stat(Path::new(""), false).unwrap().unwrap();
            assert_eq!(stat.mode, 0o711, "{stacking:?}");
        }
    }
}

#[test]
fn every_one_of_many_quick_rewrites_is_noticed() {
    let workshop = Workshop::new(Stacking::Flat);
    let mut chain = vec![workshop.base("base", files)];
    for round in 0..200 {
        let called = format!("round-{round}");
        chain = workshop.step(&chain, &called, |top| {
            let path = top.join("d/e/h");
            let before = fs::metadata(&path).unwrap();
            // In place, of the same size, and with the time that it had.
            fs::write(&path, format!("{round:05}")).unwrap();
            set_mtime(&path, (before.mtime(), before.mtime_nsec()));
        });
        let layer = workshop.packed(&name(&called));
        let content = format!("{round:05}").into_bytes();
        assert!(
            layer.windows(5).any(|window| window == content),
            "round {round} was missed"
        );
    }
}

#[test]
fn a_directory_that_takes_the_inode_of_the_old_one_is_new() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = workshop.base("base", |top| {
        fs::create_dir(top.join("d")).unwrap();
        fs::write(top.join("d/old"), "").unwrap();
    });
    let mut reused = false;
    for round in 0..20 {
        let called = format!("round-{round}");
        workshop.step(std::slice::from_ref(&base), &called, |top| {
            let before = fs::metadata(top.join("d")).unwrap().ino();
            fs::remove_dir_all(top.join("d")).unwrap();
            fs::create_dir(top.join("d")).unwrap();
            reused |= fs::metadata(top.join("d")).unwrap().ino() == before;
        });
        assert_eq!(
            super::members(&workshop.packed(&name(&called))),
            ["d/", "d/.wh..wh..opq"]
        );
    }
    assert!(
        reused,
        "this file system gives no inode number again, so nothing was tested"
    );
}

#[test]
fn a_device_that_means_a_deletion_is_one() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = workshop.base("base", files);
    let chain = workshop.step(&[base], "step", |top| {
        fs::remove_file(top.join("a")).unwrap();
        for path in ["a", "d/no-such"] {
            mknodat(CWD, top.join(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        }
    });
    assert_eq!(super::members(&workshop.packed(&name("step"))), [".wh.a", "d/"]);
    assert!(!workshop.seen(&chain).contains_key(Path::new("d/no-such")));
}

#[test]
fn a_file_that_has_lost_another_name_is_no_change() {
    let base = |top: &Path| {
        files(top);
        for (file, link) in [("a", "d/a2"), ("a", "a3"), ("b", "b2"), ("link", "link2")] {
            fs::hard_link(top.join(file), top.join(link)).unwrap();
        }
    };
    let made = conform(base, |top| {
        for name in ["a", "b", "link"] {
            fs::remove_file(top.join(name)).unwrap();
        }
        fs::write(top.join("a"), "new").unwrap();
    });
    assert_eq!(made, ["a", ".wh.b", ".wh.link"]);
}

#[test]
fn a_rewrite_hides_behind_no_lost_name() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = workshop.base("base", |top| {
        for (file, link) in [("a", "a2"), ("b", "b2"), ("c", "c2")] {
            fs::write(top.join(file), "old").unwrap();
            fs::hard_link(top.join(file), top.join(link)).unwrap();
        }
    });
    workshop.step(&[base], "step", |top| {
        for name in ["a", "b", "c"] {
            let before = fs::metadata(top.join(name)).unwrap();
            fs::remove_file(top.join(name)).unwrap();
            let left = top.join(format!("{name}2"));
            match name {
                "a" => fs::write(&left, "new").unwrap(),
                "b" => setxattr(&left, "user.note", b"n", XattrFlags::empty()).unwrap(),
                _ => {}
            }
            set_mtime(&left, (before.mtime(), before.mtime_nsec()));
        }
    });
    let names = super::members(&workshop.packed(&name("step")));
    assert_eq!(names, [".wh.a", "a2", ".wh.b", "b2", ".wh.c"]);
}

#[test]
fn an_own_file_that_has_lost_another_name_is_no_change_in_the_next_step() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = [workshop.base("base", files)];
    let chain = workshop.step(&base, "one", |top| {
        fs::write(top.join("x"), "x").unwrap();
        fs::hard_link(top.join("x"), top.join("y")).unwrap();
    });
    workshop.step(&chain, "two", |top| fs::remove_file(top.join("x")).unwrap());
    assert_eq!(super::members(&workshop.packed(&name("two"))), [".wh.x"]);
}

/// Where the kernel's overlay is not a POSIX file system and a flat tree is one.
#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let base = |top: &Path| {
        fs::write(top.join("a"), "one").unwrap();
        fs::hard_link(top.join("a"), top.join("b")).unwrap();
    };
    let changed = |stacking| {
        let workshop = Workshop::new(stacking);
        let bottom = workshop.base("base", base);
        let chain = workshop.step(&[bottom], "step", |top| fs::write(top.join("a"), "two").unwrap());
        (super::members(&workshop.packed(&name("step"))), workshop.seen(&chain))
    };
    let (names, tree) = changed(Stacking::Flat);
    assert_eq!(names, ["a", "b"]);
    assert_eq!(tree[Path::new("a")], tree[Path::new("b")]);
    // Overlay copies one name and leaves the other what it was.
    assert_eq!(changed(Stacking::Overlay).0, ["a"]);
}

/// Overlay refuses to rename directories of lower layers; who does it anyway has copied them.
#[test]
fn a_renamed_directory_is_whole_under_its_new_name() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = workshop.base("base", files);
    workshop.step(&[base], "step", |top| fs::rename(top.join("d"), top.join("n")).unwrap());
    let names = super::members(&workshop.packed(&name("step")));
    assert_eq!(names, [".wh.d", "n/", "n/e/", "n/e/h", "n/f", "n/g"]);
}

#[test]
fn directories_that_change_places_are_whole() {
    let workshop = Workshop::new(Stacking::Flat);
    let base = workshop.base("base", files);
    let chain = workshop.step(&[base], "step", |top| {
        fs::create_dir(top.join("n")).unwrap();
        fs::write(top.join("n/x"), "").unwrap();
        fs::rename(top.join("d"), top.join("t")).unwrap();
        fs::rename(top.join("n"), top.join("d")).unwrap();
        fs::rename(top.join("t"), top.join("n")).unwrap();
    });
    let names = super::members(&workshop.packed(&name("step")));
    assert_eq!(
        names,
        ["d/", "d/.wh..wh..opq", "d/x", "n/", "n/e/", "n/e/h", "n/f", "n/g"]
    );
    assert_eq!(workshop.seen(&chain), super::seen(&workshop.other(), &chain));
}

/// An image may have a layer twice, and two steps may change nothing.
#[test]
fn a_snapshot_may_lie_in_a_chain_twice() {
    for stacking in [Stacking::Overlay, Stacking::Flat] {
        let workshop = Workshop::new(stacking);
        let twice = workshop.base("twice", |top| {
            fs::create_dir(top.join("d")).unwrap();
            fs::write(top.join("d/own"), "own").unwrap();
        });
        let chain = workshop.step(&[workshop.base("base", files), twice.clone()], "between", |top| {
            fs::remove_file(top.join("d/own")).unwrap();
            fs::write(top.join("d/between"), "between").unwrap();
        });
        let chain = workshop.step(&[&chain[..], &[twice]].concat(), "above", |top| {
            fs::write(top.join("d/above"), "above").unwrap();
        });
        let seen = workshop.seen(&chain);
        for file in ["a", "d/e/h", "d/own", "d/between", "d/above"] {
            assert!(
                seen.contains_key(Path::new(file)),
                "{stacking:?}: {file} of {:?}",
                seen.keys()
            );
        }
    }
}
