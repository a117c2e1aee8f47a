//! Snapshots appear whole and once, and leave nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use snapshotter::{FsError, Ownership, SnapshotName, SnapshotStore, Usage};

struct Scratch {
    dir: tempfile::TempDir,
    store: SnapshotStore,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(dir.path(), Ownership::Real).unwrap();
        Self { dir, store }
    }

    fn count(&self, path: &str) -> usize {
        fs::read_dir(self.dir.path().join(path)).unwrap().count()
    }

    fn commit(&self, name: &str, content: &str) -> PathBuf {
        let active = self.store.prepare().unwrap();
        fs::write(active.upper().join("file"), content).unwrap();
        active.commit(&named(name)).unwrap();
        self.store.fs_dir(&named(name))
    }
}

fn named(name: &str) -> SnapshotName {
    SnapshotName::new(name).unwrap()
}

#[test]
fn a_snapshot_is_there_when_it_is_committed() {
    let scratch = Scratch::new();
    let active = scratch.store.prepare().unwrap();
    fs::write(active.upper().join("file"), "x").unwrap();
    assert_eq!(fs::read_dir(active.work()).unwrap().count(), 0);
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(active.upper()).unwrap()) & 0o7777,
        0o755
    );
    assert_eq!(scratch.store.stat(&named("a")).unwrap(), None);
    active.commit(&named("a")).unwrap();
    assert!(scratch.store.stat(&named("a")).unwrap().is_some());
    assert_eq!(
        fs::read_to_string(scratch.store.fs_dir(&named("a")).join("file")).unwrap(),
        "x"
    );
    assert_eq!(scratch.count("a"), 1, "the work directory is gone");
    assert_eq!((scratch.count("_active"), scratch.count("_trash")), (0, 0));
}

#[test]
fn a_snapshot_that_is_dropped_was_never_there() {
    let scratch = Scratch::new();
    let active = scratch.store.prepare().unwrap();
    fs::create_dir(active.upper().join("d")).unwrap();
    drop(active);
    assert_eq!(
        (scratch.count("_active"), scratch.count("_trash"), scratch.count("")),
        (0, 0, 2)
    );
}

#[test]
fn a_name_that_is_taken_keeps_its_snapshot() {
    let scratch = Scratch::new();
    let first = scratch.commit("a", "first");
    scratch.commit("a", "second");
    assert_eq!(fs::read_to_string(first.join("file")).unwrap(), "first");
    assert_eq!(scratch.count("_active"), 0);
}

