//! What a Dockerfile can try against croze and its machine, tried in every sandbox.
//!
//! `testdata/pods/attacks` has a file or more for each row of the table in `testdata/pods/attacks/README.md`. Each must
//! do what its comment says: succeed by default, because its steps check for themselves; `# refused: WORDS`, fail with
//! these words; `# either`, whichever. Whatever happens, the sentry outside of the store is what it was.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use builder::rung::Rung;
use serde_json::Value;

use crate::harness::{base_registry, sh, workspace};
use crate::image::Image;
use crate::pod::Pod;
use crate::runc::{DISK, Files, RootOn};

/// Where the attacks are tried.
struct Place {
    pod: &'static str,
    rung: Rung,
    image: Image,
    /// The weaknesses of the sandbox that cannot be seen there, with the reason.
    unseen: &'static [(&'static str, &'static str)],
}

const PLACE: Place = Place {
    pod: "P6xu",
    rung: Rung::Userns,
    image: Image::Foreign,
    unseen: &[],
};

const IN_PLACE: Place = Place {
    pod: "P1",
    rung: Rung::InPlace,
    image: Image::Own,
    unseen: &[("system-calls", "the runtime's profile refuses them"), NO_TERMINAL],
};

const IN_PLACE_SINGLE: Place = Place {
    pod: "P3",
    rung: Rung::InPlaceSingle,
    image: Image::Restricted,
    unseen: &[NO_TERMINAL],
};

const NO_TERMINAL: (&str, &str) = ("terminal", "these pods have none");

/// Makes tests of places.
macro_rules! places {
    ($($name:ident: $from:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        $(#[test] fn $name() { check(stringify!($name), &Place { $($field: $value,)* ..$from }); })*
    };
}

places! {
    userns_withstands_attacks: PLACE {}
    userns_with_a_masked_proc_withstands_attacks: PLACE { pod: "P1x" }
    direct_withstands_attacks_but_those_it_tells: PLACE { pod: "P1s", rung: Rung::Direct }
    direct_in_a_user_namespace_withstands_attacks: PLACE {
        pod: "P6b",
        rung: Rung::Direct,
        unseen: &[("own-capabilities", "the network of these pods is the machine's")],
    }
    userns_single_withstands_attacks_but_those_it_tells: PLACE { pod: "P3l", rung: Rung::UsernsSingle }
    chroot_withstands_attacks_but_those_it_tells: PLACE { pod: "P1", rung: Rung::Chroot }
    ptrace_withstands_attacks_but_those_it_tells: PLACE { pod: "P3", rung: Rung::Ptrace }
    in_place_withstands_attacks_but_those_it_tells: IN_PLACE {}
    in_place_without_seccomp_withstands_attacks_but_those_it_tells: IN_PLACE {
        pod: "P1cx",
        unseen: &[("own-capabilities", "CRI-O gives no `NET_RAW`"), NO_TERMINAL],
    }
    in_place_single_withstands_attacks_but_those_it_tells: IN_PLACE_SINGLE {}
    in_place_single_with_setuid_programs_withstands_attacks_but_those_it_tells: IN_PLACE_SINGLE { pod: "P2" }
}

/// An attack, and what is to come of it.
struct Attack {
    name: String,
    text: String,
    expected: Expected,
    /// The weakness that a sandbox has in which it succeeds.
    weakness: Option<String>,
}

enum Expected {
    /// The build succeeds: its steps have seen that the attack does not.
    Built,
    /// The build fails, with these words.
    Refused(String),
    /// Any of the two.
    Either,
}

fn folder() -> PathBuf {
    workspace().join("testdata/pods/attacks")
}

fn attacks() -> Vec<Attack> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let dockerfiles = files.filter(|path| path.extension().is_some_and(|extension| extension == "Dockerfile"));
    let mut attacks: Vec<Attack> = dockerfiles
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let said = |what: &str| text.lines().find_map(|line| line.strip_prefix(what));
            let refused = said("# refused: ");
            Attack {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                expected: match refused {
                    Some(words) => Expected::Refused(words.to_owned()),
                    None if text.lines().any(|line| line == "# either") => Expected::Either,
                    None => Expected::Built,
                },
                weakness: said("# weakness: ").map(str::to_owned),
                text,
            }
        })
        .collect();
    attacks.sort_by(|a, b| a.name.cmp(&b.name));
    attacks
}

/// Archives that only somebody who means harm would make.
fn write_archives(files: &Files, context: &str, sentry: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "cd '{}'; up=../../../../../../..; mkdir files kernel devices files/etc devices/dev devices/dev/pts
         for name in tmp run etc/hosts; do ln -s {sentry} files/$name; done; ln -s $up{sentry}/victim files/etc/resolv.conf
         ln -s {sentry} kernel/dev; ln -s $up{sentry} kernel/sys; ln -s self kernel/proc
         ln -s /proc/sys/kernel/core_pattern devices/dev/null; ln -s /proc/sysrq-trigger devices/dev/pts/0
         for name in files kernel devices; do tar -cf $name.tar -C $name .; done",
        dir.path().display()
    );
    sh(&script);
    for name in ["files.tar", "kernel.tar", "devices.tar"] {
        files.write(&format!("{context}/{name}"), fs::read(dir.path().join(name)).unwrap());
    }
}

