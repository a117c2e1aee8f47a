//! What steps cost in each sandbox, in one run on one machine: each in the stand-in for a pod in which it is the one to
//! take, beside `userns`.
//!
//! ```text
//! cargo bench -p builder --bench rungs                            # everything
//! cargo bench -p builder --bench rungs -- calls find              # only these
//! cargo bench -p builder --bench rungs -- --rounds 1 in-place     # quickly, `userns` and one other
//! ```
//!
//! A time is that of one step as the build's progress tells it, from the tree being made ready to the changes being
//! found; for `calls`, that of one `chown`, which the step measures. `probe` is what `croze doctor` takes, which tries every
//! sandbox there is and has a limit: 20 ms. Needs what `testdata/setup.sh` installs, and root.
//! What counts are the ratios of one run.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "shared with the integration tests, which use more of it"
)]
#[path = "../tests/it/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "shared with benchmarks that have more to ask for")]
#[path = "arguments/mod.rs"]
mod arguments;
#[allow(dead_code, reason = "shared with the tests of pods")]
#[path = "../tests/pods/image.rs"]
mod image;
#[allow(dead_code, reason = "shared with the tests of pods")]
#[path = "../tests/pods/pod.rs"]
mod pod;
#[allow(dead_code, reason = "shared with the tests of pods")]
#[path = "../tests/pods/runc.rs"]
mod runc;

use base64::Engine as _;
use builder::rung::Rung;
use serde_json::Value;

use arguments::Arguments;
use harness::base_registry;
use image::Image;
use pod::Pod;
use runc::{DISK, Files, RootOn};

/// A rung, its pod, and what that runs.
type Place = (Rung, &'static str, Image);

/// The rungs, `userns` first, which the others are compared with.
const PLACES: [Place; 7] = [
    (Rung::Userns, "P6xu", Image::Foreign),
    (Rung::Direct, "P1s", Image::Foreign),
    (Rung::UsernsSingle, "P3l", Image::Foreign),
    (Rung::InPlace, "P1", Image::Own),
    (Rung::InPlaceSingle, "P3", Image::Restricted),
    (Rung::Chroot, "P1", Image::Foreign),
    (Rung::Ptrace, "P3", Image::Foreign),
];

/// How often a pod is examined in a round: the kernel's clock there counts hundredths of a second.
const PROBES: usize = 10;

/// A step that is measured.
struct Workload {
    name: &'static str,
    /// What is there before.
    before: &'static str,
    /// The step.
    step: &'static str,
    /// What is compared.
    figure: Figure,
}

/// A number of seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    /// From the beginning of the step to its end.
    Step,
    /// What the step itself prints.
    Said,
}

const MAKE_FILES: &str = "FROM BASE/busybox\nRUN mkdir -p /srv/f && cd /srv/f && for d in $(seq 100); do mkdir $d; \
    for f in $(seq 100); do echo $d/$f > $d/$f; done; done; tar -cf /srv/f.tar .";

const WORKLOADS: [Workload; 7] = [
    Workload {
        name: "empty",
        before: "FROM BASE/busybox\n",
        step: "true",
        figure: Figure::Step,
    },
    // The same as the second step of a build: where no mount makes a tree, the first one has it laid out.
    Workload {
        name: "next",
        before: "FROM BASE/busybox\n",
        step: "true\nRUN true",
        figure: Figure::Step,
    },
    Workload {
        name: "untar",
        before: MAKE_FILES,
        step: "mkdir /srv/out && tar -xf /srv/f.tar -C /srv/out",
        figure: Figure::Step,
    },
    Workload {
        name: "find",
        before: MAKE_FILES,
        step: "find /srv -type f -mtime +1",
        figure: Figure::Step,
    },
    Workload {
        name: "packages",
        before: "FROM BASE/debian\nENV DEBIAN_FRONTEND=noninteractive\n\
            RUN apt-get update && apt-get install -y --download-only --no-install-recommends cron dbus iputils-ping sudo",
        step: "apt-get install -y --no-download --no-install-recommends cron dbus iputils-ping sudo",
        figure: Figure::Step,
    },
    Workload {
        name: "make",
        before: "FROM BASE/debian\n\
            RUN apt-get update && apt-get install -y --no-install-recommends make && mkdir -p /srv && \
            printf 'all: $(shell seq -f t%%g 400)\\nt%%:\\n\\t@sort /etc/services /etc/passwd > $@; sha256sum $@ > $@.sum\\n' \
            > /srv/Makefile",
        step: "make -s -j 4 -C /srv",
        figure: Figure::Step,
    },
    Workload {
        name: "calls",
        before: "FROM BASE/debian\n",
        step: "perl -MTime::HiRes=time -e '$began = time; chown 0, 0, \"/tmp\" for 1 .. 50000; print((time - $began) / 50000)'",
        figure: Figure::Said,
    },
];

impl Workload {
    fn dockerfile(&self) -> String {
        let before = self.before.replacen(['\n'], " AS before\n", 1) + "\nFROM before AS measured";
        let text = format!("{before}\nRUN {}\n", self.step);
        text.replace("BASE/", &format!("{}/", base_registry()))
    }
}

