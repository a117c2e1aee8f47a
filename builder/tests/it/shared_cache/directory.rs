//! A cache in a directory.

use std::fs;
use std::path::Path;

use super::{Machines, UNIQUE};

const TO: &str = "type=local,dest=shared";
const FROM: &str = "type=local,src=shared";

fn blobs(machines: &Machines) -> usize {
    fs::read_dir(machines.path("shared/blobs/sha256")).unwrap().count()
}

#[test]
fn a_second_machine_builds_nothing() {
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\nRUN cp /unique /copy\n"));
    let first = machines.file("one", "copy", &["--cache-to", TO]);
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", FROM]);
    assert!(nothing_runs, "{plan}");
    let shown = machines.files("two", &["--cache-from", FROM, "--cache-to", TO]);
    assert_eq!(machines.read("two", "copy"), first);
    assert!(
        shown.contains("exporting cache to client directory") && shown.contains("0 of them written"),
        "{shown}"
    );
}

#[test]
fn two_stages_of_one_base_are_imported_and_exported_again() {
    // BK-193
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS base\nRUN {UNIQUE}\nFROM base AS base1\nRUN cp /unique /one\n\
         FROM base AS base2\nRUN cp /unique /two\nFROM base\nCOPY --from=base1 /one /\nCOPY --from=base2 /two /\n"
    ));
    let to = format!("{TO},mode=max");
    let first = machines.file("one", "one", &["--cache-to", &to]);
    assert_eq!(machines.lab.croze(&["prune", "--all", "--root", "one"]).code, 0);
    for _ in 0..2 {
        assert_eq!(
            machines.file("one", "one", &["--cache-from", FROM, "--cache-to", &to]),
            first
        );
        assert_eq!(machines.read("one", "two"), first);
        assert_eq!(machines.read("one", "unique"), first);
    }
}

#[test]
fn a_reset_leaves_only_what_is_named() {
    // BK-376
    let dockerfile = |word: &str| format!("FROM BASE/busybox\nRUN echo {word} > /word\n");
    let machines = Machines::new(&dockerfile("one"));
    machines.build("one", &["--cache-to", TO]);
    let of_one = blobs(&machines);
    machines.build("one", &["--cache-to", &format!("{TO},tag=other")]);
    machines.edit(&dockerfile("two"));
    machines.build("one", &["--cache-to", TO]);
    let of_all = blobs(&machines);
    assert!(of_all > of_one);
    machines.build("one", &["--cache-to", &format!("{TO},reset=true")]);
    assert!(blobs(&machines) < of_all);
    let is_found = |word: &str, from: &str| {
        machines.edit(&dockerfile(word));
        machines.plan("fresh", &["--cache-from", from]).1
    };
    assert!(is_found("two", FROM) && !is_found("one", FROM));
    // What another tag names stays.
    assert!(is_found("one", &format!("{FROM},tag=other")));
}

