//! Dialects of archives, and archives that readers disagree about.

mod sparse;

use std::path::Path;

use snapshotter::Root;
use snapshotter::layer::{ArchiveError, Limits, UnpackCause, UnpackError, UnpackMode, Unpacked};

use crate::evil::{GNU, Header, V7, archive, long, pax, record};
use crate::subject::unpack;
use crate::tree::{self, Kind, Tree};

fn unpack_bytes(bytes: &[u8], limits: &Limits) -> Result<(Unpacked, Tree), UnpackError> {
    let scratch = tempfile::tempdir().unwrap();
    let root = Root::open(scratch.path()).unwrap();
    let unpacked = unpack(&mut &bytes[..], &root, UnpackMode::Upper, limits)?;
    Ok((unpacked, tree::read(scratch.path())))
}

fn good(members: &[Header]) -> Tree {
    unpack_bytes(&archive(members), &Limits::default()).unwrap().1
}

fn bad(members: &[Header]) -> ArchiveError {
    bad_bytes(&archive(members), &Limits::default())
}

fn bad_bytes(bytes: &[u8], limits: &Limits) -> ArchiveError {
    match unpack_bytes(bytes, limits).unwrap_err().cause {
        UnpackCause::Archive(error) => error,
        other => panic!("{other:?}"),
    }
}

