//! Owners and credentials, real ones and shown ones: both must be what the kernel's rules make of them.
//!
//! Each test here says what Linux does, and is run in every sandbox. Two compare long runs of random calls with what the
//! kernel itself answers to them in `userns`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use builder::rung::{ProcView, Rung};

use snapshotter::Ownership;

use super::Test;
use crate::harness::Sandbox;
use crate::isolation::probing;
use crate::place::{Place, Who};
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    random_changes_of_credentials_are_answered_as_by_the_kernel,
    random_changes_of_files_are_answered_as_by_the_kernel,
    an_owner_that_was_given_is_read_back,
    a_static_program_can_give_files_away,
    what_a_user_makes_is_the_users,
    a_user_cannot_do_what_root_can,
    a_group_is_inherited_from_its_directory,
    what_is_written_to_loses_its_capabilities,
    what_a_user_writes_to_is_no_set_user_id_program,
    a_file_made_under_conditions_is_the_user_s,
    a_limit_on_locks_hinders_nothing,
    set_user_id_programs_take_on_their_owner,
    a_child_that_outlives_its_parent_keeps_its_user,
    a_mode_without_rights_does_not_hinder_root,
    a_fifo_and_a_socket_have_owners,
    own_links_in_proc_are_the_callers,
    standard_streams_can_be_written_through_links,
    the_status_in_proc_tells_of_the_user,
];

fn kernel(sandbox: &Sandbox) -> Sandbox {
    Sandbox::new(Place {
        rung: Rung::Userns,
        proc: ProcView::New,
        ..sandbox.place
    })
}

/// Whether there is anything to compare with.
fn is_shown(sandbox: &Sandbox) -> bool {
    match sandbox.place.rung {
        Rung::UsernsSingle => sandbox.place.who == Who::User,
        rung => rung.ownership() == Ownership::Emulated,
    }
}

#[track_caller]
fn assert_equal(shown: &str, real: &str, seed: &str) {
    let mut context: Vec<&str> = Vec::new();
    for (shown, real) in shown.lines().zip(real.lines()) {
        assert_eq!(
            shown,
            real,
            "seed {seed}, after:\n{}",
            context[context.len().saturating_sub(30)..].join("\n")
        );
        context.push(real);
    }
    assert_eq!(shown.lines().count(), real.lines().count());
}

fn compare(sandbox: &Sandbox, what: &str) {
    if !is_shown(sandbox) {
        return;
    }
    // `CROZE_SEEDS=1000` looks further.
    let count = std::env::var("CROZE_SEEDS").map_or(3, |count| count.parse().unwrap());
    for seed in 1..=count {
        let seed = seed.to_string();
        let real = probing(&kernel(sandbox), &[what, &seed]).stdout();
        let shown = probing(sandbox, &[what, &seed]).stdout();
        assert_equal(&shown, &real, &seed);
    }
}

fn random_changes_of_credentials_are_answered_as_by_the_kernel(sandbox: &Sandbox) {
    compare(sandbox, "random-credentials");
}

fn random_changes_of_files_are_answered_as_by_the_kernel(sandbox: &Sandbox) {
    compare(sandbox, "random-files");
}

fn an_owner_that_was_given_is_read_back(sandbox: &Sandbox) {
    let script = "touch f; mkdir d; ln -s f l; \
        chown 1:2 f; chown 33:33 d; chown -h 5:6 l; chmod 4750 f; \
        stat -c '%n %a %u:%g' f d l; chown -R 7:8 d; stat -c %u:%g d; chown 0:0 f d; stat -c '%a %u:%g' f d";
    let step = sandbox.sh(script).with(|process| process.cwd = "/tmp".into());
    assert_eq!(
        step.stdout(),
        "f 4750 1:2\nd 755 33:33\nl 777 5:6\n7:8\n750 0:0\n755 0:0\n"
    );
}

fn a_static_program_can_give_files_away(sandbox: &Sandbox) {
    // Busybox is one; this is the shell's own redirection, not the loader's.
    assert_eq!(
        sandbox
            .sh("cp /bin/busybox /tmp; /tmp/busybox chown 12:34 /tmp/busybox; /tmp/busybox stat -c %u:%g /tmp/busybox")
            .stdout(),
        "12:34\n"
    );
}

