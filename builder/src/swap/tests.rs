//! An exchange that ends at any move, and what a successor makes of it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tempfile::TempDir;

use super::error::OnPath as _;
use super::exchange::{Entry, Exchange, KERNEL, Rename};
use super::{Placement, Slot, Stash, Stay, SwapError};

mod stranded;

/// Directories that cannot be moved, as if they were part of a lower layer.
const LOWER: [&str; 3] = ["lower", "below", "mine"];

/// Lets a number of renames happen and then, as if the process were dead, no more.
pub(super) struct Dying(pub(super) Cell<usize>);

impl Dying {
    fn one(&self) -> Result<(), Errno> {
        let left = self.0.get().checked_sub(1).ok_or(Errno::CANCELED)?;
        self.0.set(left);
        Ok(())
    }
}

impl Rename for Dying {
    fn shift(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), Errno> {
        self.one()?;
        if LOWER.iter().any(|lower| *lower == from.1) {
            return Err(Errno::XDEV);
        }
        KERNEL.shift(from, to)
    }

    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
        self.one()?;
        KERNEL.replace(dir, from, to)
    }
}

/// A container with two directories that are exchanged, and a tree for them.
struct Container {
    dir: TempDir,
}

const OWN: [&str; 8] = [
    "/etc/hosts",
    "/proc/1",
    "/bin",
    "/.croze/x",
    "/srv/data/deep",
    "/lower/own",
    "/lower/below/own",
    "/mine/own",
];
const THEIRS: [&str; 7] = [
    "/etc/passwd",
    "/usr/bin/sh",
    "/proc/none",
    "/opt/a",
    "/srv/theirs",
    "/lower/theirs",
    "/lower/below/theirs",
];

