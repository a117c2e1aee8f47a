//! Past builds: what each step did and why, kept beside its logs.
//!
//! ```text
//! log/<build-id>/
//!   build      a note: the build and its steps ([`BuildRecord`])
//!   <n>.log    what step n printed, byte for byte
//! ```
//!
//! The last [`KEPT`] builds are kept. Values of build arguments are in no record, only which of them changed.

mod explain;
mod graph;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use snapshotter::Root;

use crate::cache::Change;
use crate::state_dir::note;

pub use explain::explain;
pub use graph::{dot, mermaid, svg, text};

/// Builds that are kept, with their logs.
pub const KEPT: usize = 64;

/// Changes of one step that are kept by name: all steps of a build go into one note.
pub const CHANGES: usize = 40;

/// Bytes of what something was and is that are kept.
const LONGEST_VALUES: usize = 2048;

/// The note of a build in the directory of its logs.
const FILE: &str = "build";

/// A build that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Its name: that of its directory.
    pub id: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How many milliseconds it took.
    pub took_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The Dockerfile, as in messages.
    pub dockerfile: String,
    /// The context, if it is a directory.
    pub context: Option<String>,
    /// The stage that was asked for.
    pub target: Option<String>,
    /// The platforms that were asked for.
    pub platforms: Vec<String>,
    /// The names of the result.
    pub tags: Vec<String>,
    /// All that the result is made from, inputs first.
    pub steps: Vec<Step>,
}

/// How a build ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Succeeded,
    /// Not well.
    Failed {
        /// Why.
        error: String,
    },
    /// Somebody stopped it.
    Cancelled,
}

/// One step of a build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What people see.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// The steps whose results it used, by position.
    pub inputs: Vec<usize>,
    /// What became of it.
    pub result: StepResult,
    /// How many milliseconds it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why it was not in the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What in particular had changed, at most [`CHANGES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How many more had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_changes: usize,
    /// The number of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u32>,
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// It stands for something outside.
    Source,
    /// It was in the cache.
    Hit,
    /// It ran.
    Ran,
    /// It ran and failed.
    Failed,
    /// It was running when the build was stopped.
    Cancelled,
    /// The build ended before it could begin.
    NotReached,
    /// Nobody needed its result.
    Unneeded,
}

impl StepResult {
    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Hit => "hit",
            Self::Ran => "ran",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NotReached => "not reached",
            Self::Unneeded => "unneeded",
        }
    }
}

impl BuildRecord {
    /// Keeps it in the directory of the build's logs, and forgets the oldest builds but those in `alive`, whose directories
    /// are beside it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, directory: &Path, scratch: &Path, alive: &dyn Fn(&str) -> bool) -> io::Result<()> {
        let file = directory.join(FILE);
        match note::write(&file, scratch, self) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                note::write(&file, scratch, &self.without_changes())?;
            }
            written => written?,
        }
        let logs = directory.parent().unwrap_or(directory);
        let mut builds: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(logs)?.flatten() {
            if let Ok(metadata) = entry.metadata() {
                builds.push((metadata.modified()?, entry.file_name().into()));
            }
        }
        builds.sort();
        let root = Root::open(logs).map_err(|error| error.source)?;
        let oldest = builds.iter().take(builds.len().saturating_sub(KEPT));
        for (_, name) in oldest.filter(|(_, name)| !name.to_str().is_some_and(alive)) {
            root.remove_tree(name).map_err(|error| error.source)?;
        }
        Ok(())
    }

    /// Returns it with the number of what had changed only.
    fn without_changes(&self) -> Self {
        let mut short = self.clone();
        for step in &mut short.steps {
            step.more_changes += std::mem::take(&mut step.changes).len();
        }
        short
    }

    /// Returns how many steps had this result.
    pub fn count(&self, result: StepResult) -> usize {
        self.steps.iter().filter(|step| step.result == result).count()
    }
}

