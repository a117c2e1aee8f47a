//! Signals: whatever a build waits for or writes, they end it soon, and nothing half is left.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Lab, Registry, base_registry, sh};

/// More than a build takes to end on a busy machine, and less than it waits for a silent registry.
const SOON: Duration = Duration::from_secs(15);

fn start(lab: &Lab, words: &[&str]) -> Child {
    let mut command = lab.command(&[&["build", "--progress=plain", "context"], words].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Interrupts a build, and returns its exit code.
fn interrupt(mut child: Child) -> Option<i32> {
    sh(&format!("kill -INT {}", child.id()));
    let signalled = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status.code(),
            None if signalled.elapsed() > SOON => {
                child.kill().unwrap();
                panic!("it goes on");
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn a_signal_ends_a_build_that_waits_for_an_image_or_for_its_layers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/image", silent.local_addr().unwrap());
    let lab = Lab::new(&format!("FROM {image}\nRUN true\n"));
    let child = start(&lab, &[]);
    let _waiting = silent.accept().unwrap();
    assert_eq!(interrupt(child), Some(130));

    // The documents of this one are known, so that nothing is asked before the layers are needed.
    let mut registry = Registry::start();
    let image = format!("{}/busybox", registry.host());
    sh(&format!(
        "skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://{}/busybox docker://{image}",
        base_registry()
    ));
    let digest = sh(&format!(
        "skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{image}"
    ));
    let lab = Lab::new(&format!("FROM {image}@{}\nRUN true\n", digest.trim()));
    assert_eq!(lab.croze(&["build", "--plan", "context"]).code, 11);
    registry.stop();
    let silent = TcpListener::bind(registry.host()).unwrap();
    let child = start(&lab, &[]);
    let _waiting = silent.accept().unwrap();
    assert_eq!(interrupt(child), Some(130));
}

#[test]
fn an_interrupted_export_leaves_nothing_beside_its_place() {
    let lab = Lab::new("FROM BASE/busybox\nRUN truncate -s 500M /large\n");
    lab.build(&[]);
    let beside = || {
        let names = fs::read_dir(lab.path()).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.starts_with(".croze-") || name == "out.tar")
    };
    let child = start(&lab, &["-o", "type=tar,dest=out.tar"]);
    let began = Instant::now();
    while !beside() {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(interrupt(child), Some(130));
    assert!(!beside());
}

#[test]
fn an_interrupted_export_to_a_file_that_cannot_be_replaced_leaves_it_empty() {
    let lab = Lab::new("FROM BASE/busybox\nRUN truncate -s 500M /large\n");
    lab.build(&[]);
    let at = lab.path().display();
    sh(&format!(
        "cd {at}; mkdir closed; head -c 100000 /dev/zero > closed/out.tar; chmod 666 closed/out.tar"
    ));
    let length = || fs::metadata(lab.path().join("closed/out.tar")).unwrap().len();
    let child = start(&lab, &["-o", "type=tar,dest=closed/out.tar"]);
    let began = Instant::now();
    while length() < 1_000_000 {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(interrupt(child), Some(130));
    assert_eq!(length(), 0);
}

#[test]
fn a_signal_ends_a_build_that_waits_for_who_reads_its_metadata() {
    let lab = Lab::new("FROM BASE/busybox\n");
    sh(&format!("mkfifo -m 666 {}/told", lab.path().display()));
    let child = start(&lab, &["-o", "type=oci,dest=image.tar", "--metadata-file=told"]);
    let began = Instant::now();
    // After its only output.
    while !lab.path().join("image.tar").exists() {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(500));
    assert_eq!(interrupt(child), Some(130));
}

#[test]
fn what_was_pushed_before_a_signal_is_told_in_every_form() {
    let registry = Registry::start();
    let lab = Lab::new("FROM scratch\nCOPY Dockerfile /\n");
    lab.build(&[]);
    for progress in ["plain", "github", "gitlab"] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let pushed = format!("{}/{progress}:1", registry.host());
        let tags = [pushed.clone(), format!("{}/app:1", silent.local_addr().unwrap())];
        let mut command = lab.command(&["build", &format!("--progress={progress}"), "context", "--push"]);
        command.args(tags.iter().flat_map(|tag| ["-t", tag]));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let manifest = registry
            .storage()
            .join(format!("docker/registry/v2/repositories/{progress}/_manifests/tags/1"));
        let began = Instant::now();
        while !manifest.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "it is never pushed");
            thread::sleep(Duration::from_millis(10));
        }
        // It has to hear of that.
        thread::sleep(Duration::from_millis(500));
        let mut errors = child.stderr.take().unwrap();
        assert_eq!(interrupt(child), Some(130));
        let mut told = String::new();
        errors.read_to_string(&mut told).unwrap();
        assert!(
            told.contains(&format!("pushing manifest for {pushed}")),
            "{progress}:\n{told}"
        );
    }
}