/// Tries every attack in a pod.
fn check(name: &str, place: &Place) {
    let pod = Pod::named(place.pod);
    let files = Files::new(&pod, place.image, RootOn::Overlay);
    let (context, croze, busybox) = (place.image.context(), place.image.croze(), place.image.shell()[0]);
    let (busybox, home) = match place.image {
        Image::Own | Image::Restricted => (busybox, "/.croze"),
        Image::Foreign | Image::ForeignWithoutIds => ("/bin/busybox", DISK),
    };
    let sentry = format!("{home}/sentry");
    let socket = format!("{home}/socket");
    let _socket = files.socket(&socket);
    // In the network that the pods of these tests share with the machine.
    let listener = format!("croze-attacks-{}-{name}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&listener).unwrap()).unwrap();
    write_archives(&files, context, &sentry);
    let attacks = attacks();
    let mut script = format!(
        "b={busybox}; export CROZE_ROOT={home}/state; cd {home}; {croze} doctor --format=json; echo '= end'; $b mkdir sentry; echo untouched > sentry/victim
         touch() {{ $b touch -d @1000000000 sentry/victim; }}; touch
         kept() {{ test \"$($b stat -c %Y sentry/victim)\" = 1000000000; time=$?; touch; test $time = 0 && \
            test \"$($b cat sentry/victim)\" = untouched && test \"$($b ls -A sentry)\" = victim && \
            ! test -e {context}/BIND_BREAKOUT && ! test -e /BIND_BREAKOUT && test -s {context}/files.tar; }}\n"
    );
    for Attack { name, text, .. } in &attacks {
        let text = text.replace("BASE/", &format!("{}/", base_registry()));
        let text = text
            .replace("SENTRY", &sentry)
            .replace("LISTENER", &listener)
            .replace("SOCKET", &socket);
        files.write(&format!("{context}/{name}.Dockerfile"), text);
        script += &format!(
            "CANARY_ENV=canary {croze} build --sandbox={} --secret id=m6,env=CROZE_ROOT -f {context}/{name}.Dockerfile \
             {context} > log 2>&1; echo \"$?\"; kept; echo \"$?\"; $b cat log; echo '= end'\n",
            place.rung
        );
    }
    // What outlived its step outlives the build.
    script += "$b cat /proc/[0-9]*/cmdline 2> /dev/null | $b tr '\\0' ' ' | $b grep -c '3133[7]'; true";
    let ran = files.run(&pod, &script);
    let reports: Vec<&str> = ran.stdout.split("= end\n").collect();
    let [examination, reports @ .., left] = &reports[..] else {
        panic!("{}{}", ran.stdout, ran.stderr)
    };
    assert_eq!(reports.len(), attacks.len(), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(left.trim(), "0", "a process is left");
    let mut expected = weaknesses(place.rung, examination);
    for (name, _) in place.unseen {
        assert!(expected.remove(*name), "`{name}` is no weakness");
    }
    let mut found = BTreeSet::new();
    let mut wrongs = String::new();
    for (attack, report) in attacks.iter().zip(reports) {
        let Some(wrong) = verdict(attack, report) else { continue };
        match &attack.weakness {
            Some(weakness) if expected.contains(weakness) => drop(found.insert(weakness.clone())),
            _ => wrongs += &wrong,
        }
    }
    assert_eq!(wrongs, "", "{wrongs}");
    assert_eq!(found, expected, "what the doctor tells of cannot be done");
}

/// Returns what the doctor says that a step can do in a sandbox.
fn weaknesses(rung: Rung, examination: &str) -> BTreeSet<String> {
    let examination: Value = serde_json::from_str(examination).unwrap();
    let rungs = examination["rungs"].as_array().unwrap();
    let examined = rungs.iter().find(|examined| examined["rung"] == rung.name()).unwrap();
    let weaknesses = examined["weaknesses"].as_array().unwrap().iter();
    weaknesses
        .map(|weakness| weakness["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns what is wrong with a report: exit code, whether the sentry was kept, log.
fn verdict(attack: &Attack, report: &str) -> Option<String> {
    let mut parts = report.splitn(3, '\n');
    let (code, kept, log) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let wrong = match &attack.expected {
        _ if kept != "0" => "has changed what lies outside",
        // A bug, a panic.
        _ if code == "1" || code == "101" => "brings croze down",
        Expected::Built if code != "0" => "succeeds, or is not told",
        Expected::Refused(words) if code == "0" || !log.contains(words.as_str()) => "is not refused",
        Expected::Built | Expected::Refused(_) | Expected::Either => return None,
    };
    Some(format!("{} {wrong} ({code}):\n{log}", attack.name))
}
