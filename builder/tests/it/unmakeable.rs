//! What no image can have, or no user namespace make: said with where and what to do.

use std::fs;

use tar::{Builder, EntryType, Header};

use crate::harness::{Lab, sh};

/// Makes an archive in the context, with one empty entry.
fn archive(lab: &Lab, describe: impl FnOnce(&mut Header)) {
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    describe(&mut header);
    let mut archive = Builder::new(Vec::new());
    archive.append_data(&mut header, "entry", std::io::empty()).unwrap();
    fs::write(lab.context("files.tar"), archive.into_inner().unwrap()).unwrap();
}

#[test]
fn devices_of_an_archive_that_cannot_be_made_are_told() {
    let lab = Lab::new("FROM scratch\nADD files.tar /\n");
    archive(&lab, |null| {
        null.set_entry_type(EntryType::Char);
        null.set_device_major(1).unwrap();
        null.set_device_minor(3).unwrap();
    });
    let outcome = lab.croze(&["build", "--sandbox=userns", "context"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let told =
        "device nodes left out, which cannot be made in a user namespace: 1; `--sandbox userns-single` keeps them";
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    let outcome = lab.croze(&[
        "build",
        "--sandbox=userns-single",
        "-o",
        "type=tar,dest=out.tar",
        "context",
    ]);
    assert!(
        outcome.code == 0 && !outcome.stderr.contains("device"),
        "{}",
        outcome.stderr
    );
    let listed = sh(&format!("tar -tvf {}/out.tar", lab.path().display()));
    assert!(listed.contains("1,3"), "{listed}");
}

#[test]
fn an_owner_that_is_not_mapped_is_what_the_machine_lacks() {
    let lab = Lab::new("FROM scratch\nADD files.tar /\n");
    archive(&lab, |file| {
        file.set_uid(70_000);
        file.set_gid(4_000_000);
    });
    lab.croze(&["build", "--sandbox=userns", "context"]).fails(
        9,
        &[
            "70000:4000000",
            "Dockerfile:2:1",
            "/etc/subgid",
            "--sandbox userns-single",
        ],
    );
    let outcome = lab.croze(&["build", "--sandbox=userns-single", "context"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn a_name_that_means_a_deletion_is_refused_with_what_to_do() {
    let lab = Lab::new("FROM scratch\nCOPY . /\n");
    lab.write("d/.wh.x", "");
    for output in ["type=oci,dest=out.tar", "type=image,name=x"] {
        lab.croze(&["build", "-o", output, "context"])
            .fails(8, &["d/.wh.x", "stand for deletions", ".dockerignore"]);
    }
}

#[test]
fn what_an_output_cannot_be_is_said_before_anything_is_built() {
    let lab = Lab::new("FROM scratch\nCOPY absent /\n");
    lab.croze(&["build", "-o", "type=oci,dest=none/out.tar", "context"])
        .fails(2, &["`none` is no directory"]);
    let platforms = "--platform=linux/amd64,linux/arm64";
    lab.croze(&["build", platforms, "-o", "type=docker,dest=out.tar", "context"])
        .fails(2, &["one platform", "type=oci"]);
}
