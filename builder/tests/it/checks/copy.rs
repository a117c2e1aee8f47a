//! COPY: owners, modes, links, and what it puts where.

use super::{Files, Layout, builds, lab, listing, read, script};

/// Adds a user `user` (1000) and a user `user01` (1001) with groups of their names.
const USERS: &str = "RUN echo user:x:1000:1000::: >> /etc/passwd && echo user:x:1000: >> /etc/group && \
                     echo user01:x:1001:1001::: >> /etc/passwd && echo user01:x:1001: >> /etc/group\n";

#[test]
fn an_empty_destination_is_the_work_directory() {
    // BK-033 BK-035 BK-036
    builds(
        "FROM BASE/busybox\nENV empty=\"\"\nCOPY testfile $empty\nRUN [ \"$(cat testfile)\" = contents0 ]\n\
         WORKDIR /var/www\nCOPY --link testfile .\nRUN [ \"$(cat testfile)\" = contents0 ]\n\
         WORKDIR /var/two\nCOPY --link testfile $empty\nRUN [ \"$(cat /var/two/testfile)\" = contents0 ]\n",
        &[("testfile", "contents0")],
        &[],
    );
}

#[test]
fn a_destination_that_ends_in_a_slash_is_a_directory() {
    // BK-034
    let out = Files::of(
        "FROM scratch\nCOPY testfile /sample/\n",
        &[("testfile", "contents0")],
        &[],
    );
    assert_eq!(out.read("sample/testfile"), "contents0");
}

const OWNED: &str = "FROM BASE/busybox AS source\n\
     RUN touch /file && mkdir -p /dir/subdir && touch /dir/subdir/nestedfile && chown 100:200 /file /dir && \
     chown 101:201 /dir/subdir && chown 102:202 /dir/subdir/nestedfile\n\
     FROM BASE/busybox AS test_base\n\
     RUN mkdir -p /existingdir/existingsubdir && touch /existingdir/existingfile && chown 500:600 /existingdir && \
     chown 501:601 /existingdir/existing*\n";

fn owners(flags: &str) -> String {
    let lab = lab(
        &format!(
            "{OWNED}FROM test_base\nCOPY --from=source {flags} /file .\nCOPY --from=source {flags} /dir /dir\n\
             COPY --from=source {flags} /dir/. /existingdir\nRUN stat -c '%n %u:%g' /file /dir /dir/subdir \
             /dir/subdir/nestedfile /existingdir /existingdir/existing* /existingdir/subdir \
             /existingdir/subdir/nestedfile > /owners\nFROM scratch\nCOPY --from=3 /owners /\n"
        )
        .replace("FROM test_base\n", "FROM test_base AS result\n")
        .replace("--from=3", "--from=result"),
        &[],
    );
    // The Dockerfile may be a link.
    script(
        &lab,
        "mv context/Dockerfile context/real; ln -s real context/Dockerfile",
    );
    read(&lab.build_files(&[]), "owners")
}

#[test]
fn what_is_copied_from_a_stage_keeps_its_owners_but_new_directories_are_roots() {
    // BK-037
    assert_eq!(
        owners(""),
        "/file 100:200\n/dir 0:0\n/dir/subdir 101:201\n/dir/subdir/nestedfile 102:202\n/existingdir 500:600\n\
         /existingdir/existingfile 501:601\n/existingdir/existingsubdir 501:601\n/existingdir/subdir 101:201\n\
         /existingdir/subdir/nestedfile 102:202\n"
    );
}

#[test]
fn a_new_owner_is_given_to_what_is_copied_and_not_to_what_was_there() {
    // BK-038
    assert_eq!(
        owners("--chown=300:400"),
        "/file 300:400\n/dir 300:400\n/dir/subdir 300:400\n/dir/subdir/nestedfile 300:400\n/existingdir 500:600\n\
         /existingdir/existingfile 501:601\n/existingdir/existingsubdir 501:601\n/existingdir/subdir 300:400\n\
         /existingdir/subdir/nestedfile 300:400\n"
    );
}

#[test]
fn a_wildcard_without_a_match_copies_nothing() {
    // BK-040
    let out = Files::of("FROM scratch\nCOPY foo nomatch* /\n", &[("foo", "contents0")], &[]);
    assert_eq!(out.read("foo"), "contents0");
}

