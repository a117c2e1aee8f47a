//! Warnings as rules find them, with the instruction that each is about.

use super::options::Options;
use super::report::Warning;
use super::rule::Rule;
use crate::diagnostic::Span;
use crate::frontend::Seen;

/// An instruction, and which warnings about it are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The instruction; the `FROM` for a trigger that an image brings.
    pub(super) span: Span,
    options: Options,
    /// Whether what is there does not stand in the Dockerfile, so that places in it mean nothing.
    is_foreign: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Findings {
    /// The options of the whole file.
    pub(super) options: Options,
    /// Where the rules are.
    current: Place,
    /// The warnings, as they were found.
    pub(super) warnings: Vec<Warning>,
}

impl Findings {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            current: Place::default(),
            warnings: Vec::new(),
        }
    }

    /// Goes with the frontend to the instruction that it sees.
    pub(super) fn enter(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Stage { syntax, .. } => self.go_to(syntax.span, &syntax.comments),
            Seen::Instruction { from: Some(from), .. } => {
                self.go_to(*from, &[]);
                self.current.is_foreign = true;
            }
            Seen::Instruction { instruction, .. } => self.go_to(instruction.span, &instruction.comments),
            _ => {}
        }
    }

    /// Goes to an instruction with these comments above it.
    pub(super) fn go_to(&mut self, span: Span, comments: &[String]) {
        self.current = Place {
            span,
            options: self.options.below(comments),
            is_foreign: false,
        };
    }

    /// Returns where the rules are.
    pub(super) fn place(&self) -> Place {
        self.current.clone()
    }

    /// Warns about the instruction where the rules are; `span` is what exactly is odd.
    pub(super) fn warn(&mut self, rule: &'static Rule, detail: String, span: Span) {
        let place = self.place();
        self.warn_of(&place, rule, detail, span);
    }

    /// Warns about some instruction.
    pub(super) fn warn_of(&mut self, place: &Place, rule: &'static Rule, detail: String, span: Span) {
        if !place.options.want(rule) {
            return;
        }
        let warning = Warning {
            rule,
            detail,
            instruction: place.span,
            span: if place.is_foreign { place.span } else { span },
        };
        // A trigger is seen in each stage that is made from the one that has it.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}
