//! What a program sees of itself: arguments, environment, credentials, descriptors, exit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::Test;
use crate::harness::Sandbox;
use crate::isolation::probing;
use crate::{probe, tests};

pub(crate) const TESTS: &[Test] = tests![
    output_and_exit_code_come_back,
    a_killed_step_is_told_by_its_signal,
    a_missing_program_is_named_like_runc_does,
    a_missing_interpreter_is_told_apart_from_a_missing_program,
    a_program_of_no_known_format_is_told,
    a_directory_is_not_executable,
    only_standard_descriptors_are_open,
    standard_input_is_empty,
    there_is_no_terminal,
    the_environment_is_only_the_given_one,
    a_step_without_a_path_gets_one,
    root_has_dockers_capabilities_and_none_to_inherit,
    a_user_has_no_capabilities_but_the_same_bounding_set,
    supplementary_groups_are_those_asked_for,
    a_user_can_reopen_its_output,
    setuid_programs_work,
    signals_have_their_default_action,
    core_dumps_are_off_and_the_umask_is_dockers,
    megabytes_of_output_arrive_in_full,
];

fn output_and_exit_code_come_back(sandbox: &Sandbox) {
    let ran = sandbox.sh("echo out; echo err >&2; exit 7").run();
    assert_eq!(ran.report.exit, Ok(7));
    assert_eq!(ran.report.stdout, "out\n");
    assert_eq!(ran.report.stderr, "err\n");
}

fn a_killed_step_is_told_by_its_signal(sandbox: &Sandbox) {
    // Pid 1 cannot kill itself; a shell in between can.
    let ran = sandbox.sh("sh -c 'kill -9 $$'; exit $?").run();
    assert_eq!(ran.report.exit, Ok(137));
}

fn a_missing_program_is_named_like_runc_does(sandbox: &Sandbox) {
    let error = sandbox.exec(&["nope"]).run().error();
    assert_eq!(error, "exec: \"nope\": executable file not found in $PATH");
    let error = sandbox.exec(&["/bin/nope"]).run().error();
    assert_eq!(error, "exec: \"/bin/nope\": No such file or directory (os error 2)");
}

fn a_missing_interpreter_is_told_apart_from_a_missing_program(sandbox: &Sandbox) {
    script(sandbox, "#!/no/such/interpreter\n");
    let error = sandbox.exec(&["script"]).run().error();
    assert_eq!(
        error,
        "exec: \"/bin/script\": the interpreter it names does not exist in the image"
    );
}

fn a_program_of_no_known_format_is_told(sandbox: &Sandbox) {
    script(sandbox, "neither ELF nor script");
    assert_eq!(
        sandbox.exec(&["script"]).run().error(),
        "exec: \"/bin/script\": exec format error"
    );
}

fn a_directory_is_not_executable(sandbox: &Sandbox) {
    let error = sandbox.exec(&["/tmp"]).run().error();
    assert_eq!(error, "exec: \"/tmp\": Permission denied (os error 13)");
}

fn script(sandbox: &Sandbox, text: &str) {
    let path = sandbox.image().join("bin/script");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    sandbox.give_to_user(&path);
}

// M1
fn only_standard_descriptors_are_open(sandbox: &Sandbox) {
    // The shell opens the directory, as number 3.
    assert_eq!(
        sandbox.sh("echo /proc/self/fd/*").stdout(),
        "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"
    );
}

// M15
fn standard_input_is_empty(sandbox: &Sandbox) {
    assert_eq!(sandbox.sh("wc -c; readlink /proc/self/fd/0").stdout(), "0\n/dev/null\n");
}

// M15
fn there_is_no_terminal(sandbox: &Sandbox) {
    let ran = sandbox
        .sh("tty; (: </dev/tty) && echo opened; cut -d' ' -f7 /proc/self/stat")
        .run();
    assert_eq!(ran.report.stdout, "not a tty\n0\n");
}

