//! Archives changed at random: whatever is in them, unpacking ends, and nothing outside is touched (row D1 of the threat
//! table). `PROPTEST_CASES=100000` in the environment tries for longer.

use proptest::prelude::*;
use snapshotter::Root;
use snapshotter::layer::{Limits, UnpackMode};

use crate::evil::{GNU, Header, archive, long, pax};
use crate::subject::unpack;
use crate::tree;

/// An archive with everything in it.
fn honest() -> Vec<u8> {
    archive(&[
        Header::dir("d"),
        pax(&[("path", b"d/pax"), ("mtime", b"1.5"), ("SCHILY.xattr.user.x", b"y")]),
        Header::file("x", [7; 700]),
        long(b'L', [b'n'; 200]),
        Header {
            magic: GNU,
            ..Header::file("x", "long")
        },
        Header::symlink("s", "../../outside"),
        Header::hard_link("h", "d/pax"),
        Header::new(b'6', "fifo"),
        pax(&[("GNU.sparse.size", b"2000"), ("GNU.sparse.map", b"0,5,1000,5")]),
        Header::file("sparse", "0123456789"),
        Header::file("d/.wh.gone", ""),
        Header::file("s/through", "x"),
    ])
}

fn mutant() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<usize>(),
        prop_oneof![any::<u8>(), Just(b'0'), Just(b'/'), Just(b'.'), Just(0)],
        1..4_usize,
    );
    (prop::collection::vec(change, 0..12), any::<bool>(), any::<usize>()).prop_map(|(changes, sums, cut)| {
        let mut bytes = honest();
        let length = bytes.len();
        for (at, byte, count) in changes {
            let at = at % (length - 4);
            bytes[at..at + count].fill(byte);
        }
        // Half of them keep right checksums, or hardly anything would be read.
        if sums {
            for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
                let block: &mut [u8; 512] = block.try_into().unwrap();
                crate::evil::checksum(block, false);
            }
        }
        if cut % 8 == 0 {
            bytes.truncate(cut % length);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d1_a_changed_archive_is_read_or_refused_and_stays_inside(bytes in mutant(), merged in any::<bool>()) {
        let scratch = tempfile::tempdir().unwrap();
        let (top, outside) = (scratch.path().join("top"), scratch.path().join("outside"));
        std::fs::create_dir(&top).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("victim"), "secret").unwrap();
        let before = tree::read(&outside);
        let mode = if merged { UnpackMode::Merged } else { UnpackMode::Archive };
        let limits = Limits { bytes: 1 << 24, ..Limits::default() };
        let _read_or_refused = unpack(&mut bytes.as_slice(), &Root::open(&top).unwrap(), mode, &limits);
        prop_assert_eq!(tree::read(&outside), before);
        prop_assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
    }
}
