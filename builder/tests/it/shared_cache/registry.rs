//! A cache in a registry: what is found, by whom, and who may add to it at the same time.

use super::{Machines, UNIQUE, manifest, tags};
use crate::harness::{Registry, sh};

#[test]
fn a_second_machine_builds_nothing() {
    // BK-194
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS base\nCOPY foo const\nRUN {UNIQUE}\n\
         FROM scratch\nCOPY --from=base const /\nCOPY --from=base unique /\n"
    ));
    machines.lab.write("foo", "foobar");
    let cache = format!("type=registry,ref={}/app:cache", registry.host());
    let first = machines.file("one", "unique", &["--cache-to", &cache]);
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", &cache]);
    assert!(nothing_runs, "{plan}");
    assert_eq!(machines.holds("two"), (0, 0), "a plan fetches no layers");
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "unique"), first);
    assert!(
        shown.contains(&format!("importing cache manifest from {}/app:cache", registry.host())),
        "{shown}"
    );
    // Nobody else has it.
    assert_ne!(machines.file("three", "unique", &[]), first);
    // Found once, it is kept, also when nobody answers any more.
    drop(registry);
    assert_eq!(machines.file("two", "unique", &["--cache-from", &cache]), first);
}

#[test]
fn c5_a_cache_that_is_only_read_is_not_written_to_whoever_refuses_the_other() {
    let (trusted, own) = (Registry::start(), Registry::start());
    let refusing = Registry::start_for("owner", "password");
    let dockerfile = format!("FROM BASE/busybox\nRUN {UNIQUE}\n");
    let machines = Machines::new(&dockerfile);
    let trusted_cache = format!("{}/app:main", trusted.host());
    let first = machines.file("main", "unique", &["--cache-to", &trusted_cache]);
    let content = || {
        sh(&format!(
            "find {} -type f | sort | xargs sha256sum",
            trusted.storage().display()
        ))
    };
    let before = content();
    for (number, other) in [&own, &refusing].into_iter().enumerate() {
        machines.edit(&format!("{dockerfile}RUN echo {number} > /change\n"));
        let to = format!("{}/app:change", other.host());
        let words = ["--cache-from", &trusted_cache, "--cache-to", &to];
        assert_eq!(machines.file("change", "unique", &words), first);
        assert_eq!(content(), before, "{to}");
    }
    // Both steps and what leads to them.
    assert_eq!(tags(&format!("{}/app", own.host())).len(), 3);
}

#[test]
fn the_steps_of_every_stage_are_found_in_a_cache_of_all() {
    let registry = Registry::start();
    let cache = format!("{}/app:cache", registry.host());
    let dockerfile = |last: &str| {
        format!("FROM BASE/busybox AS build\nRUN {UNIQUE}\nRUN cat /unique > /second\nFROM scratch\n{last}\n")
    };
    for (mode, is_found) in [("min", false), ("max", true)] {
        let machines = Machines::new(&dockerfile("COPY --from=build /unique /"));
        let cache = format!("{cache}-{mode}");
        let to = format!("type=registry,ref={cache},mode={mode}");
        let first = machines.file("one", "unique", &["--cache-to", &to]);
        machines.edit(&dockerfile("COPY --from=build /second /unique"));
        let second = machines.file("two", "unique", &["--cache-from", &cache]);
        assert_eq!(first == second, is_found, "{mode}");
    }
}

#[test]
fn every_manifest_is_one_of_an_image() {
    // BK-195
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\nRUN cp /unique /copy\n"));
    let repository = format!("{}/app", registry.host());
    let to = format!("type=registry,ref={repository}:cache,mode=max,image-manifest=true,oci-mediatypes=true");
    let first = machines.file("one", "copy", &["--cache-to", &to]);
    let tags = tags(&repository);
    assert_eq!(tags.len(), 3, "{tags:?}");
    for tag in tags {
        let manifest = manifest(&format!("{repository}:{tag}"));
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(manifest["artifactType"], "application/vnd.croze.cache.v1");
        assert!(!manifest["layers"].as_array().unwrap().is_empty());
    }
    let cache = format!("{repository}:cache");
    assert_eq!(machines.file("two", "copy", &["--cache-from", &cache]), first);
}

