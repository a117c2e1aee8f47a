//! RUN --mount: caches and memory, and what a mount is of.

use super::{builds, lab, read, script};

#[test]
fn a_mount_is_of_the_context_unless_it_says_otherwise() {
    // BK-154
    builds(
        "FROM BASE/busybox\nRUN --mount=target=/context [ \"$(cat /context/testfile)\" = contents0 ]\n",
        &[("testfile", "contents0")],
        &[],
    );
}

#[test]
fn memory_is_gone_after_the_step() {
    // BK-155 BK-167
    builds(
        "FROM BASE/busybox\nRUN --mount=target=/mytmp,type=tmpfs touch /mytmp/foo\nRUN [ ! -f /mytmp/foo ]\n\
         RUN --mount=type=tmpfs,target=/dev/shm,size=128m mount | grep /dev/shm | grep size=131072k\n",
        &[],
        &[],
    );
}

#[test]
fn a_bound_stage_counts_by_its_files_and_not_by_how_they_came() {
    // BK-159
    let lab = lab(
        "FROM BASE/busybox AS build\nCOPY cachebust /\nRUN mkdir out && echo foo > out/foo\n\
         FROM BASE/busybox AS second\n\
         RUN --mount=from=build,src=out,target=/out,rw touch /out/bar && \
         cat /proc/sys/kernel/random/uuid > /unique\nFROM scratch\nCOPY --from=second /unique /unique\n",
        &[("cachebust", "0")],
    );
    let first = read(&lab.build_files(&[]), "unique");
    lab.write("cachebust", "1");
    assert_eq!(read(&lab.build_files(&[]), "unique"), first);
}

#[test]
fn a_cache_has_the_owner_and_mode_that_it_asks_for() {
    // BK-160
    builds(
        "FROM BASE/busybox\nRUN --mount=type=cache,target=/mycache,uid=1001,gid=1002,mode=0751 \
         [ \"$(stat -c '%u %g %f' /mycache)\" = '1001 1002 41e9' ]\n",
        &[],
        &[],
    );
}

#[test]
fn a_cache_is_known_by_its_target_unless_it_has_an_id() {
    // BK-161
    builds(
        "FROM BASE/busybox\nRUN --mount=type=cache,target=/mycache touch /mycache/foo\n\
         RUN --mount=type=cache,target=/mycache2 [ ! -f /mycache2/foo ]\n\
         RUN --mount=type=cache,target=/mycache [ -f /mycache/foo ]\n",
        &[],
        &[],
    );
}

#[test]
fn options_of_a_mount_may_be_variables() {
    // BK-162
    builds(
        "FROM BASE/busybox\nENV SOME_PATH=/mycache\nRUN --mount=type=cache,target=/mycache touch /mycache/foo\n\
         RUN --mount=type=cache,target=$SOME_PATH [ -f $SOME_PATH/foo ]\n",
        &[],
        &[],
    );
    // BK-163
    builds(
        "FROM BASE/busybox\nARG MNT_TYPE=cache\nRUN --mount=type=$MNT_TYPE,target=/mycache2 touch /mycache2/foo\n\
         RUN --mount=type=cache,target=/mycache2 [ -f /mycache2/foo ]\n",
        &[],
        &[],
    );
    // BK-164
    builds(
        "FROM BASE/busybox AS base\nENV MNT_TYPE=cache\nENV MNT_ID=mytestid\nFROM base\n\
         RUN --mount=type=$MNT_TYPE,id=$MNT_ID,target=/cacheA touch /cacheA/foo\n\
         RUN --mount=type=cache,id=mytestid,target=/cacheB [ -f /cacheB/foo ]\n",
        &[],
        &[],
    );
    // BK-165
    builds(
        "ARG META_PATH=/tmp/meta\nFROM BASE/busybox\nARG META_PATH\n\
         RUN --mount=type=cache,id=mycache,target=/tmp/meta touch /tmp/meta/foo\n\
         RUN --mount=type=cache,id=mycache,target=$META_PATH [ -f /tmp/meta/foo ]\n",
        &[],
        &[],
    );
}

#[test]
fn every_mount_of_a_context_counts() {
    // BK-168
    let lab = lab(
        "FROM BASE/busybox AS base\nRUN --mount=source=.,target=/tmp/test --mount=source=b.txt,target=/tmp/b.txt \
         cat /tmp/test/a.txt /tmp/b.txt > /combined.txt\nFROM scratch\nCOPY --from=base /combined.txt /\n",
        &[("a.txt", "foo\n"), ("b.txt", "bar\n")],
    );
    assert_eq!(read(&lab.build_files(&[]), "combined.txt"), "foo\nbar\n");
    lab.write("a.txt", "updated\n");
    assert_eq!(read(&lab.build_files(&[]), "combined.txt"), "updated\nbar\n");
}

#[test]
fn caches_may_be_mounted_into_each_other_by_steps_at_the_same_time() {
    // BK-169
    let text = "FROM BASE/busybox AS b1\nRUN --mount=type=cache,target=/foo/bar --mount=type=cache,target=/foo/bar/baz \
                echo 1\nFROM BASE/busybox AS b2\n\
                RUN --mount=type=cache,target=/foo/bar --mount=type=cache,target=/foo/bar/baz echo 2\n\
                FROM scratch\nCOPY --from=b1 /etc/passwd p1\nCOPY --from=b2 /etc/passwd p2\n";
    let lab = lab(text, &[]);
    for _ in 0..20 {
        lab.build(&["--no-cache"]);
    }
}

