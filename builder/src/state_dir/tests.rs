//! Tests of the state directory: who may use it, what survives, what is removed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use registry::oci::{Descriptor, ImageConfig, Manifest, MediaType, Reference};
use snapshotter::{Ownership, SnapshotName};
use tempfile::TempDir;

use super::*;

fn state() -> (TempDir, StateDir) {
    let dir = TempDir::new().unwrap();
    let state = StateDir::open(&dir.path().join("croze"), Ownership::Real).unwrap();
    (dir, state)
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
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

#[test]
fn the_directory_is_made_as_its_documentation_draws_it() {
    let (dir, _state) = state();
    let root = dir.path().join("croze");
    let drawn = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!     "))
        .filter_map(|line| line.split_once("/ ").map(|(name, _)| name.to_owned()));
    let mut drawn: Vec<String> = drawn.collect();
    drawn.sort();
    let mut made: Vec<String> = fs::read_dir(root.join("v1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    assert_eq!(made, drawn);
    let tag = fs::read_to_string(root.join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    for private in [&root, &root.join("v1")] {
        assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o700);
    }
    StateDir::open(&root, Ownership::Real).unwrap();
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = TempDir::new().unwrap();
    for (mode, refused) in [
        (0o777, true),
        (0o770, true),
        (0o1777, true),
        (0o755, false),
        (0o700, false),
    ] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let opened = StateDir::open(dir.path(), Ownership::Real);
        assert_eq!(
            matches!(opened, Err(StateDirError::WritableByOthers { .. })),
            refused,
            "{mode:o}"
        );
        assert_eq!(opened.is_ok(), !refused, "{mode:o}");
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else's directory can be made; `/` is one already.
        assert!(matches!(
            StateDir::open(Path::new("/"), Ownership::Real),
            Err(StateDirError::NotOwned { owner: 0, .. })
        ));
        return;
    }
    let dir = TempDir::new().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(12345), None).unwrap();
    assert!(matches!(
        StateDir::open(dir.path(), Ownership::Real),
        Err(StateDirError::NotOwned { owner: 12345, .. })
    ));
}

#[test]
fn a_file_in_its_place_is_an_error_with_verb_and_path() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = StateDir::open(&path, Ownership::Real).unwrap_err().to_string();
    assert_eq!(error, format!("cannot use `{}`", path.display()));
}

#[test]
fn builds_share_and_a_prune_excludes() {
    let (_dir, state) = state();
    let builds = [state.lock_for_build().unwrap(), state.lock_for_build().unwrap()];
    assert!(matches!(state.lock_for_prune(), Err(StateDirError::InUse { .. })));
    drop(builds);
    let prune = state.lock_for_prune().unwrap();
    assert!(matches!(state.lock_for_build(), Err(StateDirError::BeingPruned { .. })));
    assert!(matches!(state.lock_for_prune(), Err(StateDirError::InUse { .. })));
    drop(prune);
    drop(state.lock_for_build().unwrap());
}

#[test]
fn scratch_space_lives_as_long_as_its_process_and_leftovers_are_reclaimed() {
    let (_dir, state) = state();
    let alive = state.scratch().unwrap();
    let leftover = state.path(Class::Scratch).join("4194305-dead");
    fill(&leftover);
    state.reclaim().unwrap();
    assert!(alive.path().is_dir(), "still locked");
    assert!(!leftover.exists());

    let (kept, closed) = (alive.path().to_owned(), state.scratch().unwrap());
    fill(closed.path());
    let path = closed.path().to_owned();
    closed.close().unwrap();
    assert!(!path.exists() && kept.exists());
    fill(&kept);
    drop(alive);
    assert!(!kept.exists());
}

#[test]
fn many_processes_make_and_reclaim_scratch_space_at_once() {
    let (_dir, state) = state();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let state = state.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let scratch = state.scratch().unwrap();
                    state.reclaim().unwrap();
                    fs::write(scratch.path().join("mine"), "x").unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(fs::read_dir(state.path(Class::Scratch)).unwrap().count(), 0);
}