#[test]
fn an_image_is_the_same_wherever_its_steps_ran() {
    // BK-198
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS base\nENV foo=bar\nCOPY foo /\nRUN {UNIQUE}\nWORKDIR /srv\n"
    ));
    machines.lab.write("foo", "foo-contents");
    let (tag, cache) = (
        format!("{}/app:1", registry.host()),
        format!("type=registry,ref={}/app:cache", registry.host()),
    );
    let digest = machines.push("one", &tag, &["--cache-to", &cache]);
    assert_eq!(machines.push("two", &tag, &["--cache-from", &cache]), digest);
    // In another compression too: the layers are unpacked and packed again then.
    let zstd = ["--compression", "zstd"];
    let digest = machines.push("one", &tag, &zstd);
    let words = [&zstd[..], &["--cache-from", &cache]].concat();
    assert_eq!(machines.push("three", &tag, &words), digest);
}

#[test]
fn a_changed_step_and_what_follows_run_and_nothing_else() {
    let registry = Registry::start();
    let dockerfile =
        |word: &str| format!("FROM BASE/busybox\nRUN {UNIQUE}\nRUN echo {word} > /word && cp /unique /copy\n");
    let machines = Machines::new(&dockerfile("one"));
    let cache = format!("{}/app:cache", registry.host());
    let both = ["--cache-from", &cache, "--cache-to", &cache];
    let first = machines.file("one", "copy", &both);
    machines.edit(&dockerfile("two"));
    let (plan, _) = machines.plan("two", &["--cache-from", &cache]);
    assert!(
        plan.contains("hit       [2/3] RUN cat") && plan.contains("run       [3/3] RUN echo two"),
        "{plan}"
    );
    assert_eq!(machines.file("two", "copy", &both), first);
    // Each has added its own.
    for word in ["one", "two"] {
        machines.edit(&dockerfile(word));
        let (plan, nothing_runs) = machines.plan("three", &["--cache-from", &cache]);
        assert!(nothing_runs, "{plan}");
    }
}

#[test]
fn what_was_made_without_the_cache_is_found_too() {
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS build\nRUN {UNIQUE}\nFROM scratch\nCOPY --from=build /unique /\n"
    ));
    let cache = format!("{}/app:cache", registry.host());
    let from = ["--cache-from", &cache];
    machines.file("one", "unique", &["--cache-to", &cache]);
    let newer = machines.file("two", "unique", &["--no-cache", "--cache-to", &cache]);
    assert_eq!(machines.file("three", "unique", &from), newer);
    assert!(machines.plan("three", &from).1);
}

#[test]
fn a_copy_is_found_by_what_it_copies_after_its_source_ran_again() {
    let registry = Registry::start();
    let dockerfile = |comment: &str| {
        format!(
            "FROM BASE/busybox AS build\nRUN echo same > /same # {comment}\n\
             FROM BASE/busybox\nCOPY --from=build /same /\nRUN {UNIQUE}\n"
        )
    };
    let machines = Machines::new(&dockerfile("one"));
    let cache = format!("{}/app:cache", registry.host());
    let first = machines.file("one", "unique", &["--cache-to", &cache]);
    machines.edit(&dockerfile("two"));
    assert_eq!(machines.file("two", "unique", &["--cache-from", &cache]), first);
}

#[test]
fn parallel_jobs_lose_no_entry() {
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM BASE/busybox AS build\nRUN echo shared > /shared\nARG JOB\nRUN {UNIQUE} && echo $JOB\n\
         RUN cp /unique /copy\nFROM scratch\nCOPY --from=build /copy /\n"
    ));
    let cache = format!("type=registry,ref={}/app:cache,mode=max", registry.host());
    let jobs: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    let argument = |job: &str| format!("JOB={job}");
    let made: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = jobs
            .iter()
            .map(|job| {
                let (machines, cache) = (&machines, &cache);
                scope.spawn(move || machines.file(job, "copy", &["--build-arg", &argument(job), "--cache-to", cache]))
            })
            .collect();
        running.into_iter().map(|job| job.join().unwrap()).collect()
    });
    let from = format!("{}/app:cache", registry.host());
    for (job, made) in jobs.iter().zip(made) {
        let words = ["--build-arg", &argument(job), "--cache-from", &from];
        let (plan, nothing_runs) = machines.plan("last", &words);
        assert!(nothing_runs, "{job}: {plan}");
        assert_eq!(machines.file("last", "copy", &words), made, "{job}");
    }
    // The shared step, three of each job, each by its definition and the copies by their content, and the marker.
    assert_eq!(tags(&format!("{}/app", registry.host())).len(), 1 + 8 * 2 + 8 * 2 + 1);
}

