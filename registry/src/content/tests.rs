//! Tests of the content store: what is published, what is refused, what is mended.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::oci::{Descriptor, Digest, MediaType};

fn store() -> (TempDir, ContentStore) {
    let dir = TempDir::new().unwrap();
    let store = ContentStore::open(dir.path()).unwrap();
    (dir, store)
}

fn leftovers(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path().join("ingest")).unwrap().count()
}

/// Pseudo-random bytes that do not compress and are the same everywhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(length)
    .collect()
}

fn damage(store: &ContentStore, digest: Digest, bytes: &[u8]) {
    let path = store.blob_path(digest);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_committed_blob_is_read_only_under_its_digest_and_a_dropped_one_is_gone() {
    let (dir, store) = store();
    let mut ingest = store.ingest().unwrap();
    ingest.write_all(b"hello").unwrap();
    assert_eq!(
        store.size(Digest::of(b"hello")).unwrap(),
        None,
        "invisible until committed"
    );
    let (digest, size) = ingest.commit(None).unwrap();
    assert_eq!((digest, size), (Digest::of(b"hello"), 5));
    let path = dir.path().join("sha256").join(&digest.hex()[..2]).join(digest.hex());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(store.read(digest, 5).unwrap(), b"hello");

    let mut dropped = store.ingest().unwrap();
    dropped.write_all(b"never").unwrap();
    drop(dropped);
    assert_eq!(store.size(Digest::of(b"never")).unwrap(), None);
    assert_eq!(leftovers(&dir), 0);
}

#[test]
fn bytes_with_another_digest_than_expected_are_thrown_away() {
    let (dir, store) = store();
    let mut ingest = store.ingest().unwrap();
    ingest.write_all(b"evil").unwrap();
    let expected = Digest::of(b"good");
    let error = ingest.commit(Some(expected)).unwrap_err();
    assert!(matches!(error, ContentError::DigestMismatch { found, .. } if found == Digest::of(b"evil")));
    assert!(error.is_damage());
    assert_eq!(store.size(expected).unwrap(), None);
    assert_eq!(store.size(Digest::of(b"evil")).unwrap(), None);
    assert_eq!(leftovers(&dir), 0);
}

#[test]
fn many_writers_of_one_blob_all_succeed() {
    let (dir, store) = store();
    let bytes = Arc::new(noise(3 << 20));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let bytes = Arc::clone(&bytes);
            // Half of them are other openers of the directory, as other processes are.
            let store = if writer % 2 == 0 {
                store.clone()
            } else {
                ContentStore::open(dir.path()).unwrap()
            };
            std::thread::spawn(move || store.put(&bytes).unwrap())
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.join().unwrap(), Digest::of(&bytes));
    }
    assert_eq!(store.read(Digest::of(&bytes), 3 << 20).unwrap(), *bytes);
    assert_eq!(leftovers(&dir), 0);
}

#[test]
fn a_blob_that_a_power_cut_emptied_is_mended_by_the_next_write() {
    let (_dir, store) = store();
    let digest = store.put(b"content").unwrap();
    damage(&store, digest, b"");
    assert!(matches!(
        store.read(digest, 100),
        Err(ContentError::DigestMismatch { .. })
    ));
    store.put(b"content").unwrap();
    assert_eq!(store.read(digest, 100).unwrap(), b"content");
}

#[test]
fn a_read_is_bounded_and_says_what_is_missing() {
    let (_dir, store) = store();
    let digest = store.put(b"0123456789").unwrap();
    assert!(matches!(
        store.read(digest, 9),
        Err(ContentError::TooLarge { size: 10, limit: 9, .. })
    ));
    let absent = Digest::of(b"absent");
    assert!(matches!(store.read(absent, 9), Err(ContentError::Missing(digest)) if digest == absent));
    assert!(matches!(
        store.open_blob(&Descriptor::new(MediaType::LAYER, absent, 1)),
        Err(ContentError::Missing(_))
    ));
}

