//! Addresses of files on web servers.

use std::fmt;

use super::{masked, percent_decoded};

/// What a file is called whose address has no name.
const UNNAMED: &str = "__unnamed__";

/// The address of a file; shown without its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebAddress {
    /// The address as given.
    pub url: String,
}

impl WebAddress {
    /// Reads an address; `None` if it is neither `http` nor `https`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once("://")?;
        matches!(scheme, "http" | "https").then(|| Self { url: text.to_owned() })
    }

    /// Returns what the file is called: the last part of the path, whatever the server says, so that it can be
    /// known, and trusted to be a name, before anything is asked.
    pub fn file_name(&self) -> String {
        let after_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let before_query = after_scheme.split(['?', '#']).next().unwrap_or_default();
        let path = before_query.split_once('/').map_or("", |(_, path)| path);
        let decoded = percent_decoded(path).unwrap_or_default();
        let name = decoded.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_name = !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains('\0');
        if is_name { name } else { UNNAMED }.to_owned()
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_the_last_part_of_its_path() {
        for (url, name) in [
            ("http://h/a/b.tar.gz?x=/y#z", "b.tar.gz"),
            ("http://h/", UNNAMED),
            ("http://h", UNNAMED),
            ("http://h/dir/", "dir"),
            ("http://h/a%20b", "a b"),
            ("http://h/%2e%2e", UNNAMED),
            ("http://h/x%2F..%2Fy", "y"),
            ("http://h/..%00", UNNAMED),
        ] {
            assert_eq!(WebAddress::parse(url).unwrap().file_name(), name, "{url}");
        }
        let long = format!("http://h/{}", "x".repeat(4096));
        assert_eq!(WebAddress::parse(&long).unwrap().file_name(), UNNAMED);
    }
}
