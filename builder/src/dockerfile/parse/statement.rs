//! An instruction's line taken apart: keyword, flags and arguments.

use crate::{
    diagnostic::{Diagnostic, Spanned},
    dockerfile::{flags::Flags, json_form, keyword::Keyword, mapped::Part, split},
};

/// A line taken apart, before its instruction's own rules apply.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    /// Which instruction.
    pub(super) keyword: Keyword,
    /// The keyword as written.
    pub(super) word: Part<'a>,
    /// The flags.
    pub(super) flags: Flags,
    /// What follows the flags, without white space around it.
    pub(super) rest: Part<'a>,
    /// The elements, if the arguments are a JSON array of strings and the instruction takes such.
    pub(super) exec: Option<Vec<Spanned<String>>>,
    /// `ONBUILD`'s instruction.
    pub(super) trigger: Option<Box<Statement<'a>>>,
    /// The file's escape character.
    pub(super) escape: char,
}

impl<'a> Statement<'a> {
    /// Takes a line apart.
    pub(super) fn read(line: Part<'a>, escape: char) -> Result<Self, Diagnostic> {
        let line = line.trim();
        let (word, after) = split::first_word(line).unwrap_or((line, line.from(line.text().len())));
        let Some(keyword) = Keyword::of(word.text()) else {
            return Err(unknown_instruction(word));
        };
        let (flags, rest) = Flags::take(after, escape);
        let rest = rest.trim();
        let exec = match keyword {
            Keyword::Add
            | Keyword::Cmd
            | Keyword::Copy
            | Keyword::Entrypoint
            | Keyword::Run
            | Keyword::Shell
            | Keyword::Volume => json_form::strings(rest)?,
            _ => None,
        };
        let trigger = match keyword {
            Keyword::Onbuild if !rest.is_empty() => Some(Box::new(Self::read_trigger(rest, escape)?)),
            _ => None,
        };
        Ok(Self {
            keyword,
            word,
            flags,
            rest,
            exec,
            trigger,
            escape,
        })
    }

    fn read_trigger(line: Part<'a>, escape: char) -> Result<Self, Diagnostic> {
        let (word, _) = split::first_word(line).unwrap_or((line, line));
        let message = match Keyword::of(word.text()) {
            Some(Keyword::Onbuild) => "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
            Some(keyword @ (Keyword::From | Keyword::Maintainer)) => {
                format!("{} isn't allowed as an ONBUILD trigger", keyword.name())
            }
            _ => return Self::read(line, escape),
        };
        Err(Diagnostic::error(message).at(word.span(), ""))
    }

    /// Returns whether heredocs may stand after the line.
    pub(super) fn takes_heredocs(&self) -> bool {
        match &self.trigger {
            Some(trigger) => trigger.takes_heredocs(),
            None => self.keyword.takes_heredocs() && self.exec.is_none(),
        }
    }

    /// Makes an error about the instruction as a whole.
    pub(super) fn error(&self, what: &str) -> Diagnostic {
        Diagnostic::error(format!("{} {what}", self.keyword.name())).at(self.word.span(), "")
    }

    /// Returns the arguments as one text; none is an error.
    pub(super) fn one(&self) -> Result<Spanned<String>, Diagnostic> {
        self.flags.check(&[])?;
        if self.rest.is_empty() {
            return Err(self.error("requires exactly one argument"));
        }
        Ok(self.rest.spanned())
    }

    /// Returns the arguments of a JSON array or between blanks.
    pub(super) fn list(&self) -> Vec<Spanned<String>> {
        match &self.exec {
            Some(exec) => exec.clone(),
            None => split::at_blanks(self.rest).into_iter().map(Part::spanned).collect(),
        }
    }

    /// Returns the error of an instruction without arguments.
    pub(super) fn at_least_one(&self) -> Diagnostic {
        self.error("requires at least one argument")
    }
}

/// Makes the error of a line that starts with no keyword.
pub(super) fn unknown_instruction(word: Part<'_>) -> Diagnostic {
    let text = word.text();
    let suggestion = Keyword::near(text)
        .map(|(_, shown)| format!(" (did you mean {shown}?)"))
        .unwrap_or_default();
    Diagnostic::error(format!("unknown instruction: {text}{suggestion}")).at(word.span(), "")
}
