//! USER and --chown against real root file systems in temporary directories.

use std::fs;
use std::path::Path;
use std::process::Command;

use snapshotter::Root;

use super::*;

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# daemon:x:77:77::/:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
+nis::::::
broken line
dockerio:x:1001:1001::/home/dockerio:/bin/sh
7seas:x:700:701::
1000:x:0:0:a user called 1000:/root:/bin/sh
unchanged:x:4294967295:4294967295::/:/bin/sh
ungrouped:x:5:2147483648::/:/bin/sh
";
const GROUP: &str = "\
root:x:0:root
daemon:x:1:
wheel:x:10:root
dockerio:x:1001:
supplementary:x:1002:dockerio
again:x:1001:dockerio
unchanged:x:4294967295:dockerio
";

/// A root file system with the two files.
fn image() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/passwd"), PASSWD).unwrap();
    fs::write(dir.path().join("etc/group"), GROUP).unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

#[test]
fn an_account_with_an_id_that_means_to_stay_as_one_is_is_none() {
    let (_dir, root) = image();
    for spec in ["unchanged", "ungrouped"] {
        let error = resolve(&root, spec).unwrap_err();
        assert!(matches!(error, IdentityError::UnknownUser { .. }), "{error}");
        resolve_owner(&root, spec).unwrap_err();
    }
    let error = resolve(&root, "root:unchanged").unwrap_err();
    assert!(matches!(error, IdentityError::UnknownGroup { .. }), "{error}");
}

// BK-009, BK-010.
#[test]
fn a_user_has_the_groups_that_buildkit_gives_it() {
    let (_dir, root) = image();
    let table = [
        ("", 0, 0, vec![0, 10]),
        ("root", 0, 0, vec![0, 10]),
        ("0", 0, 0, vec![0, 10]),
        ("daemon", 1, 1, vec![1]),
        ("dockerio", 1001, 1001, vec![1001, 1002]),
        ("1001", 1001, 1001, vec![1001, 1002]),
        ("dockerio:dockerio", 1001, 1001, vec![1001]),
        ("1001:dockerio", 1001, 1001, vec![1001]),
        ("dockerio:1001", 1001, 1001, vec![1001]),
        ("1001:1001", 1001, 1001, vec![1001]),
        ("dockerio:supplementary", 1001, 1002, vec![1002]),
        ("dockerio:1002", 1001, 1002, vec![1002]),
        ("1001:supplementary", 1001, 1002, vec![1002]),
        ("1001:1002", 1001, 1002, vec![1002]),
        ("1042:1043", 1042, 1043, vec![1043]),
        ("1234", 1234, 0, vec![0]),
        ("1234:1234", 1234, 1234, vec![1234]),
        ("7seas", 700, 701, vec![701]),
        ("dockerio:", 1001, 1001, vec![1001, 1002]),
        (":1002", 0, 1002, vec![1002]),
    ];
    for (spec, uid, gid, groups) in table {
        let identity = resolve(&root, spec).unwrap();
        assert_eq!(
            (identity.uid, identity.gid, identity.groups),
            (uid, gid, groups),
            "{spec}"
        );
    }
}

#[test]
fn home_and_name_come_from_the_account() {
    let (_dir, root) = image();
    let of = |spec: &str| {
        let identity = resolve(&root, spec).unwrap();
        (identity.home, identity.name)
    };
    assert_eq!(of(""), ("/root".to_owned(), Some("root".to_owned())));
    assert_eq!(of("1001:0"), ("/home/dockerio".to_owned(), Some("dockerio".to_owned())));
    assert_eq!(of("7seas"), ("/".to_owned(), Some("7seas".to_owned())));
    assert_eq!(of("4242"), ("/".to_owned(), None));
}

