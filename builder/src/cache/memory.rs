//! Records in memory: a fake that is stricter than the real thing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{CacheError, CacheStore, Record};
use crate::op::key::CacheKey;

/// A store that lasts as long as the process and panics when it is misused.
#[derive(Debug, Default)]
pub struct MemoryCache {
    entries: Mutex<HashMap<CacheKey, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Record(Box<Record>),
    Link(CacheKey),
}

impl MemoryCache {
    /// Starts with no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes what is under `key`, as pruning would.
    pub fn forget(&self, key: CacheKey) {
        self.lock().remove(&key);
    }

    /// Returns the number of records and of links.
    pub fn counts(&self) -> (usize, usize) {
        let entries = self.lock();
        let records = entries.values().filter(|entry| matches!(entry, Entry::Record(_)));
        let records = records.count();
        (records, entries.len() - records)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, Entry>> {
        // A panic of the strict checks below leaves the map whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheStore for MemoryCache {
    fn lookup(&self, key: CacheKey) -> Option<Record> {
        let entries = self.lock();
        let mut key = key;
        // No path is longer than the map, unless it is a loop.
        for _ in 0..entries.len() {
            match entries.get(&key)? {
                Entry::Record(record) => return Some((**record).clone()),
                Entry::Link(next) => key = *next,
            }
        }
        None
    }

    /// # Panics
    /// If the lineage has an input whose files were to be read but were not: such a record would explain
    /// nothing later.
    fn save(&self, record: &Record) -> Result<(), CacheError> {
        assert!(
            record.lineage.is_complete(),
            "a record is saved before its content was read"
        );
        self.lock().insert(record.key, Entry::Record(Box::new(record.clone())));
        Ok(())
    }

    fn adopt(&self, key: CacheKey, record: &Record) -> Result<(), CacheError> {
        self.lock().insert(key, Entry::Record(Box::new(record.clone())));
        Ok(())
    }

    /// # Panics
    /// If nothing is saved under `key`: links must come after their record, or a crash between the two leaves
    /// a link to nowhere.
    fn link(&self, alias: CacheKey, key: CacheKey) -> Result<(), CacheError> {
        let mut entries = self.lock();
        assert!(entries.contains_key(&key), "a link is made before its record");
        if alias != key {
            entries.insert(alias, Entry::Link(key));
        }
        Ok(())
    }
}
