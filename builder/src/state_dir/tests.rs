//! Tests of the state directory: who may use it, what survives, what is removed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use registry::oci::{Descriptor, MediaType, Reference};
use snapshotter::Ownership;
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
fn one_process_sweeps_at_a_time() {
    let (_dir, state) = state();
    let first = state.sweeper().unwrap().unwrap();
    assert!(state.sweeper().unwrap().is_none());
    drop(first);
    assert!(state.sweeper().unwrap().is_some());
}

#[test]
fn a_build_waits_for_a_sweep_of_the_whole_directory_and_says_so() {
    use std::sync::mpsc;
    use std::time::Duration;

    let (_dir, state) = state();
    let told_of = |_: &Path| panic!("nothing is removed");
    let first = state.lock_for_build(&told_of).unwrap();
    let second = state.lock_for_build(&told_of).unwrap();
    assert!(state.lock_for_sweep().unwrap().is_none());
    drop((first, second));
    let sweep = state.lock_for_sweep().unwrap().unwrap();
    let (says, said) = mpsc::channel();
    let waiting = {
        let state = state.clone();
        std::thread::spawn(move || {
            let lock = state.lock_for_build(&|directory| says.send(directory.to_owned()).unwrap());
            lock.map(drop)
        })
    };
    let patience = Duration::from_secs(20);
    assert_eq!(said.recv_timeout(patience).unwrap(), state.layout());
    assert!(!waiting.is_finished());
    drop(sweep);
    waiting.join().unwrap().unwrap();
}

#[test]
fn what_is_leased_or_was_used_since_is_not_removed() {
    let (_dir, state) = state();
    let layout = state.layout().to_owned();
    let victim = |name: &str| {
        let path = Path::new(Class::Layers.directory()).join(name);
        fs::write(layout.join(&path), "").unwrap();
        let used = fs::metadata(layout.join(&path)).unwrap().modified().unwrap();
        Victim { path, used, inodes: 1 }
    };
    let victims = ["free", "leased", "used", "dead"].map(victim);
    let [_, leased, used, dead] = &victims;
    let scratch = state.scratch().unwrap();
    let lease = state.lease(&scratch).unwrap();
    // A process that is gone keeps nothing, and one that used something and ended has used it.
    let gone = state.scratch().unwrap();
    state.lease(&gone).unwrap().hold(&dead.path).unwrap();
    let dead = victim("dead");
    let ended = state.scratch().unwrap();
    state.lease(&ended).unwrap().hold(&used.path).unwrap();
    drop((gone, ended));

    let mut sweeper = state.sweeper().unwrap().unwrap();
    lease.hold(&leased.path).unwrap();
    let leased = Victim {
        used: fs::metadata(layout.join(&leased.path)).unwrap().modified().unwrap(),
        ..leased.clone()
    };
    let victims = [victims[0].clone(), leased, used.clone(), dead];
    assert_eq!(sweeper.remove(&victims, None).unwrap(), [true, false, false, true]);
    assert_eq!(fs::read_dir(state.path(Class::Layers)).unwrap().count(), 2);
}

#[test]
fn a_sweep_without_time_removes_one_batch_and_leaves_the_rest_as_it_is() {
    let (_dir, state) = state();
    let victim = |name: String, inodes| {
        let path = Path::new(Class::Mounts.directory()).join(name);
        fill(&state.layout().join(&path));
        let used = fs::metadata(state.layout().join(&path)).unwrap().modified().unwrap();
        Victim { path, used, inodes }
    };
    let large = victim("large".to_owned(), 1000);
    let small = (0..30).map(|number| victim(format!("small{number}"), 4));
    let victims: Vec<Victim> = [large].into_iter().chain(small).collect();
    let mut sweeper = state.sweeper().unwrap().unwrap();
    let mut left = victims.as_slice();
    let mut batches = Vec::new();
    while !left.is_empty() {
        let removed = sweeper.remove(left, Some(std::time::Instant::now())).unwrap();
        assert!(removed.iter().all(|gone| *gone));
        batches.push(removed.len());
        left = &left[removed.len()..];
        assert_eq!(fs::read_dir(state.path(Class::Mounts)).unwrap().count(), left.len());
        assert_eq!(
            fs::read_dir(sweeper.scratch()).unwrap().count(),
            0,
            "nothing is left for others"
        );
    }
    assert_eq!(batches, [1, 16, 14], "one thing, or 64 files");
}

/// Two threads, one of which makes sure that a thing is there before it uses it, and one that removes it all the time.
#[test]
fn what_was_seen_after_it_was_leased_stays_until_the_lease_ends() {
    let (_dir, state) = state();
    let path = Path::new(Class::Layers.directory()).join("thing");
    let place = state.layout().join(&path);
    std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let mut seen = 0;
            for _ in 0..300 {
                fs::write(&place, "").unwrap();
                let scratch = state.scratch().unwrap();
                let lease = state.lease(&scratch).unwrap();
                lease.hold(&path).unwrap();
                if place.exists() {
                    seen += 1;
                    std::thread::yield_now();
                    assert!(place.exists(), "it was removed while it was leased");
                }
            }
            seen
        });
        let mut removed = 0;
        while !user.is_finished() {
            let Ok(used) = fs::metadata(&place).and_then(|metadata| metadata.modified()) else {
                continue;
            };
            // Another program may have been started meanwhile that inherits the lock until it is executed.
            let Some(mut sweeper) = state.sweeper().unwrap() else {
                continue;
            };
            let victim = Victim {
                path: path.clone(),
                used,
                inodes: 1,
            };
            removed += sweeper
                .remove(&[victim], None)
                .unwrap()
                .iter()
                .filter(|gone| **gone)
                .count();
        }
        assert!(user.join().unwrap() > 0 && removed > 0, "both had their chances");
    });
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
    fs::remove_file(&file).unwrap();
    fs::write(&file, "{\"mediaType\":").unwrap();
    assert_eq!(tags.get(&names[2]).unwrap(), None, "damage is absence");
    assert!(!file.exists());
    for (name, is_there) in names.iter().zip([true, true, false]) {
        assert_eq!(tags.remove(name).unwrap(), is_there);
        assert!(!tags.remove(name).unwrap());
    }
    assert!(
        !state.path(Class::Tags).join("localhost:5000").exists(),
        "empty directories go too"
    );
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    let pinned = reference(&format!("debian@{}", one.digest));
    assert!(matches!(tags.get(&pinned), Err(StateDirError::NoTag(_))));
}
