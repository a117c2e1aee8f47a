//! Cache mounts that travel from one machine to another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use registry::oci::Digest;
use serde_json::{Value, json};

use super::Machines;
use crate::harness::s3::{BUCKET, KEY, REGION, SECRET};
use crate::harness::{ActionsServer, RUNTIME_TOKEN, Registry, S3Server, sh};

/// A step that tells what its mount holds, and then adds to it.
const STEP: &str = "FROM BASE/busybox AS build\nARG N=0\n\
    RUN --mount=type=cache,target=/deps,mode=0775,uid=3 (cd /deps && ls -lnaR . && cat log 2>/dev/null) > /seen; \
        cd /deps && echo $N >> log && mkdir -p sub && ln -sf ../log sub/link && ln -f log hard && \
        chown 5:7 log sub && chmod 4750 log && echo .wh. > .wh.kept && touch -d @1000000000 log sub\n\
    FROM scratch\nCOPY --from=build /seen /\n";

/// Exports the mounts from one machine and builds with them on another; returns what the steps there saw, and what was
/// shown.
fn travel(machines: &Machines, to: &str, from: &str) -> (String, String) {
    let shown = machines.build(
        "one",
        &["--build-arg", "N=1", "--cache-to", &format!("{to},mounts=true")],
    );
    assert!(
        shown.contains("cache mount `/deps`: ") && shown.contains(" written"),
        "{shown}"
    );
    let shown = machines.files("two", &["--build-arg", "N=2", "--cache-from", from]);
    (machines.read("two", "seen"), shown)
}

fn assert_is_whole(seen: &str) {
    for line in [
        "-rwsr-x---    2 5        7                2 Sep  9  2001 log",
        "sub",
        "link -> ../log",
        ".wh.kept",
    ] {
        assert!(seen.contains(line), "`{line}` is not in:\n{seen}");
    }
    assert!(seen.ends_with("\n1\n"), "{seen}");
}

#[test]
fn a_mount_travels_through_a_registry() {
    let registry = Registry::start();
    let machines = Machines::new(STEP);
    let cache = format!("{}/app:cache", registry.host());
    let (seen, shown) = travel(&machines, &format!("type=registry,ref={cache}"), &cache);
    assert_is_whole(&seen);
    let words = ["--build-arg", "N=2", "--cache-from", &cache];
    let (plan, _) = machines.plan("none", &words);
    let lines: Vec<&str> = plan.lines().filter(|line| line.starts_with("mount ")).collect();
    assert_eq!(lines.len(), 1, "{plan}");
    assert!(
        lines[0].contains("cache mount `/deps` begins with") && lines[0].ends_with(&format!("from `{cache}`")),
        "{plan}"
    );
    for (machine, more) in [("two", ""), ("none", "--no-cache-mounts")] {
        let words: Vec<&str> = words
            .iter()
            .copied()
            .chain([more])
            .filter(|word| !word.is_empty())
            .collect();
        let (plan, _) = machines.plan(machine, &[&words[..], &["--no-cache"]].concat());
        assert!(!plan.contains("cache mount"), "{machine} has it, or wants none: {plan}");
    }
    assert!(
        shown.contains("cache mount `/deps` begins with") && shown.contains(&format!("from `{cache}`")),
        "{shown}"
    );
    // What is here is not replaced: the second machine goes on with its own.
    let seen = machines.file("two", "seen", &["--build-arg", "N=3", "--cache-from", &cache]);
    assert!(seen.ends_with("\n1\n2\n"), "{seen}");
    let listed = machines.lab.croze(&["cache", "ls", &cache]).stdout;
    assert!(listed.contains("cache mount `/deps`"), "{listed}");
}

#[test]
fn a_mount_travels_through_a_directory() {
    let machines = Machines::new(STEP);
    let (seen, _) = travel(&machines, "type=local,dest=shared", "type=local,src=shared");
    assert_is_whole(&seen);
}

