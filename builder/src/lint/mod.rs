//! What is odd about a Dockerfile, by the rules of BuildKit 0.32, in its words.
//!
//! Some rules look at the file as a whole ([`Linter::file`]), also at stages that nobody needs and at files whose
//! syntax is wrong. The others watch the frontend (the linter is an [`Observe`]), so that what an instruction
//! means is decided in one place; they see the stages that are lowered: in a build what the target is made from,
//! in a check every stage unless a target is chosen.
//!
//! Who does not want to hear of something says so in the build argument `BUILDKIT_DOCKERFILE_CHECK`, else in the
//! directive `# check=skip=Rule;error=true`, or for one instruction in a comment above it: see `options`.

mod options;
mod rule;
mod findings;
mod file;
mod rules;
mod report;
#[cfg(test)]
mod tests;

pub use report::{Report, Warning};
pub use rule::{RULES, Rule};

use crate::diagnostic::Diagnostic;
use crate::dockerfile::ignore::Matcher;
use crate::frontend::{Observe, Request, Seen};
use file::File;
use findings::Findings;
use options::Options;
use rules::StageRule;

/// Looks at one Dockerfile.
pub struct Linter {
    findings: Findings,
    rules: Vec<Box<dyn StageRule>>,
}

impl Linter {
    /// Prepares for a request; `ignored` is the ignore file of its build context.
    ///
    /// # Errors
    /// If the options of the check cannot be read.
    pub fn new(request: &Request, ignored: Option<Matcher>) -> Result<Self, Diagnostic> {
        let options = Options::of(request).map_err(|error| error.in_file(&request.dockerfile.source))?;
        Ok(Self {
            findings: Findings::new(options),
            rules: rules::of_stages(ignored),
        })
    }

    /// Applies the rules about the file as a whole.
    pub fn file(&mut self, request: &Request) {
        let file = File::new(request);
        for check in rules::OF_FILES {
            check(&file, &mut self.findings);
        }
    }

    /// Returns what was found, in the order of the file.
    #[must_use]
    pub fn finish(self, request: &Request) -> Report {
        Report::new(self.findings, &request.dockerfile.source)
    }
}

impl Observe for Linter {
    fn see(&mut self, seen: Seen<'_>) {
        self.findings.enter(&seen);
        for rule in &mut self.rules {
            rule.see(&seen, &mut self.findings);
        }
    }
}
