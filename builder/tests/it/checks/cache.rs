//! What is done again, and what is not.

use super::{Layout, lab, read, script};

const UNIQUE: &str = "cat /proc/sys/kernel/random/uuid > unique";

#[test]
fn a_step_is_done_again_when_what_its_wildcard_matched_changed() {
    // BK-039
    let lab = lab(
        &format!(
            "FROM BASE/busybox AS base\nCOPY foo* files/\nRUN {UNIQUE}\nCOPY bar files/\n\
             FROM scratch\nCOPY --from=base unique /\n"
        ),
        &[("foo1", "foo1-data"), ("foo2", "foo2-data"), ("bar", "bar-data")],
    );
    let unique = || read(&lab.build_files(&[]), "unique");
    let first = unique();
    lab.write("bar", "bar-data-mod");
    assert_eq!(unique(), first);
    lab.write("foo2", "foo2-data-mod");
    assert_ne!(unique(), first);
}

#[test]
fn an_image_is_the_same_under_every_name() {
    // BK-197
    let lab = lab(
        "FROM BASE/busybox AS base\nENV foo=bar\nCOPY foo /\n",
        &[("foo", "foo-contents")],
    );
    let digest = |words: &[&str]| Layout::of(&lab, words).index()["manifests"][0]["digest"].clone();
    let first = digest(&["-t", "example.com/one:1"]);
    assert_eq!(digest(&["-t", "example.com/two:1"]), first);
}

#[test]
fn the_cache_may_be_refused_for_all_stages_or_some() {
    // BK-199
    let lab = lab(
        &format!(
            "FROM BASE/busybox AS s0\nRUN {UNIQUE}\nFROM BASE/busybox AS s1\nRUN {UNIQUE}\n\
             FROM scratch\nCOPY --from=s0 unique /0\nCOPY --from=s1 unique /1\n"
        )
        .replacen("uuid >", "uuid  >", 1),
        &[],
    );
    let values = |words: &[&str]| {
        let out = lab.build_files(words);
        (read(&out, "0"), read(&out, "1"))
    };
    let first = values(&[]);
    let second = values(&["--no-cache"]);
    assert!(first.0 != second.0 && first.1 != second.1);
    let third = values(&["--no-cache-filter", "s1"]);
    assert!(second.0 == third.0 && second.1 != third.1);
}

#[test]
fn the_name_of_a_file_counts() {
    // BK-201
    let lab = lab(
        "FROM BASE/busybox\nCOPY file* /files/\nRUN ls /files/file1\n",
        &[("file1", "foo")],
    );
    lab.build(&[]);
    script(&lab, "mv context/file1 context/file2");
    lab.croze(&["build", "context"]).fails(4, &["ls /files/file1"]);
}

#[test]
fn after_a_prune_of_everything_nothing_is_left() {
    // BK-193
    let lab = lab(&format!("FROM BASE/busybox\nRUN {UNIQUE}\n"), &[]);
    let first = read(&lab.build_files(&[]), "unique");
    assert_eq!(read(&lab.build_files(&[]), "unique"), first);
    assert_eq!(lab.croze(&["prune", "--all"]).code, 0);
    assert_eq!(script(&lab, "find state/v1/snap state/v1/index -type f | wc -l"), "0\n");
    assert_ne!(read(&lab.build_files(&[]), "unique"), first);
}
