//! What a store costs: a build of 200 steps in which nothing has changed, one with 100,000 records in it, and caches
//! against the build's own time.
//!
//! ```text
//! cargo bench -p builder --bench store                    # 200 steps, 100,000 records
//! cargo bench -p builder --bench store -- 50 10000        # fewer
//! ```
//!
//! Steps are copies of files out of the Dockerfile, so that nothing but croze is measured. What
//! [`SLICE`](builder::collect::SLICE) does not bound of a collection is to list the store and to read its names.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use builder::build::{self, BuildRequest, Interrupt, Services};
use builder::cache::{Aspects, CacheStore as _, Lineage, LocalCache, Record};
use builder::collect::{self, Bounds};
use builder::diagnostic::SourceFile;
use builder::op::key::{CacheKey, KeyHasher};
use builder::ops::LocalDirectory;
use builder::progress::Progress;
use builder::remote_cache::{CacheFrom, CacheTo, Surroundings};
use builder::rung::Sandbox;
use builder::state_dir::{Class, StateDir};
use registry::client::ClientOptions;
use registry::oci::Digest;
use serde_json::json;
use snapshotter::Ownership;
use tokio::runtime::Runtime;

/// Records of one snapshot: its own key, and further ones that lead to it.
const OF_ONE_SNAPSHOT: usize = 10;
/// Bytes of a file that a step writes.
const FILE: usize = 100_000;

fn main() {
    // cargo says that it runs benchmarks.
    let mut numbers = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut number = |default| {
        numbers
            .next()
            .map_or(default, |number| number.parse().expect("a number"))
    };
    let (steps, records) = (number(200), number(100_000));
    let bench = Bench::new(steps);
    let cold = bench.timed(&format!("{steps} steps, first"), "state", |_| {});
    bench.best_of(10, &format!("{steps} steps, nothing changed"), "state");
    bench.caches(cold);
    bench.full_store(records);
}

struct Bench {
    directory: tempfile::TempDir,
    source: Arc<SourceFile>,
    runtime: Runtime,
}

