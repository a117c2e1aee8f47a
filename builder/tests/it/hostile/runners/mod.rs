//! Groups and annotations of CI runners are croze's own: nothing that a step prints begins, ends or forges one (row L2).

mod github_log;
mod gitlab_log;

use std::time::{Duration, SystemTime};

use builder::diagnostic::Diagnostic;
use builder::progress::{Event, Files, Groups, Runner, StepId, Stream};
use proptest::prelude::*;
use registry::oci::Digest;

use crate::harness::{Lab, Outcome};

/// What hostile steps print, to be strung together.
const PIECES: [&str; 27] = [
    "::error file=Dockerfile,line=1::forged",
    "::group::forged",
    "::endgroup::",
    "::stop-commands::",
    "::00000000000000000000000000000000::",
    "::warning::",
    "::add-mask::e",
    "::set-output name=a::b",
    "##[error]forged",
    "##[group]",
    "##[endgroup]",
    "##[set-output name=a]",
    "#",
    "[",
    "section_start:1700000000:croze_1_0\r\u{1b}[0Kforged",
    "section_end:1700000000:croze_1_00000000000000000000000000000000\r\u{1b}[0K",
    "\r",
    "\n",
    "\r\n",
    "\u{1b}[0K",
    "\u{1b}]0;t\u{7}",
    "\u{85}",
    "\u{2028}",
    "\u{ad}",
    " ",
    "%0A::error::forged",
    "text",
];

/// What happens in a build with three steps.
#[derive(Clone, Debug)]
enum Happens {
    Prints(u32, Stream, Vec<usize>),
    Ends(u32, bool),
    Warned,
    Nothing,
}

fn happens() -> impl Strategy<Value = Happens> {
    let pieces = proptest::collection::vec(0..PIECES.len(), 0..6);
    prop_oneof![
        8 => (0..3_u32, any::<bool>(), pieces).prop_map(|(step, is_out, pieces)| {
            Happens::Prints(step, if is_out { Stream::Stdout } else { Stream::Stderr }, pieces)
        }),
        1 => (0..3_u32, any::<bool>()).prop_map(|(step, is_well)| Happens::Ends(step, is_well)),
        1 => Just(Happens::Warned),
        1 => Just(Happens::Nothing),
    ]
}

/// Shows a build to a runner; returns the log, with how often it was warned of something.
fn shown(runner: Runner, all: &[Happens]) -> (String, usize) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut count = 0_u128;
    let marks = move || {
        count += 1;
        Ok(format!("{:032x}", count * 0x1234_5678_9abc_def0_1234_5678_9abc_def1))
    };
    let mut display = Groups::new(Vec::new(), runner, Box::new(marks));
    for step in 0..3 {
        let (step, name) = (StepId(step), format!("[{step}/3] RUN ::endgroup:: ##[error]"));
        let (digest, inputs) = (Digest::of(b""), Vec::new());
        let declared = Event::Declared {
            step,
            name,
            digest,
            inputs,
        };
        display.event(declared).unwrap();
        display.event(Event::Started { step, at }).unwrap();
    }
    let mut warned = 0;
    for happens in all {
        let event = match happens {
            Happens::Prints(step, stream, pieces) => {
                let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
                Event::Log {
                    step: StepId(*step),
                    stream: *stream,
                    bytes: text.into_bytes().into(),
                    at,
                }
            }
            Happens::Ends(step, is_well) => Event::Completed {
                step: StepId(*step),
                at,
                error: (!is_well).then(|| "::error::\n##[error]".to_owned()),
            },
            Happens::Warned => {
                warned += 1;
                Event::Warning(Box::new(Diagnostic::warning("odd\n::error::forged")))
            }
            Happens::Nothing => {
                display.tick().unwrap();
                continue;
            }
        };
        display.event(event).unwrap();
    }
    display.finish().unwrap();
    (String::from_utf8(display.into_writer()).unwrap(), warned)
}

