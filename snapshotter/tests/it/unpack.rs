//! What an unpacked archive looks like: order, replacement, whiteouts, holes, devices.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use snapshotter::Root;
use snapshotter::layer::{Limits, UnpackCause, UnpackMode, unpack};

use crate::evil::{Header, archive, long, pax};
use crate::overlay::Stage;
use crate::tree::{self, Kind};

/// Applies a layer above `d/{a,b,sub/c}` and `f`, in both ways, and returns the paths that are left.
fn applied(members: &[Header]) -> Vec<String> {
    let stage = Stage::new();
    let lower = stage.dir("lower");
    fs::create_dir_all(lower.join("d/sub")).unwrap();
    for file in ["d/a", "d/b", "d/sub/c", "f"] {
        fs::write(lower.join(file), "lower").unwrap();
    }
    let tree = stage.apply("layer", &archive(members), &[lower]);
    tree.into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_whiteout_hides_lower_layers_only_whichever_comes_first() {
    let whiteout = |name| Header::file(name, "").mode(0);
    let new = || vec![Header::dir("d"), Header::file("d/new", "")];
    let only_new = ["d", "d/new", "f"];
    assert_eq!(applied(&[vec![whiteout(".wh.d")], new()].concat()), only_new);
    assert_eq!(applied(&[new(), vec![whiteout(".wh.d")]].concat()), only_new);
    assert_eq!(applied(&[new(), vec![whiteout("d/.wh..wh..opq")]].concat()), only_new);
    assert_eq!(
        applied(&[Header::dir("d"), whiteout("d/.wh..wh..opq"), Header::file("d/new", "")]),
        only_new
    );
    let kept = ["d", "d/a", "d/b", "d/sub", "d/sub/c", "f"];
    assert_eq!(applied(&[whiteout(".wh.f"), Header::file("f", "")]), kept);
    assert_eq!(applied(&[Header::file("f", ""), whiteout(".wh.f")]), kept);
    assert_eq!(
        applied(&[whiteout(".wh.none"), Header::dir("d"), whiteout("d/.wh.none")]),
        kept
    );
    assert_eq!(applied(&[whiteout(".wh.f"), whiteout(".wh.f")]), kept[..5]);
}

#[test]
fn a_whiteout_of_a_directory_spares_what_the_layer_has_brought_deep_in_it() {
    let members = [
        Header::dir("d"),
        Header::dir("d/sub"),
        Header::file("d/sub/new", ""),
        Header::file(".wh.d", ""),
    ];
    assert_eq!(
        applied(&members),
        ["d", "d/sub", "d/sub/c", "d/sub/new", "f"]
            .map(str::to_owned)
            .into_iter()
            .filter(|path| path != "d/sub/c")
            .collect::<Vec<_>>()
    );
}

#[test]
fn an_opaque_top_directory_hides_everything() {
    assert_eq!(
        applied(&[Header::file("new", ""), Header::file(".wh..wh..opq", "")]),
        ["new"]
    );
}

#[test]
fn a_name_that_was_something_else_in_the_same_layer_starts_empty() {
    assert_eq!(
        applied(&[Header::file("d", ""), Header::dir("d"), Header::file("d/new", "")]),
        ["d", "d/new", "f"]
    );
    assert_eq!(applied(&[Header::dir("d"), Header::file("d", "")]), ["d", "f"]);
}

#[test]
fn a_directory_without_an_entry_is_the_lower_layers() {
    assert_eq!(
        applied(&[Header::file("d/sub/new", "")]),
        ["d", "d/a", "d/b", "d/sub", "d/sub/c", "d/sub/new", "f"]
    );
    assert_eq!(
        applied(&[Header::file("d/sub/.wh.c", "")]),
        ["d", "d/a", "d/b", "d/sub", "f"]
    );
}

#[test]
fn an_entry_below_a_link_of_a_lower_layer_goes_where_the_link_leads() {
    let stage = Stage::new();
    let lower = stage.dir("lower");
    fs::create_dir(lower.join("run")).unwrap();
    fs::create_dir(lower.join("var")).unwrap();
    std::os::unix::fs::symlink("/run", lower.join("var/run")).unwrap();
    let layer = archive(&[Header::dir("var"), Header::file("var/run/pid", "1")]);
    let tree = stage.apply("layer", &layer, &[lower]);
    assert_eq!(tree[Path::new("run/pid")].kind, Kind::File(b"1".to_vec()));
    assert_eq!(tree[Path::new("var/run")].kind, Kind::Symlink("/run".into()));
}

#[test]
fn a_directory_entry_may_come_after_what_is_in_it() {
    let stage = Stage::new();
    let into = stage.dir("into");
    let layer = archive(&[Header::file("d/f", ""), Header::dir("d").mode(0o700)]);
    let root = Root::open(&into).unwrap();
    let unpacked = unpack(&mut layer.as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap();
    assert!(!unpacked.needs_merged);
    let node = &tree::read(&into)[Path::new("d")];
    assert_eq!((node.mode, node.mtime), (0o700, (1_000_000_000, 0)));
}

#[test]
fn the_later_of_two_entries_wins_whatever_they_are() {
    let kinds = [
        Header::file("n", "content"),
        Header::dir("n"),
        Header::symlink("n", "target"),
        Header::hard_link("n", "other"),
        Header::new(b'6', "n"),
        Header {
            device: (1, 3),
            ..Header::new(b'3', "n")
        },
        Header {
            device: (7, 0),
            ..Header::new(b'4', "n")
        },
    ];
    let other = Header::file("other", "other");
    for mode in [UnpackMode::Upper, UnpackMode::Merged, UnpackMode::Archive] {
        for first in &kinds {
            for second in &kinds {
                let stage = Stage::new();
                let (both, alone) = (stage.dir("both"), stage.dir("alone"));
                let inside = (first.flag == b'5').then(|| Header::file("n/inside", ""));
                let members: Vec<_> = [Some(other.clone()), Some(first.clone()), inside, Some(second.clone())]
                    .into_iter()
                    .flatten()
                    .collect();
                for (dir, members) in [(&both, &members[..]), (&alone, &[other.clone(), second.clone()])] {
                    unpack(
                        &mut archive(members).as_slice(),
                        &Root::open(dir).unwrap(),
                        mode,
                        &Limits::default(),
                    )
                    .unwrap();
                }
                let (mut both, alone) = (tree::read_as_layer(&both), tree::read_as_layer(&alone));
                if second.flag == b'5' {
                    // Two directories of one name are one.
                    both.remove(Path::new("n/inside"));
                }
                assert_eq!(
                    both,
                    alone,
                    "{mode:?} {} {}",
                    char::from(first.flag),
                    char::from(second.flag)
                );
            }
        }
    }
}

#[test]
fn long_runs_of_zeros_become_holes() {
    let stage = Stage::new();
    let into = stage.dir("into");
    let mut content = vec![0; 3 << 20];
    content[..5].copy_from_slice(b"start");
    content[1 << 20] = 1;
    let names = ["middle", "end", "short", "all"];
    let contents = [
        [&content[..], b"end"].concat(),
        content.clone(),
        vec![0; 10_000],
        vec![0; 1 << 20],
    ];
    let members: Vec<_> = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| Header::file(name, content))
        .collect();
    // In reads of odd sizes, so that no block is whole in the buffer by accident.
    let layer = archive(&members);
    let mut reader = OddReads(&layer, 0);
    unpack(
        &mut reader,
        &Root::open(&into).unwrap(),
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap();
    for (name, content) in names.iter().zip(&contents) {
        assert!(fs::read(into.join(name)).unwrap() == *content, "{name}");
    }
    let disk = |name: &str| fs::metadata(into.join(name)).unwrap().blocks() * 512;
    assert!(
        disk("middle") <= 3 * 65_536 + 8192 && disk("end") <= 2 * 65_536 + 8192,
        "{} {}",
        disk("middle"),
        disk("end")
    );
    assert_eq!(disk("all"), 0);
    let mut packed = Vec::new();
    let options = snapshotter::layer::PackOptions::default();
    snapshotter::layer::pack(
        &Root::open(&into).unwrap(),
        snapshotter::layer::TreeForm::Plain,
        &options,
        &mut packed,
    )
    .unwrap();
    let again = stage.dir("again");
    unpack(
        &mut packed.as_slice(),
        &Root::open(&again).unwrap(),
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap();
    assert!(tree::read_as_layer(&again) == tree::read_as_layer(&into));
}

/// Hands out 1, 2, 3, … bytes at a time.
struct OddReads<'a>(&'a [u8], usize);

impl std::io::Read for OddReads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 += 1;
        let length = (self.1 % 9_973).min(buffer.len()).min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn a_failing_stream_is_reported_as_such() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("digest mismatch"))
        }
    }
    let stage = Stage::new();
    let error = unpack(
        &mut Fails,
        &Root::open(&stage.dir("into")).unwrap(),
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap_err();
    let UnpackCause::Archive(snapshotter::layer::ArchiveError::Read(source)) = error.cause else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "digest mismatch");
}

