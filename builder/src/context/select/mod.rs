//! From what a `COPY` names to the files that it means.
//!
//! A source is cleaned by name alone (`../x` is `x`), a wildcard is expanded, links in what the source names are
//! followed inside the tree, and everything below is walked without following anything. What the ignore file hides
//! is not there; directories in which nothing can be seen are not even opened.

mod collect;
mod expand;
mod filter;
mod missing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::error::{SelectError, absolute};
use super::hash;
use super::resolve::{ResolveError, resolve};
use super::selection::{Match, Selection};
use super::stat_cache::StatCache;
use super::tree::Tree;
use crate::dockerfile::wildcard::has_wildcards;
use collect::{Drafts, collect};
use filter::Filter;

/// What of a tree is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query<'a> {
    /// One path, in which no character is special: the source of a mount.
    Exact(&'a str),
    /// A source of `COPY` or `ADD`.
    Source {
        /// Path or wildcard.
        path: &'a str,
        /// `--parents`: a wildcard knows `**`, and paths are kept from the pivot `/./` on.
        parents: bool,
        /// `--exclude` patterns, relative to each directory that the source names.
        exclude: &'a [String],
    },
}

/// How often a path is selected in which files come and go meanwhile.
const ATTEMPTS: usize = 4;

/// Whether a path that names nothing is an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It stands in the Dockerfile as it is.
    ByName,
    /// A wildcard found it.
    ByWildcard,
}

/// Selects files and digests their content, with the help of what earlier builds remembered.
pub fn select(tree: &Tree, query: Query<'_>, cache: Option<&StatCache>) -> Result<Selection, SelectError> {
    let (path, filter) = match query {
        Query::Exact(path) => {
            let found = select_match(tree, &clean(path), &Filter::default(), Asked::ByName, cache)?;
            return Ok(Selection {
                matches: found.into_iter().collect(),
            });
        }
        Query::Source {
            path,
            parents: false,
            exclude,
        } => (path, Filter::new(exclude, None)?),
        Query::Source {
            path,
            parents: true,
            exclude,
        } => {
            let path = path.strip_prefix("./").unwrap_or(path);
            let (base, below) = path.split_once("/./").unwrap_or(("", path));
            (base, Filter::new(exclude, Some(below))?)
        }
    };
    let cleaned = clean(path);
    let (paths, asked) = if has_wildcards(path) {
        (expand::expand(tree, &cleaned)?, Asked::ByWildcard)
    } else {
        (vec![cleaned], Asked::ByName)
    };
    let mut matches = Vec::with_capacity(paths.len());
    for path in paths {
        matches.extend(select_match(tree, &path, &filter, asked, cache)?);
    }
    Ok(Selection { matches })
}

/// Removes `.`, `..` and slashes that mean nothing, by name alone. `..` at the top stays there.
fn clean(path: &str) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(cleaned.pop()),
            name => cleaned.push(name),
        }
    }
    cleaned
}

/// Selects one path and what is below it; `None` if there is nothing and that is no error. What changes meanwhile is
/// looked at again.
fn select_match(
    tree: &Tree,
    path: &Path,
    filter: &Filter,
    asked: Asked,
    cache: Option<&StatCache>,
) -> Result<Option<Match>, SelectError> {
    for _ in 1..ATTEMPTS {
        match select_once(tree, path, filter, asked, cache) {
            Err(SelectError::ChangedWhileReading { .. }) => {}
            selected => return selected,
        }
    }
    select_once(tree, path, filter, asked, cache)
}

fn select_once(
    tree: &Tree,
    path: &Path,
    filter: &Filter,
    asked: Asked,
    cache: Option<&StatCache>,
) -> Result<Option<Match>, SelectError> {
    let resolved = resolve(tree.root(), path).map_err(|error| match error {
        ResolveError::TooManyLinks => SelectError::TooManyLinks { path: absolute(path) },
        ResolveError::Unreadable(error) => error.into(),
    })?;
    for link in &resolved.links {
        if let Some(hidden) = tree.hidden_by(&link.path) {
            return Err(hidden);
        }
    }
    let Some(stat) = resolved.stat else {
        return Err(missing::explain(tree, &resolved)?);
    };
    let (origin, name) = (resolved.path, path.file_name().unwrap_or_default());
    let hidden = tree.hidden_by(&origin);
    let drafts = if stat.is_dir() {
        collect(tree, &origin, stat, filter)?
    } else if hidden.is_some() || filter.required().is_some() {
        Drafts::default()
    } else if filter.excludes(Path::new(name)) {
        return Ok(None);
    } else {
        collect(tree, &origin, stat, filter)?
    };
    if drafts.are_bare() {
        match (asked, missing::explain_bare(tree, &origin, filter.required())?) {
            (Asked::ByName, Some(error)) => return Err(error),
            (Asked::ByWildcard, _) if hidden.is_some() || !stat.is_dir() => return Ok(None),
            _ => {}
        }
    }
    let hashed = hash::hash(tree, &drafts.files(&origin), cache)?;
    Ok(Some(Match {
        name: name.to_owned(),
        origin,
        entries: drafts.into_entries(hashed),
    }))
}
