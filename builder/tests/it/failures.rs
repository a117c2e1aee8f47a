//! What fails says what, where, why and what to do, with the exit code of the table.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Lab, Outcome, sh};

/// Made by `testdata/setup.sh`.
const USER_WITHOUT_IDS: &str = "croze-nosub";

#[test]
fn a_missing_context_or_dockerfile_is_a_missing_input() {
    let lab = Lab::new("FROM scratch\n");
    lab.croze(&["build", "absent"]).fails(5, &["absent"]);
    lab.croze(&["build", "-f", "context/Dockerfil", "context"])
        .fails(5, &["Dockerfil", "Dockerfile"]);
    sh(&format!("rm {}", lab.context("Dockerfile").display()));
    lab.croze(&["build", "context"]).fails(5, &["Dockerfile"]);
}

#[test]
fn a_context_that_cannot_be_read_names_the_path() {
    let lab = Lab::new("FROM scratch\nCOPY . /\n");
    lab.write("secret/file", "");
    sh(&format!(
        "chown root {0} && chmod 700 {0}",
        lab.context("secret").display()
    ));
    lab.croze(&["build", "context"])
        .fails(5, &["secret", "permission denied"]);
}

#[test]
fn an_unknown_instruction_points_at_its_line_and_suggests_another() {
    let lab = Lab::new("FROM scratch\nCOPPY a b\nRUM x\n");
    let outcome = lab.croze(&["build", "context"]);
    outcome.fails(
        3,
        &[
            "Dockerfile:2:1",
            "Dockerfile:3:1",
            "COPPY",
            "did you mean",
            "COPY",
            "RUN",
            "^^^",
        ],
    );
}

#[test]
fn a_missing_base_says_which_image_of_which_registry() {
    let lab = Lab::new("FROM BASE/absent:7\nRUN true\n");
    lab.croze(&["build", "context"])
        .fails(5, &["absent:7", "Dockerfile:1", "not found"]);
}

#[test]
fn a_registry_that_refuses_connections_is_a_network_failure() {
    let lab = Lab::new("FROM 127.0.0.1:1/image\nRUN true\n");
    lab.croze(&["build", "context"]).fails(6, &["127.0.0.1:1", "refused"]);
}

#[test]
fn a_run_that_fails_shows_its_log_its_line_and_its_code() {
    let lab = Lab::new("FROM BASE/busybox\nRUN echo the last words; exit 42\n");
    let outcome = lab.croze(&["build", "--progress=quiet", "context"]);
    outcome.fails(4, &["the last words", "Dockerfile:2", "exit code: 42", "full log"]);
    assert_eq!(lab.croze(&["build", "--exit-code=run", "context"]).code, 42);
    lab.write("Dockerfile", &lab.fill("FROM BASE/busybox\nRUN [\"absent-command\"]\n"));
    lab.croze(&["build", "context"])
        .fails(4, &["absent-command", "Dockerfile:2"]);
}

