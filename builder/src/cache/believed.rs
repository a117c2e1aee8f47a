//! The records that a build may believe, of all that this machine has.
//!
//! What another machine has made is believed because the build was told to import from there. It may be wrong: about what a
//! step gives, and about the keys of that, by which results made on top of it here would be taken for others. So every record
//! says on whose word it relies, and a build that does not import from all of them does not see it: to leave `--cache-from`
//! out is to be rid of whatever was wrong there. What is made again takes the record's place. A further key does not lead to a
//! record that relies on somebody, but has a copy: the key may be wrong too, and must not lead to what takes the place.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{CacheError, CacheStore, Record};
use crate::op::key::CacheKey;

/// A store of records for a build that imports from some caches and from no others.
pub struct BelievedCache {
    records: Arc<dyn CacheStore>,
    imports: BTreeSet<String>,
}

impl BelievedCache {
    /// Shows what relies on nothing but `imports`, which are names of caches.
    pub fn new(records: Arc<dyn CacheStore>, imports: BTreeSet<String>) -> Self {
        Self { records, imports }
    }
}

impl CacheStore for BelievedCache {
    fn lookup(&self, key: CacheKey) -> Option<Record> {
        let found = self.records.lookup(key);
        found.filter(|record| record.relies_on.is_subset(&self.imports))
    }

    fn save(&self, record: &Record) -> Result<(), CacheError> {
        self.records.save(record)
    }

    fn adopt(&self, key: CacheKey, record: &Record) -> Result<(), CacheError> {
        self.records.adopt(key, record)
    }

    fn link(&self, alias: CacheKey, key: CacheKey) -> Result<(), CacheError> {
        match self.records.lookup(key) {
            Some(record) if !record.relies_on.is_empty() => self.records.adopt(alias, &record),
            _ => self.records.link(alias, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::super::{LocalCache, MemoryCache};
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_shows_what_is_written_through_it() {
        let memory = Arc::new(MemoryCache::new());
        let shown = BelievedCache::new(memory.clone(), names(&["cache"]));
        let record = conformance::record("a", serde_json::json!(1));
        shown.save(&record).unwrap();
        shown.link(conformance::key("alias"), record.key).unwrap();
        shown.adopt(conformance::key("asked"), &record).unwrap();
        for name in ["a", "alias", "asked"] {
            assert_eq!(
                shown.lookup(conformance::key(name)),
                memory.lookup(conformance::key(name)),
                "{name}"
            );
            assert!(shown.lookup(conformance::key(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn a_record_is_seen_by_who_imports_from_all_that_it_relies_on() {
        let dir = tempfile::tempdir().unwrap();
        let (index, scratch) = (dir.path().join("index"), dir.path().join("scratch"));
        std::fs::create_dir(&index).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        let records = Arc::new(LocalCache::open(index, scratch).unwrap());
        let record = Record {
            relies_on: names(&["a", "b"]),
            ..conformance::record("x", serde_json::json!(1))
        };
        records.save(&record).unwrap();
        let alias = conformance::key("y");
        let importing = BelievedCache::new(Arc::<LocalCache>::clone(&records), names(&["a", "b"]));
        importing.link(alias, record.key).unwrap();
        for (imports, is_seen) in [
            (&["a", "b", "c"][..], true),
            (&["b", "a"], true),
            (&["a"], false),
            (&[], false),
        ] {
            let believed = BelievedCache::new(Arc::<LocalCache>::clone(&records), names(imports));
            for key in [record.key, alias] {
                assert_eq!(believed.lookup(key).is_some(), is_seen, "{imports:?}");
            }
        }
        let again = Record {
            relies_on: BTreeSet::new(),
            ..conformance::record("x", serde_json::json!(3))
        };
        let believed = BelievedCache::new(records, BTreeSet::new());
        believed.save(&again).unwrap();
        assert_eq!(
            believed.lookup(again.key),
            Some(again),
            "what is made again takes its place"
        );
        assert_eq!(
            believed.lookup(alias),
            None,
            "a key that was learnt from a cache leads to nothing else"
        );
    }
}
