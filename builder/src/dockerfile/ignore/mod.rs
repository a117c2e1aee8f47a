//! `.dockerignore` and `--exclude`: which paths of a context are left out, and by which line.
//!
//! The dialect is moby's pattern matcher: `**` crosses directories, a pattern that matches a directory covers all
//! below it, `!` takes paths back in, and the last line that matches decides. It is not that of `.gitignore`.

mod descent;
mod pattern;
mod regex;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use descent::Descent;
pub use pattern::Pattern;

use super::wildcard::Wildcard;
use crate::diagnostic::Span;

/// The most patterns of one file: every path is held to each of them.
const MOST_PATTERNS: usize = 10_000;

/// The most bytes of those with wildcards: what is made of each byte takes up to a kilobyte of memory.
const MOST_WILDCARD_BYTES: usize = 128 << 10;

/// The lines of an ignore file, ready to decide about paths.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

/// What is decided about a path.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Whether the path is left out.
    pub ignored: bool,
    /// The pattern that decided, if any matched.
    pub pattern: Option<&'a Pattern>,
}

/// A line that is no pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// Brackets or a backslash without what belongs to them.
    #[error("syntax error in pattern `{text}`")]
    Syntax {
        /// The pattern.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// A `!` with nothing to take back in.
    #[error("illegal exclusion pattern: \"!\"")]
    EmptyException {
        /// Where it stands.
        span: Span,
    },
    /// Deciding about many paths would take for ever, or all memory.
    #[error("too many patterns: there may be {MOST_PATTERNS}, and {MOST_WILDCARD_BYTES} bytes of those with wildcards")]
    TooMany {
        /// Where the first one stands that is too many.
        span: Span,
    },
}

impl PatternError {
    /// Returns where the line stands in the text.
    pub fn span(&self) -> Span {
        match self {
            Self::Syntax { span, .. } | Self::EmptyException { span } | Self::TooMany { span } => *span,
        }
    }
}

impl Matcher {
    /// Reads an ignore file. A `#` in the first column starts a comment.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut patterns = Patterns::default();
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let start = at;
            at += line.len();
            let line = if number == 0 {
                line.strip_prefix('\u{feff}').unwrap_or(line)
            } else {
                line
            };
            let written = line.trim();
            if line.starts_with('#') || written.is_empty() {
                continue;
            }
            let start = start + (written.as_ptr() as usize - line.as_ptr() as usize);
            let span = Span::new(start, start + written.len());
            let (exception, path) = match written.strip_prefix('!') {
                Some(path) => (true, path.trim()),
                None => (false, written),
            };
            // A leading slash means the context's root, like none.
            let cleaned = if path.is_empty() { String::new() } else { clean(path) };
            let path = match cleaned.strip_prefix('/') {
                Some(path) if !path.is_empty() => path,
                _ => &cleaned,
            };
            patterns.add(Pattern::new(written, exception, path, number + 1, span)?)?;
        }
        Ok(Self { patterns: patterns.all })
    }

    /// Makes a matcher of patterns that stand for themselves, as `--exclude` gives them; lines count them.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut bounded = Patterns::default();
        for (number, written) in patterns.into_iter().enumerate() {
            let written = written.trim();
            let span = Span::new(0, written.len());
            let cleaned = clean(written);
            let (exception, path) = match cleaned.strip_prefix('!') {
                Some(path) => (true, path),
                None => (false, cleaned.as_str()),
            };
            if !written.is_empty() {
                bounded.add(Pattern::new(written, exception, path, number + 1, span)?)?;
            }
        }
        Ok(Self { patterns: bounded.all })
    }

    /// Leaves out a path and all that is below it, whatever the lines say.
    #[must_use]
    pub fn withholding(mut self, path: &str) -> Self {
        self.patterns.push(Pattern::of_path(path));
        self
    }

    /// Returns whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether any pattern takes paths back in.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(Pattern::is_exception)
    }

    /// Returns the patterns in order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Makes a matcher's memory for a walk, in which many paths are asked about.
    pub fn descent(&self) -> Descent<'_> {
        Descent::new(self)
    }

    /// Decides about one path relative to the context, without `.` and `..` in it.
    pub fn decide(&self, path: impl AsRef<Path>) -> Decision<'_> {
        self.descent().decide(path)
    }

    /// Returns whether one path is left out.
    pub fn ignores(&self, path: impl AsRef<Path>) -> bool {
        self.decide(path).ignored
    }

    /// Finds the last pattern that matches a path as such, if it comes after the one that matches what is above.
    fn last_match(&self, above: Option<usize>, path: &str) -> Option<usize> {
        let start = above.map_or(0, |above| above + 1);
        let later = self.patterns[start..].iter().rposition(|pattern| pattern.matches(path));
        later.map(|index| start + index).or(above)
    }
}

/// Patterns that are being read.
#[derive(Default)]
struct Patterns {
    all: Vec<Pattern>,
    /// Bytes of those with wildcards.
    wildcard_bytes: usize,
}

impl Patterns {
    fn add(&mut self, pattern: Pattern) -> Result<(), PatternError> {
        self.wildcard_bytes += pattern.wildcard_bytes();
        if self.all.len() == MOST_PATTERNS || self.wildcard_bytes > MOST_WILDCARD_BYTES {
            return Err(PatternError::TooMany { span: pattern.span() });
        }
        self.all.push(pattern);
        Ok(())
    }
}

/// Returns the shortest equivalent of a path, as Go's `filepath.Clean` does.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Returns whether a pattern is one that Go's `filepath.Match` would take; moby asks it first.
fn is_well_formed(pattern: &str) -> bool {
    Wildcard::parse(pattern).is_ok()
}
