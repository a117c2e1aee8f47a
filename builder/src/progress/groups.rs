//! `--progress=github` and `--progress=gitlab`: what a step prints folds away, in the way of the CI runner that shows it.
//!
//! The step that has the floor is shown while it runs; others when they end. How steps have ended, and what they have
//! brought about, stays in sight. What a step prints can neither end its group nor begin one: it does not know the mark,
//! which is new for every group, and every line of it stands behind a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::clean::clean;
use super::turns::{Ending, Form, Said, Speaker, Turns};
use super::{github, gitlab};
use crate::diagnostic::Diagnostic;

/// Prints events as groups.
pub type Groups<W> = Turns<W, GroupForm>;

/// Returns the next mark of a group: letters and digits that nobody can guess.
pub type Marks = Box<dyn FnMut() -> io::Result<String> + Send>;

/// A CI runner that folds lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Runner {
    /// GitHub Actions, which has annotations too: for these, where files are in the repository.
    GitHub(github::Files),
    /// GitLab.
    GitLab,
}

/// Groups of one runner.
pub struct GroupForm {
    runner: Runner,
    marks: Marks,
    /// The mark of the group that is open, with the number of its step.
    open: Option<(String, usize)>,
    /// Steps that have had a group.
    shown: BTreeSet<usize>,
    /// What steps have brought about, to be shown when they have ended.
    outcomes: BTreeMap<usize, Vec<String>>,
    /// Lines of our own that must not stand in a group.
    held: Vec<String>,
}

impl<W: Write> Groups<W> {
    /// Prints to `out` for a runner.
    pub fn new(out: W, runner: Runner, marks: Marks) -> Self {
        let form = GroupForm {
            runner,
            marks,
            open: None,
            shown: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            held: Vec::new(),
        };
        Self::with_form(out, form)
    }
}

impl GroupForm {
    fn open(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let mark = (self.marks)()?;
        let again = if self.shown.insert(speaker.number) {
            ""
        } else {
            " (continued)"
        };
        let title = format!("{}{again}", speaker.name);
        match self.runner {
            Runner::GitHub(_) => github::open(out, &title, &mark)?,
            Runner::GitLab => gitlab::open(out, &title, &mark, speaker)?,
        }
        self.open = Some((mark, speaker.number));
        Ok(())
    }

    fn close(&mut self, out: &mut dyn Write, at: SystemTime) -> io::Result<()> {
        if let Some((mark, number)) = self.open.take() {
            match self.runner {
                Runner::GitHub(_) => github::close(out, &mark)?,
                Runner::GitLab => gitlab::close(out, &mark, number, at)?,
            }
        }
        for line in self.held.drain(..) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

impl Form for GroupForm {
    /// Pieces of a step are harder to read than steps that are shown late.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn begin(&mut self, _: &mut dyn Write, _: &Speaker<'_>) -> io::Result<()> {
        // Most steps print nothing: a group is for lines.
        Ok(())
    }

    fn say(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>, said: &Said) -> io::Result<()> {
        match said {
            Said::Line(line) => {
                self.open(out, speaker)?;
                writeln!(out, "{line}")
            }
            Said::Outcome(text) => {
                self.outcomes.entry(speaker.number).or_default().push(text.clone());
                Ok(())
            }
            Said::End(ending) => {
                self.close(out, speaker.at)?;
                let name = speaker.name;
                match ending {
                    Ending::Cached => writeln!(out, "CACHED {name}")?,
                    Ending::Done(took) => writeln!(out, "DONE {:.1}s {name}", took.as_secs_f64())?,
                    Ending::Failed(error) => writeln!(out, "ERROR {name}: {error}")?,
                }
                for outcome in self.outcomes.remove(&speaker.number).unwrap_or_default() {
                    writeln!(out, "=> {outcome}")?;
                }
                Ok(())
            }
        }
    }

    fn silence(&mut self, out: &mut dyn Write, speaker: &Speaker<'_>) -> io::Result<()> {
        // So that one sees what is being waited for.
        self.open(out, speaker)
    }

    fn leave(&mut self, out: &mut dyn Write, at: SystemTime) -> io::Result<()> {
        self.close(out, at)
    }

    fn warn(&mut self, out: &mut dyn Write, warning: &Diagnostic) -> io::Result<()> {
        let line = match &self.runner {
            Runner::GitHub(files) => github::annotation(warning, files),
            Runner::GitLab => format!("warning: {}", clean(warning.message.as_bytes())),
        };
        self.held.push(line);
        match self.open {
            Some(_) => Ok(()),
            None => self.close(out, SystemTime::UNIX_EPOCH),
        }
    }
}

#[cfg(test)]
mod tests;
