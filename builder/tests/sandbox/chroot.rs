//! The sandbox in which nothing is mounted: what holds in all others holds there too, but for what is listed here.

use builder::rung::Rung;

use super::Test;
use crate::harness::Sandbox;
use crate::tests;

/// Tests of the other sandboxes that cannot hold, with the reason.
pub(crate) const NOT_HERE: &[(&str, &str)] = &[
    // What is about user namespaces and stacks of directories.
    ("inside_the_process_is_root_over_its_ids", "croze stays what it is"),
    ("used_up_namespaces_are_told_with_the_setting", "it needs none"),
    (
        "a_directory_looks_the_same_with_a_mount_point_in_it",
        "stacks directories",
    ),
    ("a_removed_path_can_be_a_mount_point_again", "stacks directories"),
    ("a_hundred_layers_are_stacked", "stacks directories"),
    ("an_empty_image_can_run_a_mounted_program", "stacks directories"),
    ("a_writable_bind_of_an_overlay_is_thrown_away", "stacks directories"),
    (
        "strange_files_where_croze_mounts_are_contained_or_refused",
        "nothing is mounted over them",
    ),
    // What only mounts can do.
    (
        "mount_points_leave_no_trace",
        "nothing keeps a step from removing what was put into its tree",
    ),
    (
        "a_read_only_bind_cannot_be_written",
        "it is a copy, which is thrown away",
    ),
    (
        "a_secret_is_a_file_in_memory_with_its_owner",
        "it is on disk, in the tree, until the step ends",
    ),
    (
        "thousands_of_processes_end_with_their_step",
        "a bind is a copy, in which nothing new is seen",
    ),
    ("a_tmpfs_has_the_size_asked_for", "it is on disk"),
    ("devices_are_the_usual_ones", "all of the machine's are listed"),
    ("shared_memory_has_the_size_asked_for", "it is the container's"),
    ("a_network_of_its_own_has_loopback_only", "sockets are refused instead"),
    (
        "a_network_needs_no_capability_over_networks",
        "sockets are refused instead",
    ),
    ("hosts_and_resolver_are_given", "the host name is the container's"),
    (
        "croze_s_own_program_cannot_be_written",
        "no interpreter can lie in procfs",
    ),
    (
        "m2_a_cache_that_changes_while_it_is_mounted_leads_nowhere_else",
        "steps that share a cache take turns",
    ),
    (
        "m15_the_terminal_of_whoever_runs_croze_is_out_of_reach",
        "it runs a program of the host's; in pods m15 tries the same",
    ),
    // What steps without *no new privileges* have.
    (
        "the_seccomp_profile_answers_as_docker_s_does",
        "the kernel's flag shows beside the supervisor's",
    ),
];

/// Tests that hold in a changed root and cannot hold where not even that is possible, with the reason.
pub(crate) const NOT_IN_PTRACE: &[(&str, &str)] = &[
    ("a_user_without_subordinate_ids_is_told_the_command", "it needs none"),
    (
        "no_new_privileges_is_told_with_the_field_to_set",
        "it needs none to be gained",
    ),
    (
        "the_doctor_names_what_is_missing_and_the_command",
        "a user lacks nothing",
    ),
];

pub(crate) const TESTS: &[Test] = tests![
    procfs_is_seen_however_it_is_come_by,
    a_working_directory_may_lie_in_procfs,
    a_program_can_be_run_through_procfs,
    the_machine_s_files_are_out_of_reach,
    what_is_made_in_dev_is_gone_with_the_step,
];

fn procfs_is_seen_however_it_is_come_by(sandbox: &Sandbox) {
    let script = "ln -s /proc /tmp/p; ln -s ../proc/self/fd/1 /tmp/out; ln -s p/self /tmp/me; cd /tmp; \
        cat p/self/comm me/comm ../proc/self/comm /tmp/../proc/thread-self/comm /tmp/me/../self/comm; echo x > out; \
        cd /; cat proc/self/comm; ls /proc/self/task | wc -l; cat /proc/self/cwd/etc/group; cat /proc/self/root/etc/group; \
        grep -c ' / / ' /proc/self/mountinfo; stat -f -c %T /proc; test -e /proc/none || echo none";
    assert_eq!(
        sandbox.sh(script).stdout(),
        "cat\ncat\ncat\ncat\ncat\nx\ncat\n1\nroot:x:0:\nbob:x:1000:\nroot:x:0:\nbob:x:1000:\n1\nproc\nnone\n"
    );
}

fn a_working_directory_may_lie_in_procfs(sandbox: &Sandbox) {
    let script = "cd /proc/self; pwd; cat comm; cd fd; ls -d 1; cd ../..; pwd; cat self/comm; cd sys/kernel; cat ostype; \
        cd /dev/shm; touch $$; test -e /dev/shm/$$; rm $$; pwd; cd /sys; ls -d class";
    // Where the kernel does not know of procfs it is found anew, by whoever looks.
    let found = if sandbox.place.rung == Rung::Chroot {
        "cat"
    } else {
        "sh"
    };
    assert_eq!(
        sandbox.sh(script).stdout(),
        format!("/proc/self\n{found}\n1\n/proc\ncat\nLinux\n/dev/shm\nclass\n")
    );
}

fn a_program_can_be_run_through_procfs(sandbox: &Sandbox) {
    let script = "ln -s /bin/busybox /tmp/echo; exec 5</tmp/echo; printf '#!/bin/sh\necho $0 two' > /tmp/s; chmod +x /tmp/s; \
        exec 6</tmp/s; /proc/self/fd/6; /dev/fd/6; (exec -a echo /proc/self/fd/5 one)";
    let ran = sandbox.sh(script).run();
    let told = match sandbox.place.rung {
        Rung::Chroot => "/dev/+0/6 two\n/dev/+0/6 two\none\n",
        _ => "/proc/self/fd/6 two\n/dev/fd/6 two\none\n",
    };
    assert_eq!(ran.report.stdout, told, "{:?}", ran.report);
    assert_eq!(ran.layer(), ["/tmp", "/tmp/echo", "/tmp/s"]);
}

// Those of whoever has the same number and no other root.
fn the_machine_s_files_are_out_of_reach(sandbox: &Sandbox) {
    let outside = sandbox.path("image/..").display().to_string();
    let script = format!(
        "ls {outside}; cat /proc/1/environ; ls /proc/1/root /proc/1/cwd; \
         echo 0 > /proc/sys/vm/drop_caches; echo x > /proc/sysrq-trigger; mkdir /sys/x; cat /dev/mem; cat /dev/sda; \
         (cd /proc; cd ..; cat etc/hostname; ls work); echo done"
    );
    let ran = sandbox.sh(&script).run();
    assert_eq!(ran.report.stdout, "done\n", "{:?}", ran.report);
}

fn what_is_made_in_dev_is_gone_with_the_step(sandbox: &Sandbox) {
    let ran = sandbox
        .sh("mkdir -p /dev/made; echo x > /dev/made/x; cat /dev/made/x; ln -s x /dev/link")
        .run();
    assert_eq!(ran.report.stdout, "x\n", "{:?}", ran.report);
    assert!(!std::path::Path::new("/dev/made").exists());
    assert!(
        ran.layer().iter().all(|path| !path.starts_with("/dev/")),
        "{:?}",
        ran.layer()
    );
}
