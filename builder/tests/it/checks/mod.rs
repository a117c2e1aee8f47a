//! BuildKit's own checks of what a Dockerfile means, performed on `croze`.
//!
//! The numbers are those of `testdata/buildkit-checks.tsv`, which says of every check where it is performed.

mod add;
mod args;
mod attest;
mod cache;
mod client;
mod commands;
mod context_mounts;
mod contexts;
mod copy;
mod copy_paths;
mod core;
mod describe;
mod epoch;
mod exports;
mod heredoc;
mod ignore;
mod lint;
mod metadata;
mod mounts;
mod onbuild;
mod parents;
mod platform;
mod refusals;
mod secrets;
mod stages;
mod steps;
mod syntax;
mod table;
mod users;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Lab, base_registry, sh};

/// Makes a context of these files and builds it: the assertions are in its `RUN`s.
fn builds(dockerfile: &str, files: &[(&str, &str)], words: &[&str]) -> Lab {
    let lab = lab(dockerfile, files);
    lab.build(words);
    lab
}

/// Makes a context of these files.
fn lab(dockerfile: &str, files: &[(&str, &str)]) -> Lab {
    let lab = Lab::new(dockerfile);
    for (path, content) in files {
        lab.write(path, content);
    }
    lab
}

/// The root file system that a build wrote, and what it was built from.
struct Files {
    _lab: Lab,
    out: PathBuf,
}

impl Files {
    /// Makes a context of these files and builds it into a directory.
    fn of(dockerfile: &str, files: &[(&str, &str)], words: &[&str]) -> Self {
        let lab = lab(dockerfile, files);
        let out = lab.build_files(words);
        Self { _lab: lab, out }
    }

    fn read(&self, path: &str) -> String {
        read(&self.out, path)
    }

    fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.out.join(path)).is_ok()
    }
}

/// Reads a file of an output.
fn read(out: &Path, path: &str) -> String {
    fs::read_to_string(out.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a script of the test in its directory.
fn script(lab: &Lab, script: &str) -> String {
    sh(&format!("cd {}; {script}", lab.path().display()))
}

/// Builds and pushes what another build is to start from, and returns the name.
fn pushed(name: &str, dockerfile: &str, files: &[(&str, &str)]) -> String {
    let tag = format!("{}/checks/{name}:1", base_registry());
    lab(dockerfile, files).build(&["-t", &tag, "--push"]);
    tag
}

/// Lists the archive of a build's root file system as `MODE OWNER/GROUP PATH`, one a line.
fn listing(lab: &Lab, words: &[&str]) -> String {
    lab.build(&[&["-o", "type=tar,dest=root.tar"], words].concat());
    script(
        lab,
        "tar --numeric-owner -tvf root.tar | awk '{$3=$4=$5=\"\"; print $1, $2, $6, $7, $8}' | sed 's/ *$//'",
    )
}

/// An image layout that a build wrote.
struct Layout(PathBuf);

impl Layout {
    /// Builds the image; it has the name `image`.
    fn of(lab: &Lab, words: &[&str]) -> Self {
        let directory = lab.path().join("image");
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        lab.build(&[&["-o", "type=oci,tar=false,dest=image"], words].concat());
        Self(directory)
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&read(&self.0, path)).unwrap()
    }

    fn blob(&self, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().unwrap();
        self.json(&format!("blobs/{}", digest.replace(':', "/")))
    }

    fn index(&self) -> Value {
        self.json("index.json")
    }

    /// Returns what the layout is of: a manifest, or an index.
    fn root(&self) -> Value {
        self.blob(&self.index()["manifests"][0])
    }

    /// Returns the manifests of all platforms.
    fn manifests(&self) -> Vec<Value> {
        let root = self.root();
        match root["manifests"].as_array() {
            Some(entries) => entries.iter().map(|entry| self.blob(entry)).collect(),
            None => vec![root],
        }
    }

    /// Returns the configs of all platforms.
    fn configs(&self) -> Vec<Value> {
        let manifests = self.manifests();
        manifests
            .iter()
            .map(|manifest| self.blob(&manifest["config"]))
            .collect()
    }

    fn config(&self) -> Value {
        self.configs().remove(0)
    }

    /// Returns the text of each history entry, with whether it is without a layer.
    fn history(&self) -> Vec<(String, bool)> {
        let config = self.config();
        let entries = config["history"].as_array().cloned().unwrap_or_default();
        let entry = |entry: &Value| {
            let text = entry["created_by"].as_str().unwrap_or_default().to_owned();
            (text, entry["empty_layer"].as_bool().unwrap_or(false))
        };
        entries.iter().map(entry).collect()
    }
}