fn file(tree: &Tree, path: impl AsRef<Path>) -> Vec<u8> {
    match &tree[path.as_ref()].kind {
        Kind::File(content) => content.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn long_names_come_in_three_dialects() {
    let name = "d".repeat(90) + "/" + &"f".repeat(200);
    let target = "t".repeat(300);
    let tree = good(&[
        pax(&[("path", name.as_bytes()), ("linkpath", target.as_bytes())]),
        Header::symlink("short", "short"),
        long(b'L', format!("gnu/{name}")),
        long(b'K', &target),
        Header {
            magic: GNU,
            ..Header::symlink("short", "short")
        },
    ]);
    for path in [name.clone(), format!("gnu/{name}")] {
        assert_eq!(tree[Path::new(&path)].kind, Kind::Symlink(target.clone().into()));
    }
    let mut split = Header::file("f".repeat(100), "x").blocks();
    let mut block: [u8; 512] = split[..512].try_into().unwrap();
    block[345..345 + 90].copy_from_slice(&[b'd'; 90]);
    crate::evil::checksum(&mut block, false);
    split[..512].copy_from_slice(&block);
    split.extend([0; 1024]);
    let tree = unpack_bytes(&split, &Limits::default()).unwrap().1;
    assert_eq!(file(&tree, "d".repeat(90) + "/" + &"f".repeat(100)), b"x");
}

#[test]
fn pax_numbers_replace_those_of_the_header() {
    let content = b"four";
    let tree = good(&[
        pax(&[
            ("uid", b"65534"),
            ("gid", b"5"),
            ("mtime", b"-1.5"),
            ("size", b"4"),
            ("comment", b"a\nb=c"),
        ]),
        Header {
            size: Some(0),
            ..Header::file("f", content)
        },
        Header::file("g", "after"),
    ]);
    let node = &tree[Path::new("f")];
    assert_eq!((node.uid, node.gid, node.mtime), (65534, 5, (-2, 500_000_000)));
    assert_eq!(
        (file(&tree, "f"), file(&tree, "g")),
        (content.to_vec(), b"after".to_vec())
    );
}

#[test]
fn an_old_header_is_read_too() {
    let tree = good(&[
        Header {
            magic: V7,
            ..Header::new(0, "dir/")
        },
        Header {
            magic: V7,
            content: b"x".to_vec(),
            ..Header::new(0, "dir/f")
        },
        Header {
            content: b"y".to_vec(),
            ..Header::new(b'7', "dir/contiguous")
        },
    ]);
    assert_eq!(tree[Path::new("dir")].kind, Kind::Dir);
    assert_eq!(
        (file(&tree, "dir/f"), file(&tree, "dir/contiguous")),
        (b"x".to_vec(), b"y".to_vec())
    );
}

#[test]
fn an_archive_may_end_without_zeros_and_with_many() {
    let member = Header::file("f", "x").blocks();
    for tail in [0, 512, 1024, 10240] {
        let bytes = [member.clone(), vec![0; tail]].concat();
        let (unpacked, tree) = unpack_bytes(&bytes, &Limits::default()).unwrap();
        assert_eq!(
            (unpacked.entries, unpacked.bytes, file(&tree, "f")),
            (1, 1, b"x".to_vec())
        );
    }
}

#[test]
fn the_stream_is_read_to_its_end() {
    let bytes = [archive(&[Header::file("f", "x")]), vec![b'!'; 400_000]].concat();
    let mut reader = bytes.as_slice();
    let scratch = tempfile::tempdir().unwrap();
    unpack(
        &mut reader,
        &Root::open(scratch.path()).unwrap(),
        UnpackMode::Upper,
        &Limits::default(),
    )
    .unwrap();
    assert!(reader.is_empty());
}

#[test]
fn u9_headers_that_contradict_each_other_are_refused() {
    let f = || Header::file("f", "x");
    let global = |key: &str| Header {
        flag: b'g',
        ..pax(&[(key, b"1")])
    };
    let cases = [
        vec![pax(&[("path", b"a")]), pax(&[("path", b"b")]), f()],
        vec![long(b'L', "a"), long(b'L', "b"), f()],
        vec![long(b'K', "a"), long(b'K', "b"), f()],
        vec![pax(&[("path", b"a")]), long(b'L', "b"), f()],
        vec![long(b'L', "a"), pax(&[("path", b"b")]), f()],
        vec![global("path"), f()],
        vec![global("size"), f()],
        vec![global("GNU.sparse.name"), f()],
        vec![global("SCHILY.xattr.user.x"), f()],
        vec![Header::file("f/", "x")],
        vec![Header {
            content: b"x".to_vec(),
            ..Header::dir("d")
        }],
        vec![Header {
            content: b"x".to_vec(),
            ..Header::symlink("d", "t")
        }],
        vec![
            f(),
            Header {
                size: Some(512),
                ..Header::hard_link("l", "f")
            },
        ],
        vec![pax(&[("size", b"5")]), Header::dir("d")],
        vec![pax(&[("GNU.sparse.name", b"a")]), f()],
    ];
    for members in cases {
        assert!(matches!(bad(&members), ArchiveError::Ambiguous(_)), "{members:?}");
    }
    let split = [
        Header::file("a", "").blocks(),
        vec![0; 512],
        Header::file("b", "").blocks(),
        vec![0; 1024],
    ]
    .concat();
    assert!(matches!(
        bad_bytes(&split, &Limits::default()),
        ArchiveError::Ambiguous(_)
    ));
    good(&[global("comment"), f()]);
    good(&[long(b'L', "n"), pax(&[("mtime", b"1")]), f()]);
}

#[test]
fn u9_headers_that_are_none_are_refused() {
    let f = || Header::file("f", "x");
    assert!(matches!(
        bad(&[Header {
            break_checksum: true,
            ..f()
        }]),
        ArchiveError::Checksum
    ));
    for flag in [b'S', b'V', b'M', b'D', b'N', b'z', b'8', 0xff] {
        let error = bad(&[Header::new(flag, "f")]);
        assert!(
            matches!(error, ArchiveError::UnknownType(found) if found == flag) || flag == b'S',
            "{error:?}"
        );
    }
    for (key, value) in [
        ("uid", "-1"),
        ("uid", "4294967295"),
        ("gid", "0x10"),
        ("size", "1e3"),
        ("size", "9223372036854775808"),
        ("mtime", "x"),
    ] {
        let error = bad(&[pax(&[(key, value.as_bytes())]), f()]);
        assert!(
            matches!(error, ArchiveError::Number { field } if field == key),
            "{key}={value}: {error:?}"
        );
    }
    assert!(matches!(
        bad(&[f().owner(u64::from(u32::MAX), 0)]),
        ArchiveError::Number { field: "uid" }
    ));
    assert!(matches!(
        bad(&[f().owner(0, 1 << 32)]),
        ArchiveError::Number { field: "gid" }
    ));
    for name in [&b"a\0b"[..], b"\0"] {
        assert!(matches!(bad(&[pax(&[("path", name)]), f()]), ArchiveError::NulInName));
    }
    assert!(matches!(bad(&[long(b'L', "a\0b"), f()]), ArchiveError::NulInName));
    for content in [&b"12 path=a\n"[..], b"x", b"9 path=a", b"9 path a\n"] {
        let header = Header {
            content: content.to_vec(),
            ..pax(&[])
        };
        assert!(matches!(bad(&[header, f()]), ArchiveError::PaxRecord), "{content:?}");
    }
    assert!(matches!(bad(&[pax(&[("path", b"a")])]), ArchiveError::Truncated));
}

#[test]
fn u10_what_an_archive_may_ask_for_is_limited() {
    let f = || Header::file("f", "x");
    let huge = |flag| Header {
        size: Some(1 << 30),
        ..Header::new(flag, "x")
    };
    for flag in [b'x', b'g', b'L', b'K'] {
        assert!(matches!(
            bad(&[huge(flag), f()]),
            ArchiveError::HeaderLimit { limit: 1_048_576 }
        ));
    }
    // Together, not each.
    let half = vec![b'n'; 600_000];
    assert!(matches!(
        bad(&[long(b'L', &half), long(b'K', &half), f()]),
        ArchiveError::HeaderLimit { .. }
    ));
    let records: Vec<u8> = (0..100_000)
        .flat_map(|i| record(&format!("SCHILY.xattr.user.{i}"), ""))
        .collect();
    assert!(matches!(
        bad(&[
            Header {
                content: records,
                ..pax(&[])
            },
            f()
        ]),
        ArchiveError::HeaderLimit { .. }
    ));

    let limits = Limits {
        entries: 2,
        bytes: 4096,
        ..Limits::default()
    };
    let three = archive(&[Header::dir("a"), Header::dir("b"), Header::dir("c")]);
    assert!(matches!(
        bad_bytes(&three, &limits),
        ArchiveError::EntryLimit { limit: 2 }
    ));
    let long_archive = archive(&[Header::file("f", [1; 5000])]);
    assert!(matches!(
        bad_bytes(&long_archive, &limits),
        ArchiveError::ByteLimit { limit: 4096 }
    ));
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    let sparse = archive(&[sparse::sparse_1_0("1000000000000", &[]), Header::file("f", map)]);
    assert!(matches!(bad_bytes(&sparse, &limits), ArchiveError::ByteLimit { .. }));
}
