//! What groups look like, event list by event list.

use registry::oci::Digest;

use super::*;
use crate::progress::{Event, StepId, Stream};

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(millis)
}

fn declare(step: u32, name: &str) -> Event {
    Event::Declared {
        step: StepId(step),
        name: name.to_owned(),
        digest: Digest::of(b""),
        inputs: vec![],
    }
}

fn start(step: u32, millis: u64) -> Event {
    Event::Started {
        step: StepId(step),
        at: at(millis),
    }
}

fn log(step: u32, text: &'static str, millis: u64) -> Event {
    Event::Log {
        step: StepId(step),
        stream: Stream::Stdout,
        bytes: text.as_bytes().into(),
        at: at(millis),
    }
}

fn end(step: u32, error: Option<&str>, millis: u64) -> Event {
    Event::Completed {
        step: StepId(step),
        at: at(millis),
        error: error.map(str::to_owned),
    }
}

fn groups(runner: Runner) -> Groups<Vec<u8>> {
    let mut count = 0;
    let marks = move || {
        count += 1;
        Ok(format!("mark{count}"))
    };
    Groups::new(Vec::new(), runner, Box::new(marks))
}

fn printed(runner: Runner, events: impl IntoIterator<Item = Event>) -> String {
    let mut display = groups(runner);
    for event in events {
        display.event(event).unwrap();
    }
    display.finish().unwrap();
    String::from_utf8(display.into_writer()).unwrap()
}

fn github() -> Runner {
    Runner::GitHub(github::Files::default())
}

#[test]
fn a_step_with_output_is_a_group_and_one_without_is_a_line() {
    let events = [
        declare(0, "[1/3] FROM debian"),
        declare(1, "[2/3] WORKDIR /src"),
        declare(2, "[3/3] RUN make 100%"),
        Event::Cached {
            step: StepId(0),
            at: at(0),
        },
        start(1, 0),
        end(1, None, 20),
        start(2, 20),
        log(2, "::endgroup::\nc", 133),
        log(2, "c\n", 150),
        end(2, Some("exit code: 1"), 220),
    ];
    assert_eq!(
        printed(github(), events.clone()),
        "CACHED [1/3] FROM debian\n\
         DONE 0.0s [2/3] WORKDIR /src\n\
         ::group::[3/3] RUN make 100%25\n\
         ::stop-commands::mark1\n\
         0.113 ::endgroup::\n\
         0.130 cc\n\
         ::mark1::\n\
         ::endgroup::\n\
         ERROR [3/3] RUN make 100%: exit code: 1\n"
    );
    assert_eq!(
        printed(Runner::GitLab, events),
        "CACHED [1/3] FROM debian\n\
         DONE 0.0s [2/3] WORKDIR /src\n\
         \u{1b}[0Ksection_start:1700000000:croze_3_mark1[collapsed=true]\r\u{1b}[0K[3/3] RUN make 100%\n\
         0.113 ::endgroup::\n\
         0.130 cc\n\
         \u{1b}[0Ksection_end:1700000000:croze_3_mark1\r\u{1b}[0K\n\
         ERROR [3/3] RUN make 100%: exit code: 1\n"
    );
}

#[test]
fn groups_of_parallel_steps_follow_each_other_and_warnings_stand_between() {
    let text = printed(
        github(),
        [
            declare(0, "a"),
            declare(1, "b"),
            start(0, 0),
            start(1, 0),
            log(0, "a1\n", 0),
            log(1, "b1\n", 0),
            Event::Warning(Box::new(Diagnostic::warning("odd"))),
            log(0, "a2\n", 0),
            end(1, None, 0),
            end(0, None, 0),
            Event::Warning(Box::new(Diagnostic::warning("odder"))),
        ],
    );
    assert_eq!(
        text,
        "::group::a\n::stop-commands::mark1\n0.000 a1\n0.000 a2\n::mark1::\n::endgroup::\n::warning::odd\nDONE 0.0s a\n\
         ::group::b\n::stop-commands::mark2\n0.000 b1\n::mark2::\n::endgroup::\nDONE 0.0s b\n::warning::odder\n"
    );
}

#[test]
fn what_was_brought_about_stays_in_sight() {
    let text = "pushing manifest for example.com/app:1@sha256:00".to_owned();
    let text = printed(
        github(),
        [
            declare(0, "exporting to image"),
            start(0, 0),
            Event::Outcome {
                step: StepId(0),
                text,
                at: at(0),
            },
            log(0, "x\n", 0),
            end(0, None, 0),
        ],
    );
    assert!(
        text.ends_with(
            "::endgroup::\nDONE 0.0s exporting to image\n=> pushing manifest for example.com/app:1@sha256:00 done\n"
        ),
        "{text}"
    );
}

#[test]
fn a_silent_step_is_shown_while_it_runs_and_a_group_without_end_is_ended() {
    let mut display = groups(github());
    for event in [declare(0, "RUN sleep"), start(0, 0)] {
        display.event(event).unwrap();
    }
    display.tick().unwrap();
    display.tick().unwrap();
    display.finish().unwrap();
    assert_eq!(
        String::from_utf8(display.into_writer()).unwrap(),
        "::group::RUN sleep\n::stop-commands::mark1\n::mark1::\n::endgroup::\n"
    );
}

#[test]
fn a_step_that_prints_too_much_to_wait_is_shown_in_several_groups() {
    let mut display = groups(github());
    for step in [0, 1] {
        display.event(declare(step, if step == 0 { "a" } else { "b" })).unwrap();
        display.event(start(step, 0)).unwrap();
    }
    for _ in 0..10_000 {
        for step in [0, 1] {
            display
                .event(log(
                    step,
                    "a line of some sixty characters, which a program prints often\n",
                    0,
                ))
                .unwrap();
        }
    }
    display.finish().unwrap();
    let text = String::from_utf8(display.into_writer()).unwrap();
    assert!(text.contains("::group::b\n") && text.contains("::group::b (continued)\n"));
    assert_eq!(text.matches("::group::").count(), text.matches("::endgroup::").count());
}
