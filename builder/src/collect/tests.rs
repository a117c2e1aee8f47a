//! Tests of whole collections in real directories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use registry::oci::{Descriptor, DiffId, Digest, ImageConfig, Manifest, MediaType, Reference};
use snapshotter::{Ownership, SnapshotName};
use tempfile::TempDir;

use super::*;
use crate::cache::{Aspects, CacheStore as _, Lineage, LocalCache, Record};
use crate::image::LayerBlob;
use crate::op::key::{CacheKey, KeyHasher};
use crate::state_dir::note;

fn state() -> (TempDir, StateDir) {
    let dir = TempDir::new().unwrap();
    let state = StateDir::open(&dir.path().join("croze"), Ownership::Real).unwrap();
    (dir, state)
}

/// Fills a directory with what is hard to delete.
fn fill(dir: &Path) {
    fs::create_dir_all(dir.join("locked/inner")).unwrap();
    fs::write(dir.join("locked/inner/file"), "x").unwrap();
    // A build is root in its user namespace; without that nobody could delete what nobody may enter.
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(dir.join("locked/inner"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(dir.join("locked"), fs::Permissions::from_mode(0o0)).unwrap();
    }
}

/// Commits a snapshot with a file of so many kilobytes.
fn snapshot(state: &StateDir, name: &str, kilobytes: usize) -> SnapshotName {
    let active = state.snapshots().unwrap().prepare().unwrap();
    fs::write(active.upper().join("file"), vec![1; kilobytes << 10]).unwrap();
    let name = SnapshotName::new(name).unwrap();
    active.commit(&name).unwrap();
    name
}

fn key(name: &str) -> CacheKey {
    KeyHasher::new(name).finish()
}

/// Saves a record of some snapshots, and a link to it.
fn record(state: &StateDir, name: &str, snapshots: &[&SnapshotName]) {
    let scratch = state.scratch().unwrap();
    let cache = LocalCache::open(state.path(Class::Records), scratch.path().to_owned()).unwrap();
    let layers = snapshots
        .iter()
        .map(|name| serde_json::json!({ "snapshot": name, "created": "" }));
    let record = Record {
        key: key(name),
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
    cache.link(key(&format!("link to {name}")), record.key).unwrap();
}

/// Returns which of these names have a record, directly and by the link.
fn recorded(state: &StateDir, names: &[&str]) -> Vec<[bool; 2]> {
    let scratch = state.scratch().unwrap();
    let cache = LocalCache::open(state.path(Class::Records), scratch.path().to_owned()).unwrap();
    let is_there = |name: String| cache.lookup(key(&name)).is_some();
    names
        .iter()
        .map(|name| [is_there((*name).to_owned()), is_there(format!("link to {name}"))])
        .collect()
}

fn is_there(state: &StateDir, name: &SnapshotName) -> bool {
    state.snapshots().unwrap().stat(name).unwrap().is_some()
}

fn at_most(bytes: u64) -> Bounds {
    Bounds {
        max_size: Some(bytes),
        ..Bounds::default()
    }
}

/// Returns what the store takes without what a running process works on.
fn size(state: &StateDir) -> u64 {
    state.usage().unwrap().values().map(|usage| usage.bytes).sum()
}

/// Stores an image of one layer and returns its manifest and the blobs that make it.
fn store_image(state: &StateDir, layer: &[u8]) -> (Descriptor, Vec<Digest>) {
    let scratch = state.scratch().unwrap();
    let blobs = state.blobs(&scratch).unwrap();
    let config = serde_json::to_vec(&ImageConfig::default()).unwrap();
    let manifest = Manifest::new(
        Descriptor::of(MediaType::CONFIG, &config),
        vec![Descriptor::of(MediaType::LAYER, layer)],
    );
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let digests = [layer, &config, &manifest].map(|bytes| blobs.put(bytes).unwrap());
    (Descriptor::of(MediaType::MANIFEST, &manifest), digests.to_vec())
}

#[test]
fn a_prune_keeps_tagged_images_and_a_full_prune_keeps_nothing() {
    let (_dir, state) = state();
    let scratch = state.scratch().unwrap();
    let (image, kept) = store_image(&state, b"kept");
    let (_, lost) = store_image(&state, b"lost");
    let reference: Reference = "app:1".parse().unwrap();
    state.tags().set(&reference, &image, &scratch).unwrap();
    drop(scratch);
    let x = snapshot(&state, "x", 1);
    record(&state, "x", &[&x]);
    fs::write(state.path(Class::Layers).join("x"), "layer").unwrap();
    fill(&state.path(Class::Mounts).join("apt"));
    fill(&state.path(Class::Scratch).join("dead"));

    let before = state.usage().unwrap();
    let young = Policy {
        older_than: Some(Duration::from_secs(3600)),
        ..Policy::cache()
    };
    let freed = prune(&state, &young).unwrap().freed;
    let changed: Vec<&Class> = freed.keys().filter(|class| **class != Class::Scratch).collect();
    assert!(changed.is_empty(), "{changed:?}");

    let foreseen = dry_run(&state, &Policy::cache()).unwrap();
    assert_eq!(state.usage().unwrap()[&Class::Snapshots], before[&Class::Snapshots]);
    let collected = prune(&state, &Policy::cache()).unwrap();
    let freed = &collected.freed;
    assert_eq!(collected, foreseen);
    assert_eq!([freed[&Class::Records].inodes, freed[&Class::Layers].inodes], [2, 1]);
    assert_eq!(freed[&Class::Mounts].inodes, 4);
    assert_eq!(freed[&Class::Snapshots].inodes, 3, "directory, `fs` and file");
    let scratch = state.scratch().unwrap();
    let blobs = state.blobs(&scratch).unwrap();
    assert!(kept.iter().all(|digest| blobs.size(*digest).unwrap().is_some()));
    let gone: Vec<_> = lost.iter().filter(|digest| !kept.contains(digest)).collect();
    assert_eq!(gone.len(), 2, "the config is shared");
    assert!(gone.iter().all(|digest| blobs.size(**digest).unwrap().is_none()));
    drop(scratch);

    prune(&state, &Policy::all()).unwrap();
    let mut files = walk_files(state.layout());
    files.sort();
    assert_eq!(files, ["sizes", "sweep", "sweeper"], "{} bytes are left", size(&state));
}

#[test]
fn a_name_whose_image_lacks_a_layer_goes_with_the_next_that_has_to_go() {
    let (_dir, state) = state();
    let scratch = state.scratch().unwrap();
    let names = ["whole:1", "part:1"].map(|name| name.parse::<Reference>().unwrap());
    for name in &names {
        let (image, blobs) = store_image(&state, name.to_string().as_bytes());
        state.tags().set(name, &image, &scratch).unwrap();
        if *name == names[1] {
            state.blobs(&scratch).unwrap().remove(blobs[0]).unwrap();
        }
    }
    store_image(&state, b"lost");
    drop(scratch);
    prune(&state, &Policy::cache()).unwrap();
    let left = state.tags().list().unwrap().into_iter().map(|(name, _)| name);
    assert_eq!(left.collect::<Vec<_>>(), names[..1]);
}

/// Returns the files, not directories, below a directory.
fn walk_files(dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(walk_files(&entry.path()));
        } else {
            files.push(entry.file_name().into_string().unwrap());
        }
    }
    files
}

