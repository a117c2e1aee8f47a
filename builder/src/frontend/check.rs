//! Warnings about odd Dockerfiles, and who does not want to hear them: `# check=skip=Rule;error=true`.
//!
//! The options come from the build argument `BUILDKIT_DOCKERFILE_CHECK`, else from the directive at the top, and a
//! comment above an instruction silences rules for it alone.

use std::collections::BTreeSet;

use super::request::Request;
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::Instruction;

/// The build argument that replaces the directive.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which warnings are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Check {
    skipped: Skipped,
    /// Whether a warning fails the build.
    fails: bool,
}

/// The rules that are not looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Skipped {
    All,
    Rules(BTreeSet<String>),
}

impl Default for Skipped {
    fn default() -> Self {
        Self::Rules(BTreeSet::new())
    }
}

impl Check {
    /// Reads the options of a build.
    pub(super) fn of(request: &Request) -> Result<Self, Diagnostic> {
        if let Some(given) = request.build_args.get(ARGUMENT) {
            return Self::parse(given).map_err(|problem| Diagnostic::error(format!("{ARGUMENT}: {problem}")));
        }
        let Some(directive) = &request.dockerfile.check else {
            return Ok(Self::default());
        };
        let error =
            |problem| Diagnostic::error(format!("failed to parse check options: {problem}")).at(directive.span, "");
        Self::parse(directive).map_err(error)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut check = Self::default();
        for option in text.split(';').map(str::trim).filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("invalid check option \"{option}\""))?;
            match (key.trim(), value.trim()) {
                ("skip", rules) => check.skip(rules),
                // No rule of ours is an experiment.
                ("experimental", _) => {}
                ("error", "1" | "t" | "T" | "true" | "TRUE" | "True") => check.fails = true,
                ("error", "0" | "f" | "F" | "false" | "FALSE" | "False") => check.fails = false,
                ("error", _) => return Err(format!("failed to parse check option \"{option}\"")),
                (key, _) => return Err(format!("invalid check option \"{key}\"")),
            }
        }
        Ok(check)
    }

    fn skip(&mut self, rules: &str) {
        match &mut self.skipped {
            _ if rules == "all" => self.skipped = Skipped::All,
            Skipped::All => {}
            Skipped::Rules(skipped) => skipped.extend(rules.split(',').map(|rule| rule.trim().to_owned())),
        }
    }

    /// Returns the options for one instruction: its comments may skip more.
    fn at(&self, instruction: &Instruction) -> Self {
        let mut check = self.clone();
        for comment in &instruction.comments {
            let Some((key, options)) = comment.split_once('=') else {
                continue;
            };
            // What follows `//` is a reason.
            let options = options.split("//").next().unwrap_or_default().trim();
            if let ("check", Some(rules)) = (key.trim(), options.strip_prefix("skip=")) {
                check.skip(rules.trim());
            }
        }
        check
    }

    fn wants(&self, rule: &str) -> bool {
        match &self.skipped {
            Skipped::All => false,
            Skipped::Rules(rules) => !rules.contains(rule),
        }
    }
}

/// Warnings as they are found.
#[derive(Debug)]
pub(super) struct Warnings {
    whole: Check,
    current: Check,
    rules: BTreeSet<&'static str>,
    found: Vec<Diagnostic>,
}

impl Warnings {
    pub(super) fn new(check: Check) -> Self {
        Self {
            current: check.clone(),
            whole: check,
            rules: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// Says which instruction is looked at from now on.
    pub(super) fn enter(&mut self, instruction: &Instruction) {
        self.current = self.whole.at(instruction);
    }

    /// Warns, unless nobody wants to hear it.
    pub(super) fn warn(&mut self, rule: &'static str, message: &str, span: Span) {
        if self.current.wants(rule) {
            self.rules.insert(rule);
            self.found
                .push(Diagnostic::warning(format!("{rule}: {message}")).at(span, ""));
        }
    }

    /// Returns the warnings; as errors if the Dockerfile wants it so.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        if !self.whole.fails || self.found.is_empty() {
            return Ok(self.found);
        }
        let rules: Vec<&str> = self.rules.into_iter().collect();
        let message = format!("lint violation found for rules: {}", rules.join(", "));
        let labels = self.found.into_iter().flat_map(|warning| warning.labels);
        Err(vec![labels.fold(Diagnostic::error(message), |error, label| {
            error.at(label.span, label.text)
        })])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_buildkit_reads_them() {
        let wants = |text: &str| Check::parse(text).map(|check| (check.wants("A"), check.wants("B"), check.fails));
        assert_eq!(wants(""), Ok((true, true, false)));
        assert_eq!(wants("skip=A, C"), Ok((false, true, false)));
        assert_eq!(wants("skip=all;error=true"), Ok((false, false, true)));
        assert_eq!(wants("error=true;skip=B"), Ok((true, false, true)));
        assert_eq!(wants("experimental=all"), Ok((true, true, false)));
        assert_eq!(wants("skip"), Err("invalid check option \"skip\"".to_owned()));
        assert_eq!(wants("sikp=A"), Err("invalid check option \"sikp\"".to_owned()));
        assert_eq!(
            wants("error=maybe"),
            Err("failed to parse check option \"error=maybe\"".to_owned())
        );
    }
}
