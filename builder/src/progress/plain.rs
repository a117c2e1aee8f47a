//! `--progress=plain`: one line for each event, in the form that users of BuildKit know.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::clean::clean;
use super::turns::{Ending, Form, Said, Speaker, Turns};
use crate::diagnostic::Diagnostic;

/// Prints events as lines.
pub type Plain<W> = Turns<W, PlainForm>;

/// Lines that begin with the number of their step.
#[derive(Debug, Default)]
pub struct PlainForm {
    /// Whether a step has been shown, from which the next one is set off.
    follows: bool,
}

impl<W: Write> Plain<W> {
    /// Prints to `out`.
    pub fn new(out: W) -> Self {
        Self::with_form(out, PlainForm::default())
    }
}

impl Form for PlainForm {
    const PATIENCE: Duration = Duration::from_millis(800);

    fn begin(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.follows, true) {
            writeln!(out)?;
        }
        writeln!(out, "#{} {}", speaker.number, speaker.name)
    }

    fn say(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>, said: &Said) -> io::Result<()> {
        let number = speaker.number;
        match said {
            Said::Line(text) | Said::Outcome(text) => writeln!(out, "#{number} {text}"),
            Said::End(Ending::Cached) => writeln!(out, "#{number} CACHED"),
            Said::End(Ending::Done(took)) => writeln!(out, "#{number} DONE {:.1}s", took.as_secs_f64()),
            Said::End(Ending::Failed(error)) => writeln!(out, "#{number} ERROR: {error}"),
        }
    }

    fn silence(&mut self, _: &mut dyn Write, _: &Speaker<'_>) -> io::Result<()> {
        Ok(())
    }

    fn leave(&mut self, _: &mut dyn Write, _: SystemTime) -> io::Result<()> {
        Ok(())
    }

    fn warn(&mut self, out: &mut dyn Write, warning: &Diagnostic) -> io::Result<()> {
        writeln!(out, "warning: {}", clean(warning.message.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use registry::oci::Digest;

    use super::*;
    use crate::progress::{Event, StepId, Stream};

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn declare(step: u32, name: &str) -> Event {
        Event::Declared {
            step: StepId(step),
            name: name.to_owned(),
            digest: Digest::of(b""),
            inputs: vec![],
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

    fn printed(events: impl IntoIterator<Item = Event>) -> String {
        let mut display = Plain::new(Vec::new());
        for event in events {
            display.event(event).unwrap();
        }
        String::from_utf8(display.into_writer()).unwrap()
    }

    #[test]
    fn steps_are_printed_as_buildkit_prints_them() {
        let text = printed([
            declare(0, "[internal] load build definition from Dockerfile"),
            declare(1, "[1/2] FROM debian"),
            declare(2, "[2/2] RUN make"),
            Event::Started {
                step: StepId(0),
                at: at(0),
            },
            Event::Completed {
                step: StepId(0),
                at: at(20),
                error: None,
            },
            Event::Cached {
                step: StepId(1),
                at: at(20),
            },
            Event::Started {
                step: StepId(2),
                at: at(20),
            },
            log(2, "cc\n", 133),
            Event::Completed {
                step: StepId(2),
                at: at(220),
                error: Some("exit code: 1".to_owned()),
            },
        ]);
        assert_eq!(
            text,
            "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n\n\
             #2 [1/2] FROM debian\n#2 CACHED\n\n\
             #3 [2/2] RUN make\n#3 0.113 cc\n#3 ERROR: exit code: 1\n"
        );
    }

    #[test]
    fn parallel_steps_do_not_shred_each_other() {
        let text = printed([
            declare(0, "a"),
            declare(1, "b"),
            Event::Started {
                step: StepId(0),
                at: at(0),
            },
            Event::Started {
                step: StepId(1),
                at: at(0),
            },
            log(0, "a1\n", 0),
            log(1, "b1\n", 0),
            log(0, "a2\n", 0),
            Event::Completed {
                step: StepId(1),
                at: at(0),
                error: None,
            },
            Event::Completed {
                step: StepId(0),
                at: at(0),
                error: None,
            },
        ]);
        assert_eq!(
            text,
            "#1 a\n#1 0.000 a1\n#1 0.000 a2\n#1 DONE 0.0s\n\n#2 b\n#2 0.000 b1\n#2 DONE 0.0s\n"
        );
    }

    #[test]
    fn a_step_that_prints_without_end_is_shown_while_another_is_silent() {
        let mut display = Plain::new(Vec::new());
        for (step, name) in [(0, "silent"), (1, "talkative")] {
            display.event(declare(step, name)).unwrap();
            let (step, at) = (StepId(step), at(0));
            display.event(Event::Started { step, at }).unwrap();
        }
        display.event(log(1, "before\n", 0)).unwrap();
        std::thread::sleep(PlainForm::PATIENCE);
        display.event(log(1, "after\n", 0)).unwrap();
        let text = String::from_utf8(display.into_writer()).unwrap();
        assert!(
            text.ends_with("#2 talkative\n#2 0.000 before\n#2 0.000 after\n"),
            "{text}"
        );
    }

    #[test]
    fn what_a_step_has_brought_about_is_a_line() {
        let text = "pushing manifest for example.com/app:1@sha256:00".to_owned();
        let text = printed([
            declare(0, "exporting to image"),
            Event::Outcome {
                step: StepId(0),
                text,
                at: at(0),
            },
        ]);
        assert_eq!(
            text,
            "#1 exporting to image\n#1 pushing manifest for example.com/app:1@sha256:00 done\n"
        );
    }

    #[test]
    fn a_line_without_a_newline_is_not_lost() {
        let text = printed([
            declare(0, "a"),
            Event::Started {
                step: StepId(0),
                at: at(0),
            },
            log(0, "rest", 0),
            Event::Completed {
                step: StepId(0),
                at: at(0),
                error: None,
            },
        ]);
        assert!(text.contains("#1 0.000 rest\n"), "{text}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut display = Plain::new(Vec::new());
        for step in [0, 1] {
            display.event(declare(step, "RUN yes")).unwrap();
            display
                .event(Event::Started {
                    step: StepId(step),
                    at: at(0),
                })
                .unwrap();
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
        let text = String::from_utf8(display.into_writer()).unwrap();
        let shown = text.lines().filter(|line| line.starts_with("#2 0.000")).count();
        assert!(shown > 5_000, "{shown}");
    }
}