fn what_a_user_makes_is_the_users(sandbox: &Sandbox) {
    let script = "cd /tmp; id -u; touch f; mkdir d; ln -s f l; mkfifo p; (umask 077; touch g); cp f h; \
        stat -c '%n %a %u:%g' f d l p g h";
    assert_eq!(
        sandbox.sh(script).user(1000).stdout(),
        "1000\nf 644 1000:1000\nd 755 1000:1000\nl 777 1000:1000\np 644 1000:1000\ng 600 1000:1000\nh 644 1000:1000\n"
    );
}

fn a_user_cannot_do_what_root_can(sandbox: &Sandbox) {
    let secret = sandbox.image().join("etc/shadow");
    fs::write(&secret, "secret\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.give_to_user(&secret);
    for (script, message) in [
        ("cat /etc/shadow", "Permission denied"),
        ("touch /etc/x", "Permission denied"),
        ("echo x > /etc/passwd", "Permission denied"),
        ("rm -f /etc/passwd", "Permission denied"),
        ("mv /etc/passwd /tmp", "Permission denied"),
        ("chown 1000 /etc/passwd", "Operation not permitted"),
        ("chmod 777 /etc/passwd", "Operation not permitted"),
        ("mkdir -m 700 /tmp/d && chown 0 /tmp/d", "Operation not permitted"),
        ("chroot / true", "Operation not permitted"),
    ] {
        let ran = sandbox.sh(script).user(1000).run();
        assert_ne!(ran.report.exit, Ok(0), "{script}");
        assert!(ran.report.stderr.contains(message), "{script}: {:?}", ran.report);
    }
}

fn a_group_is_inherited_from_its_directory(sandbox: &Sandbox) {
    for group in [50, 0] {
        let script = format!(
            "mkdir /tmp/s; chown 0:{group} /tmp/s; chmod 2775 /tmp/s; cd /tmp/s; touch f; mkdir d; mkdir d/e; ln -s f l; \
             stat -c '%n %a %u:%g' . f d d/e l"
        );
        assert_eq!(
            sandbox.sh(&script).stdout(),
            format!(". 2775 0:{group}\nf 644 0:{group}\nd 2755 0:{group}\nd/e 2755 0:{group}\nl 777 0:{group}\n")
        );
    }
}

fn what_is_written_to_loses_its_capabilities(sandbox: &Sandbox) {
    let script = "cd /tmp; for way in 'echo >> f' 'echo > f' ': > f' '/probe --probe truncate f' '/probe --probe touch f' \
        'cat f'; do rm -f f; echo x > f; chmod 755 f; /probe --probe set-capabilities f; eval \"$way\" > /dev/null; \
        echo \"$way: $(/probe --probe has-capabilities f) $(stat -c %a f)\"; done";
    let step = probing(sandbox, &[]);
    let step = step.with(|process| process.args = ["/bin/sh", "-c", script].map(str::to_owned).into());
    assert_eq!(
        step.stdout(),
        "echo >> f: false 755\necho > f: false 755\n: > f: false 755\n/probe --probe truncate f: false 755\n\
         /probe --probe touch f: true 755\ncat f: true 755\n"
    );
}

fn what_a_user_writes_to_is_no_set_user_id_program(sandbox: &Sandbox) {
    let script = "cd /tmp; for mode in 4755 6755 6745 755; do rm -f f; echo x > f; chmod $mode f; echo >> f; \
        stat -c %a f; done";
    assert_eq!(sandbox.sh(script).user(1000).stdout(), "755\n755\n2745\n755\n");
}

fn a_file_made_under_conditions_is_the_user_s(sandbox: &Sandbox) {
    // Beneath, without links, and both with what they forbid.
    let script = "cd /tmp; mkdir d; ln -s d l; for path in d/a l/b ../tmp/c d/../e; do \
        /probe --probe open-beneath . $path; done; stat -c '%n %u' d/* e";
    let step = probing(sandbox, &[]).user(1000);
    let step = step.with(|process| process.args = ["/bin/sh", "-c", script].map(str::to_owned).into());
    assert_eq!(step.stdout(), "ok\nELOOP\nEXDEV\nok\nd/a 1000\ne 1000\n");
}

fn a_limit_on_locks_hinders_nothing(sandbox: &Sandbox) {
    let step = sandbox.sh("umask 027; touch /tmp/f; stat -c %a /tmp/f; su bob -c id\\ -u");
    let step = step.with(|process| process.limits = vec!["locks=5".parse().unwrap()]);
    assert_eq!(step.stdout(), "640\n1000\n");
}

fn set_user_id_programs_take_on_their_owner(sandbox: &Sandbox) {
    // Not busybox: it gives the privilege up.
    let image = sandbox.image().join("bin/setid");
    fs::copy(sandbox.croze(), &image).unwrap();
    sandbox.give_to_user(&image);
    let script = "chown 5:6 /bin/setid; chmod 6755 /bin/setid; /bin/setid --probe ids; \
        chmod 755 /bin/setid; /bin/setid --probe ids";
    let step = probing(sandbox, &[]);
    let step = step.with(|process| process.args = ["/bin/sh", "-c", script].map(str::to_owned).into());
    assert_eq!(step.stdout(), "0 5 5 / 0 6 6\n0 0 0 / 0 0 0\n");
}

fn a_child_that_outlives_its_parent_keeps_its_user(sandbox: &Sandbox) {
    let script = "(sleep 0.2; id -u > /tmp/who; mv /tmp/who /tmp/done) & exit 0";
    let step = sandbox.sh(&format!(
        "chmod 777 /tmp; su bob -c '{script}'; while ! test -e /tmp/done; do sleep 0.05; done; cat /tmp/done"
    ));
    assert_eq!(step.stdout(), "1000\n");
}

fn a_mode_without_rights_does_not_hinder_root(sandbox: &Sandbox) {
    let script = "cd /tmp; echo s > z; chmod 000 z; cat z; stat -c %a z; mkdir -m 555 ro; touch ro/x; stat -c %a ro; \
        umask 0777; echo t > y; cat y; stat -c %a y; rm -rf ro";
    assert_eq!(sandbox.sh(script).stdout(), "s\n0\n555\nt\n0\n");
}

fn a_fifo_and_a_socket_have_owners(sandbox: &Sandbox) {
    let script = "cd /tmp; mkfifo p; chown 3:4 p; stat -c '%n %F %u:%g' p; \
        mkdir d; chown 1000 d; su bob -c 'cd d; /probe --probe bind s'; stat -c '%n %F %u:%g' d/s; \
        chown 5:6 d/s; stat -c %u:%g d/s; rm d/s; mkfifo d/s; stat -c %u:%g d/s";
    let step = probing(sandbox, &[]);
    let step = step.with(|process| process.args = ["/bin/sh", "-c", script].map(str::to_owned).into());
    assert_eq!(step.stdout(), "p fifo 3:4\nd/s socket 1000:1000\n5:6\n0:0\n");
}

fn own_links_in_proc_are_the_callers(sandbox: &Sandbox) {
    let script = "exec 7</etc/passwd; stat -L -c %i /proc/self/fd/7 /dev/fd/7 /etc/passwd | sort -u | wc -l; \
        readlink /proc/self/exe; stat -c %F /dev/stdin /proc/self/cwd /proc/thread-self; ls /proc/self/task | wc -l";
    assert_eq!(
        sandbox.sh(script).stdout(),
        "1\n/bin/busybox\nsymbolic link\nsymbolic link\nsymbolic link\n1\n"
    );
}

fn standard_streams_can_be_written_through_links(sandbox: &Sandbox) {
    for user in [0, 1000] {
        let script = "ln -s /dev/stdout /tmp/log; echo one > /tmp/log; echo two >> /dev/stdout; echo three > /dev/fd/1";
        assert_eq!(sandbox.sh(script).user(user).stdout(), "one\ntwo\nthree\n");
    }
}

fn the_status_in_proc_tells_of_the_user(sandbox: &Sandbox) {
    let script = "grep -E '^(Uid|Gid)' /proc/self/status; stat -c %u /proc/self/; cat /proc/self/environ | wc -c";
    let step = sandbox.sh(script).user(1000).with(|process| process.env.clear());
    let stdout = step.stdout();
    assert!(
        stdout.starts_with("Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\n1000\n"),
        "{stdout}"
    );
}