impl Container {
    fn new() -> Self {
        let container = Self {
            dir: TempDir::new().unwrap(),
        };
        for (top, files) in [("place", OWN.as_slice()), ("tree", THEIRS.as_slice())] {
            for file in files {
                let path = container.path(top).join(&file[1..]);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
        }
        symlink("usr/lib", container.path("tree/lib")).unwrap();
        for cache in ["cache", "apt"] {
            fs::create_dir(container.path("place/.croze").join(cache)).unwrap();
        }
        container
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn slots(&self) -> Vec<Slot> {
        let slot = |place: &str, tree: &str, kept: &[&str]| {
            let kept = kept.iter().map(Into::into).collect();
            Slot::of_all_but(self.path(place), self.path(tree), kept)
        };
        vec![
            slot("place/srv", "tree/srv", &["data"]),
            slot("place", "tree", &["proc", ".croze", "srv"]),
        ]
    }

    fn stash(&self) -> Stash {
        Stash::open(&self.path("place/.croze/swap")).unwrap()
    }

    /// Every file below a directory, with its content or where it leads; not those of the stash.
    fn files(&self, top: &str) -> BTreeMap<String, String> {
        fn collect(dir: &Path, shown: &str, found: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let shown = format!("{shown}/{}", entry.file_name().to_string_lossy());
                if entry.file_type().unwrap().is_symlink() {
                    let target = fs::read_link(entry.path()).unwrap();
                    found.insert(shown, target.to_string_lossy().into_owned());
                } else if entry.file_type().unwrap().is_file() {
                    found.insert(shown, fs::read_to_string(entry.path()).unwrap());
                } else if shown != "/.croze/swap" {
                    collect(&entry.path(), &shown, found);
                }
            }
        }
        let mut found = BTreeMap::new();
        collect(&self.path(top), "", &mut found);
        found
    }
}

/// What is put over the tree: a secret where there is nothing, a file over one that is there, caches, and what a mount is
/// to contain.
fn placements(container: &Container) -> [Placement; 5] {
    let placement = |target: &str, missing, from: Option<&str>| Placement {
        target: container.path("place").join(target),
        missing,
        stay: from.map_or(Stay::Made, |from| Stay::Moved {
            from: container.path(from),
        }),
    };
    [
        placement("run/secrets/token", 3, None),
        placement("etc/passwd", 0, None),
        placement("opt", 0, Some("place/.croze/cache")),
        placement("var/cache/apt", 3, Some("place/.croze/apt")),
        Placement {
            stay: Stay::Overwritten,
            ..placement("srv/data/deep", 0, None)
        },
    ]
}

/// Exchanges, lets a step write, and puts back, as far as `rename` goes.
fn step(container: &Container, stash: &Path, rename: &dyn Rename) -> Result<(), SwapError> {
    let dir = fs::File::open(stash).unwrap();
    let exchange = Exchange {
        stash: dir.as_fd(),
        shown: stash,
        rename,
    };
    exchange.begin(container.slots())?;
    for placement in placements(container) {
        exchange.place(placement, |dir, name| {
            let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
            fs::write(path, "placed").on("write", name)
        })?;
    }
    assert_eq!(
        fs::read_to_string(container.path("place/run/secrets/token")).unwrap(),
        "placed"
    );
    assert_eq!(
        fs::read_to_string(container.path("place/etc/passwd")).unwrap(),
        "placed"
    );
    assert_eq!(
        fs::read_to_string(container.path("place/srv/data/deep")).unwrap(),
        "placed"
    );
    fs::write(container.path("place/opt/kept"), "in the cache").unwrap();
    fs::write(container.path("place/var/cache/made"), "by the step").unwrap();
    exchange.restore()
}

#[test]
fn a_step_sees_the_tree_and_the_container_gets_its_own_back() {
    let container = Container::new();
    let own = container.files("place");
    let stash = container.stash();
    let turn = stash.turn().unwrap().unwrap();
    turn.exchange(container.slots()).unwrap();
    let seen: Vec<_> = container.files("place").into_keys().collect();
    assert_eq!(
        seen,
        [
            "/.croze/x",
            "/etc/passwd",
            "/lib",
            "/lower/below/theirs",
            "/lower/theirs",
            "/opt/a",
            "/proc/1",
            "/srv/data/deep",
            "/srv/theirs",
            "/usr/bin/sh"
        ]
    );
    fs::write(container.path("place/made"), "by the step").unwrap();
    turn.restore().unwrap();
    assert_eq!(container.files("place"), own);
    let tree: Vec<_> = container.files("tree").into_keys().collect();
    let expected = [
        "/etc/passwd",
        "/lib",
        "/lower/below/theirs",
        "/lower/theirs",
        "/made",
        "/opt/a",
        "/proc/none",
        "/srv/theirs",
        "/usr/bin/sh",
    ];
    assert_eq!(tree, expected);
    turn.restore().unwrap();
    assert_eq!(container.files("place"), own, "nothing is exchanged any more");
}

#[test]
fn whoever_dies_at_any_rename_leaves_what_the_next_one_puts_back() {
    let untouched = Container::new();
    let (own, theirs) = (untouched.files("place"), untouched.files("tree"));
    let mut deaths = 0;
    loop {
        let container = Container::new();
        let stash = container.stash();
        let rename = Dying(Cell::new(deaths));
        let survived = step(&container, &container.path("place/.croze/swap"), &rename).is_ok();
        let turn = stash.turn().unwrap().unwrap();
        let (mut place, mut tree) = (container.files("place"), container.files("tree"));
        assert_eq!(
            place.remove("/.croze/cache/kept"),
            tree.remove("/var/cache/made").map(|_| "in the cache".to_owned()),
            "died after {deaths} renames"
        );
        assert_eq!(place, own, "died after {deaths} renames");
        assert_eq!(tree, theirs, "died after {deaths} renames");
        for cache in ["cache", "apt"] {
            assert!(
                container.path("place/.croze").join(cache).is_dir(),
                "died after {deaths} renames"
            );
        }
        drop(turn);
        if survived {
            break;
        }
        deaths += 1;
    }
    assert!(
        deaths > 30,
        "{deaths} renames are too few for two exchanges and four placements"
    );
}

#[test]
fn what_was_placed_leaves_no_trace_in_the_directories_above() {
    let container = Container::new();
    let stash = container.stash();
    let turn = stash.turn().unwrap().unwrap();
    let dirs = ["etc", "opt", "usr", "usr/bin"].map(|dir| container.path("tree").join(dir));
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5);
    for dir in &dirs {
        fs::File::open(dir).unwrap().set_modified(long_ago).unwrap();
    }
    turn.exchange(container.slots()).unwrap();
    let placement = |target: &str, missing| Placement {
        target: container.path("place").join(target),
        missing,
        stay: Stay::Made,
    };
    for placement in [
        placement("etc/passwd", 0),
        placement("opt/x", 1),
        placement("usr/bin/x/y/z", 3),
    ] {
        turn.place::<SwapError>(placement, |dir, name| {
            fs::create_dir(format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), name.display())).on("create", name)
        })
        .unwrap();
    }
    for dir in ["etc", "opt", "usr/bin"] {
        let seen = fs::metadata(container.path("place").join(dir))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(seen, long_ago, "the step sees {dir}");
    }
    turn.restore().unwrap();
    for dir in dirs {
        assert_eq!(
            fs::metadata(&dir).unwrap().modified().unwrap(),
            long_ago,
            "{}",
            dir.display()
        );
    }
    assert!(!container.path("tree/usr/bin/x").exists());
}

