//! What is built: Dockerfiles whose steps check for themselves what they expect, and whose files are compared.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::files::{self, Files};
use crate::harness::{Lab, base_registry, workspace};

/// A Dockerfile of `testdata/pods/workloads`.
pub(crate) struct Workload {
    /// Its name without `.Dockerfile`.
    pub(crate) name: &'static str,
    pub(crate) weight: Weight,
    reference: OnceLock<Files>,
}

/// How long a workload takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) enum Weight {
    /// Seconds: for every cell of the matrix.
    Light,
    /// Half a minute: for one cell of each sandbox.
    Heavy,
}

impl Workload {
    const fn new(name: &'static str, weight: Weight) -> Self {
        Self {
            name,
            weight,
            reference: OnceLock::new(),
        }
    }

    /// Returns the Dockerfile, with the registry of the base images filled in.
    pub(crate) fn text(&self) -> String {
        let text = fs::read_to_string(folder().join(format!("{}.Dockerfile", self.name))).unwrap();
        text.replace("BASE/", &format!("{}/", base_registry()))
    }

    /// Returns the files that a user with subordinate ids gets in `userns`, built once.
    pub(crate) fn reference(&self) -> &Files {
        self.reference.get_or_init(|| {
            let lab = Lab::new("");
            let (name, tag) = (format!("{}.Dockerfile", self.name), tag("reference", self.name));
            lab.write(&name, &self.text());
            let file = lab.context(&name).display().to_string();
            lab.build(&[
                "--sandbox=userns",
                "--compression=none",
                "-f",
                &file,
                "-t",
                &tag,
                "--push",
            ]);
            files::of_image(&tag)
        })
    }
}

/// All of them, the lightest first.
pub(crate) static WORKLOADS: [Workload; 8] = [
    Workload::new("files", Weight::Light),
    Workload::new("shell", Weight::Light),
    Workload::new("places", Weight::Light),
    Workload::new("top", Weight::Light),
    Workload::new("packages", Weight::Light),
    Workload::new("postgres", Weight::Heavy),
    Workload::new("languages", Weight::Heavy),
    Workload::new("node", Weight::Heavy),
];

/// Returns the name of the image that a workload becomes somewhere.
pub(crate) fn tag(place: &str, workload: &str) -> String {
    format!("{}/pods/{}/{workload}:1", base_registry(), place.to_lowercase())
}

fn folder() -> PathBuf {
    workspace().join("testdata/pods/workloads")
}

#[test]
fn every_workload_is_in_the_list() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut listed: Vec<String> = WORKLOADS.iter().map(|w| format!("{}.Dockerfile", w.name)).collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
}