#[test]
fn paths_longer_than_the_kernel_takes_are_packed_and_unpacked() {
    let stage = Stage::new();
    let (into, again) = (stage.dir("into"), stage.dir("again"));
    // Deeper than the number of directories that are kept open, and longer than `PATH_MAX`.
    let mut members = Vec::new();
    let mut path = PathBuf::new();
    for depth in 0..300 {
        path.push(format!("{depth:0>40}"));
        members.extend([long(b'L', path.to_str().unwrap()), Header::dir("").owner(depth, 0)]);
    }
    for file in ["f", "g"] {
        members.extend([long(b'L', path.join(file).to_str().unwrap()), Header::file("", "deep")]);
    }
    members.extend([
        pax(&[("linkpath", path.join("f").as_os_str().as_encoded_bytes())]),
        Header::hard_link("shallow", ""),
    ]);
    let layer = archive(&members);
    let root = Root::open(&into).unwrap();
    let unpacked = unpack(&mut layer.as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap();
    assert!(!unpacked.needs_merged);
    assert_eq!(fs::metadata(into.join("shallow")).unwrap().nlink(), 2);
    let mut layers = [Vec::new(), Vec::new()];
    let form = snapshotter::layer::TreeForm::Plain;
    let options = snapshotter::layer::PackOptions::default();
    let summary = snapshotter::layer::pack(&root, form, &options, &mut layers[0]).unwrap();
    assert_eq!(summary.entries, 303);
    let root = Root::open(&again).unwrap();
    unpack(&mut layers[0].as_slice(), &root, UnpackMode::Upper, &Limits::default()).unwrap();
    snapshotter::layer::pack(&root, form, &options, &mut layers[1]).unwrap();
    assert!(layers[0] == layers[1]);
    // The test's own clean-up would not get that deep.
    Root::open(&into)
        .unwrap()
        .remove_tree(Path::new(&format!("{:0>40}", 0)))
        .unwrap();
    root.remove_tree(Path::new(&format!("{:0>40}", 0))).unwrap();
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
}

#[test]
fn a_directory_that_was_replaced_is_not_written_to_any_more() {
    let stage = Stage::new();
    let into = stage.dir("into");
    let d = || [Header::dir("d"), Header::file("d/t", "new")];
    let members = [
        &[
            Header::dir("d"),
            Header::file("d/t", "old"),
            Header::hard_link("l1", "d/t"),
            Header::file("d", ""),
        ],
        &d()[..],
        &[Header::hard_link("l2", "d/t")],
    ]
    .concat();
    let root = Root::open(&into).unwrap();
    unpack(
        &mut archive(&members).as_slice(),
        &root,
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap();
    let read = |name: &str| fs::read_to_string(into.join(name)).unwrap();
    assert_eq!([read("l1"), read("l2")], ["old", "new"]);

    // An entry whose name leads through what it replaces has no place any more.
    let members = [
        Header::dir("x"),
        Header::symlink("x/up", ".."),
        Header::file("x/up/x", ""),
    ];
    let root = Root::open(&stage.dir("other")).unwrap();
    let error = unpack(
        &mut archive(&members).as_slice(),
        &root,
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap_err();
    assert_eq!(error.entry, 3);
}

#[test]
fn a_whiteout_through_a_link_in_what_it_deletes_closes_the_way() {
    let stage = Stage::new();
    let lower = stage.dir("lower");
    fs::create_dir(lower.join("d")).unwrap();
    std::os::unix::fs::symlink("..", lower.join("d/up")).unwrap();
    let layer = archive(&[Header::file("d/up/.wh.d", ""), Header::file("d/up/new", "")]);
    let tree = stage.apply("layer", &layer, &[lower]);
    assert_eq!(
        tree.into_keys().collect::<Vec<_>>(),
        ["d", "d/up", "d/up/new"].map(PathBuf::from)
    );
}
