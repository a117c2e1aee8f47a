//! `--exclude` and the pattern of `--parents`: which paths below a match are selected.
//!
//! Both speak of paths relative to the match, in the language of `.dockerignore`. A directory that must be passed
//! through on the way to something selected is not selected itself.

use std::path::Path;

use super::clean;
use crate::context::error::SelectError;
use crate::context::patterns::{PathPatterns, compile};
use crate::context::wildcard::{Wildcard, is_wildcard};

/// What of a match is selected; everything by default.
#[derive(Default)]
pub(super) struct Filter {
    exclude: Option<Box<dyn PathPatterns>>,
    include: Option<Include>,
}

struct Include {
    pattern: Box<dyn PathPatterns>,
    /// The leading names of the pattern, up to the first that has `**` in it.
    levels: Vec<Wildcard>,
    /// Whether a name has `**` in it, so that any depth may match.
    is_deep: bool,
    /// The pattern itself, if it has no wildcard: then it must match something.
    required: Option<String>,
}

impl Filter {
    /// Makes a filter of `--exclude` patterns and, with `--parents`, of what stands after the pivot.
    pub(super) fn new(exclude: &[String], include: Option<&str>) -> Result<Self, SelectError> {
        let exclude = if exclude.is_empty() {
            None
        } else {
            Some(compile(exclude)?)
        };
        let include = include.map(clean).filter(|include| !include.as_os_str().is_empty());
        let include = include
            .map(|include| Include::new(&include.to_string_lossy()))
            .transpose()?;
        Ok(Self { exclude, include })
    }

    /// Returns the path that must exist below the match, if one is named without a wildcard.
    pub(super) fn required(&self) -> Option<&str> {
        self.include.as_ref()?.required.as_deref()
    }

    /// Returns whether an `--exclude` names the path.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.exclude
            .as_ref()
            .is_some_and(|exclude| exclude.matched_by(&path.to_string_lossy()).is_some())
    }

    /// Returns whether the path is selected.
    pub(super) fn selects(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|include| include.matches(path)) && !self.excludes(path)
    }

    /// Returns whether something below a directory that is not selected may be.
    pub(super) fn may_select_below(&self, dir: &Path) -> bool {
        let spared = |exclude: &dyn PathPatterns| {
            let dir = dir.to_string_lossy();
            exclude.matched_by(&dir).is_none() || exclude.may_spare_below(&dir)
        };
        self.exclude.as_deref().is_none_or(spared)
            && self.include.as_ref().is_none_or(|include| include.may_match_below(dir))
    }
}

impl Include {
    fn new(pattern: &str) -> Result<Self, SelectError> {
        let bad = |_| SelectError::BadPattern {
            pattern: pattern.to_owned(),
        };
        let shallow = pattern.split('/').take_while(|name| !name.contains("**"));
        let levels = shallow.map(Wildcard::parse).collect::<Result<_, _>>().map_err(bad)?;
        Ok(Self {
            pattern: compile(&[pattern.to_owned()])?,
            levels,
            is_deep: pattern.contains("**"),
            required: (!is_wildcard(pattern)).then(|| pattern.to_owned()),
        })
    }

    fn matches(&self, path: &Path) -> bool {
        self.pattern.matched_by(&path.to_string_lossy()).is_some()
    }

    fn may_match_below(&self, dir: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let depth = dir.iter().count();
        let on_the_way = self
            .levels
            .iter()
            .zip(dir)
            .all(|(level, name)| level.matches(name.as_bytes()));
        on_the_way && (self.is_deep || depth < self.levels.len()) || self.matches(dir)
    }
}
