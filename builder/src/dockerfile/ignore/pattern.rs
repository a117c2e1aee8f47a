//! One pattern of an ignore file, in the cheapest form that says the same.

use regex::Regex;

use super::{PatternError, clean, is_well_formed, regex::translate};
use crate::{diagnostic::Span, dockerfile::wildcard::Wildcard};

/// A line of an ignore file.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    line: Option<usize>,
    span: Span,
    exception: bool,
    path: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Exactly this path.
    Exact,
    /// Paths that start so.
    Prefix(String),
    /// Paths that end so, or are the same without its leading slash.
    Suffix(String),
    /// Paths that match.
    Glob(Glob),
}

/// A pattern with wildcards in it. Most paths are told from it by their beginnings and ends.
#[derive(Clone, Debug)]
struct Glob {
    /// How all paths start that match.
    head: String,
    /// How all paths end that match.
    tail: String,
    regex: Regex,
}

impl Pattern {
    pub(super) fn new(text: &str, exception: bool, path: &str, line: usize, span: Span) -> Result<Self, PatternError> {
        // moby looks for the `!` when it has cleaned a pattern together with it: `!/` is `!` and nothing, from `!../../a`
        // the `..` take it away, and `./!a` is an exception.
        let path = clean(&if exception { format!("!{path}") } else { path.to_owned() });
        let (exception, path) = match path.strip_prefix('!') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, path),
        };
        if exception && path.is_empty() {
            return Err(PatternError::EmptyException { span });
        }
        let syntax = || PatternError::Syntax {
            text: text.to_owned(),
            span,
        };
        if !is_well_formed(&path) {
            return Err(syntax());
        }
        Ok(Self {
            text: text.to_owned(),
            line: Some(line),
            span,
            exception,
            form: Form::of(&path).ok_or_else(syntax)?,
            path,
        })
    }

    /// Makes the pattern of one path, which stands in no file.
    pub(super) fn of_path(path: &str) -> Self {
        Self {
            text: path.to_owned(),
            line: None,
            span: Span::new(0, 0),
            exception: false,
            path: path.to_owned(),
            form: Form::Exact,
        }
    }

    /// Returns the pattern as written, without white space around it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the 1-based line, if it stands in a file.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns where it stands in the file.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns how many bytes of it have to be searched for with an automaton.
    pub(super) fn wildcard_bytes(&self) -> usize {
        match self.form {
            Form::Glob(_) => self.path.len(),
            Form::Exact | Form::Prefix(_) | Form::Suffix(_) => 0,
        }
    }

    /// Returns whether it takes paths back in: `!`.
    pub fn is_exception(&self) -> bool {
        self.exception
    }

    /// Returns whether the pattern matches a path as such.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact => path == self.path,
            Form::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Form::Suffix(suffix) => path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path),
            Form::Glob(glob) => glob.matches(path),
        }
    }

    /// Returns `false` only if no path below a directory can match that does not match because the directory does.
    pub(super) fn may_match_below(&self, directory: &str) -> bool {
        let mut wanted = self.path.split('/');
        for part in directory.split('/') {
            let Some(wanted) = wanted.next() else {
                // As deep as a directory above, which it either matches or not.
                return false;
            };
            // Brackets may match a slash, escapes may mean anything, and `^` is an anchor: whoever uses them must be
            // looked into.
            if wanted.contains("**") || wanted.contains(['[', '\\', '^']) {
                return true;
            }
            if !Wildcard::parse(wanted).is_ok_and(|wanted| wanted.matches(part)) {
                return false;
            }
        }
        wanted.next().is_some()
    }
}

impl Form {
    /// Finds the form of a pattern, following moby's reading of it character by character.
    fn of(path: &str) -> Option<Self> {
        let mut regex = String::from("^");
        let mut form = Kind::Exact;
        let mut chars = path.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    // `**/` is `**`.
                    chars.next_if_eq(&'/');
                    if chars.peek().is_some() {
                        regex.push_str("(.*/)?");
                        form = Kind::Regex;
                    } else if form == Kind::Exact {
                        form = Kind::Prefix;
                    } else {
                        regex.push_str(".*");
                        form = Kind::Regex;
                    }
                    if first {
                        form = Kind::Suffix;
                    }
                }
                '*' => {
                    regex.push_str("[^/]*");
                    form = Kind::Regex;
                }
                '?' => {
                    regex.push_str("[^/]");
                    form = Kind::Regex;
                }
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => regex.extend(['\\', c]),
                '\\' => {
                    regex.push(c);
                    if let Some(escaped) = chars.next() {
                        regex.push(escaped);
                        form = Kind::Regex;
                    }
                }
                '[' | ']' => {
                    regex.push(c);
                    form = Kind::Regex;
                }
                other => regex.push(other),
            }
            first = false;
        }
        Some(match form {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(path.strip_suffix("**")?.to_owned()),
            Kind::Suffix => Self::Suffix(path.strip_prefix("**")?.to_owned()),
            Kind::Regex => Self::Glob(Glob::new(path, Regex::new(&translate(&format!("{regex}$"))?).ok()?)),
        })
    }
}

impl Glob {
    fn new(path: &str, regex: Regex) -> Self {
        const SPECIAL: [char; 6] = ['*', '?', '[', ']', '\\', '^'];
        let head = path.find(SPECIAL).map_or(path, |at| &path[..at]);
        let tail = match path.rfind(SPECIAL).map(|at| path.split_at(at + 1)) {
            Some((before, tail)) if before.ends_with('\\') => {
                tail.char_indices().nth(1).map_or("", |(at, _)| &tail[at..])
            }
            // The slash of `**/` may be missing from a path.
            Some((_, tail)) => tail.trim_start_matches('/'),
            None => path,
        };
        Self {
            head: head.to_owned(),
            tail: tail.to_owned(),
            regex,
        }
    }

    fn matches(&self, path: &str) -> bool {
        path.starts_with(&self.head) && path.ends_with(&self.tail) && self.regex.is_match(path)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Regex,
}
