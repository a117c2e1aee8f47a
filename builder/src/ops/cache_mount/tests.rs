//! Who gets which directory, and when.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::state_dir::{Scratch, StateDir};

const PLAIN: CacheIdentity<'_> = CacheIdentity {
    id: "../../etc",
    mode: 0o750,
    uid: 0,
    gid: 0,
    filled_from: None,
};

/// A state directory and a build in it.
struct Store {
    dir: tempfile::TempDir,
    lease: Lease,
    _scratch: Scratch,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state"), Ownership::Real).unwrap();
        let scratch = state.scratch().unwrap();
        let lease = state.lease(&scratch).unwrap();
        Self {
            dir,
            lease,
            _scratch: scratch,
        }
    }

    fn mounts(&self) -> PathBuf {
        self.dir.path().join("state/v1").join(Class::Mounts.directory())
    }
}

fn take(lease: &Lease, identity: &CacheIdentity<'_>, sharing: Sharing) -> PathBuf {
    hold(lease, identity, sharing).directory
}

fn hold(lease: &Lease, identity: &CacheIdentity<'_>, sharing: Sharing) -> CacheLease {
    let usage = Usage {
        ownership: Ownership::Real,
        emptied: None,
        sharing,
        fill: &|fresh| fs::write(fresh.join("filled"), ""),
        cancelled: &|| false,
    };
    acquire(lease, identity, &usage).unwrap()
}

#[test]
fn a_cache_keeps_its_files_and_an_id_cannot_leave_the_store() {
    let store = Store::new();
    let first = take(&store.lease, &PLAIN, Sharing::Shared);
    assert!(first.starts_with(store.mounts()) && first.join("filled").exists());
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o750);
    fs::write(first.join("kept"), "").unwrap();
    fs::remove_file(first.join("filled")).unwrap();
    let second = take(&store.lease, &PLAIN, Sharing::Shared);
    assert!(second.join("kept").exists() && !second.join("filled").exists());
}

#[test]
fn who_comes_second_to_a_new_cache_leaves_that_of_the_first_in_place() {
    let store = Store::new();
    let of_the_first = store.mounts().join(PLAIN.directory_name()).join("0");
    let usage = Usage {
        ownership: Ownership::Real,
        emptied: None,
        sharing: Sharing::Shared,
        // While one fills its own, another is ready.
        fill: &|_| fs::create_dir(&of_the_first),
        cancelled: &|| false,
    };
    let second = acquire(&store.lease, &PLAIN, &usage).unwrap();
    assert_eq!(second.directory, of_the_first);
    // It has not the mode that the second would have given it.
    assert_eq!(
        fs::metadata(&of_the_first).unwrap().permissions().mode() & 0o7777,
        0o755
    );
}

#[test]
fn a_private_cache_in_use_gives_another_directory() {
    let store = Store::new();
    let first = hold(&store.lease, &PLAIN, Sharing::Private);
    let second = hold(&store.lease, &PLAIN, Sharing::Private);
    assert_ne!(first.directory, second.directory);
    let used = first.directory.clone();
    drop(first);
    assert_eq!(take(&store.lease, &PLAIN, Sharing::Private), used);
}

#[test]
fn a_locked_cache_in_use_is_waited_for() {
    let store = Store::new();
    let first = hold(&store.lease, &PLAIN, Sharing::Locked);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| take(&store.lease, &PLAIN, Sharing::Locked));
        std::thread::sleep(RETRY * 3);
        assert!(!second.is_finished());
        let directory = first.directory.clone();
        drop(first);
        assert_eq!(second.join().unwrap(), directory);
    });
}

#[test]
fn a_cancelled_wait_ends() {
    let store = Store::new();
    let _held = hold(&store.lease, &PLAIN, Sharing::Locked);
    let usage = Usage {
        ownership: Ownership::Real,
        emptied: None,
        sharing: Sharing::Locked,
        fill: &|_| Ok(()),
        cancelled: &|| true,
    };
    assert!(acquire(&store.lease, &PLAIN, &usage).is_err());
}

#[test]
fn another_mode_or_filling_is_another_cache() {
    let filled = |path: &str| Some(("image".to_owned(), path.to_owned()));
    let names = [
        PLAIN,
        CacheIdentity { mode: 0o755, ..PLAIN },
        CacheIdentity { uid: 1, ..PLAIN },
        CacheIdentity {
            filled_from: filled("/a"),
            ..PLAIN
        },
        CacheIdentity {
            filled_from: filled("/b"),
            ..PLAIN
        },
    ]
    .map(|identity| identity.directory_name());
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn a_build_without_cache_empties_each_cache_once_unless_another_build_uses_it() {
    let store = Store::new();
    let emptied = Mutex::default();
    let take = |emptied: Option<&Mutex<HashSet<String>>>| {
        let usage = Usage {
            ownership: Ownership::Real,
            emptied,
            sharing: Sharing::Shared,
            fill: &|_| Ok(()),
            cancelled: &|| false,
        };
        acquire(&store.lease, &PLAIN, &usage).unwrap()
    };
    let has = |lease: &CacheLease, name: &str| lease.directory.join(name).exists();
    let first = take(None);
    fs::write(first.directory.join("old"), "").unwrap();
    let other = Mutex::default();
    assert!(has(&take(Some(&other)), "old"), "it was in use");
    drop(first);
    let renewed = take(Some(&emptied));
    assert!(!has(&renewed, "old"));
    fs::write(renewed.directory.join("new"), "").unwrap();
    drop(renewed);
    assert!(has(&take(Some(&emptied)), "new"), "it was emptied twice");
}

#[test]
fn what_a_lost_boot_has_left_is_thrown_away() {
    let store = Store::new();
    let first = take(&store.lease, &PLAIN, Sharing::Shared);
    fs::write(first.join("damaged"), "").unwrap();
    let stamp = first.parent().unwrap().join("stamp");
    fs::write(stamp, "00000000-0000-0000-0000-000000000000 1-2-3\n").unwrap();
    let second = take(&store.lease, &PLAIN, Sharing::Shared);
    assert!(second.join("filled").exists() && !second.join("damaged").exists());
}
