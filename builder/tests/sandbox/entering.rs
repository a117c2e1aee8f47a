//! Entering the user namespace, and what is said where that does not work.

use std::process::Command;

use builder::rung::Rung;

use super::Test;
use crate::driver::{self, Job, Report};
use crate::harness::{Sandbox, USER, USER_WITHOUT_IDS, is_root, report};
use crate::place::Who;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    inside_the_process_is_root_over_its_ids,
    a_user_without_subordinate_ids_is_told_the_command,
    no_new_privileges_is_told_with_the_field_to_set,
    used_up_namespaces_are_told_with_the_setting,
    the_doctor_finds_what_a_build_needs,
    the_doctor_names_what_is_missing_and_the_command,
    direct_is_refused_to_who_lacks_the_capability,
];

fn enter(sandbox: &Sandbox) -> Report {
    report(sandbox.drive(sandbox.command(USER), Job::Enter))
}

fn inside_the_process_is_root_over_its_ids(sandbox: &Sandbox) {
    let report = enter(sandbox);
    assert_eq!(report.exit, Ok(0), "{report:?}");
    assert!(report.stdout.contains("Uid:\t0\t0\t0\t0\n"), "{}", report.stdout);
    assert!(report.stdout.contains("Gid:\t0\t0\t0\t0\n"), "{}", report.stdout);
    let ids: u64 = report
        .stderr
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap())
        .sum();
    match sandbox.place.rung {
        Rung::UsernsSingle | Rung::InPlaceSingle | Rung::Ptrace => assert_eq!(ids, 1),
        Rung::Direct | Rung::Userns | Rung::InPlace | Rung::Chroot => assert!(ids >= 65536, "{}", report.stderr),
    }
}

fn a_user_without_subordinate_ids_is_told_the_command(sandbox: &Sandbox) {
    if sandbox.place.who == Who::Root || !is_root() {
        return;
    }
    let report = report(sandbox.drive(sandbox.command(USER_WITHOUT_IDS), Job::Enter));
    if sandbox.place.rung == Rung::UsernsSingle {
        // It needs none.
        assert_eq!(report.exit, Ok(0), "{report:?}");
        return;
    }
    assert_eq!(
        report.exit,
        Err("`croze-nosub` has no subordinate user ids in `/etc/subuid`".into())
    );
    assert!(
        report
            .stderr
            .starts_with("on the machine: `sudo usermod --add-subuids 100000-165535 croze-nosub`"),
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
    report(sandbox.drive(command, Job::Enter))
}

fn no_new_privileges_is_told_with_the_field_to_set(sandbox: &Sandbox) {
    let report = match sandbox.place.who {
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
    if sandbox.place.rung == Rung::UsernsSingle {
        assert_eq!(report.exit, Ok(0), "{report:?}");
        return;
    }
    assert_eq!(
        report.exit,
        Err("`no_new_privs` is set, so `newuidmap` cannot work".into())
    );
    assert!(report.stderr.contains("allowPrivilegeEscalation: true"), "{report:?}");
}

fn used_up_namespaces_are_told_with_the_setting(sandbox: &Sandbox) {
    // Without a namespace of its own, the limit would be the machine's.
    if sandbox.place.rung == Rung::Direct {
        return;
    }
    let report = report(sandbox.drive(sandbox.command(USER), Job::EnterBeyondLimit));
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
    let report = report(sandbox.drive(sandbox.command(user), job));
    (report.exit.unwrap(), serde_json::from_str(&report.stdout).unwrap())
}

/// The needs of the first rung that was examined.
fn needs(examination: &serde_json::Value) -> &[serde_json::Value] {
    examination["rungs"][0]["needs"].as_array().unwrap()
}

fn need<'a>(examination: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    needs(examination).iter().find(|need| need["name"] == name).unwrap()
}

fn the_doctor_finds_what_a_build_needs(sandbox: &Sandbox) {
    let (exit, examination) = examine(sandbox, USER);
    assert_eq!(exit, 0, "{examination:#}");
    assert_eq!(examination["rung"], sandbox.place.rung.name(), "{examination:#}");
    assert!(needs(&examination).len() >= 3, "{examination:#}");
    for need in needs(&examination) {
        assert_eq!(need["status"], "has", "{examination:#}");
    }
    // The trial has cleaned up after itself.
    assert_eq!(std::fs::read_dir(sandbox.path("scratch")).unwrap().count(), 0);
}

fn the_doctor_names_what_is_missing_and_the_command(sandbox: &Sandbox) {
    if sandbox.place.who == Who::Root || !is_root() {
        return;
    }
    let (exit, examination) = examine(sandbox, USER_WITHOUT_IDS);
    if sandbox.place.rung == Rung::UsernsSingle {
        // It needs none; what it lacks is a place for its state, which is another user's.
        assert_eq!(need(&examination, "ids")["status"], "has");
        let state = need(&examination, "overlay on the state directory");
        assert!(
            state["cause"].as_str().unwrap().contains("Permission denied"),
            "{state}"
        );
        return;
    }
    assert_eq!(exit, 1, "{examination:#}");
    let ids = need(&examination, "ids");
    assert_eq!(ids["status"], "misses");
    let fix = &ids["fixes"][0];
    assert_eq!(fix["where"], "host");
    assert!(fix["do"].as_str().unwrap().contains("usermod --add-subuids"), "{ids}");
    // What does not depend on it is told at once.
    assert_eq!(need(&examination, "new /proc")["status"], "has");
    assert_eq!(
        need(&examination, "overlay on the state directory")["status"],
        "untried"
    );
}

fn direct_is_refused_to_who_lacks_the_capability(sandbox: &Sandbox) {
    if sandbox.place.rung != Rung::Direct {
        return;
    }
    let report = through(sandbox, &["setpriv", "--bounding-set", "-sys_admin"]);
    assert_eq!(report.exit, Err("croze has no `CAP_SYS_ADMIN`".into()));
    assert!(report.stderr.contains("`SYS_ADMIN`"), "{report:?}");
}