#[test]
fn a_cache_that_the_step_removed_is_gone_and_nothing_else() {
    let container = Container::new();
    let stash = container.stash();
    let turn = stash.turn().unwrap().unwrap();
    turn.exchange(container.slots()).unwrap();
    for placement in placements(&container).into_iter().skip(2).take(2) {
        turn.place::<SwapError>(placement, |_, _| Ok(())).unwrap();
    }
    fs::remove_dir_all(container.path("place/var")).unwrap();
    fs::remove_dir_all(container.path("place/opt")).unwrap();
    turn.restore().unwrap();
    assert!(!container.path("place/.croze/cache").exists() && !container.path("place/.croze/apt").exists());
    assert_eq!(container.files("tree")["/opt/a"], "/opt/a", "what was covered is back");
}

#[test]
fn a_tree_that_was_reclaimed_meanwhile_is_not_missed() {
    let container = Container::new();
    let own = container.files("place");
    let stash = container.stash();
    let turn = stash.turn().unwrap().unwrap();
    turn.exchange(container.slots()).unwrap();
    drop(turn);
    fs::remove_dir_all(container.path("tree")).unwrap();
    let _turn = stash.turn().unwrap().unwrap();
    assert_eq!(container.files("place"), own);
    assert!(!container.path("place/.croze/swap/discarded").exists());
}

#[test]
fn the_turn_is_one_process_s_at_a_time() {
    let container = Container::new();
    let stash = container.stash();
    let turn = stash.turn().unwrap();
    assert!(turn.is_some());
    assert!(container.stash().turn().unwrap().is_none());
    drop(turn);
    assert!(container.stash().turn().unwrap().is_some());
}

#[test]
fn a_directory_that_cannot_be_moved_stands_for_the_tree_s() {
    let container = Container::new();
    let stash_path = container.path("place/.croze/swap");
    let _stash = container.stash();
    let dir = fs::File::open(&stash_path).unwrap();
    let exchange = Exchange {
        stash: dir.as_fd(),
        shown: &stash_path,
        rename: &Dying(Cell::new(usize::MAX)),
    };
    let mode = |path: &str| fs::metadata(container.path(path)).unwrap().permissions().mode() & 0o7777;
    let set = |path: &str, mode| fs::set_permissions(container.path(path), fs::Permissions::from_mode(mode)).unwrap();
    let (own, files) = (container.files("place"), container.files("tree"));
    set("place/lower", 0o700);
    set("tree/lower", 0o1770);
    let slots = exchange.begin(container.slots()).unwrap();
    assert_eq!(slots.len(), 2 + LOWER.len());
    let seen = container.files("place");
    let seen: Vec<_> = seen
        .keys()
        .filter(|path| path.contains("lower") || path.contains("mine"))
        .collect();
    assert_eq!(seen, ["/lower/below/theirs", "/lower/theirs"]);
    assert_eq!(mode("place/lower"), 0o1770);
    set("place/lower", 0o2711);
    fs::write(container.path("place/lower/below/made"), "").unwrap();
    exchange.restore().unwrap();
    assert_eq!((mode("place/lower"), mode("tree/lower")), (0o700, 0o2711));
    assert_eq!(container.files("place"), own);
    assert!(!container.path("tree/mine").exists());
    let mut after = container.files("tree");
    assert_eq!(after.remove("/lower/below/made").as_deref(), Some(""));
    assert_eq!(after, files);
}
