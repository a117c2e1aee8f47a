//! Events as lines of steps that take turns: one step has the floor at a time, and what others print waits until it ends
//! or falls silent, so that parallel steps do not shred each other's output.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use super::bytes::Bytes;
use super::clean::{Lines, clean};
use super::{Event, StepId, Stream};
use crate::diagnostic::Diagnostic;

/// What one step may have waiting, in bytes; when it is more it is shown, whoever has the floor.
const MAX_WAITING: usize = 256 << 10;

/// How lines are written.
pub trait Form {
    /// How long who has the floor may be silent while others wait.
    const PATIENCE: Duration;

    /// A step is about to speak, or has begun to run and may speak first.
    ///
    /// # Errors
    /// Whatever the writer returns, as for all of these.
    fn begin(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>) -> io::Result<()>;

    /// The step that was last begun says something.
    ///
    /// # Errors
    /// See [`Form::begin`].
    fn say(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>, said: &Said) -> io::Result<()>;

    /// The step that was last begun still runs, and nobody has said anything for a while.
    ///
    /// # Errors
    /// See [`Form::begin`].
    fn silence(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>) -> io::Result<()>;

    /// The step that was last begun says no more for now.
    ///
    /// # Errors
    /// See [`Form::begin`].
    fn leave(&mut self, out: &mut dyn Write, at: SystemTime) -> io::Result<()>;

    /// Something is to be warned of, whoever speaks.
    ///
    /// # Errors
    /// See [`Form::begin`].
    fn warn(&mut self, out: &mut dyn Write, warning: &Diagnostic) -> io::Result<()>;
}

/// A step that is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speaker<'a> {
    /// Its number among those that are shown, from 1.
    pub number: usize,
    /// Its name, clean.
    pub name: &'a str,
    /// When: the time of the last event.
    pub at: SystemTime,
}

/// What a step says, clean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A line that it has printed, or of its progress.
    Line(String),
    /// What it has brought about.
    Outcome(String),
    /// How it has ended.
    End(Ending),
}

/// How a step has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It need not run.
    Cached,
    /// Well, after this time.
    Done(Duration),
    /// Not well, for this reason.
    Failed(String),
}

/// Prints events as lines of one form.
pub struct Turns<W, F> {
    out: W,
    form: F,
    steps: Vec<Step>,
    /// Who has the floor.
    foreground: Option<StepId>,
    /// The step that was last begun.
    begun: Option<StepId>,
    last_output: Instant,
    now: SystemTime,
    waiting: BTreeMap<StepId, Waiting>,
}

#[derive(Default)]
struct Waiting {
    said: Vec<Said>,
    size: usize,
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

impl<W: Write, F: Form> Turns<W, F> {
    /// Prints to `out`.
    pub fn with_form(out: W, form: F) -> Self {
        Self {
            out,
            form,
            steps: Vec::new(),
            foreground: None,
            begun: None,
            last_output: Instant::now(),
            now: SystemTime::UNIX_EPOCH,
            waiting: BTreeMap::new(),
        }
    }

