//! Boots, and which builds of them are on the disk for certain.
//!
//! Nothing is synced while a build goes on: what is in the kernel's memory outlives a process that is killed, but not a
//! machine that loses power. What a build made is *stamped* with the boot and the build; at its end the file system is
//! synced once, and the build is listed among those of its boot that are safe. A stamp is believed if its boot is the
//! present one, whose memory is still there, or if its build is listed. Another machine has another boot: what it made on
//! a shared file system is believed once it has synced it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Class, Scratch, StateDir, StateDirError};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Boots whose builds are remembered; of earlier ones nothing is believed any more.
const REMEMBERED: usize = 64;

/// The present boot and build, and what is known of others.
#[derive(Debug)]
pub struct Epoch {
    layout: PathBuf,
    boot: String,
    build: String,
    changed: AtomicBool,
    /// Builds that are safe, by boot, of those boots that were asked for.
    safe: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl StateDir {
    /// Opens the epoch of a process.
    pub fn epoch_of(&self, scratch: &Scratch) -> Epoch {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Epoch::new(&self.layout, boot.trim(), scratch.name())
    }
}

impl Epoch {
    fn new(layout: &Path, boot: &str, build: &str) -> Self {
        // Where a sandbox hides `/proc/sys` all boots would look alike: each process is in a boot of its own there.
        let boot = if boot.is_empty() { build } else { boot };
        Self {
            layout: layout.to_owned(),
            boot: boot.to_owned(),
            build: build.to_owned(),
            changed: AtomicBool::new(false),
            safe: Mutex::default(),
        }
    }

    /// Returns the stamp of what this build makes.
    pub fn stamp(&self) -> String {
        format!("{} {}\n", self.boot, self.build)
    }

    /// Returns whether what bears a stamp is whole.
    pub fn believes(&self, stamp: &str) -> bool {
        let Some((boot, build)) = stamp.trim_end().split_once(' ') else {
            return false;
        };
        boot == self.boot || self.is_safe(boot, build)
    }

    /// Notes that something was made that a loss of power would take away.
    pub fn change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Returns whether anything was made that is not synced yet.
    pub fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Syncs the file system if anything was made since the last time, and lists the build as safe.
    ///
    /// # Errors
    /// If the disk refuses: what was made stays believed until the machine stops.
    pub fn settle(&self) -> Result<(), StateDirError> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let layout = File::open(&self.layout).map_err(StateDirError::io("open", &self.layout))?;
        let synced = fault::point("epoch.sync").and_then(|()| Ok(rustix::fs::syncfs(&layout)?));
        synced.map_err(StateDirError::io("sync", &self.layout))?;
        let path = self.list(&self.boot);
        let append = || {
            fault::point("epoch.list")?;
            File::options().create(true).append(true).open(&path)
        };
        // In one write, so that no line is torn by another build's. Should it get lost, the build is not believed.
        append()
            .and_then(|mut file| file.write_all(format!("{}\n", self.build).as_bytes()))
            .map_err(StateDirError::io("write", &path))
    }

    fn list(&self, boot: &str) -> PathBuf {
        self.layout.join(Class::Epochs.directory()).join(boot)
    }

    fn is_safe(&self, boot: &str, build: &str) -> bool {
        // A stamp may have been damaged: it must not lead out of the directory.
        if boot.is_empty() || !boot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return false;
        }
        let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        let builds = safe.entry(boot.to_owned()).or_insert_with(|| {
            let list = fs::read_to_string(self.list(boot)).unwrap_or_default();
            // What follows the last end of a line is not whole.
            let whole = list.rfind('\n').map_or("", |end| &list[..end]);
            whole.lines().map(str::to_owned).collect()
        });
        builds.contains(build)
    }
}

/// Forgets all but the latest boots.
pub(super) fn forget_old(epochs: &Path) -> io::Result<()> {
    let mut boots = Vec::new();
    for entry in fs::read_dir(epochs)? {
        let entry = entry?;
        // Another process forgets the same ones.
        let Ok(metadata) = entry.metadata() else { continue };
        boots.push((metadata.modified()?, entry.path()));
    }
    boots.sort();
    for (_, path) in boots.iter().take(boots.len().saturating_sub(REMEMBERED)) {
        let _another_was_first = fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(Class::Epochs.directory())).unwrap();
        dir
    }

    #[test]
    fn a_build_is_believed_in_its_own_boot_and_later_only_if_it_was_synced() {
        let dir = layout();
        let now = |boot: &str, build: &str| Epoch::new(dir.path(), boot, build);
        let (synced, lost) = (now("aa", "1"), now("aa", "2"));
        synced.change();
        synced.settle().unwrap();
        assert!(lost.believes(&synced.stamp()) && lost.believes(&lost.stamp()));
        let later = now("bb", "3");
        assert!(later.believes(&synced.stamp()));
        assert!(!later.believes(&lost.stamp()));
        for damaged in ["", "aa", "aa ", "\0\0\0\0", "../epochs/aa 1", "aa 1 2"] {
            assert!(!later.believes(damaged), "{damaged:?}");
        }
    }

    #[test]
    fn nothing_is_synced_for_nothing_and_a_torn_line_is_not_believed() {
        let dir = layout();
        let idle = Epoch::new(dir.path(), "aa", "1");
        idle.settle().unwrap();
        assert!(!dir.path().join("epochs/aa").exists());
        fs::write(dir.path().join("epochs/aa"), "12\n345").unwrap();
        let later = Epoch::new(dir.path(), "bb", "2");
        assert!(later.believes("aa 12\n") && !later.believes("aa 345\n") && !later.believes("aa 34\n"));
    }

    #[test]
    fn where_no_boot_is_known_only_what_was_synced_is_believed() {
        let dir = layout();
        let nowhere = |build: &str| Epoch::new(dir.path(), "", build);
        let (own, other) = (nowhere("12-ab-0"), nowhere("13-ab-0"));
        assert!(own.believes(&own.stamp()), "its own memory is still there");
        assert!(!other.believes(&own.stamp()) && !other.believes(" 12-ab-0\n"));
        own.change();
        own.settle().unwrap();
        assert!(nowhere("14-ab-0").believes(&own.stamp()));
    }

    #[test]
    fn only_the_latest_boots_are_remembered() {
        let dir = layout();
        let epochs = dir.path().join("epochs");
        for boot in 0..REMEMBERED + 3 {
            let file = File::create(epochs.join(format!("{boot:x}"))).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(boot as u64))
                .unwrap();
        }
        forget_old(&epochs).unwrap();
        assert_eq!(fs::read_dir(&epochs).unwrap().count(), REMEMBERED);
        assert!(!epochs.join("2").exists() && epochs.join("3").exists());
    }
}
