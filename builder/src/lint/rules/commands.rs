//! `MultipleInstructionsDisallowed` and `JSONArgsRecommended`: what a container runs.

use super::StageRule;
use crate::diagnostic::Span;
use crate::dockerfile::{CommandForm, InstructionKind};
use crate::frontend::Seen;
use crate::lint::findings::{Findings, Place};
use crate::lint::rule;

/// Warns of a `CMD`, `ENTRYPOINT` or `HEALTHCHECK` that a later one of the same stage replaces.
#[derive(Default)]
pub(super) struct Multiple {
    stage: usize,
    /// The last of each kind so far: its place and keyword.
    last: Vec<(&'static str, Place, Span)>,
}

impl StageRule for Multiple {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Instruction { stage, instruction, .. } = seen else {
            return;
        };
        if self.stage != *stage {
            self.stage = *stage;
            self.last.clear();
        }
        let name = match &instruction.kind {
            InstructionKind::Cmd(_) => "CMD",
            InstructionKind::Entrypoint(_) => "ENTRYPOINT",
            InstructionKind::Healthcheck { .. } => "HEALTHCHECK",
            _ => return,
        };
        let known = self.last.iter().position(|(known, ..)| *known == name);
        if let Some((_, place, keyword)) = known.map(|at| self.last.swap_remove(at)) {
            let detail = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will \
                 be used"
            );
            findings.warn_of(&place, &rule::MULTIPLE_INSTRUCTIONS_DISALLOWED, detail, keyword);
        }
        self.last.push((name, findings.place(), instruction.keyword.span));
    }
}

/// Warns of the shell form of `CMD` and `ENTRYPOINT`, unless the Dockerfile has chosen a shell for it.
pub(super) struct ShellForm;

impl StageRule for ShellForm {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Instruction {
            instruction,
            has_shell: false,
            ..
        } = seen
        else {
            return;
        };
        let name = match &instruction.kind {
            InstructionKind::Cmd(CommandForm::Shell { .. }) => "CMD",
            InstructionKind::Entrypoint(CommandForm::Shell { .. }) => "ENTRYPOINT",
            _ => return,
        };
        let detail =
            format!("JSON arguments recommended for {name} to prevent unintended behavior related to OS signals");
        findings.warn(&rule::JSON_ARGS_RECOMMENDED, detail, instruction.span);
    }
}
