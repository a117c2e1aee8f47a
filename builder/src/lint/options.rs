//! Which warnings are wanted: `skip=Rule,…|all;error=true;experimental=Rule,…|all`.
//!
//! The options come from the build argument `BUILDKIT_DOCKERFILE_CHECK`, else from the directive at the top, and a
//! comment `# check=skip=Rule // reason` above an instruction silences rules for it alone.

use std::collections::BTreeSet;

use super::Rule;
use crate::attributes::truth;
use crate::diagnostic::Diagnostic;
use crate::frontend::Request;

/// The build argument that replaces the directive.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which warnings are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Options {
    skipped: Selection,
    experiments: Selection,
    /// Whether a warning fails the build.
    pub(super) fails: bool,
}

/// Some rules, or all.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Selection {
    All,
    Rules(BTreeSet<String>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::Rules(BTreeSet::new())
    }
}

impl Selection {
    fn add(&mut self, rules: &str) {
        match self {
            _ if rules == "all" => *self = Self::All,
            Self::All => {}
            Self::Rules(known) => known.extend(rules.split(',').map(|rule| rule.trim().to_owned())),
        }
    }

    fn has(&self, rule: &Rule) -> bool {
        match self {
            Self::All => true,
            Self::Rules(rules) => rules.contains(rule.name),
        }
    }
}

impl Options {
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
        let mut options = Self::default();
        for option in text.split(';').map(str::trim).filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("invalid check option \"{option}\""))?;
            match (key.trim(), value.trim()) {
                ("skip", rules) => options.skipped.add(rules),
                ("experimental", rules) => options.experiments.add(rules),
                ("error", fails) => {
                    options.fails = truth(fails).ok_or_else(|| format!("failed to parse check option \"{option}\""))?;
                }
                (key, _) => return Err(format!("invalid check option \"{key}\"")),
            }
        }
        Ok(options)
    }

    /// Returns the options for an instruction below these comments, which may skip more.
    pub(super) fn below(&self, comments: &[String]) -> Self {
        let mut options = self.clone();
        for comment in comments {
            if let Some(rules) = skipped_by(comment) {
                options.skipped.add(rules);
            }
        }
        options
    }

    /// Returns whether a rule's warnings are wanted. `skip=all` says nothing about experiments: who asks for
    /// those names them.
    pub(super) fn want(&self, rule: &Rule) -> bool {
        if rule.experimental {
            self.experiments.has(rule)
        } else {
            !self.skipped.has(rule)
        }
    }
}

/// Returns what a comment above an instruction skips; what follows `//` is a reason.
pub(super) fn skipped_by(comment: &str) -> Option<&str> {
    let (key, options) = comment.split_once('=')?;
    let options = options.split("//").next().unwrap_or_default().trim();
    let rules = options.strip_prefix("skip=")?;
    (key.trim() == "check").then_some(rules.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rule::{FROM_AS_CASING, INVALID_DEFINITION_DESCRIPTION, UNDEFINED_VAR};

    #[test]
    fn options_are_read_as_buildkit_reads_them() {
        let wants = |text: &str| {
            let options = Options::parse(text)?;
            Ok((
                options.want(&FROM_AS_CASING),
                options.want(&UNDEFINED_VAR),
                options.fails,
            ))
        };
        assert_eq!(wants(""), Ok((true, true, false)));
        assert_eq!(wants("skip=FromAsCasing, C"), Ok((false, true, false)));
        assert_eq!(wants("skip=all;error=true"), Ok((false, false, true)));
        assert_eq!(wants("error=true;skip=UndefinedVar"), Ok((true, false, true)));
        assert_eq!(wants("experimental=all"), Ok((true, true, false)));
        assert_eq!(wants("skip"), Err("invalid check option \"skip\"".to_owned()));
        assert_eq!(wants("sikp=A"), Err("invalid check option \"sikp\"".to_owned()));
        assert_eq!(
            wants("error=maybe"),
            Err("failed to parse check option \"error=maybe\"".to_owned())
        );
    }

    #[test]
    fn an_experimental_rule_is_silent_until_it_is_asked_for() {
        for (text, wanted) in [
            ("", false),
            ("experimental=all", true),
            ("skip=all;experimental=InvalidDefinitionDescription", true),
            ("experimental=Other", false),
        ] {
            let options = Options::parse(text).unwrap();
            assert_eq!(options.want(&INVALID_DEFINITION_DESCRIPTION), wanted, "{text}");
        }
    }

    #[test]
    fn a_comment_skips_rules_for_one_instruction_and_may_say_why() {
        assert_eq!(skipped_by("check=skip=A,B // because"), Some("A,B"));
        assert_eq!(skipped_by("check = skip=all"), Some("all"));
        assert_eq!(skipped_by("checked=skip=A"), None);
        assert_eq!(skipped_by("check=error=true"), None);
        assert_eq!(skipped_by("about x=skip=A"), None);
    }
}
