//! The sandbox in which the kernel has another root than the step.

use super::Test;
use crate::harness::{Sandbox, Step};
use crate::isolation::probing;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    programs_are_known_by_the_path_they_were_started_by,
    a_script_is_interpreted_in_the_step_s_root,
    a_program_can_be_started_as_soon_as_it_is_written,
    links_and_dots_end_at_the_step_s_root,
    a_slash_asks_for_a_directory_and_follows_no_link,
    sockets_have_their_paths_in_the_step_s_root,
    nobody_can_be_traced,
    the_arguments_of_a_call_are_nobody_s_business,
    no_filter_of_a_step_s_own_sees_what_the_supervisor_does,
    a_message_that_waits_for_room_survives_a_stop,
    a_step_that_is_killed_while_a_message_waits_is_told_as_killed,
    a_signal_ends_whoever_waits_for_room,
    a_signal_ends_whoever_waits_for_the_other_end_of_a_fifo,
    a_fifo_is_waited_for_however_it_is_come_by,
    a_fifo_that_was_waited_for_has_the_lowest_descriptor,
    a_signal_that_is_caught_interrupts_the_wait_for_the_other_end_of_a_fifo,
    a_signal_reaches_a_program_that_starts_others_all_the_time,
    processes_that_are_killed_when_they_start_a_program_can_be_waited_for,
];

fn ends(step: Step<'_>, code: i32, stdout: &str) {
    let report = step.run().report;
    assert_eq!((&report.exit, &*report.stdout), (&Ok(code), stdout), "{report:?}");
}

fn programs_are_known_by_the_path_they_were_started_by(sandbox: &Sandbox) {
    let script = "readlink /proc/self/exe; cat /proc/self/comm; cat /proc/$$/comm; cd /bin; ./cat /proc/self/comm; \
        ../bin/cat /proc/self/comm; mkdir /tmp/b; cp busybox /tmp/b/readlink; /tmp/b/readlink /proc/self/exe; \
        grep -c '/bin/busybox$' /proc/self/maps > /dev/null && echo mapped";
    let ran = sandbox.sh(script).run();
    assert_eq!(
        ran.report.stdout, "/bin/busybox\ncat\nsh\ncat\ncat\n/tmp/b/readlink\nmapped\n",
        "{:?}",
        ran.report
    );
}

fn a_script_is_interpreted_in_the_step_s_root(sandbox: &Sandbox) {
    let script = "printf '#!/bin/sh -e\necho \"$0 $*\"; cat /proc/$$/comm; false; echo not' > /bin/inner; \
        printf '#! /bin/inner  an argument \n' > /tmp/outer; chmod +x /bin/inner /tmp/outer; cd /tmp; ./outer x y; echo $?; \
        printf '#!/none\n' > /tmp/none; chmod +x none; ./none; echo $?; printf 'echo plain' > plain; chmod +x plain; ./plain";
    let ran = sandbox.sh(script).run();
    assert_eq!(
        ran.report.stdout, "/bin/inner an argument ./outer x y\nouter\n1\n127\nplain\n",
        "{:?}",
        ran.report
    );
}

fn a_program_can_be_started_as_soon_as_it_is_written(sandbox: &Sandbox) {
    // Whoever supervises it is to be kept from its work.
    let script = "cd /tmp; (while :; do :; done) & (while :; do :; done) & number=0; while [ $number -lt 500 ]; do \
        number=$((number + 1)); printf 'echo started' > p$number; chmod +x p$number; ./p$number > said || exit; done; \
        echo $number";
    let ran = sandbox.sh(script).run();
    assert_eq!(ran.report.stdout, "500\n", "{:?}", ran.report);
}

fn links_and_dots_end_at_the_step_s_root(sandbox: &Sandbox) {
    let script = "cat /../../etc/group | head -1; ln -s /etc /tmp/e; ln -s ../../../../etc /tmp/d; cat /tmp/e/group /tmp/d/group | \
        grep -c root; cd /tmp/e; pwd -P; cat group | grep -c bob; cd ../..; pwd; cat tmp/d/../etc/group | wc -l; \
        ln -s /tmp/made /tmp/dangling; echo x > /tmp/dangling; cat /tmp/made; cd /proc/self/root; pwd -P; ls -d bin";
    let ran = sandbox.sh(script).run();
    assert_eq!(
        ran.report.stdout, "root:x:0:\n2\n/etc\n1\n/\n2\nx\n/\nbin\n",
        "{:?}",
        ran.report
    );
}

fn a_slash_asks_for_a_directory_and_follows_no_link(sandbox: &Sandbox) {
    let script = "cd /tmp; mkdir d; ln -s d l; rmdir l/ 2>/dev/null || echo kept; ls -d d; mkdir n/ && rmdir n/; echo f > f; \
        cat f/ 2>/dev/null || echo none; mv d/ e/ && ls -d e";
    assert_eq!(sandbox.sh(script).stdout(), "kept\nd\nnone\ne\n");
}

