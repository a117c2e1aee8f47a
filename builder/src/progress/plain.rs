//! `--progress=plain`: one line for each event, in the form that users of BuildKit know.
//!
//! One step is in the foreground at a time; what others print waits until it ends or falls silent, so
//! that parallel steps do not shred each other's output.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use super::bytes::Bytes;
use super::clean::{Lines, clean};
use super::{Event, StepId, Stream};

/// How long the foreground may be silent while others wait.
const PATIENCE: Duration = Duration::from_millis(800);

/// Prints events as lines.
pub struct Plain<W> {
    out: W,
    steps: Vec<Step>,
    foreground: Option<StepId>,
    /// The step whose lines were printed last: another one needs a heading first.
    printed: Option<StepId>,
    last_output: Instant,
    pending: BTreeMap<StepId, Vec<String>>,
}

struct Step {
    name: String,
    /// The number shown, given when a step first prints.
    number: Option<usize>,
    started: Option<SystemTime>,
    stdout: Lines,
    stderr: Lines,
    ended: bool,
}

impl<W: Write> Plain<W> {
    /// Prints to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            steps: Vec::new(),
            foreground: None,
            printed: None,
            last_output: Instant::now(),
            pending: BTreeMap::new(),
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Declared { name, .. } => self.steps.push(Step {
                name: clean(name.as_bytes()),
                number: None,
                started: None,
                stdout: Lines::default(),
                stderr: Lines::default(),
                ended: false,
            }),
            Event::Started { step, at } => {
                self.step(step, |s| s.started = Some(at));
                self.lines(step, Vec::new())?;
            }
            Event::Cached { step, .. } => self.end(step, "CACHED".to_owned())?,
            Event::Completed { step, at, error } => {
                let rest = self
                    .step(step, |s| [s.stdout.finish(), s.stderr.finish()])
                    .into_iter()
                    .flatten()
                    .flatten();
                let rest: Vec<String> = rest.map(|line| self.log_line(step, at, &line)).collect();
                self.lines(step, rest)?;
                let line = match error {
                    Some(error) => format!("ERROR: {}", clean(error.as_bytes())),
                    None => format!("DONE {:.1}s", self.elapsed(step, at)),
                };
                self.end(step, line)?;
            }
            Event::Log {
                step,
                stream,
                bytes,
                at,
            } => {
                let lines = self.step(step, |s| match stream {
                    Stream::Stdout => s.stdout.push(&bytes),
                    Stream::Stderr => s.stderr.push(&bytes),
                });
                let lines = lines
                    .unwrap_or_default()
                    .iter()
                    .map(|line| self.log_line(step, at, line))
                    .collect();
                self.lines(step, lines)?;
            }
            Event::Transfer {
                step,
                item,
                current,
                total,
                done,
                ..
            } => {
                if done {
                    let size = total.map_or_else(|| Bytes(current).to_string(), |total| Bytes(total).to_string());
                    self.lines(step, vec![format!("{} {size} done", clean(item.as_bytes()))])?;
                }
            }
            Event::Outcome { step, text, .. } => {
                self.lines(step, vec![format!("{} done", clean(text.as_bytes()))])?;
            }
            Event::Warning(warning) => {
                writeln!(self.out, "warning: {}", clean(warning.message.as_bytes()))?;
            }
        }
        self.out.flush()
    }

    /// Lets others speak if the foreground has been silent; to be called every now and then.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn tick(&mut self) -> io::Result<()> {
        if self.last_output.elapsed() >= PATIENCE {
            self.next_foreground()?;
        }
        Ok(())
    }

    /// Shows what still waits; to be called when no more events come.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn finish(&mut self) -> io::Result<()> {
        for (step, lines) in std::mem::take(&mut self.pending) {
            self.print(step, &lines)?;
        }
        self.out.flush()
    }

    fn step<T>(&mut self, step: StepId, act: impl FnOnce(&mut Step) -> T) -> Option<T> {
        self.steps.get_mut(step.0 as usize).map(act)
    }

    fn elapsed(&self, step: StepId, at: SystemTime) -> f64 {
        let started = self.steps.get(step.0 as usize).and_then(|s| s.started);
        started
            .and_then(|started| at.duration_since(started).ok())
            .unwrap_or_default()
            .as_secs_f64()
    }

    fn log_line(&self, step: StepId, at: SystemTime, line: &str) -> String {
        format!("{:.3} {line}", self.elapsed(step, at))
    }

    /// Prints lines of a step if it is in the foreground, or may become it; else keeps them.
    fn lines(&mut self, step: StepId, lines: Vec<String>) -> io::Result<()> {
        let foreground = *self.foreground.get_or_insert(step);
        if foreground != step {
            self.pending.entry(step).or_default().extend(lines);
            return Ok(());
        }
        self.print(step, &lines)
    }

    fn end(&mut self, step: StepId, line: String) -> io::Result<()> {
        self.lines(step, vec![line])?;
        self.step(step, |s| s.ended = true);
        // Whoever has the foreground keeps it; an ended step in the background is shown in its turn.
        if self.foreground == Some(step) {
            self.foreground = None;
            self.next_foreground()?;
        }
        Ok(())
    }

    /// Shows all that ended meanwhile, then gives the foreground to the first that waits.
    fn next_foreground(&mut self) -> io::Result<()> {
        let ended = |steps: &[Step], id: &StepId| steps.get(id.0 as usize).is_none_or(|s| s.ended);
        let mut waiting: Vec<StepId> = self.pending.keys().copied().collect();
        waiting.sort_by_key(|id| !ended(&self.steps, id));
        for step in waiting {
            let lines = self.pending.remove(&step).unwrap_or_default();
            self.print(step, &lines)?;
            if !ended(&self.steps, &step) {
                self.foreground = Some(step);
                break;
            }
        }
        self.out.flush()
    }

    fn print(&mut self, step: StepId, lines: &[String]) -> io::Result<()> {
        let next = self.steps.iter().filter_map(|s| s.number).max().unwrap_or(0) + 1;
        let Some(state) = self.steps.get_mut(step.0 as usize) else {
            return Ok(());
        };
        let number = *state.number.get_or_insert(next);
        if self.printed != Some(step) {
            if self.printed.is_some() {
                writeln!(self.out)?;
            }
            writeln!(self.out, "#{number} {}", state.name)?;
        }
        for line in lines {
            writeln!(self.out, "#{number} {line}")?;
        }
        self.printed = Some(step);
        self.last_output = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use registry::oci::Digest;

    use super::*;

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
        String::from_utf8(display.out).unwrap()
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
}