#[test]
fn many_may_commit_the_same_name_at_once() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let scratch = &scratch;
            scope.spawn(move || {
                for round in 0..20 {
                    scratch.commit(&format!("s{round}"), &thread.to_string());
                }
            });
        }
    });
    assert_eq!(
        (scratch.count("_active"), scratch.count("_trash"), scratch.count("")),
        (0, 0, 22)
    );
    for round in 0..20 {
        assert_eq!(
            fs::read(scratch.store.fs_dir(&named(&format!("s{round}"))).join("file"))
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn removing_frees_the_name() {
    let scratch = Scratch::new();
    scratch.commit("a", "x");
    scratch.store.remove(&named("a")).unwrap();
    assert_eq!(scratch.store.stat(&named("a")).unwrap(), None);
    scratch.store.remove(&named("a")).unwrap();
    scratch.commit("a", "y");
    assert_eq!(scratch.count("_trash"), 0);
}

#[test]
fn a_walk_shows_committed_snapshots_in_order() {
    let scratch = Scratch::new();
    for name in ["b", "a.2", "a-1", "c"] {
        scratch.commit(name, "");
    }
    let _active = scratch.store.prepare().unwrap();
    fs::write(scratch.dir.path().join("lost+found"), "").unwrap();
    let mut seen = Vec::new();
    let walked: Result<(), FsError> = scratch.store.walk(&mut |name, info| {
        assert!(info.modified.seconds > 0);
        seen.push(name.to_string());
        Ok(())
    });
    walked.unwrap();
    assert_eq!(seen, ["a-1", "a.2", "b", "c"]);
    let mut calls = 0;
    let stopped = scratch.store.walk(&mut |_, _| {
        calls += 1;
        Err(FsError::new("stop at", "here", std::io::ErrorKind::Interrupted))
    });
    assert_eq!(
        (stopped.unwrap_err().to_string().as_str(), calls),
        ("cannot stop at `here`", 1)
    );
}

#[test]
fn usage_counts_disk_space_and_shared_inodes_once() {
    let scratch = Scratch::new();
    let active = scratch.store.prepare().unwrap();
    fs::write(active.upper().join("file"), vec![1; 100_000]).unwrap();
    fs::hard_link(active.upper().join("file"), active.upper().join("link")).unwrap();
    fs::File::create(active.upper().join("hole"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    active.commit(&named("a")).unwrap();
    let Usage { bytes, inodes } = scratch.store.usage(&named("a")).unwrap();
    assert_eq!(inodes, 3, "`fs`, the file and the hole");
    assert!((100_000..200_000).contains(&bytes), "{bytes}");
    assert!(scratch.store.usage(&named("none")).is_err());
}

#[test]
fn what_the_dead_have_left_is_reclaimed_and_what_the_living_make_is_not() {
    let scratch = Scratch::new();
    let alive = scratch.store.prepare().unwrap();
    fs::write(alive.upper().join("file"), "x").unwrap();
    for left in [
        "_active/123-dead-0/fs/d",
        "_active/124-dead-0",
        "_trash/125-dead-0/fs/d",
    ] {
        fs::create_dir_all(scratch.dir.path().join(left)).unwrap();
    }
    // Another process's view: an open store of its own.
    SnapshotStore::open(scratch.dir.path(), Ownership::Real)
        .unwrap()
        .reclaim()
        .unwrap();
    assert_eq!((scratch.count("_active"), scratch.count("_trash")), (1, 0));
    alive.commit(&named("a")).unwrap();
    assert!(Path::new(&scratch.store.fs_dir(&named("a"))).join("file").exists());
}

#[test]
fn many_who_make_snapshots_and_reclaim_those_of_the_dead_take_nothing_from_each_other() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = SnapshotStore::open(scratch.dir.path(), Ownership::Real).unwrap();
                for _ in 0..300 {
                    let active = store.prepare().unwrap();
                    store.reclaim().unwrap();
                    fs::write(active.upper().join("file"), "mine").unwrap();
                }
            });
        }
    });
    assert_eq!((scratch.count("_active"), scratch.count("_trash")), (0, 0));
}

/// Vouches for one stamp, and notes what it hears.
#[derive(Debug, Default)]
struct Witness {
    stamp: String,
    heard: std::sync::Mutex<Vec<String>>,
}

impl Witness {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn hear(&self, what: &str, name: &SnapshotName) {
        self.heard.lock().unwrap().push(format!("{what} {name}"));
    }
}

impl snapshotter::Keeper for Witness {
    fn keep(&self, name: &SnapshotName) -> std::io::Result<()> {
        self.hear("keep", name);
        Ok(())
    }

    fn stamp(&self) -> String {
        self.stamp.clone()
    }

    fn believes(&self, stamp: Option<&str>) -> bool {
        stamp == Some(&self.stamp)
    }

    fn committed(&self, name: &SnapshotName) {
        self.hear("committed", name);
    }
}

#[test]
fn a_keeper_hears_of_a_snapshot_before_it_is_looked_for_and_what_it_does_not_vouch_for_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let open = |stamp: &str| {
        let witness = std::sync::Arc::new(Witness {
            stamp: stamp.to_owned(),
            ..Witness::default()
        });
        let store = SnapshotStore::open(dir.path(), Ownership::Real).unwrap();
        (store.kept_by(std::sync::Arc::<Witness>::clone(&witness)), witness)
    };
    let (store, witness) = open("one");
    assert_eq!(store.stat(&named("a")).unwrap(), None);
    store.prepare().unwrap().commit(&named("a")).unwrap();
    assert!(store.stat(&named("a")).unwrap().is_some());
    assert_eq!(witness.heard(), ["keep a", "keep a", "committed a", "keep a"]);
    let (again, _) = open("one");
    assert!(again.stat(&named("a")).unwrap().is_some());
    assert_eq!(again.stamp(&named("a")).unwrap().as_deref(), Some("one"));
    let (other, _) = open("two");
    assert_eq!(other.stat(&named("a")).unwrap(), None);
    assert!(!dir.path().join("a").exists());
    other.prepare().unwrap().commit(&named("a")).unwrap();
    assert!(other.stat(&named("a")).unwrap().is_some(), "it was made anew");
}
