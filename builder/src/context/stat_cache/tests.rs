//! Remembering digests over real files and real times.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use registry::oci::Digest;
use snapshotter::Root;

use super::*;
use crate::context::{Content, Query, Selection, Tree, Use, select};
use crate::dockerfile::ignore::Matcher;

/// A point in time at which everything that exists now has long settled.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn stat(directory: &Path, name: &str) -> Stat {
    Root::open(directory)
        .unwrap()
        .stat(Path::new(name), false)
        .unwrap()
        .unwrap()
}

fn content(text: &str) -> FileContent {
    FileContent {
        digest: Digest::of(text.as_bytes()),
        has_xattrs: false,
    }
}

/// Something that is done to a file.
type Change = fn(&Path);

#[test]
fn a_digest_is_remembered_until_anything_about_the_file_changes() {
    let changes: [(&str, Change); 6] = [
        ("size", |file| fs::write(file, "longer").unwrap()),
        ("bytes, with the old time restored", |file| {
            let time = fs::metadata(file).unwrap().modified().unwrap();
            fs::write(file, "BYTES").unwrap();
            fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }),
        ("mode", |file| {
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap()
        }),
        ("time", |file| {
            fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(later())
                .unwrap()
        }),
        ("inode", |file| {
            fs::copy(file, file.with_extension("new")).unwrap();
            fs::rename(file.with_extension("new"), file).unwrap();
        }),
        ("an extended attribute", |file| {
            rustix::fs::setxattr(file, "user.note", b"x", rustix::fs::XattrFlags::empty()).unwrap();
        }),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "bytes").unwrap();
        let cache = StatCache::load(&dir.path().join("cache"));
        let before = stat(dir.path(), "file");
        cache.record(Path::new("file"), &before, content("bytes"), later());
        assert_eq!(cache.lookup(Path::new("file"), &before), Some(content("bytes")));
        assert_eq!(cache.lookup(Path::new("other"), &before), None);
        std::thread::sleep(Duration::from_millis(20));
        change(&file);
        assert_eq!(
            cache.lookup(Path::new("file"), &stat(dir.path(), "file")),
            None,
            "{what}"
        );
    }
}

#[test]
fn a_file_that_was_changed_just_before_it_was_hashed_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "bytes").unwrap();
    let cache = StatCache::load(&dir.path().join("cache"));
    let before = stat(dir.path(), "file");
    let changed = UNIX_EPOCH + Duration::new(before.ctime.seconds.try_into().unwrap(), before.ctime.nanos);
    for (since, remembered) in [(0, false), (1_900, false), (2_000, false), (2_001, true)] {
        cache.record(
            Path::new("file"),
            &before,
            content("x"),
            changed + Duration::from_millis(since),
        );
        assert_eq!(
            cache.lookup(Path::new("file"), &before).is_some(),
            remembered,
            "{since} ms later"
        );
    }
    let future = Stat {
        mtime: Timestamp {
            seconds: before.mtime.seconds + 86_400,
            nanos: 0,
        },
        ..before
    };
    cache.record(
        Path::new("future"),
        &future,
        content("x"),
        changed + Duration::from_secs(60),
    );
    assert_eq!(cache.lookup(Path::new("future"), &future), None);
}

#[test]
fn what_is_saved_is_loaded_and_a_single_damaged_bit_is_an_empty_cache() {
    let dir = tempfile::tempdir().unwrap();
    let (file, known) = (dir.path().join("cache"), stat(dir.path(), ""));
    let cache = StatCache::load(&file);
    for path in ["a", "b/c", "ünïcode"] {
        let content = FileContent {
            has_xattrs: path == "a",
            ..content(path)
        };
        cache.record(Path::new(path), &known, content, later());
    }
    cache.save(dir.path()).unwrap();
    let loaded = |path: &str| StatCache::load(&file).lookup(Path::new(path), &known);
    assert_eq!(
        loaded("a"),
        Some(FileContent {
            has_xattrs: true,
            ..content("a")
        })
    );
    assert_eq!(
        (loaded("b/c"), loaded("ünïcode")),
        (Some(content("b/c")), Some(content("ünïcode")))
    );
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&file, &bad).unwrap();
        assert_eq!(loaded("a"), None, "bit flipped in byte {at}");
    }
    for length in 0..good.len() {
        fs::write(&file, &good[..length]).unwrap();
        assert_eq!(loaded("a"), None, "cut to {length} bytes");
    }
}

