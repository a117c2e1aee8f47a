//! `--exclude` and the pattern of `--parents`: which paths below a match are selected.
//!
//! Both speak of paths relative to the match, in the language of `.dockerignore`. A directory that must be passed
//! through on the way to something selected is not selected itself.

use std::path::Path;

use super::clean;
use crate::context::error::SelectError;
use crate::dockerfile::ignore::{Descent, Matcher};
use crate::dockerfile::wildcard::{Wildcard, has_wildcards};

/// What of a match is selected; everything by default.
#[derive(Default)]
pub(super) struct Filter {
    exclude: Matcher,
    include: Option<Include>,
}

struct Include {
    pattern: Matcher,
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
        let include = include.map(clean).filter(|include| !include.as_os_str().is_empty());
        Ok(Self {
            exclude: matcher(exclude)?,
            include: include
                .map(|include| Include::new(&include.to_string_lossy()))
                .transpose()?,
        })
    }

    /// Returns the path that must exist below the match, if one is named without a wildcard.
    pub(super) fn required(&self) -> Option<&str> {
        self.include.as_ref()?.required.as_deref()
    }

    /// Returns whether an `--exclude` names the path.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.exclude.ignores(path)
    }

    /// Returns the filter for a walk.
    pub(super) fn descent(&self) -> FilterDescent<'_> {
        FilterDescent {
            exclude: self.exclude.descent(),
            include: self.include.as_ref(),
        }
    }
}

/// A filter with a memory of the directories above the present path.
pub(super) struct FilterDescent<'a> {
    exclude: Descent<'a>,
    include: Option<&'a Include>,
}

impl FilterDescent<'_> {
    /// Returns whether the path is selected.
    pub(super) fn selects(&mut self, path: &Path) -> bool {
        self.include.is_none_or(|include| include.pattern.ignores(path)) && !self.exclude.ignores(path)
    }

    /// Returns whether something below a directory that is not selected may be.
    pub(super) fn may_select_below(&mut self, directory: &Path) -> bool {
        !self.exclude.ignores_all_below(directory)
            && self.include.is_none_or(|include| include.may_match_below(directory))
    }
}

impl Include {
    fn new(pattern: &str) -> Result<Self, SelectError> {
        let bad = |_| SelectError::BadPattern {
            pattern: pattern.to_owned(),
        };
        let shallow = pattern.split('/').take_while(|name| !name.contains("**"));
        // Here it takes nothing back in: it is the beginning of a name.
        let plain = match pattern.strip_prefix('!') {
            Some(rest) => format!("\\!{rest}"),
            None => pattern.to_owned(),
        };
        Ok(Self {
            pattern: matcher(&[plain])?,
            levels: shallow.map(Wildcard::parse).collect::<Result<_, _>>().map_err(bad)?,
            is_deep: pattern.contains("**"),
            required: (!has_wildcards(pattern)).then(|| pattern.to_owned()),
        })
    }

    fn may_match_below(&self, directory: &Path) -> bool {
        let names = directory.iter().map(|name| name.to_string_lossy());
        let on_the_way = self.levels.iter().zip(names).all(|(level, name)| level.matches(&name));
        let may_go_deeper = self.is_deep || directory.iter().count() < self.levels.len();
        on_the_way && may_go_deeper || self.pattern.ignores(directory)
    }
}

/// Reads patterns; [`Matcher::ignores`] then says whether a path matches.
fn matcher(patterns: &[String]) -> Result<Matcher, SelectError> {
    let read = Matcher::from_patterns(patterns.iter().map(String::as_str));
    read.map_err(|_| SelectError::BadPattern {
        pattern: patterns.join(" "),
    })
}
