//! A laid out container: what a step sees in it, and that everything comes back.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;
use crate::swap::Stash;
use crate::swap::exchange::{Exchange, KERNEL, Rename};
use crate::swap::tests::Dying;

/// A container's `/` and a tree to put there.
fn container() -> TempDir {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["usr", "etc", "app", "data", ".croze/top", "proc"] {
        fs::create_dir_all(path("place").join(name)).unwrap();
    }
    for name in ["bin", "lib"] {
        symlink(format!(".croze/top/{name}"), path("place").join(name)).unwrap();
    }
    symlink("elsewhere", path("place/foreign")).unwrap();
    fs::write(path("place/etc/own"), "own").unwrap();
    for name in ["usr/bin", "etc", "data", "lib"] {
        fs::create_dir_all(path("tree").join(name)).unwrap();
    }
    symlink("usr/bin", path("tree/bin")).unwrap();
    fs::write(path("tree/usr/bin/sh"), "sh").unwrap();
    fs::write(path("tree/etc/theirs"), "theirs").unwrap();
    fs::write(path("tree/lib/libc"), "libc").unwrap();
    fs::set_permissions(path("tree/etc"), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

/// Every name below a directory but croze's own, with its mode, and what a file or a link says.
fn listed(top: &Path) -> BTreeMap<PathBuf, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let text = match (metadata.is_dir(), metadata.is_symlink()) {
                (true, _) => String::new(),
                (_, true) => fs::read_link(&path).unwrap().display().to_string(),
                _ => fs::read_to_string(&path).unwrap(),
            };
            let shown = path.strip_prefix(top).unwrap().to_owned();
            if metadata.is_dir() && shown != Path::new(".croze/swap") {
                dirs.push(path);
            }
            found.insert(shown, (metadata.permissions().mode(), text));
        }
    }
    found
}

fn layout(dir: &TempDir) -> Layout {
    Layout::of(&dir.path().join("place"), &[Path::new("/unused")]).unwrap()
}

fn slots(dir: &TempDir) -> Vec<Slot> {
    layout(dir).slots(&dir.path().join("tree")).unwrap()
}

fn exchange(dir: &TempDir, rename: &dyn Rename, step: impl FnOnce(&Exchange<'_>)) -> Result<(), SwapError> {
    let shown = dir.path().join("place/.croze/swap");
    let stash = fs::File::open(&shown).unwrap();
    let exchange = Exchange {
        stash: stash.as_fd(),
        shown: &shown,
        rename,
    };
    exchange.begin(slots(dir))?;
    step(&exchange);
    exchange.restore()
}

#[test]
fn a_step_sees_its_image_through_what_the_container_has() {
    let dir = container();
    let _stash = Stash::open(&dir.path().join("place/.croze/swap")).unwrap();
    let (place, tree) = (listed(&dir.path().join("place")), listed(&dir.path().join("tree")));
    exchange(&dir, &KERNEL, |_| {
        let seen = |name: &str| fs::read_to_string(dir.path().join("place").join(name)).ok();
        assert_eq!(seen("usr/bin/sh").as_deref(), Some("sh"));
        assert_eq!(seen("lib/libc").as_deref(), Some("libc"));
        assert_eq!((seen("etc/own"), seen("etc/theirs").as_deref()), (None, Some("theirs")));
        let etc = fs::metadata(dir.path().join("place/etc")).unwrap();
        assert_eq!(etc.permissions().mode() & 0o777, 0o711);
    })
    .unwrap();
    assert_eq!(listed(&dir.path().join("place")), place);
    assert_eq!(listed(&dir.path().join("tree")), tree);
}

#[test]
fn whoever_dies_at_any_rename_leaves_what_the_next_one_puts_back() {
    let mut deaths = 0;
    loop {
        let dir = container();
        let stash = Stash::open(&dir.path().join("place/.croze/swap")).unwrap();
        let (place, tree) = (listed(&dir.path().join("place")), listed(&dir.path().join("tree")));
        let survived = exchange(&dir, &Dying(Cell::new(deaths)), |_| ()).is_ok();
        let _turn = stash.turn().unwrap().unwrap();
        let with_stash = |top: &str| {
            let mut listed = listed(&dir.path().join(top));
            listed.retain(|path, _| !path.starts_with(".croze/swap"));
            listed
        };
        let mut place = place;
        place.retain(|path, _| !path.starts_with(".croze/swap"));
        assert_eq!(with_stash("place"), place, "died after {deaths} renames");
        // Whose process has died is thrown away: its files are there, but directories may look like the container's.
        let files = |listed: &BTreeMap<PathBuf, (u32, String)>| -> Vec<_> {
            listed
                .iter()
                .map(|(path, (_, text))| (path.clone(), text.clone()))
                .collect()
        };
        assert_eq!(files(&with_stash("tree")), files(&tree), "died after {deaths} renames");
        if survived {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 8, "{deaths} renames are too few");
}

#[test]
fn a_directory_that_the_step_has_made_or_removed_is_there_or_not_afterwards() {
    let dir = container();
    let _stash = Stash::open(&dir.path().join("place/.croze/swap")).unwrap();
    let place = |name: &str| dir.path().join("place").join(name);
    exchange(&dir, &KERNEL, |exchange| {
        let existing = BTreeMap::from([(place("app"), true), (place("data"), false), (place("usr"), true)]);
        exchange.note_existence(&existing).unwrap();
    })
    .unwrap();
    let tree = |name: &str| dir.path().join("tree").join(name).exists();
    assert_eq!((tree("app"), tree("data"), tree("usr")), (true, false, true));
    assert!(place("app").exists() && place("data").exists());
}

#[test]
fn what_has_no_place_is_named() {
    for (name, is_file) in [("unknown", false), ("foreign", true), ("app", true)] {
        let dir = container();
        let path = dir.path().join("tree").join(name);
        if is_file {
            fs::write(&path, "").unwrap();
        } else {
            fs::create_dir(&path).unwrap();
        }
        let error = layout(&dir).slots(&dir.path().join("tree")).unwrap_err();
        assert!(matches!(error, SwapError::NoPlace { path } if path == dir.path().join("place").join(name)));
    }
    assert_eq!(
        layout(&container()).lacks().unwrap().file_name(),
        Some(OsStr::new("boot"))
    );
}
