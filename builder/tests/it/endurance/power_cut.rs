//! Power cuts: a file system on a loop device that loses all that it has not written, at any moment.
//!
//! The file system is shut down without its log being flushed, as file systems' own tests do it (`FS_IOC_SHUTDOWN`): from
//! that call on nothing reaches the device, whatever is in memory is lost, and mounting it again replays what the log has.
//! Unlike a copy of a device that is being written, this is one instant, and so something that may happen on any file system.
//! Meanwhile somebody else syncs a file of their own all the time: that brings names to the disk whose contents are not
//! there, the worst that a power cut leaves.
//!
//! Builds before a cut are told that another machine is running, by another boot id; those after it run in this one.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::rig::Rig;
use super::{Random, length};
use crate::harness::{Outcome, sh};

/// A file system in a file.
struct Disk {
    image: PathBuf,
    place: PathBuf,
}

impl Disk {
    fn make(rig: &Rig, kind: &str) -> Self {
        let disk = Self {
            image: rig.lab.path().join("image"),
            place: rig.lab.path().join("disk"),
        };
        let image = disk.image.display();
        sh(&format!(
            "mkdir {} && truncate -s 400M {image} && mkfs.{kind} -q {image}",
            disk.place.display()
        ));
        disk.mount();
        sh(&format!("install -d -o croze-ci {}/state", disk.place.display()));
        disk
    }

    fn mount(&self) {
        sh(&format!(
            "mount -o loop {} {}",
            self.image.display(),
            self.place.display()
        ));
    }

    /// Loses what was not written, and mounts what is left.
    fn cut(&self) {
        let shut_down =
            r#"open(F, "<", $ARGV[0]) or die; $how = pack("L", 2); defined ioctl(F, 0x8004587d, $how) or die $!"#;
        sh(&format!("perl -e '{shut_down}' {}", self.place.display()));
    }

    fn mount_again(&self) {
        // Whoever still has it open is being killed.
        let place = self.place.display();
        sh(&format!(
            "for try in $(seq 100); do umount {place} 2> /dev/null && exit; sleep 0.05; done; umount {place}"
        ));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _not_mounted = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

/// What the builds before a cut have come to: contexts are built in order, each once.
struct Progress {
    /// Builds that have begun since the store was made.
    begun: AtomicUsize,
    /// Those that have ended well.
    ended: AtomicUsize,
    is_cut: AtomicBool,
}

/// Cuts the power of a kind of file system again and again, and returns what was found.
fn survives(kind: &str, random: &mut Random) -> String {
    let mut rig = Rig::new();
    // Where no other test's processes can keep the disk mounted: of this thread, and what it starts.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    sh("mount --make-rprivate /");
    let disk = Disk::make(&rig, kind);
    let stores = [rig.state.clone(), disk.place.join("state")];
    let progress = Progress {
        begun: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        is_cut: AtomicBool::new(false),
    };
    let (cuts, mut damaged, mut doubtful, mut hits) = (length(8, 50), 0, 0, 0);
    for number in 0..cuts {
        let boot = rig.lab.path().join("boot");
        fs::write(&boot, format!("00000000-0000-4000-8000-{number:012}\n")).unwrap();
        progress.is_cut.store(false, Ordering::Relaxed);
        rig.state = stores[1].clone();
        std::thread::scope(|scope| {
            scope.spawn(|| build_on(&rig, &progress, boot.to_str().unwrap()));
            scope.spawn(|| sync_on(&disk, &progress));
            std::thread::sleep(Duration::from_millis(100 + random.below(1400)));
            progress.is_cut.store(true, Ordering::Relaxed);
            disk.cut();
        });
        rig.has_no_process(&format!("cut {number}"));
        disk.mount_again();

        let (begun, ended) = (
            progress.begun.load(Ordering::Relaxed),
            progress.ended.load(Ordering::Relaxed),
        );
        // That a build was synced is itself written to the disk by the next one that is.
        if ended >= 2 {
            rig.content(ended - 2);
            let plan = rig.build(&[], &["--plan"]);
            assert_eq!(
                plan.code, 0,
                "cut {number}: what was synced is gone:\n{}{}",
                plan.stdout, plan.stderr
            );
            hits += 1;
        }
        for content in [ended.saturating_sub(1), begun.saturating_sub(1)] {
            rig.content(content);
            let digests = stores.each_ref().map(|store| {
                rig.state.clone_from(store);
                rig.digest(&[])
            });
            assert_eq!(digests[0], digests[1], "cut {number}");
        }
        rig.is_tidy(&format!("cut {number}"));
        // What nobody has read so far, and would be found when it is.
        let found = rig.verify(&["--format=json"]);
        let found: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        damaged += found["findings"].as_array().map_or(0, Vec::len);
        doubtful = found["doubtful"].as_u64().unwrap();
        rig.verify(&["--repair"]);
        assert_eq!(rig.verify(&[]).code, 0, "cut {number}");
    }
    format!(
        "{cuts} cuts of {kind} during {:?} builds: no wrong image; {hits} plans of synced builds were complete; \
         {damaged} files and {doubtful} snapshots that nobody needed were not whole, and recognised",
        progress.begun
    )
}

/// Builds one context after the other until there is no disk.
fn build_on(rig: &Rig, progress: &Progress, boot: &str) {
    let bind = format!("mount --bind {boot} /proc/sys/kernel/random/boot_id && exec \"$@\"");
    while !progress.is_cut.load(Ordering::Relaxed) {
        let number = progress.begun.fetch_add(1, Ordering::Relaxed);
        rig.content(number);
        let built: Outcome = rig.build_under(&["unshare", "-m", "sh", "-c", &bind, "sh"], &["--min-free=0"]);
        if built.code == 0 && !progress.is_cut.load(Ordering::Relaxed) {
            progress.ended.store(number + 1, Ordering::Relaxed);
        } else {
            assert!(progress.is_cut.load(Ordering::Relaxed), "{}", built.stderr);
        }
    }
}

/// Syncs a file of somebody else's until there is no disk.
fn sync_on(disk: &Disk, progress: &Progress) {
    let file = disk.place.join("other");
    while !progress.is_cut.load(Ordering::Relaxed) {
        let mut sync = Command::new("dd");
        sync.args([
            "if=/dev/zero",
            "bs=1",
            "count=1",
            "conv=fsync",
            &format!("of={}", file.display()),
        ]);
        let _no_disk = sync.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_power_cut_on_ext4_leaves_nothing_wrong_that_is_believed() {
    let mut random = Random::new();
    println!("seed {}", random.0);
    println!("{}", survives("ext4", &mut random));
}

#[test]
fn a_power_cut_on_xfs_leaves_nothing_wrong_that_is_believed() {
    let mut random = Random::new();
    println!("seed {}", random.0);
    println!("{}", survives("xfs", &mut random));
}
