//! A cache in a directory.

use std::fs;

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