#[test]
fn nothing_new_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (file, known) = (dir.path().join("cache"), stat(dir.path(), ""));
    let cache = StatCache::load(&file);
    cache.save(dir.path()).unwrap();
    assert!(!file.exists());
    cache.record(Path::new("a"), &known, content("a"), later());
    cache.save(dir.path()).unwrap();
    let written = fs::metadata(&file).unwrap().ino();
    StatCache::load(&file).save(dir.path()).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), written);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o400);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn a_record_that_no_build_sees_is_forgotten_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (file, known) = (dir.path().join("cache"), stat(dir.path(), ""));
    let first = StatCache::load(&file);
    first.record(Path::new("seen"), &known, content("seen"), later());
    first.record(Path::new("unseen"), &known, content("unseen"), later());
    first.save(dir.path()).unwrap();
    let mut builds = 0;
    while StatCache::load(&file).lookup(Path::new("unseen"), &known).is_some() {
        builds += 1;
        assert!(builds <= u32::from(FORGOTTEN_AFTER));
        let cache = StatCache::load(&file);
        assert!(cache.lookup(Path::new("seen"), &known).is_some());
        cache.record(Path::new(&format!("new {builds}")), &known, content("new"), later());
        cache.save(dir.path()).unwrap();
    }
    assert_eq!(builds, u32::from(FORGOTTEN_AFTER));
    assert!(StatCache::load(&file).lookup(Path::new("seen"), &known).is_some());
}

fn select_all(directory: &Path, cache: Option<&StatCache>) -> Selection {
    let tree = Tree::context(Root::open(directory).unwrap(), Matcher::default());
    select(&tree, Query::Exact("."), cache).unwrap()
}

#[test]
fn unchanged_files_are_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (context, file) = (dir.path().join("context"), dir.path().join("cache"));
    fs::create_dir_all(context.join("dir")).unwrap();
    fs::write(context.join("dir/file"), "bytes").unwrap();
    let cache = StatCache::load(&file);
    let known = stat(&context, "dir/file");
    // What the cache says is believed, which shows that the file is not read.
    cache.record(Path::new("dir/file"), &known, content("from the cache"), later());
    cache.save(dir.path()).unwrap();
    let selected = select_all(&context, Some(&StatCache::load(&file)));
    let Content::File(found) = &selected.matches[0].entries[2].content else {
        panic!("not a file")
    };
    assert_eq!(*found, content("from the cache"));
}

#[test]
fn a_selection_is_the_same_with_and_without_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let (context, file) = (dir.path().join("context"), dir.path().join("cache"));
    fs::create_dir_all(context.join("a/b")).unwrap();
    for name in ["one", "a/two", "a/b/three", "empty"] {
        fs::write(context.join(name), if name == "empty" { "" } else { name }).unwrap();
        let old = Command::new("touch")
            .args(["-d", "2001-01-01"])
            .arg(context.join(name))
            .status();
        assert!(old.unwrap().success());
    }
    std::thread::sleep(SETTLED + Duration::from_millis(50));
    let used = Use::Mount { keep_owner: true };
    let plain = select_all(&context, None).digest(used);
    let cache = StatCache::load(&file);
    assert_eq!(select_all(&context, Some(&cache)).digest(used), plain);
    cache.save(dir.path()).unwrap();
    let cache = StatCache::load(&file);
    assert_eq!(cache.lock().records.len(), 4);
    assert_eq!(select_all(&context, Some(&cache)).digest(used), plain);
    fs::write(context.join("a/two"), "TWO").unwrap();
    let changed = select_all(&context, Some(&cache)).digest(used);
    assert_ne!(changed, plain);
    assert_eq!(changed, select_all(&context, None).digest(used));
}
