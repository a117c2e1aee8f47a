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

#[test]
fn a_device_of_the_machine_is_given_with_consent() {
    // BK-342, testDeviceRunEnv
    let lab = lab(
        "FROM BASE/busybox\nENV FOO=own\n\
         RUN --device=vendor1.com/device=foo,required --device=vendor2.com/device=bar [ \"$FOO\" = injected ]\n\
         RUN --device=vendor1.com/device=node [ \"$(wc -c < /dev/mine)\" = 0 ] && [ -c /dev/mine ] && [ -f /opt/file ] \
         && ! touch /opt/file 2> /dev/null\nRUN [ \"$FOO\" = own ] && [ ! -e /dev/mine ] && [ ! -e /opt ]\n",
        &[],
    );
    let directory = lab.path().display();
    std::fs::create_dir(lab.path().join("cdi")).unwrap();
    let spec = |extra: &str| {
        let text = format!(
            "cdiVersion: \"0.6.0\"\nkind: \"vendor1.com/device\"\ndevices:\n- name: foo\n  containerEdits:\n    env:\n    - \
             FOO=injected\n- name: node\n  containerEdits:\n    deviceNodes:\n    - path: /dev/mine\n      hostPath: \
             /dev/null\n    mounts:\n    - hostPath: {directory}/context/Dockerfile\n      containerPath: /opt/file\n      \
             options: [ro]\n{extra}"
        );
        std::fs::write(lab.path().join("cdi/spec.yaml"), text).unwrap();
    };
    spec("");
    let build = |allow: &[&str]| lab.croze(&[&["build", "--cdi-spec-dir", "cdi"], allow, &["context"]].concat());
    build(&[]).fails(
        3,
        &[
            "device vendor1.com/device=foo is requested by the build but not allowed",
            "--allow device=",
            "Dockerfile:3",
        ],
    );
    build(&["--allow", "device=vendor1.com/device=node"]).fails(3, &["device=foo is requested"]);
    let outcome = build(&["--allow", "device"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let named = [
        "--allow",
        "device=vendor1.com/device=foo",
        "--allow",
        "device=vendor1.com/device=node",
    ];
    let outcome = build(&named);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("CACHED").count(), 3, "{}", outcome.stderr);
    spec("annotations: {org.mobyproject.buildkit.device.autoallow: true}\n");
    assert_eq!(build(&[]).code, 0);

    // A Dockerfile can be looked at on any machine.
    assert_eq!(lab.croze(&["build", "--check", "context"]).code, 0);
    lab.croze(&["build", "--allow", "device", "context"]).fails(
        3,
        &[
            "required device \"vendor1.com/device=foo\" is not registered",
            "/etc/cdi",
        ],
    );
    lab.write("Dockerfile", &lab.fill("FROM BASE/busybox\nRUN --device=mine true\n"));
    build(&[]).fails(3, &["invalid device \"mine\"", "vendor/class=name"]);
    assert_eq!(build(&["--allow", "device=vendor1.com/device=foo,alias=mine"]).code, 0);
    lab.write(
        "Dockerfile",
        &lab.fill("FROM BASE/busybox\nRUN --device=vendor1.com/device=hook true\n"),
    );
    spec("- name: hook\n  containerEdits:\n    hooks:\n    - {hookName: createContainer, path: /bin/true}\n");
    build(&["--allow", "device"]).fails(9, &["needs hooks to be run, which croze cannot give", "Dockerfile:2"]);
}

#[test]
fn a_step_may_have_all_rights_with_consent() {
    // BK-180
    let text = "FROM BASE/busybox\n\
                RUN --security=insecure [ $(( 0x$(awk '/CapBnd/ {print $2}' /proc/self/status) & 0x3fffffffff )) = $(( 0x3fffffffff )) ]\n\
                RUN --security=insecure mkdir /m && mount -t tmpfs none /m && grep -q '^Seccomp:.*0' /proc/self/status\n\
                RUN [ \"$(grep CapBnd /proc/self/status)\" = \"$(printf 'CapBnd:\\t00000000a80425fb')\" ] && ! mount -t tmpfs none /m\n\
                USER 1000\nRUN --security=insecure grep -q '^CapEff:.*0000000000000000' /proc/self/status\n";
    let lab = builds(text, &[], &["--allow", "security.insecure"]);
    lab.croze(&["build", "--no-cache", "context"]).fails(
        3,
        &[
            "entitlement security.insecure is not allowed",
            "--allow security.insecure",
        ],
    );
    assert_eq!(lab.croze(&["build", "--check", "context"]).code, 0);
}
