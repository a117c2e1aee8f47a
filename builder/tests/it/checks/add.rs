//! ADD of archives.

use super::{Files, builds, lab, listing, read, script};

#[test]
fn an_archive_is_unpacked_unless_told_otherwise() {
    let lab = lab(
        "FROM scratch\nADD t.tar /plain/\nADD t.tar.gz /zipped/\nADD --unpack=false t.tar.gz /kept/\n\
         COPY t.tar.gz /copied/\n",
        &[],
    );
    script(
        &lab,
        "mkdir in; echo -n content0 > in/foo; tar cf context/t.tar -C in foo; gzip -k context/t.tar",
    );
    let out = lab.build_files(&[]);
    // BK-076 BK-077
    assert_eq!(read(&out, "plain/foo"), "content0");
    assert_eq!(read(&out, "zipped/foo"), "content0");
    // BK-078 BK-079
    script(
        &lab,
        "cmp context/t.tar.gz out/kept/t.tar.gz; cmp context/t.tar.gz out/copied/t.tar.gz",
    );
    assert!(!out.join("kept/foo").exists() && !out.join("copied/foo").exists());
}

#[test]
fn every_compression_is_recognised_by_its_bytes() {
    // BK-077
    let lab = lab(
        "FROM scratch\nADD bz2 /bz2/\nADD xz /xz/\nADD zst /zst/\nADD noise /noise/\n",
        &[("noise", "x")],
    );
    script(
        &lab,
        "mkdir in; echo -n content0 > in/foo; tar cf t.tar -C in foo; bzip2 -c t.tar > context/bz2; \
         xz -c t.tar > context/xz; zstd -qc t.tar > context/zst",
    );
    let out = lab.build_files(&[]);
    for directory in ["bz2", "xz", "zst"] {
        assert_eq!(read(&out, &format!("{directory}/foo")), "content0");
    }
    assert_eq!(read(&out, "noise/noise"), "x");
}

#[test]
fn an_archive_need_not_name_the_parents_of_its_entries() {
    // BK-083
    let lab = lab("FROM scratch\nADD t.tar.gz /\n", &[]);
    script(
        &lab,
        "mkdir -p in/etc/dnf; echo -n content > in/etc/dnf/dnf.conf; \
         tar czf context/t.tar.gz -C in --no-recursion etc/dnf etc/dnf/dnf.conf",
    );
    assert_eq!(read(&lab.build_files(&[]), "etc/dnf/dnf.conf"), "content");
}

#[test]
fn an_absolute_link_of_an_archive_stays_inside_the_image() {
    // BK-084
    let lab = lab("FROM scratch\nADD rootfs.tar /\nADD payload.tar /\n", &[]);
    script(
        &lab,
        "mkdir -p r/run r/var p/var/run/act/actions/broad/.git; ln -s /run r/var/run; tar cf context/rootfs.tar -C r .; \
         cd p; echo -n ref > var/run/act/actions/broad/.git/HEAD; \
         ln var/run/act/actions/broad/.git/HEAD var/run/act/actions/broad/.git/HEAD.link; \
         tar cf ../context/payload.tar --no-recursion var var/run/act var/run/act/actions var/run/act/actions/broad \
         var/run/act/actions/broad/.git var/run/act/actions/broad/.git/HEAD var/run/act/actions/broad/.git/HEAD.link",
    );
    let out = lab.build_files(&[]);
    assert_eq!(read(&out, "run/act/actions/broad/.git/HEAD"), "ref");
    let inodes = script(&lab, "stat -c %i out/run/act/actions/broad/.git/HEAD*");
    let inodes: Vec<&str> = inodes.lines().collect();
    assert_eq!(inodes[0], inodes[1]);
}

#[test]
fn an_owner_is_given_to_what_an_archive_holds() {
    // BK-085
    let lab = lab("FROM scratch\nADD --chown=100:200 t.tar /out/\n", &[]);
    script(&lab, "mkdir in; echo > in/foo; tar cf context/t.tar -C in foo");
    let listing = listing(&lab, &[]);
    assert!(listing.contains("100/200 out/\n"), "{listing}");
    assert!(listing.contains("100/200 out/foo\n"), "{listing}");
}

#[test]
fn several_archives_are_unpacked_into_one_directory() {
    // BK-086
    let lab = lab("FROM scratch\nADD *.tar /dest\n", &[]);
    script(
        &lab,
        "mkdir in; echo -n foo > in/foo; echo -n bar > in/bar; tar cf context/t.tar -C in foo; tar cf context/b.tar -C in bar",
    );
    let out = lab.build_files(&[]);
    assert_eq!([read(&out, "dest/foo"), read(&out, "dest/bar")], ["foo", "bar"]);
}

#[test]
fn files_that_are_no_archives_are_copied() {
    // BK-054
    let out = Files::of("FROM scratch\nADD foo ./bar/baz\n", &[("foo", "foo-contents")], &[]);
    assert_eq!(out.read("bar/baz"), "foo-contents");
    // BK-056: a mode is that of ADD too.
    builds(
        "FROM BASE/busybox\nADD --chmod=u=rw,go= foo /foo\nRUN [ $(stat -c %a /foo) = 600 ]\n",
        &[("foo", "")],
        &[],
    );
}