// BK-041, BK-047, BK-087.
#[test]
fn a_number_alone_owns_as_user_and_group_and_a_name_brings_its_primary_group() {
    let (_dir, root) = image();
    for (spec, uid, gid) in [
        ("100", 100, 100),
        ("1001", 1001, 1001),
        ("100:200", 100, 200),
        ("daemon", 1, 1),
        ("7seas", 700, 701),
        ("1000:wheel", 1000, 10),
        ("dockerio:0", 1001, 0),
    ] {
        assert_eq!(resolve_owner(&root, spec).unwrap(), Owner { uid, gid }, "{spec}");
    }
}

// U17.
#[test]
fn digits_are_a_number_even_if_an_account_is_called_so() {
    let (_dir, root) = image();
    assert_eq!(resolve(&root, "1000").unwrap().uid, 1000);
    assert_eq!(resolve(&root, "1000:0").unwrap().uid, 1000);
}

// U17.
#[test]
fn what_no_account_can_have_is_refused() {
    let (_dir, root) = image();
    for spec in [
        "2147483648",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "0:2147483648",
    ] {
        assert!(
            matches!(resolve(&root, spec), Err(IdentityError::OutOfRange(_))),
            "{spec}"
        );
        assert!(
            matches!(resolve_owner(&root, spec), Err(IdentityError::OutOfRange(_))),
            "{spec}"
        );
    }
    for spec in ["-1", "0:-1", " 1000", "a b", "a:b:c", "1\n"] {
        assert!(
            matches!(resolve(&root, spec), Err(IdentityError::Malformed(_))),
            "{spec:?}"
        );
    }
    for spec in ["0x10", "1e3", "+0", "1000 "] {
        assert!(resolve(&root, spec).is_err(), "{spec}");
    }
}

#[test]
fn an_unknown_name_is_an_error_that_names_a_similar_one() {
    let (_dir, root) = image();
    let error = resolve(&root, "deamon").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no user `deamon` in `/etc/passwd` of the image"
    );
    assert_eq!(error.help().unwrap(), "did you mean `daemon`?");
    let error = resolve_owner(&root, "0:whel").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no group `whel` in `/etc/group` of the image"
    );
    assert_eq!(error.help().unwrap(), "did you mean `wheel`?");
    assert!(matches!(
        resolve_owner(&root, "nobody"),
        Err(IdentityError::UnknownUser { near: None, .. })
    ));
}

#[test]
fn an_image_without_accounts_knows_numbers_only() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    assert_eq!(resolve(&root, "").unwrap().groups, [0]);
    assert_eq!(resolve(&root, "5:6").unwrap().gid, 6);
    assert_eq!(resolve_owner(&root, "5").unwrap(), Owner { uid: 5, gid: 5 });
    assert!(matches!(resolve(&root, "root"), Err(IdentityError::UnknownUser { .. })));
}

// U16.
#[test]
fn account_files_that_are_no_files_neither_hang_nor_fill_the_memory() {
    let (dir, root) = image();
    let passwd = dir.path().join("etc/passwd");
    let replace = |make: &dyn Fn(&Path)| {
        if passwd.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            fs::remove_dir(&passwd).unwrap();
        } else {
            fs::remove_file(&passwd).unwrap();
        }
        make(&passwd);
        assert!(matches!(resolve(&root, "root"), Err(IdentityError::Unreadable { .. })));
    };
    replace(&|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()));
    replace(&|path| fs::create_dir(path).unwrap());
    replace(&|path| fs::File::create(path).unwrap().set_len((10 << 20) + 1).unwrap());
    replace(&|path| std::os::unix::fs::symlink("passwd", path).unwrap());
}

// U16: a link to the host's own file resolves inside the image.
#[test]
fn an_account_file_that_is_a_link_is_read_inside_the_image() {
    let (dir, root) = image();
    fs::rename(dir.path().join("etc/passwd"), dir.path().join("accounts")).unwrap();
    std::os::unix::fs::symlink("/../../accounts", dir.path().join("etc/passwd")).unwrap();
    assert_eq!(resolve(&root, "dockerio").unwrap().uid, 1001);
}
