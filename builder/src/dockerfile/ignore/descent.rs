//! Decisions about the paths of a walk, each made with what is known of the directories above it.

use std::path::Path;

use super::{Decision, Matcher};

/// Decides about many paths, quickest about one after another from the same directory.
///
/// Every pattern that matches a directory matches all below it, so only the patterns after the last one that matches
/// the directory can change what was decided about that.
#[derive(Clone, Debug)]
pub struct Descent<'a> {
    matcher: &'a Matcher,
    /// The directory of the path that was asked about last.
    directory: String,
    /// The directories from the top to that one.
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Where its path ends in that of the last directory.
    end: usize,
    /// The last pattern that matches it or a directory above it.
    decisive: Option<usize>,
}

impl<'a> Descent<'a> {
    pub(super) fn new(matcher: &'a Matcher) -> Self {
        Self {
            matcher,
            directory: String::new(),
            levels: Vec::new(),
        }
    }

    /// Decides about a path relative to the context, without `.` and `..` in it.
    pub fn decide(&mut self, path: impl AsRef<Path>) -> Decision<'a> {
        let decisive = self.decisive(path.as_ref());
        let pattern = decisive.map(|index| &self.matcher.patterns[index]);
        Decision {
            ignored: pattern.is_some_and(|pattern| !pattern.is_exception()),
            pattern,
        }
    }

    /// Returns whether a path is left out.
    pub fn ignores(&mut self, path: impl AsRef<Path>) -> bool {
        self.decide(path).ignored
    }

    /// Returns whether a directory is left out with everything below it, so that nobody need look into it.
    ///
    /// `false` may also mean that it cannot be told without looking.
    pub fn ignores_all_below(&mut self, directory: impl AsRef<Path>) -> bool {
        let patterns = &self.matcher.patterns;
        match self.decisive(directory.as_ref()) {
            // Only a later exception can take back in what this pattern covers.
            Some(index) if !patterns[index].is_exception() => {
                let directory = directory.as_ref().to_string_lossy();
                !patterns[index + 1..]
                    .iter()
                    .any(|pattern| pattern.is_exception() && pattern.may_match_below(&directory))
            }
            _ => false,
        }
    }

    /// Finds the last pattern that matches a path or a directory above it.
    fn decisive(&mut self, path: &Path) -> Option<usize> {
        if self.matcher.is_empty() {
            return None;
        }
        let path = path.to_string_lossy();
        // The context as such cannot be left out.
        if matches!(&*path, "" | ".") {
            return None;
        }
        let above = path.rfind('/').and_then(|end| self.enter(&path[..end]));
        self.matcher.last_match(above, &path)
    }

    /// Goes to a directory; gives the last pattern that matches it or one above.
    fn enter(&mut self, directory: &str) -> Option<usize> {
        if self.directory != directory {
            let stays = |level: &Level| {
                let rest = directory.strip_prefix(&self.directory[..level.end]);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let known = self.levels.iter().take_while(|level| stays(level)).count();
            self.levels.truncate(known);
            self.directory.clear();
            self.directory.push_str(directory);
            let (start, mut decisive) = self
                .levels
                .last()
                .map_or((0, None), |level| (level.end, level.decisive));
            let slashes = directory.match_indices('/').map(|(at, _)| at);
            for end in slashes.chain([directory.len()]).filter(|end| *end > start) {
                decisive = self.matcher.last_match(decisive, &directory[..end]);
                self.levels.push(Level { end, decisive });
            }
        }
        self.levels.last().and_then(|level| level.decisive)
    }
}
