//! Attacks that need more than a Dockerfile to try them: a race, a terminal, a tree on the host to look at afterwards.
//!
//! The rows are those of `testdata/pods/attacks/README.md`, which also names the other tests of each.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use builder::executor::{MountSource, Tree};

use super::Test;
use crate::driver::{Order, Report};
use crate::files::Sentry;
use crate::harness::{Sandbox, Step, USER, eventually, report};
use crate::isolation::probing;
use crate::mounts::tmpfs;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![
    m2_a_cache_that_changes_while_it_is_mounted_leads_nowhere_else,
    m6_what_takes_the_place_of_a_mount_point_is_not_cleaned_up,
    m15_the_terminal_of_whoever_runs_croze_is_out_of_reach,
];

/// A step with a directory of a cache, which is shared with all others.
fn with_cache<'a>(step: Step<'a>, path: &str) -> Step<'a> {
    let cache = Tree::Directory(step.sandbox.path("cache"));
    step.mount(
        "/x",
        MountSource::Bind {
            tree: cache,
            path: path.into(),
            writable: true,
        },
    )
}

fn m2_a_cache_that_changes_while_it_is_mounted_leads_nowhere_else(sandbox: &Sandbox) {
    let sentry = Sentry::new(sandbox);
    let cache = sandbox.path("cache");
    fs::create_dir_all(cache.join("sub/deep")).unwrap();
    fs::create_dir(cache.join("other")).unwrap();
    // Whichever of the two is `sub`, its `deep` is there on the host; in the cache it is so only of the directory.
    let up = "../../../../../../../..";
    std::os::unix::fs::symlink(format!("{up}{}", sentry.path().display()), cache.join("other/deep")).unwrap();
    sandbox.give_to_user(&cache);
    let mut racer = with_cache(probing(sandbox, &["exchange", "/x/sub/deep", "/x/other/deep"]), "/").start();
    eventually("the race is on", Duration::from_secs(10), || {
        cache.join("racing").exists()
    });
    let (mut mounted, mut refused) = (0, 0);
    for _ in 0..25 {
        let ran = with_cache(sandbox.sh("echo *; echo x > mark"), "/sub/deep");
        let ran = ran.with(|process| process.cwd = "/x".into()).run();
        match &ran.report.exit {
            Ok(0) => mounted += 1,
            Err(_) => refused += 1,
            Ok(_) => panic!("{:?}", ran.report),
        }
        assert!(!ran.report.stdout.contains("victim"), "{:?}", ran.report);
        sentry.check();
    }
    fs::remove_file(cache.join("racing")).unwrap();
    racer.wait().unwrap();
    assert_eq!(mounted + refused, 25);
    assert!(mounted > 0, "the directory was never mounted");
}

fn m6_what_takes_the_place_of_a_mount_point_is_not_cleaned_up(sandbox: &Sandbox) {
    let sentry = Sentry::new(sandbox);
    let outside = sentry.path().display().to_string();
    for parent in ["/a", "/root/a"] {
        let script = format!("mv {parent}/b {parent}/was; rm -rf {parent}/b; ln -s {outside} {parent}/b; true");
        let ran = sandbox.sh(&script).mount(&format!("{parent}/b/victim"), tmpfs()).run();
        assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
        sentry.check();
        // The layer has what the step has made, and not what croze had made for it.
        let layer = ran.layer();
        assert!(!layer.contains(&format!("{parent}/b/victim")), "{layer:?}");
    }
}

/// Runs a step of a croze that has a terminal.
fn on_a_terminal(step: &Step<'_>) -> Report {
    let sandbox = step.sandbox;
    let order = Order {
        rung: Some(sandbox.place.rung),
        bound_proc: sandbox.place.proc == builder::rung::ProcView::Bound,
        old_kernel: sandbox.place.old_kernel,
        job: step.job(),
    };
    let order_file = sandbox.path("order");
    fs::write(&order_file, serde_json::to_vec(&order).unwrap()).unwrap();
    let command = sandbox.command(USER);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    let line = format!(
        "{} < {} > {}",
        words.join(" "),
        order_file.display(),
        sandbox.path("report").display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let status = script.stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.expect("`script` is installed").success());
    let mut cat = Command::new("cat");
    cat.arg(sandbox.path("report")).stdout(Stdio::piped());
    report(cat.spawn().unwrap())
}

fn m15_the_terminal_of_whoever_runs_croze_is_out_of_reach(sandbox: &Sandbox) {
    // TIOCSTI types, TIOCLINUX pastes, TIOCSCTTY takes the terminal.
    let script = "for my $path ('/dev/tty', glob('/proc/*/fd/*')) { open(my $f, '+<', $path) or next; \
        -t $f or next; print \"opened $path\\n\"; for my $call (0x5412, 0x541C, 0x540E) \
        { my $c = \"\\n\"; print \"$path $call\\n\" if ioctl($f, $call, $c) } } \
        open(my $s, '<', '/proc/self/stat'); print 'terminal ', (split ' ', <$s>)[6], \"\\n\";";
    let step = probing(sandbox, &[]);
    let step = step.with(|process| process.args = ["/usr/bin/perl", "-e", script].map(str::to_owned).into());
    let report = on_a_terminal(&step);
    assert_eq!(report.stdout, "terminal 0\n", "{report:?}");
}