#[test]
fn owners_may_be_names_and_variables() {
    // BK-041 BK-047 BK-087
    builds(
        &format!(
            "FROM BASE/busybox\nARG group\nENV owner user01\n{USERS}COPY --chown=user:user . /dest\n\
             COPY --chown=${{owner}}:${{group}} . /dest01\n\
             RUN [ \"$(stat -c '%U %G' /dest /dest/bar/sub)\" = \"$(printf 'user user\\nuser user')\" ]\n\
             RUN [ \"$(stat -c '%U %G' /dest01)\" = 'user01 user' ]\n\
             COPY --chown=daemon foo /\nRUN [ \"$(stat -c '%U %G' /foo)\" = 'daemon daemon' ]\n\
             COPY --chown=1000:nobody bar /baz\nRUN [ \"$(stat -c '%u %G' /baz/sub)\" = '1000 nobody' ]\n\
             ENV number 1000\nARG second\nCOPY --chown=${{number}}:${{second}} foo /foobis\n\
             RUN [ \"$(stat -c '%u %G' /foobis)\" = '1000 nobody' ]\n\
             ADD --chown=${{number}}:${{second}} foo /added\nRUN [ \"$(stat -c '%u %G' /added)\" = '1000 nobody' ]\n"
        ),
        &[("foo", ""), ("bar/sub", "")],
        &["--build-arg", "group=user", "--build-arg", "second=nobody"],
    );
}

#[test]
fn a_link_on_the_way_to_a_source_is_followed() {
    // BK-042
    let lab = lab("FROM scratch\nCOPY link/foo .\n", &[("sub/foo", "contents")]);
    script(&lab, "ln -s sub context/link");
    assert_eq!(read(&lab.build_files(&[]), "foo"), "contents");
    // BK-043
    let out = Files::of(
        "FROM BASE/busybox AS build\n\
         RUN mkdir -p /out/sub && ln -s /out/sub /sub && ln -s out/sub /sub2 && echo -n data > /sub/foo\n\
         FROM scratch\nCOPY --from=build /sub/foo .\nCOPY --from=build /sub2/foo bar\n",
        &[],
        &[],
    );
    assert_eq!((out.read("foo").as_str(), out.read("bar").as_str()), ("data", "data"));
}

#[test]
fn a_socket_of_the_context_becomes_an_empty_file() {
    // BK-044
    let lab = lab("FROM scratch\nCOPY . /\n", &[]);
    let _socket = std::os::unix::net::UnixListener::bind(lab.context("socket.sock")).unwrap();
    assert_eq!(read(&lab.build_files(&[]), "socket.sock"), "");
}

#[test]
fn a_source_that_is_a_link_is_what_it_points_at() {
    // BK-045
    let lab = lab(
        "FROM scratch\nCOPY foo /\nCOPY foo/sub bar\n",
        &[("bar", "bar-contents"), ("foo/x", "")],
    );
    script(&lab, "ln -s ../bar context/foo/sub");
    assert_eq!(read(&lab.build_files(&[]), "bar"), "bar-contents");
    // BK-046
    let lab = super::lab(
        "FROM scratch\nCOPY foo /\nCOPY sub/l* alllinks/\n",
        &[
            ("bar", "bar-contents"),
            ("sub/lfile", "lfile-contents"),
            ("sub/subfile", "subfile-contents"),
            ("sub/baz", "baz-contents"),
        ],
    );
    script(
        &lab,
        "ln -s bar context/foo; cd context/sub; ln -s subfile l0; ln -s second l1; ln -s baz second",
    );
    let out = lab.build_files(&[]);
    for (path, content) in [
        ("foo", "bar-contents"),
        ("alllinks/l0", "subfile-contents"),
        ("alllinks/lfile", "lfile-contents"),
        ("alllinks/l1", "baz-contents"),
    ] {
        assert!(std::fs::symlink_metadata(out.join(path)).unwrap().is_file(), "{path}");
        assert_eq!(read(&out, path), content);
    }
}