#[test]
fn a_mount_travels_through_s3_and_githubs_cache() {
    let (s3, actions) = (S3Server::start(), ActionsServer::start());
    let caches = [
        format!(
            "type=s3,bucket={BUCKET},region={REGION},endpoint_url={},use_path_style=true,access_key_id={KEY},\
             secret_access_key={SECRET}",
            s3.url()
        ),
        format!("type=gha,url_v2={},token={RUNTIME_TOKEN}", actions.url()),
    ];
    for cache in caches {
        let machines = Machines::new(STEP);
        let (seen, _) = travel(&machines, &cache, &cache);
        assert_is_whole(&seen);
        // The next machine gets what the second one adds.
        let both = ["--cache-from", &cache, "--cache-to", &format!("{cache},mounts=/deps")];
        machines.build("two", &[&["--build-arg", "N=3"], &both[..]].concat());
        let seen = machines.file("three", "seen", &["--build-arg", "N=4", "--cache-from", &cache]);
        assert!(seen.ends_with("\n1\n2\n3\n"), "{seen}");
    }
}

#[test]
fn owners_and_modes_travel_between_both_kinds_of_store() {
    let machines = Machines::new(STEP);
    for (one, two) in [("userns", "userns-single"), ("userns-single", "userns")] {
        let shared = format!("shared-{one}");
        let (to, from) = (
            format!("type=local,dest={shared},mounts=true"),
            format!("type=local,src={shared}"),
        );
        let words = ["--sandbox", one, "--build-arg", "N=1", "--cache-to", &to];
        machines.build(&format!("from-{one}"), &words);
        let words = ["--sandbox", two, "--build-arg", "N=2", "--cache-from", &from];
        assert_is_whole(&machines.file(&format!("to-{two}"), "seen", &words));
    }
}

#[test]
fn an_unchanged_mount_is_neither_packed_nor_sent_again() {
    let registry = Registry::start();
    let machines = Machines::new(STEP);
    let to = format!("type=registry,ref={}/app:cache,mounts=true", registry.host());
    machines.build("one", &["--cache-to", &to]);
    let blobs = || {
        sh(&format!(
            "find {} -name data | sort | md5sum",
            registry.storage().display()
        ))
    };
    let before = blobs();
    let shown = machines.build("one", &["--cache-to", &to]);
    assert!(
        shown.contains("cache mount `/deps`: ") && shown.contains("unchanged"),
        "{shown}"
    );
    assert_eq!(blobs(), before);
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", &format!("{}/app:cache", registry.host())]);
    assert!(nothing_runs, "{plan}");
    assert_eq!(machines.holds("two"), (0, 0), "no step runs, so no mount is fetched");
}

#[test]
fn what_is_not_asked_for_or_too_large_stays() {
    let machines = Machines::new(STEP);
    let to = |mounts: &str| format!("type=local,dest=shared,{mounts}");
    for (mounts, said) in [
        ("mounts=other", "cache mount `other`: no step uses it"),
        ("mounts=/deps,mounts-max-size=1k", "left here, its "),
        ("mounts=false", "entries"),
    ] {
        let shown = machines.build("one", &["--cache-to", &to(mounts)]);
        assert!(shown.contains(said), "{shown}");
        let seen = machines.file("two", "seen", &["--no-cache", "--cache-from", "type=local,src=shared"]);
        machines.lab.croze(&["prune", "--all", "--root", "two"]);
        assert!(!seen.contains("log"), "{mounts}: {seen}");
    }
}

#[test]
fn a_build_without_the_cache_keeps_imported_mounts_and_one_without_mounts_does_not() {
    let machines = Machines::new(STEP);
    let from = ["--cache-from", "type=local,src=shared"];
    travel(&machines, "type=local,dest=shared", from[1]);
    let seen = machines.file("three", "seen", &[&["--no-cache"], &from[..]].concat());
    assert_is_whole(&seen);
    let seen = machines.file(
        "four",
        "seen",
        &[&["--no-cache", "--no-cache-mounts"], &from[..]].concat(),
    );
    assert!(!seen.contains("log"), "{seen}");
}

