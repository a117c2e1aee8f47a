//! --build-context.

use super::{Files, Layout, builds, lab, pushed, read, script};

#[test]
fn an_image_takes_the_place_of_a_base_with_its_environment() {
    // BK-210 BK-211
    let other = pushed(
        "named-image",
        "FROM BASE/busybox\nENV foo=bar\nENV PATH=/own:/bin\nRUN echo other > /other\n",
        &[],
    );
    let text = "FROM BASE/busybox AS base\nRUN cat /other > /out && echo $foo:$PATH >> /out\n\
                FROM scratch\nCOPY --from=base /out /\n";
    let lab = lab(text, &[]);
    let context = lab.fill(&format!("BASE/busybox=docker-image://{other}"));
    let out = lab.build_files(&["--build-context", &context]);
    assert_eq!(read(&out, "out"), "other\nbar:/own:/bin\n");
}

#[test]
fn a_context_takes_the_place_of_a_whole_stage() {
    // BK-212
    let other = pushed("named-stage", "FROM scratch\nCOPY other /out\n", &[("other", "other")]);
    let out = Files::of(
        "FROM BASE/busybox AS base\nRUN echo own > /out && false\nFROM scratch\nCOPY --from=base /out /\n",
        &[],
        &["--build-context", &format!("base=docker-image://{other}")],
    );
    assert_eq!(out.read("out"), "other");
}

#[test]
fn a_context_is_for_the_platform_of_its_stage() {
    // BK-213
    let other = pushed("named-platform", "FROM BASE/busybox\nRUN echo other > /other\n", &[]);
    let lab = lab(
        "FROM --platform=$BUILDPLATFORM BASE/busybox AS target\nRUN cp /other /out\nFROM scratch\n\
         COPY --from=target /out /\n",
        &[],
    );
    let context = lab.fill(&format!("BASE/busybox=docker-image://{other}"));
    let out = lab.build_files(&["--build-context", &context, "--platform", "linux/ppc64le"]);
    assert_eq!(read(&out, "out"), "other\n");
}

#[test]
fn an_image_from_a_context_is_of_now() {
    // BK-214
    let other = pushed("named-time", "FROM scratch\nCOPY Dockerfile /\n", &[]);
    let lab = lab("FROM base\nCOPY Dockerfile /new\n", &[]);
    let created =
        |lab: &super::Lab, words: &[&str]| Layout::of(lab, words).config()["created"].as_str().unwrap().to_owned();
    let before = script(&lab, "date -u +%FT%T");
    let context = format!("base=docker-image://{other}");
    assert!(created(&lab, &["--build-context", &context]).as_str() >= before.trim());
}

#[test]
fn nothing_may_take_the_place_of_an_image() {
    // BK-215
    let out = Files::of(
        "FROM base AS one\nCOPY Dockerfile out\nFROM one\n",
        &[],
        &["--build-context", "base=docker-image://scratch"],
    );
    assert_eq!(std::fs::read_dir(&out.out).unwrap().count(), 1);
}

#[test]
fn a_directory_has_its_own_ignore_file() {
    // BK-216
    let lab = lab(
        "FROM BASE/busybox AS base\nRUN cat /etc/passwd > /o\nFROM scratch\nCOPY --from=base /o* /\n",
        &[
            ("named/.dockerignore", "out2\n"),
            ("named/out", "first-file"),
            ("named/out2", "second-file"),
        ],
    );
    let out = lab.build_files(&["--build-context", "base=context/named"]);
    assert_eq!(read(&out, "out"), "first-file");
    assert!(!out.join("out2").exists() && !out.join("o").exists());
}

#[test]
fn only_the_files_that_are_asked_for_are_looked_at() {
    // BK-219
    let lab = lab(
        "FROM BASE/busybox\nCOPY --from=foo /foo /\nRUN --mount=from=foo,src=/foo,target=/in/foo cat /in/foo | grep foo\n",
        &[("named/foo", "foo"), ("named/closed", "")],
    );
    // What nobody may read would fail the build if it was read.
    script(&lab, "chown root context/named/closed; chmod 000 context/named/closed");
    lab.build(&["--build-context", "foo=context/named"]);
    // As a base, it is there as a whole.
    lab.write("Dockerfile", "FROM foo\n");
    lab.croze(&["build", "--build-context", "foo=context/named", "context"])
        .fails(5, &["closed", "permission denied"]);
    script(&lab, "chmod 644 context/named/closed");
    let out = lab.build_files(&["--build-context", "foo=context/named"]);
    assert!(out.join("foo").exists() && out.join("closed").exists());
}

#[test]
fn what_is_not_needed_is_not_resolved() {
    // BK-221
    builds(
        "FROM BASE/absent:1 AS broken\nRUN false\nFROM broken AS child\nFROM BASE/busybox\nRUN true\n",
        &[],
        &["--build-context", "unused=docker-image://127.0.0.1:1/absent"],
    );
}

#[test]
fn a_check_finds_the_images_of_layouts() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    Layout::of(&lab, &["-t", "127.0.0.1:1/image:latest"]);
    lab.write("Dockerfile", "FROM base\nCOPY Dockerfile /again\n");
    lab.build(&["--check", "--build-context", "base=oci-layout://image"]);
}
