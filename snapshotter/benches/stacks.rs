//! What it costs to do without the kernel: trees laid out flat beside overlays, emulated owners beside real ones.
//!
//! ```text
//! cargo bench -p snapshotter --bench stacks
//! ```
//!
//! One tree of 20,000 files of 4 KiB in 1,000 directories, every tenth file a link, owners and modes as in an image. Each
//! number is the time of the processor, of which other processes take nothing, the least of several rounds. `TMPDIR` says
//! where; with `/dev/shm` the disk is out of the comparison. Needs root. Seconds of two machines say nothing about each
//! other: what counts are the ratios of one run.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(clippy::disallowed_methods, reason = "a benchmark makes its own trees")]

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, pack, unpack};
use snapshotter::{
    Evidence, Inodes, Overlay, Ownership, Root, SnapshotName, SnapshotStore, Stacks, Tree, Workspace, Writes,
};

const DIRECTORIES: usize = 1000;
const FILES: usize = 20;
const ROUNDS: usize = 5;
/// Files that a step changes.
const CHANGED: usize = 100;

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    println!("in {}, the least of {ROUNDS} rounds\n", scratch.path().display());
    let source = scratch.path().join("source");
    make_tree(&source);
    let mut layer = Vec::new();
    pack_into(&Root::open(&source).unwrap(), &mut layer);
    owners(scratch.path(), &layer);
    stacking(scratch.path(), &layer);
}

/// Emulated owners beside real ones.
fn owners(scratch: &Path, layer: &[u8]) {
    println!("{:<46} {:>9} {:>9} {:>6}", "", "real", "emulated", "ratio");
    let mut least = [[Duration::MAX; 3]; 2];
    for round in 0..ROUNDS {
        for (least, ownership) in least.iter_mut().zip([Ownership::Real, Ownership::Emulated]) {
            let name = format!("{ownership:?}-{round}");
            fs::create_dir(scratch.join(&name)).unwrap();
            let root = Root::open(&scratch.join(&name))
                .unwrap()
                .with_inodes(Inodes::new(ownership));
            let parent = Root::open(scratch).unwrap();
            let times = [
                time(|| unpack_into(&root, layer)),
                time(|| pack_into(&root, &mut io::sink())),
                time(|| parent.remove_tree(Path::new(&name)).unwrap()),
            ];
            keep_least(least, &times);
        }
    }
    let [real, emulated] = least;
    for (what, (real, emulated)) in ["unpack", "pack", "remove"]
        .into_iter()
        .zip(real.into_iter().zip(emulated))
    {
        line(what, real, emulated);
    }
}

/// Flat trees beside overlays.
fn stacking(scratch: &Path, layer: &[u8]) {
    println!("\n{:<46} {:>9} {:>9} {:>14}", "", "overlay", "flat", "flat : unpack");
    let mut least = [[Duration::MAX; WORK.len()]; 2];
    for round in 0..ROUNDS {
        for (least, way) in least.iter_mut().zip(["overlay", "flat"]) {
            let place = scratch.join(format!("{way}-{round}"));
            keep_least(least, &measure_stacking(&place, layer, way == "flat"));
            fs::remove_dir_all(&place).unwrap();
        }
    }
    let [overlay, flat] = least;
    let unpack = flat[0];
    for (what, (overlay, flat)) in WORK.iter().zip(overlay.into_iter().zip(flat)) {
        let ratio = flat.as_secs_f64() / unpack.as_secs_f64();
        println!("{what:<46} {:>9} {:>9} {ratio:>13.3}×", shown(overlay), shown(flat));
    }
}

/// What is measured of each way to stack.
const WORK: [&str; 7] = [
    "unpack",
    "view",
    "workspace for croze's own writes",
    "first workspace for a program",
    "commit of nothing",
    "next workspace of the chain",
    "commit of 100 changed files",
];

