//! Paths inside an image: always with slashes, always made absolute by name alone, never by looking.

/// Joins a path to an absolute directory and removes `.`, `..` and double slashes.
pub(super) fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let dir = if path.starts_with('/') { "" } else { dir };
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            // `..` of the root is the root.
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Like [`join`] for the destination of a copy: one that is written as a directory keeps a slash at its end.
pub(super) fn join_destination(dir: &str, path: &str) -> String {
    let joined = join(dir, path);
    let last = path.rsplit('/').next().unwrap_or_default();
    if matches!(last, "" | "." | "..") && joined != "/" {
        return joined + "/";
    }
    joined
}

/// Returns the last part of a path that has been made by [`join`]; empty for the root.
pub(super) fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned_by_name() {
        for (dir, path, joined) in [
            ("/", "a", "/a"),
            ("/a", "b/../c", "/a/c"),
            ("/a", "/b//c/.", "/b/c"),
            ("/a", "../../..", "/"),
            ("/a", "", "/a"),
        ] {
            assert_eq!(join(dir, path), joined, "{dir} {path}");
        }
    }

    #[test]
    fn a_destination_remembers_that_it_is_a_directory() {
        for (dir, path, joined) in [
            ("/w", "", "/w/"),
            ("/w", ".", "/w/"),
            ("/", ".", "/"),
            ("/w", "a", "/w/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", "a/.", "/w/a/"),
            ("/w", "/", "/"),
            ("/w/x", "..", "/w/"),
        ] {
            assert_eq!(join_destination(dir, path), joined, "{dir} {path}");
        }
    }
}
