//! What comes from elsewhere: web files, git repositories, contexts that are not directories, ssh agents.

mod contexts;
mod git;
mod git_credentials;
mod ssh;
mod submodules;
mod web;

use std::fs;
use std::path::Path;

use crate::harness::sh;

/// Makes a tar of one directory of files given as name and content.
fn tar(files: &[(&str, &str)], option: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let at = directory.path().display();
    sh(&format!(
        "tar -C {at}/tree --mtime=@1445412480 --owner=0 --group=0 -c{option}f {at}/tar ."
    ));
    fs::read(directory.path().join("tar")).unwrap()
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