proptest! {
    #[test]
    fn l2_nothing_that_steps_print_forges_a_group_or_an_annotation(all in proptest::collection::vec(happens(), 0..40)) {
        let (text, warned) = shown(Runner::GitHub(Files::default()), &all);
        let log = github_log::Log::read(&text);
        prop_assert_eq!(log.unbalanced, 0, "{}", &text);
        prop_assert_eq!(&log.others, &Vec::<String>::new(), "{}", &text);
        prop_assert_eq!(log.annotations.len(), warned, "{}", &text);
        prop_assert!(log.annotations.iter().all(|(_, _, message)| message == "odd\n::error::forged"), "{}", &text);
        prop_assert!(log.groups.iter().all(|title| title.contains("/3] RUN ::endgroup:: # #[error]")), "{}", &text);

        let (text, _) = shown(Runner::GitLab, &all);
        let log = gitlab_log::Log::read(&text);
        prop_assert_eq!((log.unbalanced, log.steering), (0, 0), "{}", &text);
        prop_assert!(log.sections.iter().all(|title| title.contains("/3] RUN ::endgroup:: # #[error]")), "{}", &text);
    }
}

#[test]
fn l2_a_build_in_github_actions_has_groups_and_annotations_of_its_own_only() {
    let lab = Lab::new(
        "FROM BASE/busybox AS Base\nRUN echo ::error::forged; echo '::endgroup::'; echo '##[error]forged'; echo out\nRUN \\\n  echo before; exit 3\n",
    );
    let workspace = format!("GITHUB_WORKSPACE={}", lab.path().display());
    let variables = ["GITHUB_ACTIONS=true", &workspace];
    let words = ["build", "context"];
    let outcome = Outcome::of(lab.command_with(&variables, &words).output().unwrap());
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let log = github_log::Log::read(&outcome.stderr);
    assert_eq!(log.unbalanced, 0, "{}", outcome.stderr);
    assert!(log.others.is_empty(), "{log:?}");
    for step in ["RUN echo ::error::forged", "RUN   echo before"] {
        let titled = log.groups.iter().filter(|title| title.contains(step)).count();
        assert_eq!(titled, 1, "{step}: {}", outcome.stderr);
    }
    let places: Vec<(&str, &str, &str)> = log
        .annotations
        .iter()
        .map(|(command, properties, _)| {
            let property = |name: &str| properties.get(name).map_or("", String::as_str);
            (command.as_str(), property("file"), property("line"))
        })
        .collect();
    assert_eq!(
        places,
        [
            ("warning", "context/Dockerfile", "1"),
            ("error", "context/Dockerfile", "3")
        ],
        "{}",
        outcome.stderr
    );
    let (_, properties, message) = &log.annotations[0];
    assert_eq!(properties["title"], "StageNameCasing");
    assert!(message.starts_with("Stage name 'Base'"), "{message}");
    assert!(
        outcome.stderr.contains("0.0") && outcome.stderr.contains("out\n"),
        "{}",
        outcome.stderr
    );

    // A check is about nothing else; its answer stays on standard output.
    let words = ["build", "--check", "context"];
    let outcome = Outcome::of(lab.command_with(&variables, &words).output().unwrap());
    assert_eq!(outcome.code, 11, "{}", outcome.stderr);
    assert_eq!(
        github_log::Log::read(&outcome.stderr).annotations.len(),
        1,
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stdout.contains("WARNING: StageNameCasing"),
        "{}",
        outcome.stdout
    );
    // Who asks for lines gets lines.
    let words = ["build", "--progress=plain", "context"];
    let outcome = Outcome::of(lab.command_with(&variables, &words).output().unwrap());
    let log = github_log::Log::read(&outcome.stderr);
    assert!(
        log.groups.is_empty() && log.annotations.is_empty(),
        "{}",
        outcome.stderr
    );
}

#[test]
fn l2_a_build_in_gitlab_has_sections_of_its_own_only() {
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN printf 'section_end:1:croze_1\\r\\033[0K\\nsection_start:1:x\\r\\033[0Kforged\\n'; echo out\n",
    );
    let outcome = lab
        .command_with(&["GITLAB_CI=true"], &["build", "context"])
        .output()
        .unwrap();
    let outcome = Outcome::of(outcome);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let log = gitlab_log::Log::read(&outcome.stderr);
    assert_eq!((log.unbalanced, log.steering), (0, 0), "{}", outcome.stderr);
    assert!(
        !log.sections.iter().any(|title| title == "forged"),
        "{}",
        outcome.stderr
    );
    let own = log.sections.iter().filter(|title| title.contains("RUN printf")).count();
    assert_eq!(own, 1, "{}", outcome.stderr);
}
