//! Whether the attacks are attacks: against an unpacker that trusts archives nine in ten must succeed.
//!
//! Each test of a row (`u1_…`) is run again in a process, once with the crate's unpacker and once with the naive one,
//! in a copy of the machine's files that is thrown away: what gets out then, gets out into that.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::subject::NAIVE;

/// Runs the program `/it` in a root of its own over the machine's files; a test that hangs has failed.
const IN_A_COPY: &str = r#"
set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/tmp"
cp "$2" "$1/root/it"
shift 2
cd /
exec timeout --kill-after=5 40 chroot "$OLDPWD/root" "$@"
"#;

/// Runs one test and tells whether it passed.
fn passes(test: &str, naive: bool) -> bool {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=private", "sh", "-c", IN_A_COPY, "sh"])
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .args(["/it", "--exact", test, "--test-threads=1"])
        .current_dir(place.path())
        .env("TMPDIR", "/tmp")
        .stdin(Stdio::null());
    if naive {
        command.env(NAIVE, "1");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.contains("running 1 test");
    assert!(ran, "{test}: {said}{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

#[test]
fn nine_in_ten_attacks_succeed_against_an_unpacker_that_trusts_archives() {
    let list = Command::new(std::env::current_exe().unwrap())
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let is_row = |test: &&str| {
        let name = test.rsplit("::").next().unwrap_or(test);
        let row = name.strip_prefix('u').and_then(|rest| rest.split_once('_'));
        // Readers of good archives are no attack.
        row.is_some_and(|(number, _)| number.parse::<u32>().is_ok()) && !test.starts_with("disagreement::")
    };
    let results: BTreeMap<&str, (bool, bool)> = tests
        .filter(is_row)
        .map(|test| (test, (passes(test, false), passes(test, true))))
        .collect();
    let withstood: Vec<&str> = results
        .iter()
        .filter(|(_, result)| result.1)
        .map(|(test, _)| *test)
        .collect();
    for (test, (real, naive)) in &results {
        let word = |passed: &bool| if *passed { "withstands" } else { "falls" };
        println!("{test}: croze {}, a naive unpacker {}", word(real), word(naive));
    }
    println!(
        "{} of {} attacks succeed against it",
        results.len() - withstood.len(),
        results.len()
    );
    assert!(results.len() >= 20, "{results:?}");
    assert!(results.values().all(|(real, _)| *real), "{results:#?}");
    assert!(withstood.len() * 10 <= results.len(), "no attacks: {withstood:?}");
}
