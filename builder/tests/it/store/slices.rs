//! Evictions that take longer than the end of a build has time for: each build does its share, and the store is whole
//! whenever one stops.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use builder::cache::{Aspects, CacheStore as _, Lineage, LocalCache, Record};
use builder::collect::{self, Bounds, Collected};
use builder::op::key::{CacheKey, KeyHasher};
use builder::state_dir::{Class, StateDir};
use builder::verify;
use registry::oci::Digest;
use snapshotter::{Keeper as _, Ownership, SnapshotName};

/// Images of the store, and the steps of each.
const IMAGES: usize = 40;
const STEPS: usize = 3;
/// Further keys that lead to each record.
const LINKS: usize = 4;
/// Snapshots, and names: the records name a snapshot and those below, the links the records.
const SNAPSHOTS: usize = IMAGES * STEPS;
const NAMES: usize = SNAPSHOTS * (1 + LINKS);

struct Store {
    _directory: tempfile::TempDir,
    state: StateDir,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("state"), Ownership::Real).unwrap();
        Self {
            _directory: directory,
            state,
        }
    }

    fn filled() -> Self {
        let store = Self::new();
        for image in 0..IMAGES {
            store.build(&format!("image{image}"));
        }
        store
    }

    /// Does what a build of an image does with the store: leases, looks, makes what is not there, and saves records. Returns
    /// how many steps were there; all steps are, until it ends.
    fn build(&self, image: &str) -> usize {
        let scratch = self.state.scratch().unwrap();
        let lease = std::sync::Arc::new(self.state.lease(&scratch).unwrap());
        let snapshots = self.state.snapshots().unwrap().kept_by(lease.clone());
        let cache = LocalCache::open(self.state.path(Class::Records), scratch.path().to_owned()).unwrap();
        let mut chain: Vec<SnapshotName> = Vec::new();
        let mut found = 0;
        for step in 0..STEPS {
            let name = SnapshotName::new(&format!("{image}-{step}")).unwrap();
            lease.keep(&name).unwrap();
            if snapshots.stat(&name).unwrap().is_some() {
                found += 1;
            } else {
                let active = snapshots.prepare().unwrap();
                fs::write(active.upper().join("file"), name.as_str()).unwrap();
                active.commit(&name).unwrap();
            }
            chain.push(name);
            let layers = chain
                .iter()
                .map(|name| serde_json::json!({ "snapshot": name, "created": "" }));
            let record = Record {
                key: key(&format!("{image}-{step}")),
                payload: serde_json::json!({ "base": null, "layers": layers.collect::<Vec<_>>() }),
                created: String::new(),
                lineage: Lineage {
                    operation: Digest::of(b""),
                    inputs: Vec::new(),
                },
                aspects: Aspects::default(),
                relies_on: BTreeSet::new(),
            };
            cache.save(&record).unwrap();
            for link in 0..LINKS {
                let alias = key(&format!("{image}-{step}, link {link}"));
                cache.link(alias, record.key).unwrap();
            }
        }
        for name in &chain {
            let file = self.state.path(Class::Snapshots).join(name.as_str()).join("fs/file");
            assert_eq!(fs::read_to_string(file).unwrap(), name.as_str());
        }
        found
    }

    /// Collects everything as the end of a build does that has no time.
    fn collect(&self) -> Collected {
        let bounds = Bounds {
            max_size: Some(0),
            ..Bounds::default()
        };
        // A process that another test has just forked has the sweeper's lock too, until it starts its program.
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(collected) = collect::after_build(&self.state, &bounds, true, Duration::ZERO).unwrap() {
                return collected;
            }
            assert!(Instant::now() < until, "somebody else collects for ever");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_whole(&self) {
        let verified = verify::verify(&self.state).unwrap();
        assert_eq!(verified.findings, []);
    }

    fn names(&self, class: Class) -> BTreeSet<String> {
        let entries = fs::read_dir(self.state.path(class)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('_')).collect()
    }
}

fn key(name: &str) -> CacheKey {
    let mut hasher = KeyHasher::new("slices/1");
    hasher.text(name);
    hasher.finish()
}

#[test]
fn a_large_eviction_without_time_goes_on_with_each_build_over_a_store_that_is_whole() {
    let store = Store::filled();
    assert_eq!(store.names(Class::Snapshots).len(), SNAPSHOTS);
    let (mut builds, mut left) = (0, usize::MAX);
    loop {
        let collected = store.collect();
        let freed: u64 = collected.freed.values().map(|usage| usage.inodes).sum();
        assert!((1..=64).contains(&freed), "{freed} files went in build {builds}");
        builds += 1;
        store.is_whole();
        assert_eq!(
            store.names(Class::Scratch).len(),
            0,
            "what was begun is deleted, and nobody else has to"
        );
        let snapshots = store.names(Class::Snapshots).len();
        assert!(snapshots <= left);
        left = snapshots;
        assert_eq!(collected.postponed == 0, left == 0, "{collected:?}");
        if left == 0 {
            break;
        }
    }
    let least = (SNAPSHOTS + NAMES) / 64;
    assert!((least..6 * least).contains(&builds), "{builds} builds");
    assert_eq!(store.state.usage().unwrap()[&Class::Records].inodes, 0);
}

#[test]
fn builds_beside_an_eviction_that_has_no_time_keep_what_they_rely_on() {
    let store = Store::filled();
    let (stop, built, found) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for builder in 0..3 {
            let (store, stop, built, found) = (&store, &stop, &built, &found);
            scope.spawn(move || {
                for number in builder.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let there = store.build(&format!("image{}", number % IMAGES));
                    found.fetch_add(there, Ordering::Relaxed);
                    built.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let began = Instant::now();
        let mut collections = 0;
        while began.elapsed() < Duration::from_secs(2) || built.load(Ordering::Relaxed) < 3 {
            store.collect();
            collections += 1;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(collections > 1);
    });
    assert!(found.load(Ordering::Relaxed) > 0, "some were there, and some were made");
    store.is_whole();
    while store.collect().postponed > 0 {}
    assert_eq!(store.names(Class::Snapshots).len(), 0);
}
