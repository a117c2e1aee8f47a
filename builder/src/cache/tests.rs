//! Tests of the stores: the suite for each, and what only files can suffer.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::conformance::{key, record, suite};
use super::{CacheError, CacheStore, LocalCache, MemoryCache};
use crate::op::key::CacheKey;

/// A local cache in a directory of its own.
struct Fixture {
    directory: TempDir,
    cache: LocalCache,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (index, scratch) = (directory.path().join("index"), directory.path().join("scratch"));
        fs::create_dir(&index).unwrap();
        fs::create_dir(&scratch).unwrap();
        let cache = LocalCache::open(index, scratch).unwrap();
        Self { directory, cache }
    }

    fn path(&self, key: CacheKey) -> PathBuf {
        let hex = key.hex();
        self.directory.path().join("index").join(&hex[..2]).join(hex)
    }
}

impl CacheStore for Fixture {
    fn lookup(&self, key: CacheKey) -> Option<super::Record> {
        self.cache.lookup(key)
    }

    fn save(&self, record: &super::Record) -> Result<(), CacheError> {
        self.cache.save(record)
    }

    fn adopt(&self, key: CacheKey, record: &super::Record) -> Result<(), CacheError> {
        self.cache.adopt(key, record)
    }

    fn link(&self, alias: CacheKey, key: CacheKey) -> Result<(), CacheError> {
        self.cache.link(alias, key)
    }
}

#[test]
fn the_local_cache_conforms() {
    suite(Fixture::new, |fixture, key| {
        fs::remove_file(fixture.path(key)).unwrap();
    });
}

#[test]
fn the_memory_cache_conforms() {
    suite(MemoryCache::new, MemoryCache::forget);
}

#[test]
fn a_damaged_record_is_a_miss_and_is_deleted() {
    let damages: [fn(&Path, &[u8]); 5] = [
        |path, bytes| replace(path, &bytes[..bytes.len() / 2]),
        |path, _| replace(path, b""),
        |path, _| replace(path, b"not a record"),
        |path, bytes| replace(path, &[bytes, &vec![0; 3 << 20]].concat()),
        |path, bytes| {
            let mut bytes = bytes.to_vec();
            bytes[40] ^= 4;
            replace(path, &bytes);
        },
    ];
    for damage in damages {
        let fixture = Fixture::new();
        fixture.save(&record("a", json!(1))).unwrap();
        let path = fixture.path(key("a"));
        let bytes = fs::read(&path).unwrap();
        damage(&path, &bytes);
        assert_eq!(fixture.lookup(key("a")), None);
        assert!(!path.exists());
        fixture.save(&record("a", json!(2))).unwrap();
        assert_eq!(fixture.lookup(key("a")), Some(record("a", json!(2))));
    }
}

#[test]
fn a_record_under_the_name_of_another_is_not_believed() {
    let fixture = Fixture::new();
    fixture.save(&record("a", json!(1))).unwrap();
    fixture.save(&record("b", json!(2))).unwrap();
    fs::copy(fixture.path(key("a")), {
        fs::remove_file(fixture.path(key("b"))).unwrap();
        fixture.path(key("b"))
    })
    .unwrap();
    assert_eq!(fixture.lookup(key("b")), None);
    assert_eq!(fixture.lookup(key("a")), Some(record("a", json!(1))));
}

#[test]
fn a_loop_of_links_is_a_miss() {
    let fixture = Fixture::new();
    fixture.link(key("a"), key("b")).unwrap();
    fixture.link(key("b"), key("a")).unwrap();
    assert_eq!(fixture.lookup(key("a")), None);
}

#[test]
fn a_record_cannot_be_changed_in_place_and_leaves_nothing_unfinished() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new();
    fixture.save(&record("a", json!(1))).unwrap();
    let path = fixture.path(key("a"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(
        fs::read_dir(fixture.directory.path().join("scratch")).unwrap().count(),
        0
    );
}

#[test]
fn a_record_of_another_version_of_croze_is_a_miss_and_stays() {
    let fixture = Fixture::new();
    fixture.save(&record("a", json!(1))).unwrap();
    let path = fixture.path(key("a"));
    let bytes = fs::read(&path).unwrap();
    let mut newer = bytes.clone();
    newer[8] += 1;
    replace(&path, &newer);
    assert_eq!(fixture.lookup(key("a")), None);
    assert!(path.exists());
    // Records once named the boot they were written in.
    let payload = String::from_utf8(crate::state_dir::frame::decode(&bytes).unwrap().to_vec()).unwrap();
    let older = payload.replacen('{', r#"{"boot_id":"a-boot","#, 1);
    replace(&path, &crate::state_dir::frame::encode(older.as_bytes()).unwrap());
    assert_eq!(fixture.lookup(key("a")), Some(record("a", json!(1))));
}

#[test]
fn a_cache_that_cannot_be_written_says_what_and_where() {
    let fixture = Fixture::new();
    fs::remove_dir(fixture.directory.path().join("scratch")).unwrap();
    let error = fixture.save(&record("a", json!(1))).unwrap_err();
    assert!(
        matches!(&error, CacheError::Io { path, .. } if path.ends_with("scratch")),
        "{error}"
    );
    let huge = record("a", json!("x".repeat(2 << 20)));
    assert!(matches!(fixture.save(&huge), Err(CacheError::TooLarge { .. })));
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
