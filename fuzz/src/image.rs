//! What images and their programs bring: attributes of files, accounts, programs, statements.

use std::path::Path;

use builder::attest::read_bundle;
use builder::identity::{resolve, resolve_owner};
use builder::supervisor::foreign;
use snapshotter::xattr::Xattr;
use snapshotter::{InodeRecord, Root, SnapshotName, SpecialOwners};

use crate::scratch;

/// The largest id that an account can have.
const LARGEST_ID: u32 = i32::MAX as u32;

/// Values of extended attributes, and the file that stands for them where there are none.
pub(crate) fn attributes(bytes: &[u8]) {
    if let Ok(record) = InodeRecord::parse(bytes) {
        assert_eq!(record.encode().as_bytes(), bytes);
    }
    if let Ok(owners) = SpecialOwners::try_from(bytes.to_vec()) {
        let written = Vec::from(owners.clone());
        assert_eq!(SpecialOwners::try_from(written), Ok(owners));
    }
    foreign::capabilities(bytes);
    let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(0));
    for name in [name, b"security.capability"] {
        if let Some(xattr) = Xattr::for_layer(name, value) {
            assert!(xattr.name.starts_with(b"user.") || xattr.name == b"security.capability");
            assert!(!xattr.name.starts_with(b"user.overlay.") && !xattr.name.starts_with(b"user.croze."));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(name) = SnapshotName::new(&text) {
        assert!(Path::new(&name.to_string()).components().count() == 1);
    }
}

/// A `USER`, then what `/etc/passwd` holds, then `/etc/group` after an empty line.
pub(crate) fn accounts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (spec, files) = text.split_once('\n').unwrap_or((&text, ""));
    let (users, groups) = files.split_once("\n\n").unwrap_or((files, ""));
    scratch::with("accounts", |directory| {
        scratch::write(directory, "etc/passwd", users.as_bytes());
        scratch::write(directory, "etc/group", groups.as_bytes());
        let root = Root::open(directory).expect("a directory can be opened");
        let number = spec.split(':').next().and_then(|user| user.parse::<u32>().ok());
        if let Ok(identity) = resolve(&root, spec) {
            assert_eq!(identity.groups.first(), Some(&identity.gid));
            let ids = identity.groups.iter().chain([&identity.uid]);
            assert!(ids.copied().all(|id| id <= LARGEST_ID), "{spec:?}");
            assert!(number.is_none_or(|number| number == identity.uid), "{spec:?}");
        }
        if let Ok(owner) = resolve_owner(&root, spec) {
            assert!(owner.uid <= LARGEST_ID && owner.gid <= LARGEST_ID, "{spec:?}");
            assert!(number.is_none_or(|number| number == owner.uid), "{spec:?}");
        }
    });
}

/// The beginning of a program.
pub(crate) fn program(bytes: &[u8]) {
    foreign::program(bytes);
}

/// What an SBOM generator leaves.
pub(crate) fn statement(bytes: &[u8]) {
    scratch::with("statement", |directory| {
        scratch::write(directory, "run/out/sbom.json", bytes);
        if let Ok(attestations) = read_bundle(directory) {
            assert_eq!(attestations.len(), 1);
        }
    });
}