#[test]
fn every_flipped_bit_cut_and_addition_fails_at_the_end_of_the_read() {
    let (_dir, store) = store();
    let bytes = noise(1000);
    let digest = store.put(&bytes).unwrap();
    let descriptor = Descriptor::of(MediaType::LAYER, &bytes);
    let read = |expect: &Descriptor| {
        let mut out = Vec::new();
        let result = store.open_blob(expect).unwrap().read_to_end(&mut out);
        result.map(|_| out)
    };
    assert_eq!(read(&descriptor).unwrap(), bytes);

    let mut flipped = bytes.clone();
    flipped[777] ^= 1;
    for wrong in [&flipped[..], &bytes[..999], b""] {
        damage(&store, digest, wrong);
        let error = read(&descriptor).unwrap_err();
        assert!(
            matches!(ContentError::within(&error), Some(ContentError::DigestMismatch { found, .. }) if *found == Digest::of(wrong)),
            "{error}"
        );
    }
    damage(&store, digest, &[&bytes[..], b"more and more"].concat());
    let error = read(&descriptor).unwrap_err();
    assert!(matches!(
        ContentError::within(&error),
        Some(ContentError::SizeMismatch {
            expected: 1000,
            found: 1001,
            ..
        })
    ));
    damage(&store, digest, &bytes);
    let wrong_size = Descriptor::new(MediaType::LAYER, digest, 1001);
    let error = read(&wrong_size).unwrap_err();
    assert!(matches!(
        ContentError::within(&error),
        Some(ContentError::SizeMismatch { found: 1000, .. })
    ));
}

#[test]
fn a_consumer_that_stops_early_still_learns_of_damage() {
    let (_dir, store) = store();
    let bytes = noise(100_000);
    let digest = store.put(&bytes).unwrap();
    let descriptor = Descriptor::of(MediaType::LAYER, &bytes);
    let mut head = [0; 10];
    let mut reader = store.open_blob(&descriptor).unwrap();
    reader.read_exact(&mut head).unwrap();
    reader.finish().unwrap();

    let mut wrong = bytes.clone();
    wrong[99_999] ^= 1;
    damage(&store, digest, &wrong);
    let mut reader = store.open_blob(&descriptor).unwrap();
    reader.read_exact(&mut head).unwrap();
    assert!(reader.finish().is_err());
}

#[test]
fn walking_finds_blobs_only_and_removing_ends_them() {
    let (dir, store) = store();
    let mut digests = [store.put(b"a").unwrap(), store.put(b"bb").unwrap()];
    std::fs::write(dir.path().join("sha256/stray"), b"x").unwrap();
    std::fs::write(store.blob_path(digests[0]).with_file_name("stray"), b"x").unwrap();
    let mut found = Vec::new();
    store.walk(&mut |blob| found.push((blob.digest, blob.size))).unwrap();
    found.sort_by_key(|(_, size)| *size);
    assert_eq!(found, [(digests[0], 1), (digests[1], 2)]);

    let mut held = store.open_blob(&Descriptor::of(MediaType::LAYER, b"a")).unwrap();
    assert!(store.remove(digests[0]).unwrap());
    assert!(!store.remove(digests[0]).unwrap());
    let mut bytes = Vec::new();
    held.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"a", "an open reader is not disturbed");
    digests.reverse();
    let mut rest = Vec::new();
    store.walk(&mut |blob| rest.push(blob.digest)).unwrap();
    assert_eq!(rest, digests[..1]);
}

#[test]
fn an_error_names_the_verb_and_the_path_and_keeps_its_kind() {
    let (dir, store) = store();
    std::fs::remove_dir(dir.path().join("ingest")).unwrap();
    let error = store.put(b"x").unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot create a file in `") && text.ends_with("ingest`"),
        "{text}"
    );
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
}

/// A writer that takes as many bytes as a script says, which `Write` allows.
struct Stingy(Vec<u8>, Vec<usize>);

impl Write for Stingy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = self.1.pop().unwrap_or(bytes.len()).clamp(1, bytes.len());
        self.0.extend_from_slice(&bytes[..take]);
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_stream_is_measured_alike_however_it_is_cut(
        length in prop_oneof![0..5000usize, 900_000..5_000_000usize],
        cuts in proptest::collection::vec(1..2_000_000usize, 1..40),
    ) {
        let bytes = noise(length);
        let mut writer = DigestWriter::new(Stingy(Vec::new(), cuts.clone()));
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            writer.write_all(now).unwrap();
            rest = later;
        }
        let (inner, measured) = writer.finish();
        let expected = Measured { digest: Digest::of(&bytes), size: length as u64 };
        prop_assert!(inner.0 == bytes);
        prop_assert_eq!(measured, expected);
        prop_assert_eq!(DigestReader::new(&bytes[..]).finish().unwrap(), expected);
    }
}