#[test]
fn an_earlier_state_is_found_by_its_digest() {
    let dockerfile = |word: &str| format!("FROM BASE/busybox\nRUN echo {word} > /word\n");
    let machines = Machines::new(&dockerfile("one"));
    machines.build("one", &["--cache-to", TO]);
    let index: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(machines.path("shared/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    machines.edit(&dockerfile("two"));
    machines.build("one", &["--cache-to", TO]);
    let pinned = format!("{FROM},digest={digest}");
    assert!(!machines.plan("two", &["--cache-from", &pinned]).1);
    assert!(machines.plan("two", &["--cache-from", FROM]).1);
    machines.edit(&dockerfile("one"));
    assert!(machines.plan("two", &["--cache-from", &pinned]).1);
}

#[test]
fn parallel_jobs_lose_no_entry() {
    let machines = Machines::new(&format!("FROM BASE/busybox\nARG JOB\nRUN {UNIQUE} && echo $JOB\n"));
    let jobs: Vec<String> = (0..4).map(|n| n.to_string()).collect();
    std::thread::scope(|scope| {
        for job in &jobs {
            let machines = &machines;
            scope.spawn(move || machines.build(job, &["--build-arg", &format!("JOB={job}"), "--cache-to", TO]));
        }
    });
    for job in &jobs {
        let (plan, nothing_runs) = machines.plan("last", &["--build-arg", &format!("JOB={job}"), "--cache-from", FROM]);
        assert!(nothing_runs, "{job}: {plan}");
    }
}

#[test]
fn a_damaged_blob_is_made_again() {
    let machines = Machines::new("FROM BASE/busybox\nRUN echo one > /one\n");
    machines.build("one", &["--cache-to", TO]);
    for entry in fs::read_dir(machines.path("shared/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes[0] != b'{' {
            bytes[20] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let shown = machines.files("two", &["--cache-from", FROM]);
    assert_eq!(machines.read("two", "one"), "one\n");
    assert!(shown.contains("cannot be used"), "{shown}");
}

#[test]
fn other_images_may_lie_in_the_directory() {
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\n"));
    machines.build(
        "one",
        &["-t", "example.com/app:1", "-o", "type=oci,tar=false,dest=shared"],
    );
    machines.build("one", &["--cache-to", &format!("{TO},tag=cache,reset=true")]);
    let found = crate::harness::sh(&format!(
        "skopeo inspect --raw oci:{}:1",
        machines.path("shared").display()
    ));
    assert!(found.contains("image.manifest"), "{found}");
    assert!(machines.plan("two", &["--cache-from", &format!("{FROM},tag=cache")]).1);
}

/// Makes a file one that only root can read, which no user namespace changes, while `act` acts.
fn unreadable<T>(path: &Path, act: impl FnOnce() -> T) -> T {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let metadata = fs::metadata(path).unwrap();
    chown(path, Some(0), Some(0)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let done = act();
    chown(path, Some(metadata.uid()), Some(metadata.gid())).unwrap();
    fs::set_permissions(path, metadata.permissions()).unwrap();
    done
}

#[test]
fn what_cannot_be_read_now_is_not_taken_for_nothing_and_overwritten() {
    let machines = Machines::new("FROM BASE/busybox\nRUN echo one > /one\n");
    machines.build("one", &["--cache-to", TO]);
    machines.build("one", &["--cache-to", &format!("{TO},tag=other")]);
    let index = machines.path("shared/index.json");
    let (before, blobs_before) = (fs::read_to_string(&index).unwrap(), blobs(&machines));
    let unchanged = |what: &str| {
        assert_eq!(fs::read_to_string(&index).unwrap(), before, "{what}");
        assert_eq!(blobs(&machines), blobs_before, "{what}");
    };
    let refused = |to: &str, what: &str| {
        let to = format!("{TO},ignore-error=false{to}");
        let outcome = machines.croze("one", &["--cache-to", &to]);
        assert_ne!(outcome.code, 0, "{what}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(what), "{what}: {}", outcome.stderr);
    };
    machines.edit("FROM BASE/busybox\nRUN echo two > /two\n");
    for to in ["", ",reset=true"] {
        unreadable(&index, || refused(to, "ermission denied"));
        unchanged("an index.json that nobody may read");
    }

    let cut = &before[..before.len() / 2];
    fs::write(&index, cut).unwrap();
    for to in ["", ",reset=true"] {
        refused(to, "no document of an image layout");
        assert_eq!(fs::read_to_string(&index).unwrap(), cut);
    }
    assert_eq!(blobs(&machines), blobs_before);
    fs::write(&index, &before).unwrap();

    // The state of the cache that is exported to, and, when the directory is swept, that of another.
    let named: serde_json::Value = serde_json::from_str(&before).unwrap();
    let state = |tag: usize| {
        let digest = named["manifests"][tag]["digest"].as_str().unwrap();
        machines.path(&format!("shared/blobs/sha256/{}", &digest["sha256:".len()..]))
    };
    unreadable(&state(0), || refused("", "ermission denied"));
    unchanged("a state of the cache that nobody may read");
    machines.build("one", &["--cache-to", &format!("{TO},tag=third")]);
    let blobs_before = blobs(&machines);
    unreadable(&state(1), || refused(",tag=third,reset=true", "ermission denied"));
    assert!(blobs(&machines) >= blobs_before, "what it names is there");

    let manifest = |entry: &serde_json::Value| entry["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    let entries: serde_json::Value = serde_json::from_str(&fs::read_to_string(state(1)).unwrap()).unwrap();
    let entry = machines.path(&format!("shared/blobs/sha256/{}", manifest(&entries["manifests"][0])));
    let pruned = unreadable(&entry, || {
        let words = [
            "cache",
            "prune",
            "--older-than",
            "1h",
            "type=local,src=shared,tag=other",
        ];
        machines.lab.croze(&words)
    });
    assert_ne!(pruned.code, 0, "{}", pruned.stdout);
    machines.edit("FROM BASE/busybox\nRUN echo one > /one\n");
    assert!(
        machines
            .plan("fresh", &["--cache-from", &format!("{FROM},tag=other")])
            .1
    );
}
