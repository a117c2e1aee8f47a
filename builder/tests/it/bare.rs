//! Where nothing may be mounted and nobody become root, everything but `RUN` gives the same images.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::harness::{BareMachine, Lab, sh};

/// Everything that needs no process, with owners, modes, links and archives that only root could make.
const DOCKERFILE: &str = "\
FROM BASE/debian AS made
COPY --chown=1000:100 app /srv/app
COPY --chown=games app/link /srv/link
COPY --chmod=4711 app/tool /usr/local/bin/tool
ADD owned.tar /srv/owned
USER games
WORKDIR /srv/games/deep
FROM BASE/debian
COPY --from=made /srv /srv
COPY --from=made --chmod=0000 /srv/app/tool /secret
COPY --from=made /etc/shadow /etc/passwd /accounts/
COPY <<END /srv/app/tool
replaced
END
WORKDIR /work
ENTRYPOINT [\"/srv/app/tool\"]
";

fn lab() -> Lab {
    let lab = Lab::new(DOCKERFILE);
    lab.write("app/tool", "#!/bin/sh\n").write("app/sub/file", "content");
    sh(&format!(
        "cd {}; ln -s tool app/link; ln app/tool app/again; mkfifo app/pipe
         mkdir owned; touch owned/a; ln -s a owned/l; mkfifo owned/p; chmod 2750 owned
         tar --owner=77 --group=88 --mtime=@1000000000 -cf owned.tar owned; rm -r owned; chown -hR croze-ci .",
        lab.context("").display()
    ));
    lab
}

/// Makes whatever is made now as old as everything else.
const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=1700000000";

#[test]
fn images_without_run_are_the_same_on_a_bare_machine() {
    let (lab, machine) = (lab(), BareMachine::new());
    let output = |name: &str| format!("type=oci,rewrite-timestamp=true,dest={name}");
    lab.build(&[EPOCH, "-o", &output("userns.tar")]);
    machine.build(&lab, &[EPOCH, "-o", &output("bare.tar")]);
    let [userns, bare] = ["userns.tar", "bare.tar"].map(|name| fs::read(lab.path().join(name)).unwrap());
    assert!(userns == bare, "the images differ");
    // The store is the user's own from top to bottom.
    let others = format!("find {} ! -user croze-ci", lab.path().join("state/bare").display());
    assert_eq!(sh(&others), "");
    let again = machine.build(&lab, &[EPOCH, "-o", &output("again.tar")]);
    assert!(again.stderr.contains("WORKDIR /work\n#"), "{}", again.stderr);
    assert_eq!(again.stderr.matches(" CACHED\n").count(), 10, "{}", again.stderr);
    assert!(fs::read(lab.path().join("again.tar")).unwrap() == bare);
}

#[test]
fn exported_files_are_the_same_on_a_bare_machine_and_have_the_devices() {
    let (lab, machine) = (lab(), BareMachine::new());
    lab.build(&[EPOCH, "-o", "type=tar,dest=userns.tar"]);
    machine.build(&lab, &[EPOCH, "-o", "type=tar,dest=bare.tar"]);
    let list = |name: &str| sh(&format!("tar --numeric-owner -tvf {}/{name}", lab.path().display()));
    // A user namespace has no devices.
    let (devices, others): (Vec<String>, Vec<String>) = list("bare.tar")
        .lines()
        .map(str::to_owned)
        .partition(|line| line.starts_with('c'));
    assert_eq!(others, list("userns.tar").lines().collect::<Vec<_>>());
    assert!(
        devices
            .iter()
            .any(|line| line.contains("1,3") && line.ends_with(" dev/null")),
        "{devices:?}"
    );
}

#[test]
fn a_directory_that_was_exported_read_only_is_exported_to_again() {
    let lab = Lab::new("FROM scratch\nCOPY --chmod=0555 d /d\n");
    let machine = BareMachine::new();
    for content in ["1", "2"] {
        lab.write("d/sub/file", content);
        machine.build(&lab, &["-o", "out"]);
        assert_eq!(fs::read_to_string(lab.path().join("out/d/sub/file")).unwrap(), content);
        assert_eq!(
            fs::metadata(lab.path().join("out/d/sub")).unwrap().mode() & 0o7777,
            0o555
        );
    }
}

#[test]
fn the_store_of_a_bare_machine_is_measured_and_pruned() {
    let (lab, machine) = (lab(), BareMachine::new());
    machine.build(&lab, &[]);
    let used = machine.croze(&lab, &["du"]);
    assert_eq!(used.code, 0, "{}", used.stderr);
    assert!(used.stdout.contains("unpacked layers"), "{}", used.stdout);
    let pruned = machine.croze(&lab, &["prune", "--all"]);
    assert_eq!(pruned.code, 0, "{}", pruned.stderr);
    let left = format!(
        "ls -d {}/[a-z0-9]* 2> /dev/null || true",
        lab.path().join("state/bare/v1-emulated/snap").display()
    );
    assert_eq!(sh(&left), "");
}