impl Bench {
    fn new(steps: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        // Text that compresses, and is another in each file.
        let step = |step: usize| {
            let line = |number: usize| format!("{step} {:016x}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step);
            let text: String = (0..)
                .map(line)
                .scan(0, |size, line| {
                    *size += line.len();
                    (*size < FILE).then_some(line)
                })
                .collect();
            format!("COPY <<E /file{step}\n{text}E\n")
        };
        let text: String = ["FROM scratch\n".to_owned()]
            .into_iter()
            .chain((0..steps).map(step))
            .collect();
        Self {
            source: Arc::new(SourceFile::new("Dockerfile", text)),
            directory,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Builds with a state directory, all but the collection; returns how long it took.
    fn build(&self, state: &str, change: impl FnOnce(&mut BuildRequest)) -> Duration {
        let path = self.directory.path().join("context");
        let mut request = BuildRequest::new(Arc::clone(&self.source), LocalDirectory { path, ignore: None });
        request.tags = vec!["bench:1".parse().unwrap()];
        change(&mut request);
        let state = self.directory.path().join(state);
        let start = Instant::now();
        let services = Services::open(&state, ClientOptions::default(), Sandbox::none(&state), &|_| {}).unwrap();
        let (progress, _events) = Progress::channel();
        let interrupt = Interrupt::default();
        let built = self.runtime.block_on(async {
            let planned = build::plan(request, services, progress, &interrupt).await?;
            planned.execute(&interrupt).await
        });
        drop(built.unwrap());
        start.elapsed()
    }

    fn timed(&self, what: &str, state: &str, change: impl FnOnce(&mut BuildRequest)) -> Duration {
        let took = self.build(state, change);
        println!("{what:44} {took:>10.1?}");
        took
    }

    fn best_of(&self, rounds: usize, what: &str, state: &str) {
        let took = (0..rounds).map(|_| self.build(state, |_| {})).min().unwrap();
        println!("{what:44} {took:>10.1?}");
    }

    /// Exports all steps to a directory, again, and imports them in another store.
    fn caches(&self, cold: Duration) {
        let shared = self.directory.path().join("shared");
        let surroundings = Surroundings {
            absolute: &|path: &Path| path.to_owned(),
            variable: &|_| None,
        };
        let to = format!("type=local,dest={},mode=max", shared.display());
        let (to, from) = (
            CacheTo::parse(&to, &surroundings).unwrap(),
            CacheFrom::parse(&format!("type=local,src={}", shared.display()), &surroundings).unwrap(),
        );
        let share = |took: Duration| 100.0 * took.as_secs_f64() / cold.as_secs_f64();
        for (what, state, exports, imports) in [
            ("the same in a new store, with an export", "other", true, false),
            ("nothing changed, exported again", "other", true, false),
            ("in a third store, imported", "third", false, true),
        ] {
            let took = self.build(state, |request| {
                request.cache_to.extend(exports.then(|| to.clone()));
                request.cache_from.extend(imports.then(|| from.clone()));
            });
            println!("{what:44} {took:>10.1?}  {:.0} % of the first build", share(took));
        }
    }

    /// Fills the store with records, and looks up, builds and collects in it.
    fn full_store(&self, records: usize) {
        let root = self.directory.path().join("state");
        let state = StateDir::open(&root, Sandbox::none(&root).ownership()).unwrap();
        let keys = fill(&state, records);
        let cache = LocalCache::open(state.path(Class::Records), root.clone()).unwrap();
        let start = Instant::now();
        let found = keys
            .iter()
            .step_by(7)
            .filter(|key| cache.lookup(**key).is_some())
            .count();
        assert_eq!(found, keys.len().div_ceil(7));
        let each = start.elapsed() / u32::try_from(found).unwrap();
        println!("{:44} {each:>10.1?}", format!("look-up among {records} records"));
        self.best_of(3, &format!("nothing changed, with {records} records"), "state");
        let bounds = |max_size| Bounds {
            max_size: Some(max_size),
            ..Bounds::default()
        };
        // The first collection measures every snapshot.
        for (what, share) in [
            ("measures all", 100),
            ("has nothing to do", 100),
            ("removes a tenth", 90),
            ("removes a tenth", 80),
        ] {
            let total: u64 = state.usage().unwrap().values().map(|usage| usage.bytes).sum();
            let bounds = bounds(total / 100 * share + if share == 100 { total } else { 0 });
            let start = Instant::now();
            let collected = collect::after_build(&state, &bounds, true, collect::SLICE);
            let collected = collected.unwrap().unwrap();
            let freed: u64 = collected.freed.values().map(|usage| usage.inodes).sum();
            let (took, postponed) = (start.elapsed(), collected.postponed >> 20);
            println!(
                "{:44} {took:>10.1?}  {freed} files, {postponed} MiB wait for the next",
                format!("a collection that {what}")
            );
        }
        assert_eq!(
            state.layout().ends_with("v1"),
            Sandbox::none(&root).ownership() == Ownership::Real
        );
    }
}

/// Makes snapshots of one file, a record for each, and links to it.
fn fill(state: &StateDir, records: usize) -> Vec<CacheKey> {
    let scratch = state.scratch().unwrap();
    let cache = LocalCache::open(state.path(Class::Records), scratch.path().to_owned()).unwrap();
    let key = |name: String| {
        let mut hasher = KeyHasher::new("bench/1");
        hasher.text(&name);
        hasher.finish()
    };
    let mut keys = Vec::new();
    for number in 0..records / OF_ONE_SNAPSHOT {
        let canonical = key(format!("record {number}"));
        let name = format!("step-{}", canonical.hex());
        let files = state.path(Class::Snapshots).join(&name).join("fs");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("file"), name.as_bytes()).unwrap();
        let record = Record {
            key: canonical,
            payload: json!({ "base": null, "layers": [{ "snapshot": name, "created": "2026-01-02T03:04:05Z" }] }),
            created: "2026-01-02T03:04:05Z".to_owned(),
            lineage: Lineage {
                operation: Digest::of(b"bench"),
                inputs: Vec::new(),
            },
            aspects: Aspects::default(),
            relies_on: BTreeSet::new(),
        };
        cache.save(&record).unwrap();
        keys.push(canonical);
        for alias in 1..OF_ONE_SNAPSHOT {
            let alias = key(format!("alias {alias} of {number}"));
            cache.link(alias, canonical).unwrap();
            keys.push(alias);
        }
    }
    keys
}
