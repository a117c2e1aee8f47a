//! The bytes of packed layers.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{FileType, Mode, XattrFlags, mknodat, setxattr};
use snapshotter::Root;
use snapshotter::layer::{PackError, PackOptions, PackSummary, TreeForm, pack, pack_beside};

use crate::evil::{Header, archive, pax};
use crate::overlay::Stage;
use crate::tree::set_mtime;

fn packed(tree: &Path, form: TreeForm, options: &PackOptions) -> Result<(Vec<u8>, PackSummary), PackError> {
    let mut layer = Vec::new();
    let summary = pack(&Root::open(tree).unwrap(), form, options, &mut layer)?;
    assert_eq!(summary.bytes, layer.len() as u64);
    Ok((layer, summary))
}

/// Sets the time that [`Header`] has, and some nanoseconds.
fn settle(paths: &[&Path]) {
    for path in paths {
        set_mtime(path, (1_000_000_000, 999_999_999));
    }
}

#[test]
fn the_bytes_of_a_layer_are_these() {
    let stage = Stage::new();
    let top = stage.dir("top");
    let whiteout = |path: &str| {
        mknodat(
            rustix::fs::CWD,
            top.join(path),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
    };
    fs::create_dir(top.join("d")).unwrap();
    fs::create_dir(top.join("opaque")).unwrap();
    setxattr(top.join("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    setxattr(top.join("opaque"), "user.overlay.origin", b"", XattrFlags::empty()).unwrap();
    fs::write(top.join("d/file"), "hello").unwrap();
    fs::set_permissions(top.join("d/file"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::hard_link(top.join("d/file"), top.join("d.link")).unwrap();
    symlink("../target", top.join("d/link")).unwrap();
    mknodat(rustix::fs::CWD, top.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::set_permissions(top.join("fifo"), fs::Permissions::from_mode(0o644)).unwrap();
    whiteout("d/gone").unwrap();
    whiteout("zz").unwrap();
    fs::write(top.join("xattr"), "").unwrap();
    setxattr(top.join("xattr"), "user.x", b"y", XattrFlags::empty()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap();
    for path in ["d/file", "d/link", "fifo", "xattr", "opaque", "d"] {
        settle(&[&top.join(path)]);
    }

    let (layer, summary) = packed(&top, TreeForm::OverlayUpper, &PackOptions::default()).unwrap();
    let gone = |name| Header {
        mtime: 0,
        ..Header::file(name, "").mode(0)
    };
    let expected = archive(&[
        Header::dir("d/"),
        // `d.link` sorts after `d` as a name, and comes after all that is in `d`.
        Header::file("d/file", "hello").mode(0o4711),
        gone("d/.wh.gone"),
        Header::symlink("d/link", "../target").mode(0o777),
        Header::hard_link("d.link", "d/file").mode(0o4711),
        Header::new(b'6', "fifo"),
        Header::dir("opaque/"),
        gone("opaque/.wh..wh..opq"),
        Header {
            mtime: 0,
            name: b"././@PaxHeader".to_vec(),
            ..pax(&[("SCHILY.xattr.user.x", b"y")])
        },
        Header::file("xattr", ""),
        gone(".wh.zz"),
    ]);
    assert_eq!(layer.len(), expected.len());
    for (index, (block, wanted)) in layer.chunks(512).zip(expected.chunks(512)).enumerate() {
        assert_eq!(
            String::from_utf8_lossy(block),
            String::from_utf8_lossy(wanted),
            "block {index}"
        );
    }
    assert_eq!(
        (summary.entries, summary.sockets_skipped, summary.xattrs_skipped),
        (10, 1, 0)
    );
}

#[test]
fn times_are_lowered_to_the_clamp() {
    let stage = Stage::new();
    let top = stage.dir("top");
    for (name, mtime) in [("early", 5), ("late", 500)] {
        fs::write(top.join(name), "").unwrap();
        set_mtime(&top.join(name), (mtime, 0));
    }
    let (layer, _) = packed(&top, TreeForm::Plain, &PackOptions { clamp_mtime: Some(100) }).unwrap();
    let expected = [("early", 5), ("late", 100)].map(|(name, mtime)| Header {
        mtime,
        ..Header::file(name, "")
    });
    assert_eq!(layer, archive(&expected));
}

#[test]
fn an_empty_tree_is_an_empty_archive() {
    let stage = Stage::new();
    let (layer, summary) = packed(&stage.dir("top"), TreeForm::Plain, &PackOptions::default()).unwrap();
    assert_eq!((layer, summary.entries), (vec![0; 1024], 0));
}

#[test]
fn a_file_that_would_be_read_as_a_deletion_is_refused_in_a_layer() {
    let stage = Stage::new();
    let top = stage.dir("top");
    fs::create_dir(top.join("d")).unwrap();
    fs::write(top.join("d/.wh.a"), "").unwrap();
    let error = packed(&top, TreeForm::OverlayUpper, &PackOptions::default()).unwrap_err();
    assert!(
        matches!(&error, PackError::ReservedName { path } if path == Path::new("d/.wh.a")),
        "{error:?}"
    );
    assert_eq!(
        packed(&top, TreeForm::Plain, &PackOptions::default())
            .unwrap()
            .1
            .entries,
        2
    );
}

#[test]
fn a_whiteout_in_a_whole_tree_is_refused() {
    let stage = Stage::new();
    let top = stage.dir("top");
    mknodat(
        rustix::fs::CWD,
        top.join("gone"),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
    .unwrap();
    let error = packed(&top, TreeForm::Plain, &PackOptions::default()).unwrap_err();
    assert!(matches!(error, PackError::StrayWhiteout { .. }), "{error:?}");
}

#[test]
fn a_file_that_ends_early_is_an_error_and_not_padded() {
    // Files of sysfs say that they are as long as a page.
    let error = packed(
        Path::new("/sys/kernel/mm/transparent_hugepage"),
        TreeForm::Plain,
        &PackOptions::default(),
    );
    assert!(matches!(error, Err(PackError::Changed { .. })), "{error:?}");
}

#[test]
fn labels_stay_behind_and_are_counted() {
    let stage = Stage::new();
    let top = stage.dir("top");
    fs::write(top.join("f"), "").unwrap();
    setxattr(top.join("f"), "trusted.x", b"y", XattrFlags::empty()).unwrap();
    setxattr(top.join("f"), "security.label", b"y", XattrFlags::empty()).unwrap();
    settle(&[&top.join("f")]);
    let (layer, summary) = packed(&top, TreeForm::OverlayUpper, &PackOptions::default()).unwrap();
    assert_eq!((layer, summary.xattrs_skipped), (archive(&[Header::file("f", "")]), 2));
}

#[test]
fn a_full_disk_is_reported_as_the_outputs_failure() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let stage = Stage::new();
    let root = Root::open(&stage.dir("top")).unwrap();
    let error = pack(&root, TreeForm::Plain, &PackOptions::default(), &mut Full).unwrap_err();
    assert!(matches!(error, PackError::Output(source) if source.kind() == std::io::ErrorKind::StorageFull));
}

#[test]
fn trees_beside_each_other_are_what_they_are_alone_below_their_names() {
    let scratch = tempfile::tempdir().unwrap();
    let roots = ["amd64", "arm64"].map(|name| {
        let top = scratch.path().join(name);
        fs::create_dir_all(top.join("d")).unwrap();
        fs::write(top.join("d/f"), name).unwrap();
        fs::hard_link(top.join("d/f"), top.join("linked")).unwrap();
        (name, Root::open(&top).unwrap())
    });
    // An inode that both trees have is a file of its own in each.
    fs::hard_link(scratch.path().join("amd64/d/f"), scratch.path().join("arm64/shared")).unwrap();
    let trees = roots.each_ref().map(|(name, root)| (*name, root));
    let (mut beside, options) = (Vec::new(), PackOptions::default());
    let summary = pack_beside(&trees, &options, &mut beside).unwrap();
    let mut whole = Vec::new();
    let expected = pack(
        &Root::open(scratch.path()).unwrap(),
        TreeForm::Plain,
        &options,
        &mut whole,
    )
    .unwrap();
    assert_eq!(summary.entries, expected.entries);
    assert_eq!(summary.bytes, beside.len() as u64);
    let members = |archive: &[u8]| -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().unwrap_or_default().into_owned();
            format!(
                "{} {} {:?}",
                entry.path().unwrap().display(),
                link.display(),
                entry.header().entry_type()
            )
        });
        entries.collect()
    };
    let separate = |line: String| line.replace("arm64/shared amd64/d/f Link", "arm64/shared  Regular");
    assert_eq!(
        members(&beside),
        members(&whole).into_iter().map(separate).collect::<Vec<_>>()
    );
}
