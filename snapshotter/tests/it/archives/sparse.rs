//! Sparse files, in the dialects of GNU tar.

use snapshotter::layer::{ArchiveError, Limits};

use super::{bad, bad_bytes, file, unpack_bytes};
use crate::evil::{GNU, Header, archive, pax};

/// Returns the PAX header of a sparse file in format 1.0.
pub(super) fn sparse_1_0(size: &str, more: &[(&str, &[u8])]) -> Header {
    let fixed: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    pax(&[&fixed[..], more].concat())
}

#[test]
fn sparse_files_come_in_four_dialects() {
    let expected = [&[0; 1000][..], b"hello", &[0; 995], b"end"].concat();
    let mut map = b"2\n1000\n5\n2000\n3\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"helloend");
    let in_pax = |map: &[(&str, &[u8])]| {
        let fixed: [(&str, &[u8]); 3] = [
            ("GNU.sparse.size", b"2003"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.name", b"sparse"),
        ];
        pax(&[&fixed[..], map].concat())
    };
    let old = {
        let mut bytes = Header {
            magic: GNU,
            flag: b'S',
            ..Header::file("sparse", "helloend")
        }
        .blocks();
        let mut block: [u8; 512] = bytes[..512].try_into().unwrap();
        for (index, number) in [1000, 5, 2000, 3].into_iter().enumerate() {
            block[386 + 12 * index..][..12].copy_from_slice(format!("{number:011o}\0").as_bytes());
        }
        block[483..495].copy_from_slice(format!("{:011o}\0", 2003).as_bytes());
        crate::evil::checksum(&mut block, false);
        bytes[..512].copy_from_slice(&block);
        [bytes, vec![0; 1024]].concat()
    };
    for bytes in [
        archive(&[sparse_1_0("2003", &[]), Header::file("x", map)]),
        archive(&[
            in_pax(&[("GNU.sparse.map", b"1000,5,2000,3")]),
            Header::file("x", "helloend"),
        ]),
        archive(&[
            in_pax(&[
                ("GNU.sparse.offset", b"1000"),
                ("GNU.sparse.numbytes", b"5"),
                ("GNU.sparse.offset", b"2000"),
                ("GNU.sparse.numbytes", b"3"),
            ]),
            Header::file("x", "helloend"),
        ]),
        old,
    ] {
        let (unpacked, tree) = unpack_bytes(&bytes, &Limits::default()).unwrap();
        assert_eq!(file(&tree, "sparse"), expected);
        assert_eq!((unpacked.entries, unpacked.bytes), (1, 2003));
    }
}

#[test]
fn u10_a_sparse_map_that_is_no_map_of_its_file_or_too_long_is_refused() {
    let cases: [(&str, &str, &[u8]); 8] = [
        ("10", "0,5", b"four"),
        ("10", "5,5,0,5", b"0123456789"),
        ("10", "0,5,3,5", b"0123456789"),
        ("10", "8,5", b"01234"),
        ("10", "0,5,", b"01234"),
        ("10", "0", b""),
        ("10", "18446744073709551615,5", b"01234"),
        ("x", "0,5", b"01234"),
    ];
    for (size, map, content) in cases {
        let header = pax(&[("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map.as_bytes())]);
        assert!(
            matches!(bad(&[header, Header::file("f", content)]), ArchiveError::SparseMap),
            "{size} {map}"
        );
    }
    for map in ["", "1\n", "1\n0\n", "x\n", "99999999999999999999999999\n", "-1\n"] {
        let error = bad(&[sparse_1_0("10", &[]), Header::file("f", map)]);
        assert!(matches!(error, ArchiveError::SparseMap), "{map:?}: {error:?}");
    }
    let many: String = (0..70_000).map(|i| format!("{i},0,")).collect();
    let limits = Limits {
        header_bytes: 10 << 20,
        ..Limits::default()
    };
    let header = pax(&[
        ("GNU.sparse.size", b"70000"),
        ("GNU.sparse.map", many.trim_end_matches(',').as_bytes()),
    ]);
    let error = bad_bytes(&archive(&[header, Header::file("f", "")]), &limits);
    assert!(matches!(error, ArchiveError::SegmentLimit { limit: 65_536 }));
    let mut lines = String::from("70000\n");
    (0..70_000).for_each(|i| lines.push_str(&format!("{i}\n0\n")));
    let error = bad(&[sparse_1_0("70000", &[]), Header::file("f", lines)]);
    assert!(matches!(error, ArchiveError::SegmentLimit { limit: 65_536 }));
}
