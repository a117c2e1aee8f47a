//! Addresses of git repositories: which repository, which commit of it, and how it is to be checked out.
//!
//! `https://host/path.git#ref:subdir` and, for everything else, a query: `ref`, `branch`, `tag`, `subdir`,
//! `checksum` or `commit`, `keep-git-dir`, `submodules`, `mtime`, `fetch-by-commit`.

use std::fmt;

use super::{RemoteError, masked, percent_decoded};
use crate::attributes::truth;

/// A place in a git repository; shown without its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitAddress {
    /// The repository, in a form that git takes.
    pub url: String,
    /// The branch, tag, ref or whole commit; the repository's own choice if absent.
    pub reference: Option<String>,
    /// A directory of it, without `.` and `..`; empty for all of it.
    pub subdir: String,
    /// The commit that it must be, or the beginning of its name.
    pub checksum: Option<String>,
    /// Whether `.git` stays; the instruction decides if absent.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are checked out; they are if absent.
    pub submodules: Option<bool>,
    /// Which time files bear; that of the checkout if absent.
    pub mtime: Option<MtimeOf>,
    /// Whether the commit is asked for by its name alone.
    pub fetch_by_commit: bool,
}

/// Which time files bear.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MtimeOf {
    /// That of the checkout.
    #[default]
    Checkout,
    /// That of the commit.
    Commit,
}

impl GitAddress {
    /// Reads an address that can mean nothing but a git repository; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Result<Self, RemoteError>> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let path = rest.split(['?', '#']).next().unwrap_or_default();
            let is_git = match scheme {
                "http" | "https" => path.ends_with(".git"),
                "git" | "ssh" => true,
                _ => false,
            };
            return is_git.then(|| Self::of_repository(text));
        }
        is_scp(text).then(|| Self::of_repository(text))
    }

    /// Reads an address that is known to be a repository's.
    ///
    /// # Errors
    /// If a part of it is not what it claims to be.
    pub fn of_repository(text: &str) -> Result<Self, RemoteError> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (url, query) = text.split_once('?').unwrap_or((text, ""));
        if !has_honest_host(url) {
            return Err(RemoteError::NotAnAddress(masked(url)));
        }
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut address = Self {
            url: url.to_owned(),
            reference: Some(reference.to_owned()).filter(|reference| !reference.is_empty()),
            subdir: subdir.to_owned(),
            checksum: None,
            keep_git_dir: None,
            submodules: None,
            mtime: None,
            fetch_by_commit: false,
        };
        address.read_query(query)?;
        address.check()
    }

    fn read_query(&mut self, query: &str) -> Result<(), RemoteError> {
        let mut seen: Vec<String> = Vec::new();
        let (mut tag, mut branch) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key), decoded(value));
            if seen.contains(&key) {
                return Err(RemoteError::ManyValues(key));
            }
            seen.push(key.clone());
            let is_flag = matches!(key.as_str(), "keep-git-dir" | "submodules" | "fetch-by-commit");
            if value.is_empty() && !is_flag {
                return Err(RemoteError::NoValue(key));
            }
            match key.as_str() {
                "ref" => self.set_reference(value)?,
                "tag" => tag = Some(prefixed("refs/tags/", value)),
                "branch" => branch = Some(prefixed("refs/heads/", value)),
                "subdir" => {
                    if !self.subdir.is_empty() && self.subdir != value {
                        return Err(RemoteError::SubdirConflict(self.subdir.clone(), value));
                    }
                    self.subdir = value;
                }
                "checksum" | "commit" => self.checksum = Some(value),
                "keep-git-dir" => self.keep_git_dir = Some(flag(key, value)?),
                "submodules" => self.submodules = Some(flag(key, value)?),
                "fetch-by-commit" => self.fetch_by_commit = flag(key, value)?,
                "mtime" => {
                    self.mtime = Some(match value.as_str() {
                        "checkout" => MtimeOf::Checkout,
                        "commit" => MtimeOf::Commit,
                        _ => return Err(RemoteError::InvalidValue { query: key, value }),
                    });
                }
                _ => return Err(RemoteError::UnexpectedQuery(key)),
            }
        }
        if tag.is_some() && branch.is_some() {
            return Err(RemoteError::BranchAndTag);
        }
        match tag.or(branch) {
            Some(reference) => self.set_reference(reference),
            None => Ok(()),
        }
    }

    fn set_reference(&mut self, reference: String) -> Result<(), RemoteError> {
        match self.reference.take() {
            Some(known) if known != reference => Err(RemoteError::RefConflict(known, reference)),
            _ => {
                self.reference = Some(reference);
                Ok(())
            }
        }
    }

    /// Sets the commit that it must be, as `ADD --checksum` gives it.
    ///
    /// # Errors
    /// If it is not hexadecimal, or contradicts the address.
    pub fn with_checksum(mut self, checksum: &str) -> Result<Self, RemoteError> {
        if let Some(known) = self.checksum.as_ref().filter(|known| *known != checksum) {
            return Err(RemoteError::RefConflict(known.clone(), checksum.to_owned()));
        }
        self.checksum = Some(checksum.to_owned());
        self.check()
    }

    /// Checks that every part is what it claims to be; nothing that is checked here can be taken for an option.
    fn check(mut self) -> Result<Self, RemoteError> {
        if let Some(reference) = self.reference.as_ref().filter(|reference| !is_ref(reference)) {
            return Err(RemoteError::NotARef(reference.clone()));
        }
        if let Some(checksum) = self.checksum.as_ref().filter(|checksum| !is_hex(checksum)) {
            return Err(RemoteError::NotACommit(checksum.clone()));
        }
        if self.fetch_by_commit && !self.checksum.as_deref().is_some_and(is_commit) {
            return Err(RemoteError::ShortCommit);
        }
        let parts: Vec<&str> = self
            .subdir
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts
            .iter()
            .any(|part| *part == ".." || part.contains('\0') || part.eq_ignore_ascii_case(".git"))
        {
            return Err(RemoteError::NotASubdir(self.subdir));
        }
        self.subdir = parts.join("/");
        Ok(self)
    }
}

