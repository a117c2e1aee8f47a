//! Where the store lies: also in the context that it builds from, as with runners that keep only what is in a project.

use crate::harness::Lab;

#[test]
fn a_store_in_the_context_is_not_part_of_it() {
    let lab = Lab::new("FROM BASE/busybox\nRUN --mount=target=/c find /c > /seen\nCOPY . /files/\n");
    let root = lab.context(".croze").display().to_string();
    let out = lab.build_files(&["--root", &root]);
    let entries: Vec<_> = std::fs::read_dir(out.join("files")).unwrap().collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let seen = std::fs::read_to_string(out.join("seen")).unwrap();
    assert!(!seen.contains("croze"), "{seen}");

    let again = lab.build(&["--root", &root]);
    assert_eq!(again.stderr.matches("CACHED").count(), 2, "{}", again.stderr);
    lab.write("Dockerfile", "FROM scratch\nCOPY .croze/v1 /\n");
    lab.croze(&["build", "--root", &root, "context"])
        .fails(5, &["\"/.croze/v1\" is croze's own state directory"]);
}
