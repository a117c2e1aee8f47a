//! What one member's header says, and where.

use super::{Member, record};
use crate::layer::xattr::Xattr;

fn encoded(member: &Member<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    member.encode(&mut out);
    assert_eq!(out.len() % 512, 0);
    out
}

/// Returns the PAX records of an encoded member, as text.
fn records(member: &Member<'_>) -> String {
    let out = encoded(member);
    assert_eq!((&out[..13], out[156]), (&b"././@PaxHeader"[..13], b'x'));
    let records = &out[512..out.len() - 512];
    String::from_utf8_lossy(records).trim_end_matches('\0').to_owned()
}

#[test]
fn a_record_counts_the_digits_of_its_own_length() {
    for (length, expected) in [(1, "6 a=x\n"), (3, "8 a=xxx\n"), (4, "9 a=xxxx\n"), (5, "11 a=xxxxx\n")] {
        let mut out = Vec::new();
        record(&mut out, b"a", &vec![b'x'; length]);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    let mut out = Vec::new();
    record(&mut out, b"a", &[b'x'; 94]);
    assert_eq!(&out[..6], b"101 a=");
    assert_eq!(out.len(), 101);
}

#[test]
fn what_fits_the_plain_header_needs_no_records() {
    let path = ["d".repeat(154), "n".repeat(100)].join("/");
    let link = "l".repeat(100);
    let member = Member {
        uid: 0o7_777_777,
        gid: 0o7_777_777,
        size: 0o77_777_777_777,
        mtime: 0o77_777_777_777,
        mode: 0o7777,
        link: link.as_bytes(),
        device: (4095, 1_048_575),
        ..Member::whiteout(path.as_bytes())
    };
    let out = encoded(&member);
    assert_eq!(out.len(), 512);
    assert_eq!(&out[..100], "n".repeat(100).as_bytes());
    assert_eq!(&out[345..500], ("d".repeat(154) + "\0").as_bytes());
    assert_eq!(&out[257..265], b"ustar\x0000");
    assert_eq!(&out[124..136], b"77777777777\0");
    assert!(
        out[265..329].iter().all(|&byte| byte == 0),
        "no names of users or groups"
    );
}

#[test]
fn what_does_not_fit_becomes_records_in_the_order_of_their_keys() {
    let path = "n".repeat(101);
    let xattrs = [
        Xattr {
            name: b"security.capability".to_vec(),
            value: b"c".to_vec(),
        },
        Xattr {
            name: b"user.a".to_vec(),
            value: b"line\nbreak".to_vec(),
        },
    ];
    let member = Member {
        uid: 0o10_000_000,
        gid: u32::MAX - 1,
        size: 1 << 33,
        mtime: -1,
        link: "ü".as_bytes(),
        xattrs: &xattrs,
        ..Member::whiteout(path.as_bytes())
    };
    let expected = [
        "38 SCHILY.xattr.security.capability=c\n",
        "34 SCHILY.xattr.user.a=line\nbreak\n",
        "18 gid=4294967294\n",
        "15 linkpath=ü\n",
        "12 mtime=-1\n",
        &format!("111 path={path}\n"),
        "19 size=8589934592\n",
        "15 uid=2097152\n",
    ];
    assert_eq!(records(&member), expected.concat());
    for record in expected {
        assert_eq!(record.split(' ').next().unwrap(), record.len().to_string());
    }
}

#[test]
fn a_long_path_is_divided_at_a_slash_or_not_at_all() {
    let cases = [
        (format!("{}/{}", "d".repeat(155), "n".repeat(100)), false),
        (format!("{}/{}", "d".repeat(156), "n".repeat(99)), true),
        (format!("{}/{}", "d".repeat(10), "n".repeat(101)), true),
        (format!("{}/", "d".repeat(99)), false),
        (format!("{}/", "d".repeat(100)), true),
        (format!("x/{}/", "d".repeat(99)), false),
        (format!("/{}", "d".repeat(100)), true),
        ("ü".to_owned(), true),
    ];
    for (path, long) in cases {
        let out = encoded(&Member::whiteout(path.as_bytes()));
        assert_eq!(out.len() > 512, long, "{path}");
    }
}
