//! Attestations, pushed to a real registry and read again by skopeo, or written beside files.

mod files;
mod git;
mod provenance;
mod sbom;
mod storage;

use serde_json::{Value, json};

use super::{Lab, Layout, base_registry, lab, read, script};
use crate::harness::sh;

/// The two forms of provenance: version and whether it is asked for by that.
const VERSIONS: [(&str, &str); 3] = [("", "v1"), ("version=v1,", "v1"), ("version=v0.2,", "v0.2")];

/// An image in the registry, with what is attested of it.
struct Attested {
    layout: Layout,
    tag: String,
}

impl Attested {
    /// Builds with these words, pushes, and takes everything out of the registry with skopeo.
    fn pushed(lab: &Lab, name: &str, words: &[&str]) -> Self {
        let tag = format!("{}/checks/attest-{name}:1", base_registry());
        lab.build(&[&["-t", &tag, "--push"], words].concat());
        Self::of(lab, &tag)
    }

    /// Takes everything that the registry has under a tag out of it, with skopeo.
    fn of(lab: &Lab, tag: &str) -> Self {
        let directory = lab.path().join("pulled");
        let into = directory.display();
        sh(&format!(
            "rm -rf '{into}'; skopeo copy -q --all --preserve-digests --src-tls-verify=false docker://{tag} oci:{into}"
        ));
        Self {
            layout: Layout(directory),
            tag: tag.to_owned(),
        }
    }

    fn index(&self) -> Value {
        self.layout.root()
    }

    fn entries(&self) -> Vec<Value> {
        self.index()["manifests"].as_array().expect("an index").clone()
    }

    /// Returns the entry of the image for a platform.
    fn image(&self, platform: &str) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap();
        let platform = json!({"os": os, "architecture": architecture});
        let mut entries = self.entries().into_iter();
        entries.find(|entry| entry["platform"] == platform).expect("an image")
    }

    /// Returns the entry of what is attested of the image for a platform.
    fn attestations(&self, platform: &str) -> Value {
        let image = self.image(platform);
        let mut entries = self.entries().into_iter();
        let is_it = |entry: &Value| entry["annotations"]["vnd.docker.reference.digest"] == image["digest"];
        entries.find(is_it).expect("attestations")
    }

    /// Returns the statements about the image for a platform.
    fn statements(&self, platform: &str) -> Vec<Value> {
        let manifest = self.layout.blob(&self.attestations(platform));
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| self.layout.blob(layer)).collect()
    }

    /// Returns the predicate of the only statement about the image for this machine.
    fn predicate(&self) -> Value {
        let mut statements = self.statements("linux/amd64");
        assert_eq!(statements.len(), 1);
        statements.remove(0)["predicate"].take()
    }
}

/// Where the two forms of provenance have the same thing.
struct Told<'a> {
    predicate: &'a Value,
    is_v1: bool,
}

impl<'a> Told<'a> {
    fn of(predicate: &'a Value) -> Self {
        Self {
            predicate,
            is_v1: predicate["buildType"].is_null(),
        }
    }

    fn at(&self, v1: &str, v02: &str) -> &'a Value {
        let pointer = if self.is_v1 { v1 } else { v02 };
        self.predicate.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn build_type(&self) -> &'a Value {
        self.at("/buildDefinition/buildType", "/buildType")
    }

    fn builder(&self) -> &'a Value {
        self.at("/runDetails/builder/id", "/builder/id")
    }

    fn source(&self) -> &'a Value {
        self.at(
            "/buildDefinition/externalParameters/configSource",
            "/invocation/configSource",
        )
    }

    fn path(&self) -> &'a Value {
        &self.source()[if self.is_v1 { "path" } else { "entryPoint" }]
    }

    fn request(&self) -> &'a Value {
        self.at("/buildDefinition/externalParameters/request", "/invocation/parameters")
    }

    fn materials(&self) -> &'a [Value] {
        let materials = self.at("/buildDefinition/resolvedDependencies", "/materials");
        materials.as_array().map_or(&[], Vec::as_slice)
    }

    fn platform(&self) -> &'a Value {
        self.at(
            "/buildDefinition/internalParameters/builderPlatform",
            "/invocation/environment/platform",
        )
    }

    fn build_config(&self) -> &'a Value {
        self.at("/buildDefinition/internalParameters/buildConfig", "/buildConfig")
    }

    fn invocation(&self) -> [&'a Value; 3] {
        let run = "/runDetails/metadata";
        [
            ("invocationId", "buildInvocationID"),
            ("startedOn", "buildStartedOn"),
            ("finishedOn", "buildFinishedOn"),
        ]
        .map(|(v1, v02)| self.at(&format!("{run}/{v1}"), &format!("/metadata/{v02}")))
    }

    fn extension(&self) -> &'a Value {
        self.at(
            "/runDetails/metadata/buildkit_metadata",
            "/metadata/https:~1~1mobyproject.org~1buildkit@v1#metadata",
        )
    }

    fn is_hermetic(&self) -> bool {
        *self.at(
            "/runDetails/metadata/buildkit_hermetic",
            "/metadata/https:~1~1mobyproject.org~1buildkit@v1#hermetic",
        ) == true
    }

    fn is_reproducible(&self) -> bool {
        *self.at("/runDetails/metadata/buildkit_reproducible", "/metadata/reproducible") == true
    }

    /// Returns whether the parameters and the materials are complete.
    fn completeness(&self) -> [bool; 2] {
        let known = "/runDetails/metadata/buildkit_completeness";
        [("request", "parameters"), ("resolvedDependencies", "materials")].map(|(v1, v02)| {
            let told = self.at(&format!("{known}/{v1}"), &format!("/metadata/completeness/{v02}"));
            told.as_bool().expect("a truth value")
        })
    }

    fn locals(&self) -> Vec<&'a str> {
        let locals = self.request()["locals"].as_array();
        locals
            .into_iter()
            .flatten()
            .map(|local| local["name"].as_str().unwrap())
            .collect()
    }
}
