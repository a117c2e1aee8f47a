//! The hunt for canaries: secrets are in nothing that a build leaves or prints (row S1).

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use base64::Engine as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Lab, Outcome, Registry, sh};

/// A word that is nowhere else, and of which no form is.
fn canary(name: &str) -> String {
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    format!("cnry{name}{}", random.trim().replace('-', ""))
}

/// The forms in which a word may have been written down.
fn forms(word: &str) -> Vec<String> {
    let mut forms = vec![
        word.to_owned(),
        word.bytes().map(|byte| format!("{byte:02x}")).collect(),
        word.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    ];
    // What comes before decides how the word is packed; its ends depend on what is beside it.
    for before in 0..3 {
        let text = [&vec![b'x'; before], word.as_bytes()].concat();
        let packed = base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
        forms.push(packed[4..packed.len() - 4].to_owned());
    }
    forms
}

/// Fails if a secret is in what was printed, or in any file of the lab but those that were given.
fn assert_absent(lab: &Lab, secrets: &[&str], printed: &[&Outcome]) {
    let patterns = lab.path().join("patterns");
    let all: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    std::fs::write(&patterns, all.join("\n")).unwrap();
    let path = lab.path().display();
    // Blobs are packed: each is looked at unpacked too.
    let found = sh(&format!(
        r#"cd {path}; grep -rlaF -f patterns state out metadata.json registry 2>/dev/null || true
        find state out registry -type f 2>/dev/null | while read -r file; do
            if gzip -t "$file" 2>/dev/null; then
                gzip -dc "$file" | grep -qaF -f patterns && echo "unpacked $file"
            fi
        done || true"#
    ));
    assert_eq!(found, "", "a secret was written down");
    for outcome in printed {
        for form in &all {
            assert!(
                !outcome.stdout.contains(form) && !outcome.stderr.contains(form),
                "{}",
                outcome.stderr
            );
        }
    }
}

#[test]
fn s1_secrets_are_in_nothing_that_a_build_leaves_or_prints() {
    let [file, variable, password, unused] = ["file", "variable", "password", "unused"].map(canary);
    let use_them = "RUN --mount=type=secret,id=file,required=true --mount=type=secret,id=variable,env=TOKEN \
                    test -s /run/secrets/file && test -n \"$TOKEN\" && sleep ${SECONDS:-0}";
    let lab = Lab::new(&format!("FROM BASE/busybox\n{use_them} && echo made > /made\n"));
    let given = lab.path().join("given");
    std::fs::write(&given, &file).unwrap();
    std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o644)).unwrap();
    let registry = Registry::start();
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{password}"));
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
    let variables = [
        format!("DOCKER_AUTH_CONFIG={config}"),
        format!("TOKEN={variable}"),
        format!("UNUSED={unused}"),
    ];
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let run = |words: &[&str]| {
        let secrets = ["--secret", "id=file,src=given", "--secret", "id=variable,env=TOKEN"];
        let output = lab
            .command_with(&variables, &[words, &secrets].concat())
            .stdin(Stdio::null())
            .output();
        Outcome::of(output.unwrap())
    };
    let tag = format!("{}/app:1", registry.host());
    let (with_log, with_json) = (
        run(&[
            "build",
            "--progress=plain",
            "context",
            "-t",
            &tag,
            "--push",
            "--provenance=mode=max",
            "--metadata-file",
            "metadata.json",
        ]),
        run(&["build", "--progress=rawjson", "--no-cache", "context", "-o", "out"]),
    );
    assert_eq!(
        (with_log.code, with_json.code),
        (0, 0),
        "{}{}",
        with_log.stderr,
        with_json.stderr
    );
    sh(&format!(
        "cp -r {} {}/registry",
        registry.storage().display(),
        lab.path().display()
    ));
    let secrets = [file.as_str(), &variable, &password, &unused];
    assert_absent(
        &lab,
        &secrets,
        &[&with_log, &with_json, &run(&["history"]), &run(&["logs"])],
    );

    // A step that fails shows its line and its log.
    lab.write(
        "Dockerfile",
        &lab.fill(&format!("FROM BASE/busybox\n{use_them} && exit 7\n")),
    );
    let failed = run(&["build", "--progress=plain", "-v", "context"]);
    assert_eq!(failed.code, 4, "{}", failed.stderr);
    assert_absent(&lab, &secrets, &[&failed]);

    // One that is killed has no chance to tidy up.
    lab.write(
        "Dockerfile",
        &lab.fill(&format!("FROM BASE/busybox\nENV SECONDS=96.31\n{use_them}\n")),
    );
    let words = [
        "build",
        "context",
        "--secret",
        "id=file,src=given",
        "--secret",
        "id=variable,env=TOKEN",
    ];
    let mut child = lab
        .command_with(&variables, &words)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while sh("pgrep -f '^sleep 96.31' || true").is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "the step does not begin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let seen = sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep '[c]nry' || true");
    child.kill().unwrap();
    child.wait().unwrap();
    let of_variables = seen
        .lines()
        .filter(|line| !line.starts_with("TOKEN=") && !line.starts_with("UNUSED="));
    assert_eq!(
        of_variables.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "a secret is on a command line"
    );
    assert_absent(&lab, &secrets, &[]);
}

#[test]
fn s1_a_crash_leaves_no_memory_behind() {
    let lab = Lab::new("FROM BASE/busybox\nRUN sleep 96.47\n");
    // What a shell without limits would start it with.
    let limit = getrlimit(Resource::Core);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Core, all).unwrap();
    let mut command = lab.command_with(&[], &["build", "context"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    setrlimit(Resource::Core, limit).unwrap();
    let begun = std::time::Instant::now();
    while sh("pgrep -f '^sleep 96.47' || true").is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "the step does not begin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let of_core = limits.lines().find(|line| line.starts_with("Max core file size"));
    assert_eq!(
        of_core.and_then(|line| line.split_whitespace().nth(4)),
        Some("0"),
        "{limits}"
    );
    sh(&format!("kill -ABRT {}", child.id()));
    let ended = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(6),
        "{ended}"
    );
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&ended), "{ended}");
}