/// Returns the figures of a build's events, one for each time that the step was run.
fn figures(figure: Figure, events: &str) -> Vec<f64> {
    let events = events
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let kind = match figure {
        Figure::Step => "vertexes",
        Figure::Said => "logs",
    };
    let parts = events.flat_map(|event| event[kind].as_array().cloned().unwrap_or_default());
    let figure = |part: Value| match figure {
        Figure::Step => took(&part),
        Figure::Said => said(&part),
    };
    parts.filter_map(figure).collect()
}

/// Returns how long a vertex took, if it is the last of the stage that is measured.
fn took(vertex: &Value) -> Option<f64> {
    let (place, _) = vertex["name"].as_str()?.strip_prefix("[measured ")?.split_once(']')?;
    let is_measured = place.split_once('/').is_some_and(|(step, all)| step == all);
    let took = second_of_day(vertex["completed"].as_str()?) - second_of_day(vertex["started"].as_str()?);
    is_measured.then(|| took.rem_euclid(86_400.0))
}

fn said(log: &Value) -> Option<f64> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(log["data"].as_str()?)
        .ok()?;
    String::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// Reads the time of day of `2026-01-31T12:34:56.789Z`.
fn second_of_day(time: &str) -> f64 {
    let (_, time) = time.trim_end_matches('Z').split_once('T').unwrap();
    time.split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// Returns where croze keeps its state in a pod that runs an image.
fn state(image: Image) -> &'static str {
    match image {
        Image::Own | Image::Restricted => "/.croze",
        Image::Foreign | Image::ForeignWithoutIds => DISK,
    }
}

/// Tries every sandbox of a pod several times, and returns what it takes in the mean, with croze's own start.
fn probe((_, pod, image): Place, rounds: usize) -> f64 {
    let pod = Pod::named(pod);
    let files = Files::new(&pod, image, RootOn::Overlay);
    let (state, examine) = (
        state(image),
        format!("{} doctor > {}/examined\n", image.croze(), state(image)),
    );
    let script = format!(
        "export CROZE_ROOT={state}/state\n{examine}read before _ < /proc/uptime\n{}read after _ < /proc/uptime\n\
         echo $before $after",
        examine.repeat(PROBES * rounds)
    );
    let outcome = files.run(&pod, &script);
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let (before, after) = outcome.stdout.trim().split_once(' ').unwrap();
    (after.parse::<f64>().unwrap() - before.parse::<f64>().unwrap()) / (PROBES * rounds) as f64
}

/// Runs a step several times in a sandbox, after once in vain, and returns the median of its figures.
fn measure(workload: &Workload, (rung, pod, image): Place, rounds: usize) -> f64 {
    let pod = Pod::named(pod);
    let files = Files::new(&pod, image, RootOn::Overlay);
    let (context, croze, state) = (image.context(), image.croze(), state(image));
    files.write(&format!("{context}/Dockerfile"), workload.dockerfile());
    let builds = format!(
        "{croze} build --sandbox={rung} --no-cache-filter=measured --progress=rawjson {context} 2>&1 || exit 1\n"
    );
    let script = format!("export CROZE_ROOT={state}/state\n{}", builds.repeat(rounds + 1));
    let outcome = files.run(&pod, &script);
    let mut seconds = figures(workload.figure, &outcome.stdout);
    assert!(
        outcome.code == 0 && seconds.len() == rounds + 1,
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
    let seconds = &mut seconds[1..];
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    let arguments = Arguments::of_process();
    let (names, rounds) = (&arguments.names, arguments.rounds().unwrap_or(5));
    // Whatever is named is all there is of its kind.
    let wants = |name: &str, kind: &[&str]| {
        !names.iter().any(|named| kind.contains(&named.as_str())) || names.iter().any(|named| named == name)
    };
    let rungs = PLACES.map(|(rung, ..)| rung.name());
    let workloads = WORKLOADS.map(|workload| workload.name);
    let workloads = [&workloads[..], &["probe"]].concat();
    let places = PLACES
        .into_iter()
        .filter(|(rung, ..)| *rung == Rung::Userns || wants(rung.name(), &rungs));
    let places: Vec<_> = places.collect();
    let header: String = places.iter().map(|(rung, ..)| format!(" `{rung}` |")).collect();
    println!("| step |{header}\n|---|{}", "---|".repeat(places.len()));
    for workload in WORKLOADS.iter().filter(|workload| wants(workload.name, &workloads)) {
        let mut row = format!("| {} |", workload.name);
        let mut best = None;
        for place in &places {
            let took = measure(workload, *place, rounds);
            let first = *best.get_or_insert(took);
            row += &match place.0 {
                Rung::Userns => format!(" {} |", time(took)),
                _ => format!(" {:.2} |", took / first),
            };
        }
        println!("{row}");
    }
    if wants("probe", &workloads) {
        let took = places.iter().map(|&place| format!(" {} |", time(probe(place, rounds))));
        println!("| probe |{}", took.collect::<String>());
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1e-3 => format!("{:.2} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}
