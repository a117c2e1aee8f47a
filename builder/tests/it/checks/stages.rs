//! Several stages, and WORKDIR.

use super::{Files, Layout, builds, lab};

#[test]
fn files_come_from_an_image_that_is_no_stage() {
    // BK-022
    let out = Files::of("FROM scratch\nCOPY --from=BASE/busybox /etc/passwd test\n", &[], &[]);
    assert!(out.read("test").contains("root"));
}

#[test]
fn a_stage_hides_the_image_of_its_name() {
    // BK-023
    let out = Files::of(
        "FROM BASE/busybox AS golang\nRUN mkdir -p /usr/bin && echo -n foo > /usr/bin/go\n\
         FROM scratch\nCOPY --from=golang /usr/bin/go go\n",
        &[],
        &[],
    );
    assert_eq!(out.read("go"), "foo");
}

#[test]
fn stages_are_found_in_any_case() {
    // BK-024
    let out = Files::of(
        "FROM scratch AS STAge0\nCOPY foo bar\nFROM scratch AS staGE1\nCOPY --from=staGE0 bar baz\n\
         FROM scratch\nCOPY --from=stage1 baz bax\n",
        &[("foo", "foo-contents")],
        &["--target", "Stage1"],
    );
    assert_eq!(out.read("baz"), "foo-contents");
}

#[test]
fn a_work_directory_is_made() {
    // BK-027
    let out = Files::of("FROM scratch\nWORKDIR /foo\nWORKDIR /\n", &[], &[]);
    assert!(out.out.join("foo").is_dir());
}

#[test]
fn a_work_directory_belongs_to_the_user_unless_it_was_there() {
    // BK-028 BK-029
    builds(
        "FROM BASE/busybox\nRUN echo user:x:1000:1000::: >> /etc/passwd && echo user:x:1000: >> /etc/group && mkdir /there && chown user:user /there\n\
         WORKDIR /there\nRUN [ \"$(stat -c '%U %G' /there)\" = \"user user\" ]\n\
         USER user\nWORKDIR /mydir\nRUN [ \"$(stat -c '%U %G' /mydir)\" = \"user user\" ]\n",
        &[],
        &[],
    );
}

#[test]
fn a_path_in_another_stage_begins_at_its_root() {
    // BK-030
    let out = Files::of(
        "FROM scratch AS base\nWORKDIR /foo\nCOPY Dockerfile /\nFROM scratch\nCOPY --from=base Dockerfile .\n",
        &[],
        &[],
    );
    assert!(out.has("Dockerfile"));
}

#[test]
fn a_work_directory_bears_the_epoch() {
    // BK-031
    let lab = lab("FROM BASE/busybox\nWORKDIR /mydir/sub\n", &[]);
    let words = ["--build-arg", "SOURCE_DATE_EPOCH=1673364896"];
    let first = Layout::of(&lab, &words).index();
    lab.croze(&["prune", "--all"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(Layout::of(&lab, &words).index(), first);
}