// M12: the driver's own environment has a marker, see `lifetime`; here nothing at all may come through.
fn the_environment_is_only_the_given_one(sandbox: &Sandbox) {
    let step = sandbox
        .sh("env; tr '\\0' '\\n' </proc/$$/environ")
        .with(|process| process.env.push(("A".into(), "b c".into())));
    let mut lines: Vec<String> = step.stdout().lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    // The shell itself adds PWD and SHLVL to what it starts.
    lines.retain(|line| !line.starts_with("PWD=") && !line.starts_with("SHLVL="));
    assert_eq!(lines, ["A=b c", "PATH=/bin"]);
}

fn a_step_without_a_path_gets_one(sandbox: &Sandbox) {
    let step = sandbox.exec(&["env"]).with(|process| process.env.clear());
    assert_eq!(
        step.stdout(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    );
}

fn capabilities(text: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let (name, mask) = line.split_once(":\t").unwrap();
        (name.to_owned(), u64::from_str_radix(mask, 16).unwrap())
    };
    text.lines().map(line).collect()
}

/// Docker's default capabilities, as BuildKit's tests check them.
const DOCKERS: u64 = 0xa804_25fb;

// M10
fn root_has_dockers_capabilities_and_none_to_inherit(sandbox: &Sandbox) {
    let stdout = sandbox.exec(&["grep", "Cap", "/proc/self/status"]).stdout();
    let expected = [
        ("CapInh", 0),
        ("CapPrm", DOCKERS),
        ("CapEff", DOCKERS),
        ("CapBnd", DOCKERS),
        ("CapAmb", 0),
    ];
    assert_eq!(
        capabilities(&stdout),
        expected.map(|(name, mask)| (name.to_owned(), mask))
    );
}

// M10
fn a_user_has_no_capabilities_but_the_same_bounding_set(sandbox: &Sandbox) {
    let stdout = sandbox.exec(&["grep", "Cap", "/proc/self/status"]).user(1000).stdout();
    let expected = [
        ("CapInh", 0),
        ("CapPrm", 0),
        ("CapEff", 0),
        ("CapBnd", DOCKERS),
        ("CapAmb", 0),
    ];
    assert_eq!(
        capabilities(&stdout),
        expected.map(|(name, mask)| (name.to_owned(), mask))
    );
}

// M11
fn supplementary_groups_are_those_asked_for(sandbox: &Sandbox) {
    let groups = sandbox.exec(&["grep", "^Groups", "/proc/self/status"]);
    assert_eq!(groups.stdout().trim(), "Groups:");
    let step = sandbox.sh("id -G; id -u; id -g").with(|process| {
        process.credentials.uid = 1000;
        process.credentials.gid = 7;
        process.credentials.groups = vec![7, 20, 999];
    });
    assert_eq!(step.stdout(), "7 20 999\n1000\n7\n");
}

fn a_user_can_reopen_its_output(sandbox: &Sandbox) {
    let ran = sandbox.sh("echo a >/dev/stdout; echo b >/dev/stderr").user(1000).run();
    assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
    assert_eq!((ran.report.stdout.as_str(), ran.report.stderr.as_str()), ("a\n", "b\n"));
}

fn setuid_programs_work(sandbox: &Sandbox) {
    // Not busybox: it gives the privilege up.
    let image = sandbox.image().join("bin/setuid");
    fs::copy(sandbox.croze(), &image).unwrap();
    sandbox.give_to_user(&image);
    fs::set_permissions(&image, Permissions::from_mode(0o4755)).unwrap();
    let step = probing(sandbox, &[]).user(1000);
    let step = step.with(|process| process.args = ["/bin/setuid", probe::ARGUMENT, "user"].map(str::to_owned).into());
    assert_eq!(step.stdout(), "1000 0\n");
}

fn signals_have_their_default_action(sandbox: &Sandbox) {
    let stdout = sandbox
        .exec(&["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"])
        .stdout();
    assert_eq!(stdout, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

fn core_dumps_are_off_and_the_umask_is_dockers(sandbox: &Sandbox) {
    assert_eq!(sandbox.sh("ulimit -S -c; umask").stdout(), "0\n0022\n");
}

fn megabytes_of_output_arrive_in_full(sandbox: &Sandbox) {
    let stdout = sandbox
        .sh("dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x")
        .stdout();
    assert_eq!(stdout.len(), 8 << 20);
}
