//! RUN --mount=type=bind of a context: whose files are, and what is mounted among them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Command;

use super::{lab, read};
use crate::harness::{Lab, Outcome, croze_binary, sh};

#[test]
fn files_of_a_context_are_roots_whosever_they_are() {
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=bind,target=/src cp -a /src/dir /copied && stat -c %u:%g /copied/* > /owners\n\
         RUN --mount=type=bind,source=link/others,target=/file,rw [ \"$(stat -c %u:%g:%a /file)\" = 0:0:640 ] && cat /file\n\
         RUN --mount=type=bind,source=dir,target=/dir [ \"$(stat -c %a /dir)\" = 711 ] && [ ! -e /dir/hidden ]\n",
        &[("dir/mine", ""), ("dir/others", "content\n"), ("dir/hidden", "")],
    );
    lab.write(".dockerignore", "dir/hidden");
    symlink("dir", lab.context("link")).unwrap();
    let others = lab.context("dir/others");
    chown(&others, Some(1), None).unwrap();
    let set_mode = |path: &str, mode| {
        std::fs::set_permissions(lab.context(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("dir/others", 0o640);
    set_mode("dir", 0o711);
    let out = lab.build_files(&[]);
    assert_eq!(read(&out, "owners"), "0:0\n0:0\n");
}

#[test]
fn a_mount_of_one_file_looks_at_nothing_else() {
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=bind,source=file,target=/file [ \"$(cat /file)\" = content ]\n",
        &[("file", "content"), ("closed/file", ""), (".dockerignore", "*.log")],
    );
    chown(lab.context("closed"), Some(0), Some(0)).unwrap();
    std::fs::set_permissions(lab.context("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
    lab.build(&[]);
}

#[test]
fn files_that_are_not_roots_are_copied_once_for_all_steps_that_see_them() {
    // A copy is changed when it is made, by its last change of all.
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=bind,target=/src stat -c %Z /src/others > /made && sleep 1.1\n\
         RUN --mount=type=bind,source=.,target=/src,rw stat -c %Z /src/others > /again && echo > /src/new\n\
         RUN --mount=type=bind,target=/src [ \"$(cat /made)\" = \"$(cat /again)\" ] && [ ! -e /src/new ]\n\
         RUN --mount=type=bind,source=mine,target=/mine [ -f /mine ]\n",
        &[("others", ""), ("mine", "")],
    );
    chown(lab.context("others"), Some(1), None).unwrap();
    let built = lab.build(&[]);
    let said = "croze: a copy of `.` is mounted: `others` belongs to ";
    assert_eq!(built.stderr.matches(said).count(), 1, "{}", built.stderr);
    assert_eq!(built.stderr.matches("a copy of").count(), 1, "{}", built.stderr);
}

#[test]
fn what_is_mounted_in_a_context_is_seen() {
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=bind,target=/src cat /src/volume/file > /seen\nCOPY . /copied\n\
         RUN --mount=type=bind,source=volume,target=/src cmp /src/file /seen\n\
         RUN --mount=type=bind,source=volume/below,target=/src [ -d /src/it ]\n",
        &[("volume/file", "covered"), ("volume/below/file", "covered, too")],
    );
    let script = "mkdir -p context/volume/below/it; echo mounted > context/volume/file; \
                  chown -R --reference=context context/volume; exec \"$@\"";
    let built = build_beside_a_mount(&lab, "volume", script);
    let said = "a copy of `.` is mounted: something is mounted on `volume`";
    assert!(built.stderr.contains(said), "{}", built.stderr);
    let out = lab.path().join("out");
    assert_eq!(
        (read(&out, "seen").as_str(), read(&out, "copied/volume/file").as_str()),
        ("mounted\n", "mounted\n")
    );
}

#[test]
fn what_is_mounted_elsewhere_or_where_all_is_ignored_is_not_seen() {
    let lab = lab(BESIDE_MODULES, MODULES);
    // The kernel lets no user namespace see what lies below.
    let built = build_beside_a_mount(&lab, "app/modules", "exec \"$@\"");
    let said = "a copy of `app/file` is mounted: something is mounted on `app/modules`";
    assert!(built.stderr.contains(said), "{}", built.stderr);

    let lab = lab_of_root(BESIDE_MODULES, MODULES);
    // A copy would have been changed later.
    let changed = std::fs::metadata(lab.context("app/file")).unwrap().ctime();
    let built = build_as_root(
        &lab,
        "sleep 1.1; mount -t tmpfs none context/app/modules; touch context/app/modules/mounted",
    );
    assert!(!built.stderr.contains("a copy of"), "{}", built.stderr);
    assert_eq!(read(&lab.path().join("out"), "changed"), format!("{changed}\n"));
}

const MODULES: &[(&str, &str)] = &[
    ("app/file", ""),
    ("app/modules/covered", ""),
    (".dockerignore", "**/modules"),
];

const BESIDE_MODULES: &str = "FROM BASE/busybox\n\
    RUN --mount=type=bind,target=/src stat -c %Z /src/app/file > /changed && [ ! -e /src/app/modules ]\n\
    RUN --mount=type=bind,source=app/file,target=/file [ -f /file ]\n";

/// Makes a lab whose context is root's.
fn lab_of_root(dockerfile: &str, files: &[(&str, &str)]) -> Lab {
    let lab = lab(dockerfile, files);
    sh(&format!("chown -R 0:0 {}/context", lab.path().display()));
    lab
}

/// Builds to `out` as root, who may mount; `script` is run first, and what it mounts nobody else sees.
fn build_as_root(lab: &Lab, script: &str) -> Outcome {
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-euc", &format!("{script}; exec \"$@\""), "sh"])
        .arg(croze_binary())
        .args([
            "--root",
            "root-state",
            "build",
            "--sandbox=direct",
            "--progress=plain",
            "-o",
            "out",
            "context",
        ])
        .current_dir(lab.path())
        .output();
    let outcome = Outcome::of(output.unwrap());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome
}

/// Builds to `out` while something is mounted on a directory of the context, which nobody but this build sees; `script` is
/// run first, with the build as its arguments.
fn build_beside_a_mount(lab: &Lab, on: &str, script: &str) -> Outcome {
    let command = lab.command(&["build", "--progress=plain", "-o", "out", "context"]);
    let script = format!("mount -t tmpfs none context/{on}; chown --reference=context context/{on}; {script}");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-euc", &script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(lab.path())
        .output();
    let outcome = Outcome::of(output.unwrap());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome
}