#[test]
fn parallel_steps_begin_with_the_same_mount() {
    let machines = Machines::new(
        "FROM BASE/busybox AS a\nARG N\nRUN --mount=type=cache,id=m,target=/m ls /m > /seen; touch /m/a$N\n\
         FROM BASE/busybox AS b\nARG N\nRUN --mount=type=cache,id=m,target=/m ls /m > /seen; touch /m/b$N\n\
         FROM scratch\nCOPY --from=a /seen /a\nCOPY --from=b /seen /b\n",
    );
    machines.build(
        "one",
        &["--build-arg", "N=1", "--cache-to", "type=local,dest=shared,mounts=m"],
    );
    machines.files("two", &["--build-arg", "N=2", "--cache-from", "type=local,src=shared"]);
    for name in ["a", "b"] {
        let seen = machines.read("two", name);
        assert!(seen.contains("a1\n") && seen.contains("b1\n"), "{name}: {seen}");
    }
}

/// Replaces the content of the mount in a bucket, with everything that names it.
fn replace_mount(server: &S3Server, tar: &[u8]) {
    let is_mount = |name: &String| name.contains("/manifests/") || name.starts_with("manifests/");
    for name in server.names().into_iter().filter(is_mount) {
        let mut manifest: Value = serde_json::from_slice(&server.get(&name)).unwrap();
        let config = BASE64.decode(manifest["config"]["data"].as_str().unwrap()).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        if config["croze.cache.v1"]["records"][0]["name"] != "cache mount `/deps`" {
            continue;
        }
        let digest = Digest::of(tar).to_string();
        config["rootfs"]["diff_ids"] = json!([digest]);
        let config = config.to_string();
        manifest["layers"] = json!([{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": tar.len(),
        }]);
        manifest["config"]["data"] = BASE64.encode(&config).into();
        manifest["config"]["digest"] = Digest::of(config.as_bytes()).to_string().into();
        manifest["config"]["size"] = config.len().into();
        server.put(&name, manifest.to_string().into_bytes());
        server.put(&format!("blobs/{digest}"), tar.to_vec());
    }
}

#[test]
fn a_hostile_or_damaged_mount_begins_empty_and_reaches_nothing() {
    let server = S3Server::start();
    let machines = Machines::new(STEP);
    let cache = format!(
        "type=s3,bucket={BUCKET},region={REGION},endpoint_url={},use_path_style=true,access_key_id={KEY},\
         secret_access_key={SECRET}",
        server.url()
    );
    machines.build("one", &["--cache-to", &format!("{cache},mounts=true")]);
    let victim = machines.path("victim");
    // Of Python's `tarfile`: names that climb, and links that others are written through.
    let make = |entries: &str| {
        let out = machines.path("evil.tar");
        sh(&format!(
            "python3 - '{}' '{}' <<'E'\nimport tarfile, io, sys\nvictim, out = sys.argv[1:]\n\
             def entry(name, kind=tarfile.REGTYPE, link='', data=b'evil'):\n\
             \x20   e = tarfile.TarInfo(name); e.type = kind; e.linkname = link\n\
             \x20   e.size = len(data) if kind == tarfile.REGTYPE else 0\n\
             \x20   t.addfile(e, io.BytesIO(data) if e.size else None)\n\
             t = tarfile.open(out, 'w')\n{entries}\nt.close()\nE",
            victim.display(),
            out.display()
        ));
        std::fs::read(out).unwrap()
    };
    let climbing = make("entry('../../../../../../' + victim)");
    let through = make("entry('d', tarfile.SYMTYPE, victim[:victim.rindex('/')]); entry('d/victim')");
    let hard = make("entry('h', tarfile.LNKTYPE, '/etc/passwd')");
    let torn = climbing[..700].to_vec();
    for (machine, tar, is_refused) in [
        ("climbing", climbing, true),
        ("through", through, false),
        ("hard", hard, true),
        ("torn", torn, true),
    ] {
        replace_mount(&server, &tar);
        let shown = machines.files(machine, &["--build-arg", "N=2", "--cache-from", &cache]);
        let seen = machines.read(machine, "seen");
        assert!(!victim.exists(), "{machine}");
        let is_told = shown.contains("warning: cache mount `/deps` of the cache") && shown.contains("begins empty");
        assert_eq!(is_told, is_refused, "{machine}: {shown}");
        assert!(!seen.contains("log"), "{machine}: {seen}");
    }
}
