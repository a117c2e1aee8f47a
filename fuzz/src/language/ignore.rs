//! Ignore files decide as their definition says, alone and in a walk, and skip no directory that holds something.

use builder::dockerfile::ignore::Matcher;

/// The slow matcher is slow: more of either tells nothing new.
const MOST: usize = 24;

/// Checks an ignore file, and after an empty line the paths that it decides about.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (ignore_file, paths) = text.split_once("\n\n").unwrap_or((&text, ""));
    let Ok(matcher) = Matcher::parse(ignore_file) else {
        return;
    };
    let paths: Vec<&str> = paths.split('\n').filter(|path| is_clean(path)).take(MOST).collect();
    let slow = Slow::read(ignore_file);
    let mut walk = matcher.descent();
    for path in &paths {
        let ignored = matcher.ignores(path);
        assert_eq!(walk.ignores(path), ignored, "{ignore_file:?} {path:?} in a walk");
        if let Some(slow) = &slow {
            assert_eq!(ignored, slow.ignores(path), "{ignore_file:?} {path:?}");
        }
        for directory in directories_above(path) {
            if walk.ignores_all_below(directory) {
                assert!(ignored, "{ignore_file:?} {path:?}: nobody looks into {directory:?}");
            }
        }
    }
}

fn is_clean(path: &str) -> bool {
    path.len() <= 64 && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

fn directories_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// An ignore file by its definition: each pattern is tried on the path and on each directory above it.
struct Slow(Vec<(bool, Pattern)>);

enum Pattern {
    /// moby's shortcut for `**` before plain text: the path ends so, or is the same without the slash.
    Suffix(String),
    Units(Vec<Unit>),
}

enum Unit {
    /// `**` at the end: anything.
    Anything,
    /// `**` before more: nothing, or anything up to a slash.
    Directories,
    /// `*`
    Name,
    /// `?`
    One,
    Literal(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Slow {
    /// Reads an ignore file; nothing if a pattern is beyond what is defined here.
    fn read(text: &str) -> Option<Self> {
        let mut patterns = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.split('\n').filter(|line| !line.starts_with('#')).map(str::trim) {
            if line.is_empty() {
                continue;
            }
            let (exception, path) = match line.strip_prefix('!') {
                Some(path) => (true, path.trim()),
                None => (false, line),
            };
            patterns.push((exception, Pattern::read(&clean(path)?)?));
        }
        (patterns.len() <= MOST).then_some(Self(patterns))
    }

    fn ignores(&self, path: &str) -> bool {
        let tried: Vec<&str> = directories_above(path).chain([path]).collect();
        let mut ignored = false;
        for (exception, pattern) in &self.0 {
            if tried.iter().any(|path| pattern.matches(path)) {
                ignored = !exception;
            }
        }
        ignored
    }
}

/// Removes what means nothing from a path; gives nothing for one that leads out of the context or names it.
fn clean(path: &str) -> Option<String> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    (!names.is_empty() && !names[0].starts_with('!')).then(|| names.join("/"))
}

impl Pattern {
    fn read(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("**")
            && !rest.contains(['*', '?', '[', ']', '\\'])
        {
            return Some(Self::Suffix(rest.to_owned()));
        }
        let mut units = Vec::new();
        let mut rest = path;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            units.push(match c {
                '*' if rest.starts_with('*') => {
                    rest = &rest[1..];
                    rest = rest.strip_prefix('/').unwrap_or(rest);
                    if rest.is_empty() {
                        Unit::Anything
                    } else {
                        Unit::Directories
                    }
                }
                '*' => Unit::Name,
                '?' => Unit::One,
                '[' => {
                    let (set, after) = rest.split_once(']')?;
                    rest = after;
                    Unit::set(set)?
                }
                '\\' => {
                    let escaped = rest.chars().next().filter(char::is_ascii_punctuation)?;
                    rest = &rest[1..];
                    Unit::Literal(escaped)
                }
                // An anchor to moby.
                '^' => return None,
                other => Unit::Literal(other),
            });
        }
        Some(Self::Units(units))
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path),
            Self::Units(units) => all_match(units, &path.chars().collect::<Vec<_>>()),
        }
    }
}

impl Unit {
    /// Reads a set of letters, digits and ranges of them; others are read in two ways by Go, and by neither as one
    /// would think.
    fn set(text: &str) -> Option<Self> {
        let (negated, members) = match text.strip_prefix('^') {
            Some(members) => (true, members),
            None => (false, text),
        };
        let members: Vec<char> = members.chars().collect();
        let mut ranges = Vec::new();
        let mut rest = members.as_slice();
        while let [low, after @ ..] = rest {
            let high;
            (high, rest) = match after {
                ['-', high, after @ ..] => (high, after),
                after => (low, after),
            };
            if !low.is_ascii_alphanumeric() || !high.is_ascii_alphanumeric() {
                return None;
            }
            ranges.push((*low, *high));
        }
        (!ranges.is_empty()).then_some(Self::Set { negated, ranges })
    }

    fn takes(&self, c: char) -> bool {
        match self {
            Self::Anything | Self::Directories => true,
            Self::Name | Self::One => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Set { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// Whether the units take the whole path, in any way.
fn all_match(units: &[Unit], path: &[char]) -> bool {
    let Some((unit, units)) = units.split_first() else {
        return path.is_empty();
    };
    match unit {
        Unit::Anything => all_match(units, &[]),
        Unit::Directories => {
            let after_slashes = (1..=path.len()).filter(|at| path[at - 1] == '/');
            all_match(units, path) || after_slashes.into_iter().any(|at| all_match(units, &path[at..]))
        }
        Unit::Name => {
            let names = path.iter().take_while(|c| unit.takes(**c)).count();
            (0..=names).any(|at| all_match(units, &path[at..]))
        }
        Unit::One | Unit::Literal(_) | Unit::Set { .. } => {
            path.first().is_some_and(|c| unit.takes(*c)) && all_match(units, &path[1..])
        }
    }
}
