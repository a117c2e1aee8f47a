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

use std::ffi::OsStr;
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

/// Selects one path and what is below it; `None` if there is nothing and that is no error.
fn select_match(
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
        if let Some(line) = tree.hidden_by(&link.path) {
            return Err(SelectError::Ignored {
                path: absolute(&link.path),
                line,
            });
        }
    }
    let Some(stat) = resolved.stat else {
        return Err(missing::explain(tree, &resolved)?);
    };
    let origin = resolved.path;
    let hidden = tree.hidden_by(&origin);
    let name = path.file_name().unwrap_or_default();
    if !stat.is_dir() {
        if let Some(line) = hidden {
            return nothing(
                asked,
                SelectError::Ignored {
                    path: absolute(&origin),
                    line,
                },
            );
        }
        if let Some(below) = filter.required() {
            return nothing(asked, missing::not_found(tree, &origin.join(below))?);
        }
        if filter.excludes(Path::new(name)) {
            return Ok(None);
        }
    }
    let drafts = collect(tree, &origin, stat, filter)?;
    if drafts.is_bare_top() {
        if let Some(line) = hidden {
            return nothing(
                asked,
                SelectError::Ignored {
                    path: absolute(&origin),
                    line,
                },
            );
        }
        if let Some(below) = filter.required() {
            let wanted = origin.join(below);
            let error = match tree.hidden_by(&wanted) {
                Some(line) if tree.root().stat(&wanted, false)?.is_some() => SelectError::Ignored {
                    path: absolute(&wanted),
                    line,
                },
                _ => missing::not_found(tree, &wanted)?,
            };
            if asked == Asked::ByName {
                return Err(error);
            }
        }
    }
    finish(tree, name, origin, drafts, cache).map(Some)
}

fn nothing(asked: Asked, error: SelectError) -> Result<Option<Match>, SelectError> {
    match asked {
        Asked::ByName => Err(error),
        Asked::ByWildcard => Ok(None),
    }
}

/// Digests the files among the drafts.
fn finish(
    tree: &Tree,
    name: &OsStr,
    origin: PathBuf,
    drafts: Drafts,
    cache: Option<&StatCache>,
) -> Result<Match, SelectError> {
    let hashed = hash::hash(tree, &drafts.files(&origin), cache)?;
    Ok(Match {
        name: name.to_owned(),
        origin,
        entries: drafts.into_entries(hashed),
    })
}
