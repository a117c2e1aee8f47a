//! A Dockerfile as the rules about whole files see it: every `FROM` and instruction in order, keywords as written.

use crate::diagnostic::{Span, Spanned};
use crate::dockerfile::{Dockerfile, Instruction, Stage};
use crate::frontend::{Globals, Request};

/// A Dockerfile, and what its `FROM` lines can use.
pub(super) struct File<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    /// The global scope of this build; `None` if it cannot be evaluated, which others report.
    pub(super) globals: Option<Globals>,
    /// The global scope without build arguments.
    pub(super) defaults: Option<Globals>,
}

/// A `FROM` or another instruction.
#[derive(Clone, Copy)]
pub(super) enum Statement<'a> {
    From(&'a Stage),
    Other(&'a Instruction),
}

impl<'a> File<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        let without = Request {
            build_args: std::collections::BTreeMap::new(),
            ..request.clone()
        };
        Self {
            dockerfile: &request.dockerfile,
            globals: Globals::new(request).ok(),
            defaults: Globals::new(&without).ok(),
        }
    }

    /// Returns the text at a span.
    pub(super) fn text(&self, span: Span) -> &'a str {
        self.dockerfile.source.text().get(span.range()).unwrap_or_default()
    }

    /// Returns all that stands in stages, in order.
    pub(super) fn in_stages(&self) -> impl Iterator<Item = Statement<'a>> {
        self.dockerfile.stages.iter().flat_map(|stage| {
            let instructions = stage.instructions.iter().map(Statement::Other);
            std::iter::once(Statement::From(stage)).chain(instructions)
        })
    }

    /// Returns all statements, in order.
    pub(super) fn statements(&self) -> impl Iterator<Item = Statement<'a>> {
        let globals = self.dockerfile.globals.iter().map(Statement::Other);
        globals.chain(self.in_stages())
    }

    /// Returns the `FROM` of a stage as written.
    pub(super) fn from(&self, stage: &Stage) -> Spanned<&'a str> {
        let text = self.text(stage.span);
        let word = text.split_whitespace().next().unwrap_or_default();
        let start = stage.span.start as usize;
        Spanned::new(word, Span::new(start, start + word.len()))
    }

    /// Returns the `AS` of a stage as written.
    pub(super) fn r#as(&self, stage: &Stage) -> Option<Spanned<&'a str>> {
        let name = stage.name.as_ref()?;
        let between = Span {
            start: stage.base.span.end,
            end: name.span.start,
        };
        let text = self.text(between);
        let word = text.split_whitespace().find(|word| word.eq_ignore_ascii_case("as"))?;
        let start = between.start as usize + (word.as_ptr() as usize - text.as_ptr() as usize);
        Some(Spanned::new(word, Span::new(start, start + word.len())))
    }
}

impl<'a> Statement<'a> {
    pub(super) fn span(self) -> Span {
        match self {
            Self::From(stage) => stage.span,
            Self::Other(instruction) => instruction.span,
        }
    }

    pub(super) fn comments(self) -> &'a [String] {
        match self {
            Self::From(stage) => &stage.comments,
            Self::Other(instruction) => &instruction.comments,
        }
    }

    /// Returns the keyword as written.
    pub(super) fn keyword(self, file: &File<'a>) -> Spanned<&'a str> {
        match self {
            Self::From(stage) => file.from(stage),
            Self::Other(instruction) => {
                let keyword = &instruction.keyword;
                Spanned::new(keyword.value.as_str(), keyword.span)
            }
        }
    }
}
