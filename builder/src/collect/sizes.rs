//! Sizes of directories, remembered: a snapshot never changes, and looking at each of its files takes as long as a build.
//!
//! The file is text: the size of everything together after the last collection, a line for each directory (version, bytes,
//! inodes, path), and a checksum. One that is missing or damaged costs measuring again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use snapshotter::Usage;

use crate::state_dir::{StateDir, unfinished};

/// The file's name.
const FILE: &str = "sizes";

/// What each directory takes, of which version.
#[derive(Debug, Default)]
pub(super) struct Sizes(BTreeMap<PathBuf, (i128, Usage)>);

/// Returns what everything took when it was last measured.
pub(super) fn last_total(state: &StateDir) -> Option<u64> {
    let mut start = [0; 32];
    let length = File::open(state.layout().join(FILE)).ok()?.read(&mut start).ok()?;
    let text = std::str::from_utf8(&start[..length]).ok()?;
    text.split_once('\n')?.0.parse().ok()
}

impl Sizes {
    /// Loads what is remembered.
    pub(super) fn load(state: &StateDir) -> Self {
        let text = fs::read_to_string(state.layout().join(FILE)).unwrap_or_default();
        parse(&text).unwrap_or_default()
    }

    /// Returns the size of a version of a directory, if it is known.
    pub(super) fn get(&self, path: &Path, version: i128) -> Option<Usage> {
        self.0.get(path).filter(|known| known.0 == version).map(|known| known.1)
    }

    /// Notes the size of a version of a directory.
    pub(super) fn set(&mut self, path: &Path, version: i128, usage: Usage) {
        self.0.insert(path.to_owned(), (version, usage));
    }

    /// Forgets a directory.
    pub(super) fn forget(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// Forgets all directories but some.
    pub(super) fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        self.0.retain(|path, _| keep(path));
    }

    /// Remembers it. What cannot be written is measured again.
    pub(super) fn save(&self, state: &StateDir, scratch: &Path, total: u64) {
        let path = state.layout().join(FILE);
        let written = || -> std::io::Result<()> {
            fault::point("sizes.write")?;
            let (mut file, unfinished) = unfinished::create(scratch, "sizes-")?;
            file.write_all(self.print(total).as_bytes())?;
            unfinished::put(unfinished, &path)
        };
        let _measured_again = written();
    }

    fn print(&self, total: u64) -> String {
        let mut text = format!("{total}\n");
        for (path, (version, usage)) in &self.0 {
            // No name in the layout that was made by croze has a newline.
            if let Some(path) = path.to_str().filter(|path| !path.contains('\n')) {
                text += &format!("{version} {} {} {path}\n", usage.bytes, usage.inodes);
            }
        }
        let checksum = crc32fast::hash(text.as_bytes());
        text + &format!("{checksum:08x}\n")
    }
}

fn parse(text: &str) -> Option<Sizes> {
    let body = &text[..text.trim_end_matches('\n').rfind('\n')? + 1];
    let sum = u32::from_str_radix(text[body.len()..].trim_end(), 16).ok()?;
    if sum != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let version = words.next()?.parse().ok()?;
        let usage = Usage {
            bytes: words.next()?.parse().ok()?,
            inodes: words.next()?.parse().ok()?,
        };
        Some((PathBuf::from(words.next()?), (version, usage)))
    };
    body.lines().skip(1).map(line).collect::<Option<_>>().map(Sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_and_what_is_damaged_is_not() {
        let mut sizes = Sizes::default();
        let usage = Usage { bytes: 4096, inodes: 2 };
        sizes.set(Path::new("snap/a b"), -7, usage);
        let text = sizes.print(5);
        let read = parse(&text).unwrap();
        assert_eq!(read.get(Path::new("snap/a b"), -7), Some(usage));
        assert_eq!(read.get(Path::new("snap/a b"), 7), None, "another version");
        for cut in 0..text.len() - 1 {
            assert!(parse(&text[..cut]).is_none(), "{cut}");
        }
        assert!(parse(&text.replace("4096", "4097")).is_none());
        assert!(parse("").is_none());
    }
}