impl fmt::Display for GitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.url))?;
        match (&self.reference, self.subdir.as_str()) {
            (None, "") => Ok(()),
            (Some(reference), "") => write!(f, "#{reference}"),
            (reference, subdir) => write!(f, "#{}:{subdir}", reference.as_deref().unwrap_or_default()),
        }
    }
}

/// Tells whether this is the whole name of a commit, in SHA-1 or SHA-256.
pub(crate) fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && is_hex(name)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Tells whether git would take this for the name of a ref (`git check-ref-format`).
fn is_ref(name: &str) -> bool {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains("//")
        && !name.contains(forbidden)
        && name
            .split('/')
            .all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Tells whether an address has the form `user@host:path`.
fn is_scp(source: &str) -> bool {
    let word = |text: &str, also: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let Some((user, rest)) = source.split_once('@') else {
        return false;
    };
    rest.split_once(':')
        .is_some_and(|(host, _)| word(user, "-_") && word(host, "-."))
}

/// Tells whether user and host begin like names: ssh would take others for options.
fn has_honest_host(url: &str) -> bool {
    let authority = match url.split_once("://") {
        Some((_, rest)) => rest.split('/').next(),
        None => url.split(':').next(),
    };
    let authority = authority.unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url.split_once(':').map_or("", |(_, path)| path),
    };
    !host.is_empty()
        && ![authority, host, path].iter().any(|part| part.starts_with('-'))
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn prefixed(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) {
        name
    } else {
        prefix.to_owned() + &name
    }
}

/// Reads a flag as Go's `strconv.ParseBool` does; without a value it is set.
fn flag(query: String, value: String) -> Result<bool, RemoteError> {
    match truth(&value) {
        Some(is_set) => Ok(is_set),
        None if value.is_empty() => Ok(true),
        None => Err(RemoteError::InvalidValue { query, value }),
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decoded(&spaced).unwrap_or(spaced)
}

#[cfg(test)]
mod tests;
