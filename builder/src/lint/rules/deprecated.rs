//! `MaintainerDeprecated` and `LegacyKeyValueFormat`.

use super::StageRule;
use crate::dockerfile::InstructionKind;
use crate::frontend::Seen;
use crate::lint::file::{File, Statement};
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of every `MAINTAINER`.
pub(super) fn maintainer(file: &File<'_>, findings: &mut Findings) {
    for statement in file.in_stages() {
        if let Statement::Other(instruction) = statement
            && let InstructionKind::Maintainer(_) = instruction.kind
        {
            findings.go_to(instruction.span, &instruction.comments);
            let detail = "Maintainer instruction is deprecated in favor of using label".to_owned();
            findings.warn(&rule::MAINTAINER_DEPRECATED, detail, instruction.keyword.span);
        }
    }
}

/// Warns of `ENV key value` and `LABEL key value`.
pub(super) struct KeyValue;

impl StageRule for KeyValue {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Instruction { instruction, .. } = seen else {
            return;
        };
        let (name, pairs) = match &instruction.kind {
            InstructionKind::Env(pairs) => ("ENV", pairs),
            InstructionKind::Label(pairs) => ("LABEL", pairs),
            _ => return,
        };
        if let Some(pair) = pairs.iter().find(|pair| pair.legacy) {
            let detail = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
            findings.warn(
                &rule::LEGACY_KEY_VALUE_FORMAT,
                detail,
                pair.key.span.to(pair.value.span),
            );
        }
    }
}
