//! A door for the fuzzer to what is read of a cache that strangers may write.

use registry::oci::Manifest;

use super::document::{embedded_config, is_ours, read_entry};
use crate::image::Origin;

/// Checks a manifest and a config: an entry is what it claims to be, or refused.
pub fn entry(manifest: &[u8], config: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else {
        return;
    };
    let _of_a_cache = is_ours(&manifest);
    let embedded = embedded_config(&manifest);
    let Ok(read) = read_entry(&manifest, embedded.as_deref().unwrap_or(config)) else {
        return;
    };
    assert!(read.blobs.len() <= manifest.layers.len());
    if let Ok(record) = read.entry.record(&read.blobs, &Origin::Directory("/cache".into())) {
        assert_eq!(record.key, read.entry.key);
        assert!(record.created.parse::<jiff::Timestamp>().is_ok());
    }
}