#[test]
fn a_missing_source_of_a_copy_tells_what_hid_it_or_what_is_near() {
    let lab = Lab::new("FROM scratch\nCOPY hiden.txt /\n");
    lab.write("hidden.txt", "").write("other", "");
    lab.croze(&["build", "context"])
        .fails(5, &["Dockerfile:2", "hiden.txt", "hidden.txt"]);
    lab.write("Dockerfile", "FROM scratch\nCOPY hidden.txt /\n")
        .write(".dockerignore", "# x\n*.txt\n");
    lab.croze(&["build", "context"])
        .fails(5, &["hidden.txt", ".dockerignore:2", "*.txt"]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place_and_what_was_meant() {
    let lab = Lab::new(
        "FROM scratch\nFNTRYPOINT [\"x\"]\nCOPY --frm=x a /\nENV\nRUN --mount=typ=tmpfs true\n\
         RUN --mount=type=cach,target=/x true\nRUN --network=hst true\nLABEL a=b c\nCOPY <<EOF /x\nnever ends\n",
    );
    let outcome = lab.croze(&["build", "context"]);
    outcome.fails(3, &[]);
    for (place, line, caret, said) in [
        ("2:1", "FNTRYPOINT [\"x\"]", "^^^^^^^^^^", "(did you mean ENTRYPOINT?)"),
        ("3:6", "COPY --frm=x a /", "     ^^^^^^^", "(did you mean from?)"),
        ("4:1", "ENV", "^^^", "ENV requires at least one argument"),
        (
            "5:13",
            "RUN --mount=typ=tmpfs true",
            "            ^^^",
            "(did you mean type?)",
        ),
        (
            "6:18",
            "RUN --mount=type=cach,target=/x true",
            "                 ^^^^",
            "(did you mean cache?)",
        ),
        (
            "7:15",
            "RUN --network=hst true",
            "              ^^^",
            "(did you mean host?)",
        ),
        ("8:11", "LABEL a=b c", "          ^", "Must be of the form: name=value"),
        (
            "9:6",
            "COPY <<EOF /x",
            "     ^^^^^ a line `EOF` must end it",
            "unterminated heredoc",
        ),
    ] {
        let number = place.split(':').next().unwrap();
        let excerpt = format!(" --> Dockerfile:{place}\n  |\n{number} | {line}\n  | {caret}\n");
        assert!(
            outcome.stderr.contains(&excerpt),
            "{excerpt}\nis not in:\n{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(said), "`{said}` is not in:\n{}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.matches("error: ").count(), 8, "{}", outcome.stderr);
}

#[test]
fn what_is_missing_is_pointed_at_in_its_instruction() {
    let lab = Lab::new("");
    lab.write("source/main.c", "");
    for (text, ignore, code, said) in [
        (
            "FROM scratch\nCOPY source/main.c sorce/main.c /x/\n",
            "",
            5,
            &[":2:20\n", "did you mean `source/main.c`?"][..],
        ),
        (
            "FROM scratch\nRUN --mount=source=sorce,target=/x true\n",
            "",
            5,
            &[":2:20\n", "did you mean `source`?"],
        ),
        (
            "FROM scratch\nADD [\"source/main.c\", \"/\"]\n",
            "*\n",
            5,
            &[
                ":2:7\n",
                ".dockerignore:1: `*` hides it",
                "add `!source/main.c` below line 1",
            ],
        ),
        (
            "FROM scratch AS build\nFROM scratch\n",
            "",
            3,
            &["\"biuld\" could not be found (did you mean build?)"],
        ),
        ("FROM scratch\nRUN make\n", "", 4, &[":2:1\n", "the stage has no shell"]),
        ("", "", 3, &["the Dockerfile cannot be empty", "--> Dockerfile\n"]),
        ("# nothing\n", "", 3, &["file with no instructions", "--> Dockerfile\n"]),
    ] {
        lab.write("Dockerfile", text).write(".dockerignore", ignore);
        let target: &[&str] = if text.contains("AS build") {
            &["--target", "biuld"]
        } else {
            &[]
        };
        lab.croze(&[&["build", "context"], target].concat()).fails(code, said);
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let lab = Lab::new("FROM scratch\n");
    lab.croze(&["build", "--no-such-option", "context"])
        .fails(2, &["--no-such-option"]);
    lab.croze(&["build", "--push", "context"]).fails(2, &["tag"]);
    lab.croze(&["build", "-t", "Not A Name", "context"])
        .fails(2, &["Not A Name"]);
    lab.croze(&["build", "-o", "type=ocy,dest=x", "context"])
        .fails(2, &["ocy", "oci"]);
    lab.croze(&["build", "--platform", "../x", "context"])
        .fails(2, &["../x"]);
    lab.croze(&["build", "--build-context", "context=.", "context"])
        .fails(2, &["a meaning of its own"]);
    lab.croze(&["build", "-o", "-", "-o", "type=oci,dest=-", "context"])
        .fails(2, &["only one output"]);
    lab.croze(&["build", "-q", "-o", "type=oci,dest=-", "context"])
        .fails(2, &["`--quiet`"]);
    lab.croze(&["build", "--annotation", "index:a=b", "context"])
        .fails(2, &["no index to annotate"]);
    lab.croze(&["build", "-o", "type=oci,dest=x,annotation-index.a=b", "context"])
        .fails(2, &["no index to annotate"]);
    assert_eq!(lab.croze(&["build", "--target=", "context"]).code, 0);
}

#[test]
fn what_the_dockerfile_may_not_ask_for_is_refused_before_anything_runs() {
    let lab = Lab::new("FROM BASE/busybox\nRUN echo first > /dev/null\nRUN --network=host true\n");
    let outcome = lab.croze(&["build", "--progress=plain", "context"]);
    outcome.fails(3, &["network.host", "--allow", "Dockerfile:3"]);
    assert!(
        !outcome.stderr.contains("DONE") || !outcome.stderr.contains("RUN echo first"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_secret_that_is_missing_fails_and_one_that_is_there_leaves_no_trace() {
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN --mount=type=secret,id=token,required=true --mount=type=secret,id=token,env=TOKEN \
         test \"$(cat /run/secrets/token)\" = \"$TOKEN\" && ls -l /run/secrets/token > /listing\n",
    );
    lab.croze(&["build", "context"])
        .fails(5, &["token", "not found", "Dockerfile:2"]);
    // Also one that no step asks for.
    lab.croze(&["build", "context", "--secret", "id=other,src=nowhere"])
        .fails(5, &["secret `other`: cannot read `nowhere`", "No such file", "`src=`"]);
    sh(&format!(
        "echo -n cnry-7f3a > {0}/token && chown --reference={0} {0}/token",
        lab.path().display()
    ));
    let out = lab.build_files(&["--secret", "id=token,src=token"]);
    assert!(
        std::fs::read_to_string(out.join("listing"))
            .unwrap()
            .starts_with("-r--------")
    );
    assert!(!out.join("run/secrets").exists(), "the mount point stayed in the layer");
    let found = sh(&format!(
        "grep -rl cnry-7f3a {0}/state {0}/out || true",
        lab.path().display()
    ));
    assert_eq!(found, "", "the secret was written down");
}

#[test]
fn a_full_disk_is_said_and_the_next_smaller_build_works() {
    let lab = Lab::new("FROM BASE/busybox\nRUN dd if=/dev/zero of=/big bs=1M count=100\n");
    let state = lab.path().join("small");
    sh(&format!(
        "mkdir {0} && mount -t tmpfs -o size=24m,mode=0700,uid=$(stat -c %u {1}),gid=$(stat -c %g {1}) none {0}",
        state.display(),
        lab.path().display()
    ));
    let root = format!("--root={}", state.display());
    let full = lab.croze(&[&root, "build", "--progress=plain", "context"]);
    lab.write("Dockerfile", &lab.fill("FROM BASE/busybox\nRUN echo small > /small\n"));
    let next = lab.croze(&[
        &root,
        "build",
        "--progress=plain",
        "-o",
        "type=tar,dest=/dev/null",
        "context",
    ]);
    sh(&format!("umount {}", state.display()));
    full.fails(10, &["no space left", "prune"]);
    assert_eq!(next.code, 0, "{}", next.stderr);
}

/// Runs croze as a user without subordinate ids.
fn croze_without_ids(lab: &Lab, args: &[&str]) -> Outcome {
    let (path, user) = (lab.path().display(), USER_WITHOUT_IDS);
    sh(&format!("mkdir -p {path}/theirs && chown {user} {path}/theirs"));
    let output = std::process::Command::new("setpriv")
        .args([
            "--reuid",
            user,
            "--regid",
            user,
            "--init-groups",
            "--inh-caps=-all",
            "--",
        ])
        .args(["env", "-i", "PATH=/usr/bin:/bin", &format!("HOME={path}/theirs")])
        .arg(crate::harness::croze_binary())
        .args(args)
        .output()
        .unwrap();
    Outcome::of(output)
}

#[test]
fn a_user_without_subordinate_ids_is_told_the_exact_remedy() {
    let lab = Lab::new("FROM BASE/busybox\nRUN true\n");
    let context = lab.context("").display().to_string();
    let outcome = croze_without_ids(&lab, &["build", "--sandbox=userns", &context]);
    outcome.fails(9, &["/etc/subuid", "usermod --add-subuids", USER_WITHOUT_IDS]);
}

#[test]
fn a_user_without_subordinate_ids_has_a_supervisor_show_them() {
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN touch /file && chown 33:44 /file && chmod 4750 /file\nRUN stat -c %u:%g /file\n",
    );
    let context = lab.context("").display().to_string();
    let built = lab.path().join("theirs/image.tar").display().to_string();
    let output = format!("type=tar,dest={built}");
    let outcome = croze_without_ids(&lab, &["build", "--progress=plain", "-o", &output, &context]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("sandbox: userns-single"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(" 33:44\n"), "{}", outcome.stderr);
    let listed = sh(&format!("tar --numeric-owner -tvf {built} file"));
    assert!(listed.starts_with("-rwsr-x--- 33/44 "), "{listed}");
}

#[test]
fn an_interrupt_ends_the_step_and_the_build_with_130() {
    let lab = Lab::new("FROM BASE/busybox\nRUN echo begun; sleep 98.76\n");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let child = lab
            .command(&["build", "--progress=plain", "context"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("sleep 98.76", true);
        sh(&format!("kill -{signal} {}", child.id()));
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        wait_for("sleep 98.76", false);
    }
}

#[test]
fn a_killed_build_leaves_no_process_and_a_usable_store() {
    let lab = Lab::new("FROM BASE/busybox\nRUN (setsid sleep 97.53 &); echo begun; sleep 97.54\n");
    let mut child = lab
        .command(&["build", "--progress=plain", "context"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("sleep 97.54", true);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("sleep 97.5", false);
    lab.write(
        "Dockerfile",
        &lab.fill("FROM BASE/busybox\nRUN echo usable > /usable\n"),
    );
    let out = lab.build_files(&[]);
    assert!(out.join("usable").exists());
    let active = sh(&format!(
        "ls -A {}/state/v1/snap/_active {0}/state/v1/run || true",
        lab.path().display()
    ));
    assert!(!active.contains("sleep"), "{active}");
}

/// Waits until a process with these words runs, or none does, for at most ten seconds; one for none.
fn wait_for(words: &str, running: bool) {
    let patience = if running {
        Duration::from_secs(20)
    } else {
        Duration::from_secs(1)
    };
    let begun = Instant::now();
    while sh(&format!("pgrep -f '^{words}' || true")).is_empty() == running {
        assert!(
            begun.elapsed() < patience,
            "`{words}` is {} after {patience:?}",
            if running { "not running" } else { "still running" }
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