#[test]
fn a_link_of_the_context_never_leads_to_the_host() {
    // BK-366
    let lab = lab("FROM scratch\nCOPY . /\n", &[("foo", "")]);
    script(
        &lab,
        "ln -s /etc/passwd context/bar; ln -s ../../../etc/group context/sub",
    );
    let out = lab.build_files(&[]);
    for (link, target) in [("bar", "/etc/passwd"), ("sub", "../../../etc/group")] {
        assert_eq!(std::fs::read_link(out.join(link)).unwrap().to_str().unwrap(), target);
    }
    lab.write("Dockerfile", "FROM scratch\nCOPY bar /\n");
    assert_ne!(lab.croze(&["build", "context"]).code, 0, "the host's file was read");
}

#[test]
fn octal_modes_are_given_to_files_and_to_directories_made_for_them() {
    // BK-048
    let lab = lab(
        "FROM scratch\nCOPY --chmod=0644 foo /\nCOPY --chmod=777 bar /baz\nCOPY --chmod=0 foo /foobis\n\
         ARG mode\nCOPY --chmod=${mode} foo /footer\nCOPY --chmod=777 foo /parent/foo\n\
         COPY --chmod=770 foo /parent2/sub/foo\n",
        &[("foo", ""), ("bar", "")],
    );
    let listing = listing(&lab, &["--build-arg", "mode=755"]);
    for line in [
        "-rw-r--r-- 0/0 foo",
        "-rwxrwxrwx 0/0 baz",
        "---------- 0/0 foobis",
        "-rwxr-xr-x 0/0 footer",
        "drwxrwxrwx 0/0 parent/",
        "drwxrwx--- 0/0 parent2/sub/",
    ] {
        assert!(listing.lines().any(|shown| shown == line), "{line}:\n{listing}");
    }
}

#[test]
fn symbolic_modes_do_what_chmod_does() {
    // BK-056
    let mut text = String::from(
        "FROM BASE/busybox AS source\nRUN mkdir -p /tree/dir && touch /tree/dir/inside /file && chmod 666 /file && \
         chmod 124 /tree/dir\nFROM BASE/busybox\n",
    );
    for (what, mode) in [
        ("file", "go-w"),
        ("file", "u=rw,g=r,o=r"),
        ("file", "a+X"),
        ("dir", "go-w"),
        ("dir", "u+rw,g+r,o-x,o+w"),
        ("dir", "a+X"),
    ] {
        let source = if what == "dir" { "tree" } else { "file" };
        text.push_str(&format!(
            "COPY --from=source --chmod={mode} {source} /ours/{source}\nCOPY --from=source {source} /theirs/{source}\n\
             RUN cd /theirs/{source} 2> /dev/null || cd /theirs; chmod {mode} {what} && \
             [ $(stat -c %a {what}) = $(cd $(pwd | sed s/theirs/ours/) && stat -c %a {what}) ] && rm -rf /ours /theirs\n"
        ));
    }
    builds(&text, &[], &[]);
}

#[test]
fn copying_the_same_twice_changes_nothing() {
    // BK-051
    let out = Files::of(
        "FROM scratch AS base\nCOPY sub sub\nCOPY sub sub\nCOPY files/foo.go dest/foo.go\n\
         COPY files/foo.go dest/foo.go\nCOPY files dest\n",
        &[
            ("sub/dir1/dir2/foo", "foo-contents"),
            ("files/foo.go", "foo.go-contents"),
        ],
        &[],
    );
    assert_eq!(out.read("sub/dir1/dir2/foo"), "foo-contents");
    assert_eq!(out.read("dest/foo.go"), "foo.go-contents");
}

#[test]
fn an_image_without_changes_has_its_history_but_no_other_layer() {
    // BK-040: the step that copies nothing still is one.
    let lab = lab("FROM scratch\nCOPY nomatch* /\n", &[]);
    assert_eq!(
        Layout::of(&lab, &[]).history(),
        [("COPY nomatch* / # buildkit".to_owned(), false)]
    );
}

#[test]
fn what_is_linked_twice_is_two_layers_of_which_a_step_sees_one() {
    let lab = lab(
        "FROM BASE/busybox\nCOPY --link a /x/\nCOPY --link a /x/\nCOPY --link b /x/a\nRUN grep a /x/a && : > /ran\n",
        &[("a", "a"), ("b", "a")],
    );
    let layout = Layout::of(&lab, &[]);
    assert_eq!(layout.manifests()[0]["layers"].as_array().unwrap().len(), 5);
}
