//! File systems of all sizes that are too small, and other things that a machine lacks.

use std::fs;
use std::path::PathBuf;

use super::length;
use super::rig::Rig;
use crate::harness::{Lab, sh};

/// Steps that take some megabytes and a hundred inodes.
const LARGE: &str = "\
FROM BASE/busybox
COPY file /copied
RUN --mount=type=cache,target=/c head -c 700000 /dev/urandom | tee /c/big > /big
RUN mkdir /d && for i in $(seq 100); do echo $i > /d/$i; done
";
const SMALL: &str = "FROM scratch\nCOPY file /small\n";

/// A file system of its own that holds the store.
struct Small(PathBuf);

impl Small {
    fn mount(lab: &Lab, options: &str) -> Self {
        let place = lab.path().join("small");
        sh(&format!(
            "mkdir -p {0} && mount -t tmpfs -o {options},mode=0700,uid=$(id -u croze-ci),gid=$(id -g croze-ci) none {0}",
            place.display()
        ));
        Self(place)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        sh(&format!("umount -l {}", self.0.display()));
    }
}

/// Builds something large on a small file system, then something small; returns whether the first worked.
fn fits(rig: &mut Rig, options: &str) -> bool {
    let small = Small::mount(&rig.lab, options);
    rig.state = small.0.clone();
    rig.dockerfile(LARGE);
    let large = rig.build(&[], &[]);
    match large.code {
        0 => {}
        10 => {
            large.fails(10, &["no space left", "croze prune", "--root"]);
            rig.dockerfile(SMALL);
            rig.digest(&[]);
        }
        code => panic!("{options}: {code}\n{}", large.stderr),
    }
    rig.is_tidy(options);
    let verified = rig.verify(&[]);
    assert_eq!(verified.code, 0, "{options}: {}{}", verified.stdout, verified.stderr);
    large.code == 0
}

/// Tries sizes from the smallest to one that suffices, by so many steps; returns what came of it.
fn grow(first: usize, last: usize, steps: usize, options: impl Fn(usize) -> String) -> String {
    let mut rig = Rig::new();
    rig.lab.write("file", "small\n");
    let sizes = (0..=steps).map(|step| first + (last - first) * step / steps);
    let fitted: Vec<bool> = sizes.map(|size| fits(&mut rig, &options(size))).collect();
    assert_eq!(
        (fitted.first(), fitted.last()),
        (Some(&false), Some(&true)),
        "{fitted:?}"
    );
    let small = fitted.iter().filter(|fits| !**fits).count();
    format!("{small} of {} file systems were too small", fitted.len())
}

#[test]
fn whenever_the_disk_is_full_it_is_said_and_the_next_smaller_build_works() {
    let found = grow(256, 8192, length(12, 248), |kilobytes| format!("size={kilobytes}k"));
    println!("{found}");
}

#[test]
fn whenever_inodes_run_out_it_is_said_and_the_next_smaller_build_works() {
    let found = grow(70, 1000, length(8, 310), |inodes| {
        format!("size=64m,nr_inodes={inodes}")
    });
    println!("{found}");
}

#[test]
fn a_quota_that_is_used_up_is_told_like_a_full_disk() {
    let rig = Rig::new();
    let expected = rig.digest(&[]);
    for point in [
        "scratch.make",
        "lease.write",
        "snapshot.rename",
        "blob.rename",
        "output.sync",
    ] {
        sh(&format!(
            "rm -rf {0} && install -d -o croze-ci {0}",
            rig.state.display()
        ));
        let outcome = rig.build(&[&format!("CROZE_FAULT={point}:1:edquot")], &[]);
        outcome.fails(10, &["quota exceeded", "croze prune", "--root"]);
        rig.recovers(&expected, &[], point);
    }
}

#[test]
fn a_snapshot_that_cannot_be_begun_leaves_nothing_to_the_next_build() {
    let rig = Rig::new();
    let fault = "CROZE_FAULT=snapshot.fill:1:enospc";
    rig.build(&[fault], &[]).fails(10, &["no space left", "croze prune"]);
    rig.is_tidy(fault);
}

#[test]
fn few_descriptors_suffice_and_fewer_are_said() {
    let rig = Rig::new();
    let expected = rig.digest(&[]);
    for files in (10..16).chain((16..=64).step_by(length(6, 1))) {
        let root = rig.lab.path().join("state");
        sh(&format!("rm -rf {0} && install -d -o croze-ci {0}", root.display()));
        let outcome = rig.build_under(&["prlimit", &format!("--nofile={files}:{files}")], &[]);
        match outcome.code {
            0 => {}
            10 if files < 48 => outcome.fails(10, &["too many open files", "ulimit -n"]),
            code => panic!("{files} files: {code}\n{}", outcome.stderr),
        }
        rig.recovers(&expected, &[], &format!("{files} files"));
    }
}

#[test]
fn a_store_that_cannot_be_written_is_named_with_the_reason() {
    let rig = Rig::new();
    rig.digest(&[]);
    let state = rig.state.display();
    sh(&format!(
        "mount --bind {state} {state} && mount -o remount,ro,bind {state}"
    ));
    let outcomes = [rig.build(&[], &[]), rig.verify(&[])];
    sh(&format!("umount {state}"));
    for outcome in outcomes {
        outcome.fails(9, &[rig.state.to_str().unwrap(), "read-only file system"]);
    }
    assert!(fs::exists(&rig.state).unwrap());
}
