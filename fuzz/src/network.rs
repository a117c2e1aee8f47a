//! What registries and other servers answer, and what files say about registries.

use std::io::Read;

use builder::fetch::foreign::decompressed;
use registry::client::Mirrors;
use registry::oci::{Digest, ImageConfig, Index, Manifest, Platform, Reference};
use registry::{auth, client, compress};
use serde::{Serialize, de::DeserializeOwned};

/// Headers of answers: challenges, locations, ranges, links, times to wait.
pub(crate) fn header(bytes: &[u8]) {
    auth::foreign::header(&String::from_utf8_lossy(bytes));
    client::foreign::header(bytes);
}

/// Documents: manifests, indexes, configs, tokens, lists, errors.
pub(crate) fn document(bytes: &[u8]) {
    client::foreign::document(bytes);
    auth::foreign::answer(bytes);
    assert_written_is_read::<Manifest>(bytes);
    assert_written_is_read::<Index>(bytes);
    assert_written_is_read::<ImageConfig>(bytes);
}

/// What was read says the same when it is written and read again.
fn assert_written_is_read<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&document).expect("maps with string keys can be written");
    // Fractions, which no field of ours has, are not read to their last bit.
    if !written.contains(&b'.') && !written.contains(&b'e') {
        assert_eq!(serde_json::from_slice::<T>(&written).ok(), Some(document));
    }
}

/// References, platforms, digests.
pub(crate) fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>(), Ok(platform));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    let Ok(reference) = text.parse::<Reference>() else {
        return;
    };
    for written in [reference.to_string(), reference.familiar()] {
        assert_eq!(written.parse::<Reference>().as_ref(), Ok(&reference), "{written:?}");
    }
    for part in [reference.registry(), reference.repository()] {
        assert!(!part.contains("..") && !part.contains(char::is_whitespace), "{text:?}");
    }
}

/// Files of credentials.
pub(crate) fn credentials(bytes: &[u8]) {
    auth::foreign::configuration(bytes);
}

/// `registries.conf`.
pub(crate) fn registries(bytes: &[u8]) {
    let _rules = Mirrors::parse(&String::from_utf8_lossy(bytes));
}

/// Certificates.
pub(crate) fn certificate(bytes: &[u8]) {
    client::foreign::certificate(bytes);
}

/// Bytes of an expanded stream that are looked at: a bomb is cut here, as by every reader.
const MOST: u64 = 1 << 20;

/// Compressed layers, and downloads that may be compressed.
pub(crate) fn compressed(bytes: &[u8]) {
    let drain = |mut reader: Box<dyn Read + '_>| {
        let mut expanded = Vec::new();
        reader.by_ref().take(MOST).read_to_end(&mut expanded).map(|_| expanded)
    };
    let layer = compress::decoder(bytes).and_then(|reader| drain(reader));
    let download = decompressed(bytes).and_then(drain);
    // Both know gzip; of the others each knows some, and takes the rest as it is.
    if bytes.starts_with(b"\x1f\x8b\x08") {
        assert_eq!(layer.ok(), download.ok());
    } else if bytes.len() < 4 {
        assert_eq!(layer.ok().as_deref(), Some(bytes));
    }
}