    /// Returns the writer.
    pub fn into_writer(self) -> W {
        self.out
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
                self.now = at;
                // When a build is planned anew, a step that was cancelled runs again.
                self.step(step, |s| (s.started, s.ended) = (Some(at), false));
                self.say(step, Vec::new())?;
            }
            Event::Cached { step, at } => {
                self.now = at;
                self.end(step, Ending::Cached)?;
            }
            Event::Completed { step, at, error } => {
                self.now = at;
                let rest = self
                    .step(step, |s| [s.stdout.finish(), s.stderr.finish()])
                    .into_iter()
                    .flatten()
                    .flatten();
                let rest: Vec<Said> = rest.map(|line| self.log_line(step, at, &line)).collect();
                self.say(step, rest)?;
                let ending = match error {
                    Some(error) => Ending::Failed(clean(error.as_bytes())),
                    None => Ending::Done(self.elapsed(step, at)),
                };
                self.end(step, ending)?;
            }
            Event::Log {
                step,
                stream,
                bytes,
                at,
            } => {
                self.now = at;
                let lines = self.step(step, |s| match stream {
                    Stream::Stdout => s.stdout.push(&bytes),
                    Stream::Stderr => s.stderr.push(&bytes),
                });
                let lines = lines
                    .unwrap_or_default()
                    .iter()
                    .map(|line| self.log_line(step, at, line))
                    .collect();
                self.say(step, lines)?;
            }
            Event::Transfer {
                step,
                item,
                current,
                total,
                done,
                at,
            } => {
                self.now = at;
                if done {
                    let size = Bytes(total.unwrap_or(current));
                    self.say(
                        step,
                        vec![Said::Line(format!("{} {size} done", clean(item.as_bytes())))],
                    )?;
                }
            }
            Event::Outcome { step, text, at } => {
                self.now = at;
                self.say(step, vec![Said::Outcome(format!("{} done", clean(text.as_bytes())))])?;
            }
            Event::Warning(warning) => self.form.warn(&mut self.out, &warning)?,
        }
        // Events of others may come without end while who has the floor is silent.
        self.pass_on()?;
        self.out.flush()
    }

    /// Lets others speak if the foreground has been silent; to be called every now and then.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn tick(&mut self) -> io::Result<()> {
        self.pass_on()?;
        if let Some(step) = self.foreground.filter(|step| self.begun == Some(*step)) {
            self.speak(step, |form, out, speaker| form.silence(out, speaker))?;
        }
        self.out.flush()
    }

    /// Shows what still waits; to be called when no more events come.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn finish(&mut self) -> io::Result<()> {
        for (step, waiting) in std::mem::take(&mut self.waiting) {
            self.print(step, &waiting.said)?;
        }
        self.leave()?;
        self.out.flush()
    }

    fn step<T>(&mut self, step: StepId, act: impl FnOnce(&mut Step) -> T) -> Option<T> {
        self.steps.get_mut(step.0 as usize).map(act)
    }

    fn elapsed(&self, step: StepId, at: SystemTime) -> Duration {
        let started = self.steps.get(step.0 as usize).and_then(|s| s.started);
        started
            .and_then(|started| at.duration_since(started).ok())
            .unwrap_or_default()
    }

    fn log_line(&self, step: StepId, at: SystemTime, line: &str) -> Said {
        Said::Line(format!("{:.3} {line}", self.elapsed(step, at).as_secs_f64()))
    }

    /// Prints what a step says if it has the floor, or may take it; else keeps that, within bounds.
    fn say(&mut self, step: StepId, said: Vec<Said>) -> io::Result<()> {
        let foreground = *self.foreground.get_or_insert(step);
        if foreground == step {
            return self.print(step, &said);
        }
        let waiting = self.waiting.entry(step).or_default();
        waiting.size += said.iter().map(Said::size).sum::<usize>();
        waiting.said.extend(said);
        if waiting.size > MAX_WAITING {
            let waiting = std::mem::take(waiting);
            self.print(step, &waiting.said)?;
        }
        Ok(())
    }

    fn end(&mut self, step: StepId, ending: Ending) -> io::Result<()> {
        self.say(step, vec![Said::End(ending)])?;
        self.step(step, |s| s.ended = true);
        // Whoever has the foreground keeps it; an ended step in the background is shown in its turn.
        if self.foreground == Some(step) {
            self.foreground = None;
            self.next_foreground()?;
        }
        Ok(())
    }

    /// Takes the floor from who has been silent for too long.
    fn pass_on(&mut self) -> io::Result<()> {
        match self.last_output.elapsed() >= F::PATIENCE {
            true => self.next_foreground(),
            false => Ok(()),
        }
    }

    /// Shows all that ended meanwhile, then gives the foreground to the first that waits.
    fn next_foreground(&mut self) -> io::Result<()> {
        let ended = |steps: &[Step], id: &StepId| steps.get(id.0 as usize).is_none_or(|s| s.ended);
        let mut waiting: Vec<StepId> = self.waiting.keys().copied().collect();
        waiting.sort_by_key(|id| !ended(&self.steps, id));
        for step in waiting {
            let waiting = self.waiting.remove(&step).unwrap_or_default();
            self.print(step, &waiting.said)?;
            if !ended(&self.steps, &step) {
                self.foreground = Some(step);
                break;
            }
        }
        Ok(())
    }

    fn print(&mut self, step: StepId, said: &[Said]) -> io::Result<()> {
        if self.begun != Some(step) {
            self.leave()?;
            self.begun = Some(step);
            self.speak(step, |form, out, speaker| form.begin(out, speaker))?;
        }
        for said in said {
            self.speak(step, |form, out, speaker| form.say(out, speaker, said))?;
        }
        self.last_output = Instant::now();
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        match self.begun.take() {
            Some(_) => self.form.leave(&mut self.out, self.now),
            None => Ok(()),
        }
    }

    fn speak(
        &mut self,
        step: StepId,
        act: impl FnOnce(&mut F, &mut dyn Write, &Speaker<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let next = self.steps.iter().filter_map(|s| s.number).max().unwrap_or(0) + 1;
        let Some(state) = self.steps.get_mut(step.0 as usize) else {
            return Ok(());
        };
        let speaker = Speaker {
            number: *state.number.get_or_insert(next),
            name: &state.name,
            at: self.now,
        };
        act(&mut self.form, &mut self.out, &speaker)
    }
}

impl Said {
    /// Returns what it takes in memory, in bytes.
    fn size(&self) -> usize {
        let text = match self {
            Self::Line(text) | Self::Outcome(text) | Self::End(Ending::Failed(text)) => text.len(),
            Self::End(Ending::Cached | Ending::Done(_)) => 0,
        };
        size_of::<Self>() + text
    }
}