fn measure_stacking(place: &Path, layer: &[u8], flat: bool) -> Vec<Duration> {
    for dir in ["store", "trees"] {
        fs::create_dir_all(place.join(dir)).unwrap();
    }
    let store = Arc::new(SnapshotStore::open(&place.join("store"), Ownership::Real).unwrap());
    let mut chain = vec![name("base")];
    let active = store.prepare().unwrap();
    let mut times = vec![time(|| unpack_into(&active.root().unwrap(), layer))];
    active.commit(&chain[0]).unwrap();
    let fresh = || {
        if flat {
            Stacks::flat(Arc::clone(&store), &place.join("trees"), Evidence::Times).unwrap()
        } else {
            Stacks::overlay(Arc::clone(&store))
        }
    };
    // Each of these starts without any tree.
    let stacks = fresh();
    times.push(time(|| stacks.view(&chain).unwrap().open().unwrap()));
    let stacks = fresh();
    let own = || {
        let workspace = stacks.workspace(&chain, Writes::NewFiles).unwrap();
        drop(workspace.root().unwrap().open_dir(Path::new("")).unwrap());
        workspace
    };
    times.push(time(own));
    let stacks = fresh();
    let programs = |chain: &[SnapshotName]| {
        let workspace = stacks.workspace(chain, Writes::Anything).unwrap();
        let mounted = Mounted::new(&workspace);
        (workspace, mounted)
    };
    let mut taken = None;
    times.push(time(|| taken = Some(programs(&chain))));
    let (workspace, mounted) = taken.take().unwrap();
    drop(mounted);
    times.push(time(|| workspace.commit(&name("nothing")).unwrap()));
    chain.push(name("nothing"));
    times.push(time(|| taken = Some(programs(&chain))));
    let (workspace, mounted) = taken.take().unwrap();
    for number in 0..CHANGED {
        fs::write(mounted.path.join(format!("usr/d{}/f0", number * 7)), "changed").unwrap();
    }
    drop(mounted);
    times.push(time(|| workspace.commit(&name("changed")).unwrap()));
    times
}

/// A tree where a program would see it.
struct Mounted {
    path: PathBuf,
    _mount: Option<std::os::fd::OwnedFd>,
}

impl Mounted {
    fn new(workspace: &Workspace) -> Self {
        match workspace.tree() {
            Tree::Directory(path) => Self { path, _mount: None },
            Tree::Overlay(overlay) => Self::overlay(&overlay),
        }
    }

    fn overlay(overlay: &Overlay) -> Self {
        let mount = overlay.mount().unwrap();
        Self {
            path: format!("/proc/self/fd/{}/.", mount.as_raw_fd()).into(),
            _mount: Some(mount),
        }
    }
}

fn make_tree(top: &Path) {
    for directory in 0..DIRECTORIES {
        let dir = top.join(format!("usr/d{directory}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..FILES {
            let path = dir.join(format!("f{file}"));
            if file % 10 == 9 {
                symlink("f0", &path).unwrap();
                continue;
            }
            fs::write(&path, [file as u8; 4096]).unwrap();
            // Most of an image is root's.
            if directory % 20 == 0 {
                lchown(&path, Some(1000), Some(1000)).unwrap();
            }
            let mode = if file % 5 == 0 { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

fn unpack_into(root: &Root, mut layer: &[u8]) {
    unpack(&mut layer, root, UnpackMode::Upper, &Limits::default()).unwrap();
}

fn pack_into(root: &Root, out: &mut dyn io::Write) {
    pack(root, TreeForm::OverlayUpper, &PackOptions::default(), out).unwrap();
}

fn name(name: &str) -> SnapshotName {
    SnapshotName::new(name).unwrap()
}

/// Returns how long the processor works.
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = spent();
    let result = work();
    let taken = spent() - begun;
    drop(result);
    taken
}

/// Returns the processor's time that this thread has had.
fn spent() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

fn keep_least(least: &mut [Duration], times: &[Duration]) {
    for (least, time) in least.iter_mut().zip(times) {
        *least = (*least).min(*time);
    }
}

fn line(what: &str, one: Duration, other: Duration) {
    let ratio = other.as_secs_f64() / one.as_secs_f64();
    println!("{what:<46} {:>9} {:>9} {ratio:>5.2}×", shown(one), shown(other));
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
