//! Files of the store: damage is found, and what is whole but foreign is no record.

use std::fs;

use builder::cache::{self, Inspected};
use builder::context::StatCache;
use builder::op::key::KeyHasher;
use builder::state_dir::{frame, note};
use registry::oci::Digest;

use crate::scratch;

/// Checks bytes as a file, and as the payload of one.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(payload) = frame::decode(bytes) {
        assert_eq!(frame::encode(payload).as_deref(), Some(bytes));
    }
    let Some(file) = frame::encode(bytes) else { return };
    assert_eq!(frame::decode(&file), Ok(bytes));
    scratch::with("state", |directory| {
        let key = KeyHasher::new("some").finish();
        let path = scratch::write(directory, &key.to_string(), &file);
        if let Ok(Some(Inspected::Record(record))) = cache::inspect(&path) {
            assert!(serde_json::to_vec(&record).is_ok());
        }
        let _note = note::inspect::<serde_json::Value>(&path);
        // A stat cache ends with the digest of what stands before.
        let sealed = [bytes, Digest::of(bytes).as_bytes()].concat();
        fs::write(&path, sealed).expect("a file can be written");
        let _remembered = StatCache::load(&path);
    });
}