/// Returns all builds that are kept below a directory of logs, the latest first. Damaged ones are passed over.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(logs: &Path) -> io::Result<Vec<BuildRecord>> {
    let entries = match fs::read_dir(logs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let records = entries
        .flatten()
        .filter_map(|entry| note::read::<BuildRecord>(&entry.path().join(FILE)));
    let mut records: Vec<BuildRecord> = records.collect();
    records.sort_by(|a, b| b.started.cmp(&a.started));
    Ok(records)
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Step {
    /// Keeps of what had changed as much as is kept.
    pub fn set_changes(&mut self, changes: &[Change]) {
        let is_short = |(old, new): &(String, String)| old.len() + new.len() <= LONGEST_VALUES;
        let kept = changes.iter().take(CHANGES).map(|change| Change {
            values: change.values.clone().filter(is_short),
            ..change.clone()
        });
        self.changes = kept.collect();
        self.more_changes = changes.len() - self.changes.len();
    }
}

/// Shows milliseconds as seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

/// Returns a text on one line, which no terminal is steered by.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cache::ChangeKind;

    /// A build of a few steps, one of each kind.
    pub(crate) fn example() -> BuildRecord {
        let step = |name: &str, stage: &str, inputs: &[usize], result| Step {
            name: name.to_owned(),
            stage: stage.to_owned(),
            inputs: inputs.to_vec(),
            result,
            took_ms: None,
            reason: None,
            changes: Vec::new(),
            more_changes: 0,
            log: None,
        };
        let changed = Change {
            what: "src/\u{1b}[1m\"main\".rs".to_owned(),
            kind: ChangeKind::Changed,
            values: None,
        };
        BuildRecord {
            id: "12-ab-0".to_owned(),
            started: "2026-01-02T03:04:05Z".to_owned(),
            took_ms: 3210,
            outcome: Outcome::Succeeded,
            dockerfile: "Dockerfile".to_owned(),
            context: Some("/src".to_owned()),
            target: None,
            platforms: Vec::new(),
            tags: vec!["app".to_owned()],
            steps: vec![
                step("FROM busybox", "build", &[], StepResult::Source),
                step("[internal] load build context", "", &[], StepResult::Source),
                step("[build 2/3] RUN <make> \"all\" | cat", "build", &[0], StepResult::Hit),
                Step {
                    took_ms: Some(1234),
                    reason: Some("files that it reads from `context` have changed".to_owned()),
                    changes: vec![changed],
                    log: Some(3),
                    ..step("[build 3/3] COPY . /src", "build", &[2, 1], StepResult::Ran)
                },
                step("[other 2/2] RUN x", "other", &[0], StepResult::Unneeded),
            ],
        }
    }

    #[test]
    fn a_large_build_is_kept_with_the_first_of_its_changes() {
        let dir = tempfile::tempdir().unwrap();
        let changes: Vec<Change> = (0..4000)
            .map(|number| Change {
                what: format!("a/rather/long/directory/name/with/a/file/{number}"),
                kind: ChangeKind::Changed,
                values: None,
            })
            .collect();
        let mut record = example();
        let mut step = record.steps[3].clone();
        step.set_changes(&changes);
        assert_eq!((step.changes.len(), step.more_changes), (CHANGES, 4000 - CHANGES));
        record.steps = vec![step.clone(); 50];
        let directory = dir.path().join("log").join(&record.id);
        fs::create_dir_all(&directory).unwrap();
        record.save(&directory, dir.path(), &|_| false).unwrap();
        let logs = dir.path().join("log");
        assert_eq!(list(&logs).unwrap(), [record.clone()]);
        record.steps = vec![step; 2000];
        record.save(&directory, dir.path(), &|_| false).unwrap();
        assert_eq!(
            list(&logs).unwrap()[0].steps[0].more_changes,
            4000,
            "only their number is kept"
        );
    }

    #[test]
    fn builds_are_kept_the_latest_first_and_no_more_than_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("log");
        for number in 0..KEPT + 3 {
            let record = BuildRecord {
                id: format!("{number}"),
                started: format!("2026-01-01T00:00:00.{number:03}Z"),
                ..example()
            };
            let directory = logs.join(&record.id);
            fs::create_dir_all(&directory).unwrap();
            record.save(&directory, dir.path(), &|name| name == "0").unwrap();
        }
        let kept = list(&logs).unwrap();
        assert_eq!(kept[0].id, format!("{}", KEPT + 2));
        assert!(kept.iter().any(|record| record.id == "0"), "it still runs");
        assert!((KEPT..KEPT + 3).contains(&kept.len()), "{}", kept.len());
        assert_eq!(list(&dir.path().join("nothing")).unwrap(), []);
    }
}