#[test]
fn tags_move_in_one_step_and_do_not_collide_with_repositories() {
    let (_dir, state) = state();
    let (tags, scratch) = (state.tags(), state.scratch().unwrap());
    let [one, two] = [b"one", b"two"].map(|bytes| Descriptor::of(MediaType::MANIFEST, bytes));
    let names = ["localhost:5000/a:b", "localhost:5000/a/b:c", "debian:12"].map(reference);
    for name in &names {
        assert_eq!(tags.get(name).unwrap(), None);
        tags.set(name, &one, &scratch).unwrap();
    }
    tags.set(&names[0], &two, &scratch).unwrap();
    assert_eq!(tags.get(&names[0]).unwrap().as_ref(), Some(&two));
    assert_eq!(tags.get(&names[1]).unwrap().as_ref(), Some(&one));
    let listed: Vec<String> = tags.list().unwrap().iter().map(|(name, _)| name.familiar()).collect();
    assert_eq!(listed, ["debian:12", "localhost:5000/a:b", "localhost:5000/a/b:c"]);

    let file = state.path(Class::Tags).join("docker.io/library/debian/:12");
    fs::write(&file, "{\"mediaType\":").unwrap();
    assert_eq!(tags.get(&names[2]).unwrap(), None, "damage is absence");
    for name in &names {
        assert!(tags.remove(name).unwrap());
        assert!(!tags.remove(name).unwrap());
    }
    assert_eq!(fs::read_dir(state.path(Class::Tags)).unwrap().count(), 0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    let pinned = reference(&format!("debian@{}", one.digest));
    assert!(matches!(tags.get(&pinned), Err(StateDirError::NoTag(_))));
}

/// Stores an image of one layer and returns its manifest and the blobs that make it.
fn store_image(state: &StateDir, layer: &[u8]) -> (Descriptor, Vec<registry::oci::Digest>) {
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
    state.tags().set(&reference("app:1"), &image, &scratch).unwrap();
    drop(scratch);
    fs::create_dir_all(state.path(Class::Records).join("ab")).unwrap();
    fs::write(state.path(Class::Records).join("ab/abcdef"), "record").unwrap();
    fs::write(state.path(Class::Layers).join("x"), "layer").unwrap();
    fill(&state.path(Class::Mounts).join("apt"));
    fill(&state.path(Class::Scratch).join("dead"));
    let snapshots = state.snapshots().unwrap();
    let snapshot = snapshots.prepare().unwrap();
    fill(snapshot.upper());
    snapshot.commit(&SnapshotName::new("x").unwrap()).unwrap();

    let before = state.usage().unwrap();
    let young = PrunePolicy {
        older_than: Some(Duration::from_secs(3600)),
        ..PrunePolicy::cache()
    };
    let freed = state.prune(&state.lock_for_prune().unwrap(), &young).unwrap();
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Scratch) {
        assert_eq!(freed.get(&class).map_or(0, |usage| usage.inodes), 0, "{class:?}");
    }

    let lock = state.lock_for_prune().unwrap();
    let freed = state.prune(&lock, &PrunePolicy::cache()).unwrap();
    let inodes = |class| freed[&class].inodes;
    assert_eq!([inodes(Class::Records), inodes(Class::Layers)], [1, 1]);
    assert!(inodes(Class::Snapshots) > 3 && inodes(Class::Mounts) == 4);
    assert!(freed[&Class::Snapshots].bytes > 0 && before[&Class::Snapshots].bytes >= freed[&Class::Snapshots].bytes);
    let scratch = state.scratch().unwrap();
    let blobs = state.blobs(&scratch).unwrap();
    assert!(kept.iter().all(|digest| blobs.size(*digest).unwrap().is_some()));
    let gone: Vec<_> = lost.iter().filter(|digest| !kept.contains(digest)).collect();
    assert_eq!(gone.len(), 2, "the config is shared");
    assert!(gone.iter().all(|digest| blobs.size(**digest).unwrap().is_none()));
    drop(scratch);

    state.prune(&lock, &PrunePolicy::all()).unwrap();
    let left: u64 = state.usage().unwrap().values().map(|usage| usage.bytes).sum();
    let files = walk_files(state.path(Class::Blobs).parent().unwrap());
    assert_eq!(files, ["lock"], "{left} bytes are left");
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
