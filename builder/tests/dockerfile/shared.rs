//! The corpus of real Dockerfiles, which is not part of the repository: their licences are their owners'.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use tempfile::TempDir;

static CORPUS: LazyLock<TempDir> = LazyLock::new(unpack);

/// Returns the directory of the unpacked corpus. Tests that need it fail without it.
pub(crate) fn corpus() -> PathBuf {
    CORPUS.path().join("dockerfiles")
}

fn unpack() -> TempDir {
    let archive = archive();
    let file = File::open(&archive).unwrap_or_else(|error| panic!("cannot open `{}`: {error}", archive.display()));
    let directory = TempDir::new().unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(directory.path())
        .unwrap_or_else(|error| panic!("cannot unpack `{}`: {error}", archive.display()));
    directory
}

fn archive() -> PathBuf {
    const NAME: &str = "dockerfiles.tar.gz";
    if let Some(directory) = std::env::var_os("CROZE_SHARED") {
        return Path::new(&directory).join(NAME);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    ["../shared", "../../shared"]
        .iter()
        .map(|directory| workspace.join(directory).join(NAME))
        .find(|archive| archive.exists())
        .unwrap_or_else(|| panic!("no corpus: set CROZE_SHARED to the directory that holds `{NAME}`"))
}

/// Returns all files below a directory, in order.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
