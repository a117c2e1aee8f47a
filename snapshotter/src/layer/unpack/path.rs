//! Names of entries, made harmless.

/// A path inside of the tree: components joined by single slashes, none of them empty, `.` or `..`. The top
/// directory is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TreePath(Vec<u8>);

impl TreePath {
    /// Takes a name as an archive has it. A leading `/` is the top directory, and `..` is answered without looking
    /// at the tree; a name that climbs above the top is none.
    pub(super) fn new(name: &[u8]) -> Option<Self> {
        let mut path = Vec::with_capacity(name.len());
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." if path.is_empty() => return None,
                b".." => path.truncate(path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
                _ => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(component);
                }
            }
        }
        Some(Self(path))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the directory's path and the last component; `None` of the top directory.
    pub(super) fn split(&self) -> Option<(&[u8], &[u8])> {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Some((&self.0[..slash], &self.0[slash + 1..])),
            None if self.0.is_empty() => None,
            None => Some((&[], &self.0)),
        }
    }
}

/// Joins a directory's path and a name.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, b"/", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::TreePath;

    #[test]
    fn every_name_is_a_path_below_the_top_or_none() {
        for (name, expected) in [
            ("a/b", Some("a/b")),
            ("/a//./b/", Some("a/b")),
            ("a/../b", Some("b")),
            ("a/b/../../c", Some("c")),
            ("./", Some("")),
            ("/", Some("")),
            ("a/..", Some("")),
            ("...", Some("...")),
            ("..", None),
            ("/..", None),
            ("./../o", None),
            ("a/../../o", None),
            ("a//..//../o", None),
        ] {
            let path = TreePath::new(name.as_bytes());
            assert_eq!(
                path.as_ref().map(|path| path.0.as_slice()),
                expected.map(str::as_bytes),
                "{name}"
            );
        }
        assert!(TreePath::new("../".repeat(300).as_bytes()).is_none());
    }
}
