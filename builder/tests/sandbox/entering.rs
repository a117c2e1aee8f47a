//! Entering the user namespace, and what is said where that does not work.

use std::process::Command;

use super::Test;
use crate::driver::{self, Job, Report};
use crate::harness::{Sandbox, USER, USER_WITHOUT_IDS, Who, is_root, report, start};
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    inside_the_process_is_root_over_many_ids,
    a_user_without_subordinate_ids_is_told_the_command,
    no_new_privileges_is_told_with_the_field_to_set,
    used_up_namespaces_are_told_with_the_setting,
    the_doctor_finds_what_a_build_needs,
    the_doctor_names_what_is_missing_and_the_command,
];

fn enter(sandbox: &Sandbox) -> Report {
    report(start(sandbox.command(USER), &Job::Enter))
}

fn inside_the_process_is_root_over_many_ids(sandbox: &Sandbox) {
    let report = enter(sandbox);
    assert_eq!(report.exit, Ok(0), "{report:?}");
    assert!(report.stdout.contains("Uid:\t0\t0\t0\t0\n"), "{}", report.stdout);
    assert!(report.stdout.contains("Gid:\t0\t0\t0\t0\n"), "{}", report.stdout);
    let ids: u64 = report
        .stderr
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(ids >= 65536, "{}", report.stderr);
}

fn a_user_without_subordinate_ids_is_told_the_command(sandbox: &Sandbox) {
    if sandbox.who == Who::Root || !is_root() {
        return;
    }
    let report = report(start(sandbox.command(USER_WITHOUT_IDS), &Job::Enter));
    assert_eq!(
        report.exit,
        Err("`croze-nosub` has no subordinate user ids in `/etc/subuid`".into())
    );
    assert!(
        report
            .stderr
            .starts_with("run `sudo usermod --add-subuids 100000-165535 croze-nosub`"),
        "{report:?}"
    );
}

/// The driver, started by a shell that changes something about it first.
fn through(sandbox: &Sandbox, wrapper: &[&str]) -> Report {
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(sandbox.croze())
        .arg(driver::ARGUMENT)
        .current_dir("/");
    report(start(command, &Job::Enter))
}

fn no_new_privileges_is_told_with_the_field_to_set(sandbox: &Sandbox) {
    let report = match sandbox.who {
        // Root writes its map itself, and needs no helper to gain privileges.
        Who::Root => {
            assert_eq!(through(sandbox, &["setpriv", "--no-new-privs"]).exit, Ok(0));
            return;
        }
        Who::User if is_root() => through(
            sandbox,
            &[
                "setpriv",
                "--reuid",
                USER,
                "--regid",
                USER,
                "--init-groups",
                "--no-new-privs",
            ],
        ),
        Who::User => through(sandbox, &["setpriv", "--no-new-privs"]),
    };
    assert_eq!(
        report.exit,
        Err("`no_new_privs` is set, so `newuidmap` cannot work".into())
    );
    assert!(report.stderr.contains("allowPrivilegeEscalation: true"), "{report:?}");
}

fn used_up_namespaces_are_told_with_the_setting(sandbox: &Sandbox) {
    let report = report(start(sandbox.command(USER), &Job::EnterBeyondLimit));
    assert_eq!(
        report.exit,
        Err("the limit on user namespaces (`user.max_user_namespaces`) is reached".into())
    );
    assert!(
        report.stderr.contains("sysctl -w user.max_user_namespaces"),
        "{report:?}"
    );
}

/// What the doctor says to a user, as name → (status, cause or detail, fix).
fn examine(sandbox: &Sandbox, user: &str) -> (i32, serde_json::Value) {
    let job = Job::Examine {
        state_root: sandbox.path("scratch/not/yet"),
    };
    let report = report(start(sandbox.command(user), &job));
    (report.exit.unwrap(), serde_json::from_str(&report.stdout).unwrap())
}

fn need<'a>(needs: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    needs
        .as_array()
        .unwrap()
        .iter()
        .find(|need| need["name"] == name)
        .unwrap()
}

fn the_doctor_finds_what_a_build_needs(sandbox: &Sandbox) {
    let (exit, needs) = examine(sandbox, USER);
    assert_eq!(exit, 0, "{needs:#}");
    for name in [
        "user namespace",
        "subordinate ids",
        "newuidmap",
        "overlay on the state directory",
        "new /proc",
    ] {
        assert_eq!(need(&needs, name)["status"], "has", "{needs:#}");
    }
    // The probe has cleaned up after itself.
    assert_eq!(std::fs::read_dir(sandbox.path("scratch")).unwrap().count(), 0);
}

fn the_doctor_names_what_is_missing_and_the_command(sandbox: &Sandbox) {
    if sandbox.who == Who::Root || !is_root() {
        return;
    }
    let (exit, needs) = examine(sandbox, USER_WITHOUT_IDS);
    assert_eq!(exit, 1, "{needs:#}");
    let ids = need(&needs, "subordinate ids");
    assert_eq!(ids["status"], "misses");
    assert!(ids["fix"].as_str().unwrap().contains("usermod --add-subuids"), "{ids}");
    assert_eq!(
        need(&needs, "new /proc")["cause"],
        "not tried: it needs the user namespace"
    );
}