#[test]
fn jobs_of_several_platforms_add_to_one_cache() {
    let registry = Registry::start();
    let machines = Machines::new(&format!(
        "FROM --platform=$BUILDPLATFORM BASE/busybox AS build\nARG TARGETARCH\nRUN {UNIQUE} && echo $TARGETARCH\n\
         FROM scratch\nCOPY --from=build /unique /\n"
    ));
    let cache = format!("{}/app:cache", registry.host());
    let platforms = ["linux/amd64", "linux/arm64"];
    let made = platforms.map(|platform| {
        machines.file(
            &platform[6..],
            "unique",
            &["--platform", platform, "--cache-to", &cache],
        )
    });
    assert_ne!(made[0], made[1]);
    let words = ["--platform", "linux/amd64,linux/arm64", "--cache-from", &cache];
    machines.files("both", &words);
    for (made, name) in made.into_iter().zip(["linux_amd64/unique", "linux_arm64/unique"]) {
        assert_eq!(machines.read("both", name), made, "{name}");
    }
}

#[test]
fn stacked_layers_are_found_one_by_one() {
    // BK-382
    let dockerfile = |first: &str| {
        format!(
            "FROM BASE/busybox AS build\nRUN {UNIQUE} && mkdir /one /two && cp /unique /one/ && cp /unique /two/\n\
             FROM BASE/busybox\n{first}\nCOPY --link --from=build /two /two\n"
        )
    };
    let linked = "COPY --link --from=build /one /one";
    for mode in ["type=registry,mode=min", "type=registry,mode=max", "type=inline"] {
        let registry = Registry::start();
        let machines = Machines::new(&dockerfile(linked));
        let tag = format!("{}/app:1", registry.host());
        let (cache, to) = match mode {
            "type=inline" => (tag.clone(), mode.to_owned()),
            mode => (
                format!("{}/app:cache", registry.host()),
                format!("{mode},ref={}/app:cache", registry.host()),
            ),
        };
        let digest = machines.push("one", &tag, &["--cache-to", &to]);
        let from = ["--cache-from", &cache];
        assert_eq!(
            machines.push("two", &tag, &[&from[..], &["--cache-to", &to]].concat()),
            digest,
            "{mode}"
        );
        let first = machines.file("three", "two/unique", &from);
        // Another layer below does not matter to the one that is linked.
        machines.edit(&dockerfile("RUN mkdir /other"));
        assert_eq!(machines.file("four", "two/unique", &from), first, "{mode}");
    }
}

#[test]
fn a_build_without_layers_exports_nothing_and_succeeds() {
    // BK-382
    let registry = Registry::start();
    let cache = format!("{}/app:cache", registry.host());
    for dockerfile in ["FROM scratch\nENV a=b\n", "FROM BASE/busybox\nENV a=b\n"] {
        let machines = Machines::new(dockerfile);
        let shown = machines.build("one", &["--cache-to", &cache, "--cache-from", &cache]);
        assert!(shown.contains("skipping cache export for empty result"), "{shown}");
    }
}

#[test]
fn an_unchanged_build_writes_nothing_again() {
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\nRUN cp /unique /copy\n"));
    let cache = format!("{}/app:cache", registry.host());
    let both = ["--cache-from", &cache, "--cache-to", &cache];
    assert!(machines.build("one", &both).contains("2 entries, 2 of them written"));
    assert!(machines.build("one", &both).contains("2 entries, 0 of them written"));
    assert!(machines.build("two", &both).contains("2 entries, 0 of them written"));
}

#[test]
fn a_cache_is_filled_without_an_image() {
    let registry = Registry::start();
    let machines = Machines::new(&format!("FROM BASE/busybox\nRUN {UNIQUE}\n"));
    let cache = format!("{}/app:cache", registry.host());
    machines.build("one", &["-o", "type=cacheonly", "--cache-to", &cache]);
    let first = machines.file("two", "unique", &["--cache-from", &cache]);
    assert_eq!(machines.file("three", "unique", &["--cache-from", &cache]), first);
}
