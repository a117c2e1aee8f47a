//! Keeps what steps print: whole on disk, and the last lines of each for the message when one fails.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::clean::Lines;
use super::{Event, StepId};
use crate::diagnostic::Diagnostic;

/// Lines kept for the message of a failed step.
const TAIL_LINES: usize = 40;

/// Records the logs of a build under one directory, a file for each step that prints.
pub struct Recorder {
    directory: Option<PathBuf>,
    logs: BTreeMap<StepId, Log>,
    names: BTreeMap<StepId, String>,
    warnings: Vec<Diagnostic>,
}

#[derive(Default)]
struct Log {
    file: Option<File>,
    path: Option<PathBuf>,
    lines: Lines,
    tail: VecDeque<String>,
}

/// The end of a step's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The step's name.
    pub step: String,
    /// Its last lines, neutralised.
    pub lines: Vec<String>,
    /// The file with everything it printed, byte for byte.
    pub path: Option<PathBuf>,
}

impl Recorder {
    /// Records into `directory`, which is made when the first step prints; `None` keeps only the tails.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            logs: BTreeMap::new(),
            names: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Takes note of one event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Declared { step, name, .. } => {
                self.names.insert(*step, name.clone());
            }
            // It may run again, when a build is planned anew: then its log is that of its last run.
            Event::Started { step, .. } => drop(self.logs.remove(step)),
            Event::Log { step, bytes, .. } => {
                let directory = self.directory.as_deref();
                let log = self.logs.entry(*step).or_insert_with(|| Log::create(directory, *step));
                if let Some(file) = &mut log.file {
                    // A full disk must not stop the step that fills it from being reported.
                    let _incomplete = file.write_all(bytes);
                }
                for line in log.lines.push(bytes) {
                    log.remember(line);
                }
            }
            Event::Completed { step, .. } => {
                if let Some(log) = self.logs.get_mut(step) {
                    log.file = None;
                    if let Some(rest) = log.lines.finish() {
                        log.remember(rest);
                    }
                }
            }
            Event::Warning(warning) => self.warnings.push((**warning).clone()),
            _ => {}
        }
    }

    /// Returns the warnings, in order.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Returns the end of a step's log.
    pub fn tail(&self, step: StepId) -> Tail {
        let log = self.logs.get(&step);
        Tail {
            step: self.names.get(&step).cloned().unwrap_or_default(),
            lines: log.map(|log| log.tail.iter().cloned().collect()).unwrap_or_default(),
            path: log.and_then(|log| log.path.clone()),
        }
    }
}

impl Log {
    fn create(directory: Option<&Path>, step: StepId) -> Self {
        let path = directory.map(|directory| directory.join(format!("{}.log", step.0)));
        let file = path.as_ref().and_then(|path| {
            std::fs::create_dir_all(path.parent()?).ok()?;
            File::create(path).ok()
        });
        Self {
            path: path.filter(|_| file.is_some()),
            file,
            ..Self::default()
        }
    }

    fn remember(&mut self, line: String) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::progress::Stream;

    #[test]
    fn the_file_has_every_byte_and_the_tail_the_last_clean_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::new(Some(directory.path().join("log")));
        let (step, at) = (StepId(3), SystemTime::UNIX_EPOCH);
        let text: String = (0..100).map(|n| format!("line {n}\u{1b}[0m\n")).collect();
        for bytes in [text.clone().into_bytes(), b"end".to_vec()] {
            recorder.event(&Event::Log {
                step,
                stream: Stream::Stdout,
                bytes: bytes.into(),
                at,
            });
        }
        recorder.event(&Event::Completed { step, at, error: None });
        let tail = recorder.tail(step);
        assert_eq!(tail.lines.len(), TAIL_LINES);
        assert_eq!(tail.lines[TAIL_LINES - 2..], ["line 99", "end"]);
        assert_eq!(std::fs::read_to_string(tail.path.unwrap()).unwrap(), text + "end");

        // A step that runs again has the log of its last run.
        recorder.event(&Event::Started { step, at });
        recorder.event(&Event::Log {
            step,
            stream: Stream::Stdout,
            bytes: b"again\n".to_vec().into(),
            at,
        });
        recorder.event(&Event::Completed { step, at, error: None });
        let tail = recorder.tail(step);
        assert_eq!(tail.lines, ["again"]);
        assert_eq!(std::fs::read_to_string(tail.path.unwrap()).unwrap(), "again\n");
    }
}
