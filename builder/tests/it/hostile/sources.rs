//! Contexts that lead elsewhere, and programs that are not what they are called (rows G5, U12, U13, U18).

use std::collections::BTreeSet;
use std::process::Stdio;

use crate::harness::{Lab, Outcome, croze_binary, sh};

#[test]
fn g5_a_link_for_dockerfile_or_ignore_file_shows_nothing_of_what_lies_elsewhere() {
    for name in ["Dockerfile", ".dockerignore", "Dockerfile.dockerignore"] {
        let lab = Lab::new("FROM scratch\nCOPY . /\n");
        let outside = lab.path().join("outside");
        sh(&format!(
            "echo 'cnry-elsewhere [' > {}; chmod 644 {0}",
            outside.display()
        ));
        sh(&format!("ln -sf {} {}", outside.display(), lab.context(name).display()));
        let outcome = lab.croze(&["build", "context", "-o", "out"]);
        outcome.fails(5, &[name, "a link that leads out of the context"]);
        assert!(!outcome.stderr.contains("cnry"), "{}", outcome.stderr);
    }
    // Named, it is what was asked for.
    let lab = Lab::new("FROM scratch\nCOPY . /\n");
    sh(&format!(
        "cd {0} && mv context/Dockerfile web && ln -s ../web context/linked",
        lab.path().display()
    ));
    lab.build(&["-f", "context/linked", "-o", "out"]);
}

/// Programs that a builder may be tempted to run.
const DECOYS: [&str; 8] = [
    "xz",
    "unpigz",
    "gzip",
    "tar",
    "git",
    "newuidmap",
    "newgidmap",
    "docker-credential-x",
];

#[test]
fn u12_u13_no_program_of_the_context_or_image_is_run_and_no_step_sees_what_is_unpacked() {
    let lab = Lab::new(
        "FROM BASE/busybox AS base\nCOPY bin /usr/bin\nFROM base\nADD archive.tar.xz /unpacked/\n\
         RUN cat /proc/self/mountinfo > /mounts\n",
    );
    let touched = lab.path().join("touched");
    for decoy in DECOYS {
        for directory in ["", "bin/"] {
            let name = format!("{directory}{decoy}");
            lab.write(&name, &format!("#!/bin/sh\ntouch {}\nexit 1\n", touched.display()));
            sh(&format!("chmod 755 {}", lab.context(&name).display()));
        }
    }
    sh(&format!(
        "cd {} && echo x > f && tar -cJf context/archive.tar.xz f && chmod 777 .",
        lab.path().display()
    ));
    let trace = lab.path().join("trace");
    let command = lab.command_with(
        &["PATH=.:context:/usr/bin:/bin:/usr/sbin:/sbin"],
        &["build", "--progress=plain", "context", "-o", "out"],
    );
    // Only the execution of croze and what it starts on the machine is looked at: a step's programs are the image's.
    let output = std::process::Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(lab.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let outcome = Outcome::of(output);
    // Traced programs gain no privilege: then croze builds with one id only, which it says.
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!touched.exists(), "a decoy was run");
    let trace = std::fs::read_to_string(trace).unwrap();
    let run: BTreeSet<&str> = trace
        .lines()
        .filter(|line| line.contains("execve(") && line.ends_with("= 0"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let croze = croze_binary().to_str().unwrap();
    let of_the_image = ["/bin/sh", "/bin/cat"];
    for program in &run {
        let known = program.starts_with("/proc/") || *program == croze || program.starts_with("/memfd");
        let of_the_machine = [
            "/usr/bin/newuidmap",
            "/usr/bin/newgidmap",
            "/usr/bin/setpriv",
            "/usr/bin/env",
        ];
        assert!(
            known || of_the_machine.contains(program) || of_the_image.contains(program),
            "`{program}` was run: {run:?}"
        );
    }
    let mounts = std::fs::read_to_string(lab.path().join("out/mounts")).unwrap();
    // What is mounted from where, and where to; an overlay's options name its layers, which nobody can open by that.
    let places = mounts.lines().flat_map(|line| line.split(' ').skip(3).take(2));
    let of_croze: Vec<&str> = places
        .filter(|place| place.contains("_active") || place.contains("/state/"))
        .collect();
    assert_eq!(of_croze, Vec::<&str>::new(), "{mounts}");
}

#[test]
fn u18_a_build_is_the_same_under_any_umask_and_its_store_is_closed() {
    // What a step makes has the time of the step; its umask is Docker's, whatever croze's is.
    let lab = Lab::new("FROM BASE/busybox\nCOPY . /files/\nWORKDIR /made/by/croze\nADD --chmod=4755 plain /p\n");
    lab.write("plain", "x");
    let mut ids = Vec::new();
    for mask in ["000", "022", "077"] {
        let command = lab.command_with(&["SOURCE_DATE_EPOCH=1"], &["build", "-q", "--no-cache", "context"]);
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("umask {mask}; exec \"$@\""), "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(lab.path())
            .output()
            .unwrap();
        let outcome = Outcome::of(output);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        ids.push(outcome.stdout);
        let state = lab.path().join("state").display().to_string();
        // The harness has made `state` itself: what is in it, is croze's.
        let open = sh(&format!("find {state}/v1 -maxdepth 0 -perm /077"));
        assert_eq!(open, "", "umask {mask}");
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
