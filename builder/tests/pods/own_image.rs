//! croze's own image, built as its users build it: by `ci-examples/image/build.sh`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::files::{self, Files};
use crate::harness::{Lab, Outcome, base_registry, croze_binary, scratch, sh, workspace};
use crate::image::Image;
use crate::pod::Pod;

/// The user of the `restricted` variant.
const OWNER: (u64, u64) = (1000, 1000);

/// Returns the names in `/`, and what is a directory or where each link leads.
fn top(files: &Files) -> BTreeSet<(String, Option<String>)> {
    let top = files.iter().filter(|(path, _)| !path.contains('/'));
    top.map(|(path, entry)| (path.clone(), entry.link.clone())).collect()
}

/// Returns the same of the image that the tests of pods run.
fn tested_top() -> BTreeSet<(String, Option<String>)> {
    let dir = tempfile::Builder::new().prefix("image-").tempdir_in(scratch()).unwrap();
    let root = dir.path().join("root");
    Image::Restricted.copy(&Pod::named("P3"), &root);
    let link = |name: &str| {
        let target = fs::read_link(root.join(name)).ok();
        target.map(|target| target.display().to_string())
    };
    let names = fs::read_dir(&root).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), link(&name))).collect()
}

#[test]
fn the_script_builds_the_image_and_its_restricted_variant() {
    let lab = Lab::new("");
    let tree = lab.path().join("tree");
    sh(&format!(
        "mkdir -p '{0}/ci-examples' && cp -r '{1}/ci-examples/image' '{0}/ci-examples/' && chmod -R a+rX '{0}'",
        tree.display(),
        workspace().display()
    ));
    let reference = format!("{}/tools/croze:1", base_registry());
    let output = lab
        .command_of(
            &tree.join("ci-examples/image/build.sh"),
            &[&format!("CROZE={}", croze_binary().display())],
            &[&reference, "--build-arg=DEBIAN=BASE/debian", "--push"],
        )
        .stdin(Stdio::null())
        .output();
    let outcome = Outcome::of(output.unwrap());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);

    let own = files::of_image(&reference);
    let program = "/.croze/bin/croze";
    let certificates = ".croze/ca-certificates.crt";
    assert_eq!(
        own.keys().collect::<Vec<_>>(),
        [".croze", ".croze/bin", &program[1..], certificates]
    );
    assert_eq!(config(&reference)["Entrypoint"], serde_json::json!([program]));

    let variant = format!("{reference}-restricted");
    let restricted = files::of_image(&variant);
    assert_eq!(config(&variant)["User"], "1000:1000");
    assert_eq!(config(&variant)["Entrypoint"], serde_json::json!([program]));
    assert_eq!(top(&restricted), tested_top());
    for (path, entry) in &restricted {
        let is_fixed = [".croze/bin", ".croze/lib", certificates]
            .iter()
            .any(|fixed| path.starts_with(fixed));
        assert_eq!(entry.owner, if is_fixed { (0, 0) } else { OWNER }, "{path}");
    }
    for name in ["newuidmap", "newgidmap"] {
        let found = &restricted[&format!(".croze/bin/{name}")];
        assert!(found.xattrs.contains_key("security.capability"), "{name}: {found:?}");
    }
    assert_eq!(own[&program[1..]], restricted[&program[1..]]);
}

/// Returns what the config of an image says of its containers.
fn config(tag: &str) -> Value {
    let config = sh(&format!("skopeo inspect --config --tls-verify=false docker://{tag}"));
    let config: Value = serde_json::from_str(&config).unwrap();
    config["config"].clone()
}
