//! What a container has in `/` comes back, whoever of croze is killed while a step has its image there.

use builder::rung::Rung;

use crate::image::Image;
use crate::pod::Pod;
use crate::runc::{Files, RootOn};

/// Builds a step that waits, kills, and waits for the container's own file.
///
/// Names are those of `/proc/PID/comm`. Where the monitor and its guard have been killed at once, the next croze does it.
const SCRIPT: &str = r#"
set -eu; export CROZE_ROOT=/.croze/state
for killed in croze step-monitor 'croze step-monitor'; do
    rm -f /.croze/built
    (PROGRAM build --sandbox=RUNG -o type=tar,dest=/.croze/built CONTEXT > /.croze/log 2>&1 || true) &
    tries=0
    until test -e /tmp/begun; do
        tries=$((tries + 1)); test $tries -lt 300 || { cat /.croze/log; exit 1; }
        sleep 0.1
    done
    test ! -e /etc/own
    for process in /proc/[0-9]*; do
        name=; read -r name 2> /dev/null < $process/comm || continue
        case " $killed " in *" $name "*) kill -9 ${process#/proc/} 2> /dev/null || true;; esac
    done
    case $killed in *' '*) sleep 0.3; PROGRAM doctor > /dev/null || true;; esac
    tries=0
    while test -e /tmp/begun || ! test -e /etc/own; do
        tries=$((tries + 1)); test $tries -lt 100 || { echo "nothing came back after the end of $killed"; exit 1; }
        sleep 0.1
    done
    test "$(cat /etc/own)" = own
done
"#;

fn check(pod: &str, rung: Rung, image: Image) {
    let pod = Pod::named(pod);
    let files = Files::new(&pod, image, RootOn::Overlay);
    let base = crate::harness::base_registry();
    let context = image.context();
    files.write("/etc/own", "own");
    files.write(
        &format!("{context}/Dockerfile"),
        format!("FROM {base}/busybox\nRUN mkdir -p /tmp; touch /tmp/begun; sleep 1000\n"),
    );
    let script = SCRIPT.replace("PROGRAM", image.croze()).replace("CONTEXT", context);
    let outcome = files.run(&pod, &script.replace("RUNG", rung.name()));
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn everything_comes_back_to_root_of_a_pod() {
    check("P1", Rung::InPlace, Image::Own);
}

#[test]
fn everything_comes_back_to_a_user_of_a_pod() {
    check("P3", Rung::InPlaceSingle, Image::Restricted);
}