#[test]
fn the_source_in_a_cache_cannot_lead_out_of_it() {
    // BK-170
    let lab = lab(
        "FROM BASE/busybox\nRUN echo from-the-step > /etc/marker\n\
         RUN --mount=type=cache,id=escape,target=/cache rm -rf /cache/sel && ln -s /etc /cache/sel\n\
         RUN --mount=type=cache,id=escape,source=sel,target=/victim ls /victim && cat /victim/hostname\n",
        &[],
    );
    let outcome = lab.croze(&["build", "--progress=plain", "context"]);
    assert_ne!(outcome.code, 0, "{}", outcome.stderr);
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert!(
        host.trim().is_empty() || !outcome.stderr.contains(host.trim()),
        "{}",
        outcome.stderr
    );
}

#[test]
fn caches_survive_a_build_without_the_cache_unless_they_are_to_begin_empty() {
    // BK-200, except that `--no-cache` alone leaves them as they are.
    let lab = lab(
        "FROM BASE/busybox AS base\nARG FOO=abc\n\
         RUN --mount=type=cache,target=/cache,mode=0773 touch /cache/$FOO && ls -l /cache | wc -l > /out\n\
         FROM scratch\nCOPY --from=base /out /\n",
        &[],
    );
    let count = |words: &[&str]| read(&lab.build_files(words), "out");
    let fresh = ["--no-cache", "--no-cache-mounts"];
    assert_eq!(count(&fresh), "2\n");
    assert_eq!(count(&[&fresh[..], &["--build-arg", "FOO=def"]].concat()), "2\n");
    assert_eq!(count(&["--build-arg", "FOO=foo"]), "3\n");
    assert_eq!(count(&["--no-cache", "--build-arg", "FOO=bar"]), "4\n");
}

#[test]
fn mount_points_that_the_step_did_not_use_leave_no_trace() {
    // BK-361
    builds(
        "FROM BASE/busybox\nRUN mkdir -p /var\n\
         RUN --mount=type=tmpfs,target=/var/foo --mount=type=tmpfs,target=/tmp/foo2/bar \
         touch -d @1234567890 /bin /etc /var /var/foo /tmp /tmp/foo2\n\
         RUN [ \"$(stat -c %Y /bin /etc /var /tmp | sort -u)\" = 1234567890 ] && [ ! -e /var/foo ] && [ ! -e /tmp/foo2/bar ]\n",
        &[],
        &[],
    );
    // BK-362
    builds(
        "FROM BASE/busybox\nRUN mkdir -p /test/qux\n\
         RUN --mount=type=tmpfs,target=/test/foo --mount=type=tmpfs,target=/test/bar/x/y \
         --mount=type=tmpfs,target=/test/baz/x --mount=type=tmpfs,target=/test/qux touch /test/baz/keep\n\
         RUN [ \"$(ls /test)\" = \"$(printf 'baz\\nqux')\" ] && [ \"$(ls /test/baz)\" = keep ]\n",
        &[],
        &[],
    );
}

#[test]
fn a_locked_cache_is_one_steps_and_a_shared_one_is_everybodys() {
    // BK-367
    let text = |sharing: &str| {
        let step = |n: u32, other: u32| {
            format!(
                "FROM BASE/busybox AS s{n}\n\
                 RUN --mount=type=cache,id=lock,sharing={sharing},target=/c touch /c/{n}; \
                 for i in 1 2 3 4 5 6 7 8; do [ -e /c/{other} ] && echo seen > /seen; sleep 0.1; done; rm /c/{n}; touch /seen\n"
            )
        };
        format!(
            "{}{}FROM scratch\nCOPY --from=s1 /seen /1\nCOPY --from=s2 /seen /2\n",
            step(1, 2),
            step(2, 1)
        )
    };
    for (sharing, seen) in [("shared", "seen\n"), ("locked", ""), ("private", "")] {
        let lab = lab(&text(sharing), &[]);
        let out = lab.build_files(&[]);
        assert_eq!(format!("{}", read(&out, "1")), seen, "{sharing}");
        assert_eq!(format!("{}", read(&out, "2")), seen, "{sharing}");
    }
}

#[test]
fn a_cache_that_is_mounted_twice_is_one() {
    // BK-383
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=cache,id=x,target=/a --mount=type=cache,id=x,target=/b,sharing=locked \
         echo -n twice > /a/file && [ \"$(cat /b/file)\" = twice ] && cp /b/file /out\n",
        &[],
    );
    assert_eq!(read(&lab.build_files(&[]), "out"), "twice");
    // What is cached once is not made again: the cache mount's content is no input.
    script(&lab, "true");
    assert!(lab.build(&[]).stderr.contains("CACHED"));
}

#[test]
fn steps_that_lock_the_same_caches_in_any_order_do_not_wait_for_each_other() {
    let mount = |id: &str| format!("--mount=type=cache,id={id},sharing=locked,target=/{id}");
    let (a, b) = (mount("a"), mount("b"));
    let lab = lab(
        &format!(
            "FROM BASE/busybox AS one\nRUN {a} {b} sleep 0.5; echo one > /out\n\
             FROM BASE/busybox AS two\nRUN {b} {a} sleep 0.5; echo two > /out\n\
             FROM scratch\nCOPY --from=one /out /one\nCOPY --from=two /out /two\n"
        ),
        &[],
    );
    let out = lab.build_files(&[]);
    assert_eq!(
        (read(&out, "one"), read(&out, "two")),
        ("one\n".to_owned(), "two\n".to_owned())
    );
}