fn sockets_have_their_paths_in_the_step_s_root(sandbox: &Sandbox) {
    let long = format!("/tmp/{}", "x".repeat(80));
    for path in ["/tmp/socket", "../tmp/other", &long] {
        let ran = probing(sandbox, &["call", path]).run();
        assert_eq!(ran.report.stdout, "ok\n", "{path}: {:?}", ran.report);
        let name = path.rsplit('/').next().unwrap();
        assert!(ran.layer().contains(&format!("/tmp/{name}")), "{:?}", ran.layer());
    }
    let ran = probing(sandbox, &["connect", "/tmp/none"]).run();
    assert_eq!(ran.report.stdout, "ENOENT\n", "{:?}", ran.report);
}

fn nobody_can_be_traced(sandbox: &Sandbox) {
    let ran = probing(sandbox, &["trace"]).run();
    assert_eq!(ran.report.stdout, "EPERM\n", "{:?}", ran.report);
}

fn the_arguments_of_a_call_are_nobody_s_business(sandbox: &Sandbox) {
    let script = "sleep 9 & for file in self/syscall thread-self/syscall $!/syscall $!/task/$!/syscall; do \
        cat /proc/$file 2>&1; done; cd /proc/$!; cat syscall 2>&1; wc -l < status > /dev/null; kill $!";
    let expected = ["self/syscall", "thread-self/syscall"]
        .map(|file| format!("cat: can't open '/proc/{file}': Permission denied\n"));
    let ran = sandbox.sh(script).run();
    assert!(ran.report.stdout.starts_with(&expected.concat()), "{:?}", ran.report);
    assert_eq!(
        ran.report.stdout.matches("Permission denied").count(),
        5,
        "{:?}",
        ran.report
    );
}

fn no_filter_of_a_step_s_own_sees_what_the_supervisor_does(sandbox: &Sandbox) {
    let ran = probing(sandbox, &["filter"]).run();
    assert_eq!(ran.report.stdout, "EINVAL\n", "{:?}", ran.report);
}

fn a_message_that_waits_for_room_survives_a_stop(sandbox: &Sandbox) {
    let ran = probing(
        sandbox,
        &["send-without-room", "1", "kill -STOP $0; sleep 0.2; kill -CONT $0"],
    )
    .run();
    assert_eq!(ran.report.stdout, "receives\nok\n", "{:?}", ran.report);
}

fn a_step_that_is_killed_while_a_message_waits_is_told_as_killed(sandbox: &Sandbox) {
    let ran = probing(sandbox, &["send-without-room", "10", "kill -KILL $0"]).run();
    assert_eq!(ran.report.exit, Ok(137), "{:?}", ran.report);
}

fn a_signal_ends_whoever_waits_for_room(sandbox: &Sandbox) {
    ends(probing(sandbox, &["send-without-room", "10", "kill -TERM $0"]), 143, "");
}

fn a_signal_ends_whoever_waits_for_the_other_end_of_a_fifo(sandbox: &Sandbox) {
    // Nobody is left behind who reads what comes later.
    let script = "cd /tmp; mkfifo p; timeout 1 cat p; echo $?; (echo more > p) & sleep 0.5; echo unread; \
        timeout 5 cat p; wait";
    let ran = sandbox.sh(script).run();
    assert_eq!(ran.report.stdout, "143\nunread\nmore\n", "{:?}", ran.report);
}

fn a_fifo_is_waited_for_however_it_is_come_by(sandbox: &Sandbox) {
    let script = "cd /tmp; mkfifo p; (echo one > p; sleep 3; echo two > p) & (sleep 0.3; read a; echo $a; \
        timeout 20 cat /dev/stdin) < p; wait";
    assert_eq!(sandbox.sh(script).stdout(), "one\ntwo\n");
}

fn a_fifo_that_was_waited_for_has_the_lowest_descriptor(sandbox: &Sandbox) {
    assert_eq!(probing(sandbox, &["open-fifo", "/tmp/p"]).stdout(), "3 4\n");
}

fn a_signal_that_is_caught_interrupts_the_wait_for_the_other_end_of_a_fifo(sandbox: &Sandbox) {
    let script = "mkfifo /tmp/p; trap 'echo caught; exit 3' USR1; (sleep 0.3; kill -USR1 $$) & read line < /tmp/p";
    ends(sandbox.sh(script), 3, "caught\n");
}

fn a_signal_reaches_a_program_that_starts_others_all_the_time(sandbox: &Sandbox) {
    let script = "count=0; trap 'count=$((count+1)); test $count = 20 && exit 7' USR1; \
        (for i in $(seq 400); do kill -USR1 $$; /bin/sleep 0.01; done) & while :; do cd /etc; /bin/true; cd /tmp; done";
    let ran = sandbox.sh(script).run();
    assert_eq!(ran.report.exit, Ok(7), "{:?}", ran.report);
}

fn processes_that_are_killed_when_they_start_a_program_can_be_waited_for(sandbox: &Sandbox) {
    let ran = probing(sandbox, &["kill-at-once", "500"]).run();
    assert_eq!(ran.report.stdout, "500\n", "{:?}", ran.report);
}
