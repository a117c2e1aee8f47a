//! What a step finds around it: network, capabilities, limits, standard input.

use std::io::Write as _;
use std::net::TcpListener;

use super::{builds, lab};

#[test]
fn a_step_may_be_without_network() {
    // BK-177 BK-179
    let text = "FROM BASE/busybox\nRUN --network=none [ \"$(ls /sys/class/net | grep -vc '^lo$')\" = 0 ]\n\
                RUN --network=none [ \"$(awk 'NR > 2' /proc/net/dev | grep -vc lo:)\" = 0 ]\n";
    builds(text, &[], &[]);
    builds(text, &[], &["--network", "host", "--allow", "network.host"]);
    builds(&text.replace("--network=none ", ""), &[], &["--network", "none"]);
}

#[test]
fn a_step_may_use_the_hosts_network_with_consent() {
    // BK-178 BK-179
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let _client_gone = connection.and_then(|mut connection| connection.write_all(b"foo"));
        }
    });
    let text = |flag: &str| format!("FROM BASE/busybox\nRUN {flag} nc -w 3 127.0.0.1 {port} < /dev/null | grep foo\n");
    builds(&text("--network=host"), &[], &["--allow", "network.host"]);
    builds(&text(""), &[], &["--network", "host", "--allow", "network.host"]);
    let lab = lab(&text(""), &[]);
    lab.croze(&["build", "--network", "host", "context"])
        .fails(2, &["network.host"]);
}

#[test]
fn a_step_has_dockers_capabilities() {
    // BK-181
    builds(
        "FROM BASE/busybox\nRUN [ \"$(grep CapBnd /proc/self/status)\" = \"$(printf 'CapBnd:\\t00000000a80425fb')\" ]\n\
         RUN --security=sandbox [ \"$(grep CapBnd /proc/self/status)\" = \"$(printf 'CapBnd:\\t00000000a80425fb')\" ]\n",
        &[],
        &[],
    );
}

#[test]
fn shared_memory_is_as_large_as_asked_for() {
    // BK-182
    builds(
        "FROM BASE/busybox\nRUN mount | grep /dev/shm | grep size=131072k\n",
        &[],
        &["--shm-size", "128m"],
    );
}

#[test]
fn a_step_that_reads_its_input_ends() {
    // BK-360
    builds("FROM BASE/busybox\nRUN cat\n", &[], &[]);
}

#[test]
fn a_step_finds_its_host_and_names() {
    // BK-380
    builds(
        "FROM BASE/busybox\nRUN grep -E '^127.0.0.1[[:space:]]+localhost' /etc/hosts\n\
         RUN grep -E '^169.254.11.22[[:space:]]+some.host' /etc/hosts\nRUN [ -f /etc/resolv.conf ]\n\
         RUN ping -c 1 $(hostname) > /dev/null 2>&1 || nslookup $(hostname) > /dev/null 2>&1 || grep -w $(hostname) /etc/hosts\n",
        &[],
        &["--add-host", "some.host:169.254.11.22"],
    );
}

#[test]
fn a_step_of_a_user_sees_proxies_and_runs_in_a_relative_directory() {
    // BK-385
    builds(
        "FROM BASE/busybox\nWORKDIR sub\nRUN [ \"$PWD\" = /sub ]\nUSER 1000:1001\n\
         RUN [ \"$(id -u):$(id -g)\" = 1000:1001 ]\nRUN --mount=type=tmpfs,target=rel,size=1m mount | grep ' /sub/rel '\n\
         RUN [ \"$https_proxy\" = p ] && [ \"$HTTPS_PROXY\" = p ]\n",
        &[],
        &["--build-arg", "https_proxy=p"],
    );
}

#[test]
fn a_step_has_the_limits_that_are_asked_for() {
    // BK-183
    let text = "FROM BASE/busybox\nRUN [ \"$(ulimit -n)\" = 1062 ] && [ \"$(ulimit -Hn)\" = 1062 ]\n\
                RUN [ \"$(ulimit -Sc) $(ulimit -Hc)\" = '0 7' ]\n";
    let words = ["--ulimit", "nofile=1062:1062", "--ulimit", "core=0:3584"];
    let lab = builds(text, &[], &words);
    // A limit says how a step runs and not what it makes.
    let again = lab.build(&["--ulimit", "nofile=900"]);
    assert_eq!(again.stderr.matches("CACHED").count(), 2, "{}", again.stderr);
    lab.croze(&["build", "--no-cache", "--ulimit", "nofile=99999999999", "context"])
        .fails(
            9,
            &[
                "cannot set the limit `nofile=99999999999:99999999999`",
                "permits at most",
                "Dockerfile:2",
            ],
        );
    lab.croze(&["build", "--ulimit", "nofiles=1", "context"]).fails(
        2,
        &["`--ulimit nofiles=1`: invalid ulimit type `nofiles` (did you mean nofile?)"],
    );
}
