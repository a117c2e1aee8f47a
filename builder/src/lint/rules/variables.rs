//! `UndefinedVar`.

use super::StageRule;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of variables that nothing has set.
pub(super) struct Undefined;

impl StageRule for Undefined {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Undefined { name, near, span } = seen else {
            return;
        };
        let suggestion = near.map_or(String::new(), |near| format!(" (did you mean ${near}?)"));
        let detail = format!("Usage of undefined variable '${name}'{suggestion}");
        findings.warn(&rule::UNDEFINED_VAR, detail, *span);
    }
}
