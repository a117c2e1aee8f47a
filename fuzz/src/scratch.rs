//! Files for parsers that read files: one directory for each thread, used again and again.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static DIRECTORY: TempDir = TempDir::new().expect("a directory for temporary files");
}

/// Calls a function with this thread's directory for a target.
pub(crate) fn with<T>(target: &str, function: impl FnOnce(&Path) -> T) -> T {
    DIRECTORY.with(|directory| {
        let directory = directory.path().join(target);
        fs::create_dir_all(&directory).expect("a directory can be made");
        function(&directory)
    })
}

/// Writes a file below a directory and returns its path.
pub(crate) fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).expect("a directory can be made");
    }
    fs::write(&path, bytes).expect("a file can be written");
    path
}