#[test]
fn the_store_is_within_its_bounds_after_a_build_and_what_was_used_last_stays() {
    let (_dir, state) = state();
    let names: Vec<SnapshotName> = (0..10).map(|n| snapshot(&state, &format!("s{n}"), 100)).collect();
    let scratch = state.scratch().unwrap();
    let lease = state.lease(&scratch).unwrap();
    for name in [&names[0], &names[1]] {
        snapshotter::Keeper::keep(&lease, name).unwrap();
    }
    drop((lease, scratch));
    let collected = after_build(&state, &at_most(500 << 10), true, SLICE).unwrap().unwrap();
    assert!(size(&state) <= 500 << 10, "{} bytes", size(&state));
    assert!(collected.left <= size(&state));
    let there: Vec<bool> = names.iter().map(|name| is_there(&state, name)).collect();
    assert_eq!(there[..2], [true, true], "they were used last");
    assert!(!there[2] && there[9], "{there:?}");
    assert_eq!(
        after_build(&state, &at_most(500 << 10), false, SLICE).unwrap(),
        None,
        "nothing has changed"
    );
    // A process that another test has just forked has the sweeper's lock too, until it starts its program.
    let until = Instant::now() + Duration::from_secs(10);
    while after_build(&state, &at_most(100 << 10), false, SLICE)
        .unwrap()
        .is_none()
    {
        assert!(Instant::now() < until, "the bound has");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(size(&state) <= 100 << 10);
}

#[test]
fn of_one_build_the_topmost_layer_goes_first() {
    let (_dir, state) = state();
    let names: Vec<SnapshotName> = (0..4).map(|n| snapshot(&state, &format!("s{n}"), 100)).collect();
    let scratch = state.scratch().unwrap();
    let lease = state.lease(&scratch).unwrap();
    for name in &names {
        snapshotter::Keeper::keep(&lease, name).unwrap();
    }
    drop((lease, scratch));
    after_build(&state, &at_most(350 << 10), true, SLICE).unwrap().unwrap();
    let there: Vec<bool> = names.iter().map(|name| is_there(&state, name)).collect();
    assert_eq!(there, [true, true, true, false]);
}

#[test]
fn what_a_build_relies_on_stays_whatever_the_bound() {
    let (_dir, state) = state();
    let [used, unused] = ["used", "unused"].map(|name| snapshot(&state, name, 100));
    let scratch = state.scratch().unwrap();
    let lease = state.lease(&scratch).unwrap();
    snapshotter::Keeper::keep(&lease, &used).unwrap();
    after_build(&state, &at_most(0), true, SLICE).unwrap().unwrap();
    prune(&state, &Policy::all()).unwrap();
    assert!(is_there(&state, &used) && !is_there(&state, &unused));
    drop((lease, scratch));
    prune(&state, &Policy::all()).unwrap();
    assert!(!is_there(&state, &used));
}

#[test]
fn records_go_with_what_they_name_and_no_other_does() {
    let (_dir, state) = state();
    let [old, new] = ["old", "new"].map(|name| snapshot(&state, name, 100));
    record(&state, "of old", &[&old]);
    record(&state, "of both", &[&old, &new]);
    record(&state, "of new", &[&new]);
    record(&state, "of nothing", &[]);
    let names = ["of old", "of both", "of new", "of nothing"];
    assert_eq!(recorded(&state, &names), [[true; 2]; 4]);
    after_build(&state, &at_most(150 << 10), true, SLICE).unwrap().unwrap();
    assert!(!is_there(&state, &old) && is_there(&state, &new));
    assert_eq!(recorded(&state, &names), [[false; 2], [false; 2], [true; 2], [true; 2]]);
}

#[test]
fn each_thing_goes_right_after_its_names_and_those_after_the_links_to_them() {
    let (_dir, state) = state();
    let [old, new] = ["old", "new"].map(|name| snapshot(&state, name, 100));
    record(&state, "of both", &[&old, &new]);
    record(&state, "of new", &[&new]);
    let mut scan = Collection::scan(&state, None).unwrap();
    let place = |end: &str| scan.items.iter().position(|item| item.path.ends_with(end)).unwrap();
    let [old, new] = ["old", "new"].map(place);
    let names = ["link to of both", "of both", "link to of new", "of new"].map(|name| place(&key(name).hex()));
    let [link_to_both, of_both, link_to_new, of_new] = names;
    // As a bound of nothing chooses: names last.
    scan.choose([old, new, of_both].into_iter().collect()).unwrap();
    assert_eq!(scan.order, [link_to_both, of_both, old, link_to_new, of_new, new]);
}

#[test]
fn damaged_records_and_links_to_nowhere_go_when_anything_does() {
    let (_dir, state) = state();
    let one = snapshot(&state, "one", 100);
    snapshot(&state, "other", 100);
    record(&state, "one", &[&one]);
    let hex = key("one").hex();
    fs::remove_file(state.path(Class::Records).join(&hex[..2]).join(&hex)).unwrap();
    fs::create_dir_all(state.path(Class::Records).join("00")).unwrap();
    fs::write(state.path(Class::Records).join("00").join("0".repeat(64)), "?").unwrap();
    after_build(&state, &at_most(150 << 10), true, SLICE).unwrap().unwrap();
    assert_eq!(state.usage().unwrap()[&Class::Records].inodes, 0);
}

/// Two races that the model in `state_dir/model` has found.
#[test]
fn a_name_that_a_build_gives_while_a_collection_scans_is_the_name_of_something() {
    let (_dir, state) = state();
    let name = snapshot(&state, "x", 1);
    let path = Path::new(Class::Snapshots.directory()).join("x");
    let policy = Policy {
        bounds: at_most(0),
        ..Policy::cache()
    };
    // A record that comes after the records were listed, of a build that is gone before anything is removed.
    let scratch = state.scratch().unwrap();
    state.lease(&scratch).unwrap().hold(&path).unwrap();
    let collection = Collection::new(&state, &policy, None).unwrap();
    record(&state, "late", &[&name]);
    drop(scratch);
    let mut sweeper = state.sweeper().unwrap().unwrap();
    collection.remove(&mut sweeper, None).unwrap();
    assert!(is_there(&state, &name), "a record names it");

    // One that comes after the scan began, of a build that is gone before anything is listed.
    let mut scan = Collection::scan(&state, None).unwrap();
    scan.began = SystemTime::UNIX_EPOCH;
    let only = scan.items.iter().position(|item| item.class == Class::Snapshots);
    scan.choose(only.into_iter().collect()).unwrap();
    scan.remove(&mut sweeper, None).unwrap();
    assert!(!is_there(&state, &name));
    assert_eq!(
        recorded(&state, &["late"]),
        [[false, false]],
        "nothing names what is gone"
    );
}

#[test]
fn the_note_of_a_layer_stays_as_long_as_its_snapshot_though_no_blob_was_kept() {
    let (_dir, state) = state();
    let names = ["step-1", "step-2"].map(|name| snapshot(&state, name, 100));
    let scratch = state.scratch().unwrap();
    let blob = LayerBlob {
        descriptor: Descriptor::of(MediaType::LAYER, b"gone to a registry"),
        diff_id: DiffId(Digest::of(b"tar")),
    };
    let path = |name: &SnapshotName| state.path(Class::Layers).join(format!("{name}.gzip-6"));
    for name in &names {
        note::write(&path(name), scratch.path(), &blob).unwrap();
    }
    snapshotter::Keeper::keep(&state.lease(&scratch).unwrap(), &names[0]).unwrap();
    drop(scratch);
    after_build(&state, &at_most(150 << 10), true, SLICE).unwrap().unwrap();
    let both = |name: &SnapshotName| (is_there(&state, name), path(name).exists());
    assert_eq!(names.each_ref().map(both), [(true, true), (false, false)]);
}
