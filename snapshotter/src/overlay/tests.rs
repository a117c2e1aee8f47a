//! Both ways to mount the same stacks.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use rustix::fs::{FileType, makedev, mknodat};
use rustix::process::getpid;

use super::*;

type Way = fn(&Overlay) -> Result<OwnedFd, MountError>;

const WAYS: [Way; 2] = [Overlay::mount_detached, classic::mount];

/// Directories `a` to `c`, each with a file of its name, a file `same` and one that the next hides.
fn layers(scratch: &Path) -> Vec<PathBuf> {
    let make = |name: &&str| {
        // As long as paths of deep state directories are.
        let dir = scratch.join(name.repeat(120)).join(name.repeat(120));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("same"), name).unwrap();
        fs::write(dir.join(name), "").unwrap();
        dir
    };
    let layers: Vec<PathBuf> = ["a", "b", "c"].iter().map(make).collect();
    mknodat(
        CWD,
        layers[0].join("b"),
        FileType::CharacterDevice,
        Mode::empty(),
        makedev(0, 0),
    )
    .unwrap();
    layers
}

fn names(mount: &OwnedFd) -> Vec<String> {
    let entries = fs::read_dir(path(mount)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn path(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}/.", getpid().as_raw_pid(), mount.as_raw_fd()))
}

#[test]
fn every_way_shows_the_same_stack() {
    for mount in WAYS {
        let scratch = tempfile::tempdir().unwrap();
        let mut view = Overlay {
            lower: layers(scratch.path()),
            upper: None,
        };
        let mounted = mount(&view).unwrap();
        assert_eq!(names(&mounted), ["a", "c", "same"]);
        assert_eq!(fs::read_to_string(path(&mounted).join("same")).unwrap(), "a");
        assert!(fs::write(path(&mounted).join("new"), "").is_err());

        view.lower.truncate(1);
        let mounted = mount(&view).unwrap();
        assert_eq!(names(&mounted), ["a", "same"], "a whiteout of a lone directory is seen");

        view.lower.clear();
        let mounted = mount(&view).unwrap();
        assert_eq!(names(&mounted), [""; 0]);
        assert!(fs::write(path(&mounted).join("new"), "").is_err());
    }
}

#[test]
fn every_way_writes_to_the_upper_directory_alone() {
    for mount in WAYS {
        let scratch = tempfile::tempdir().unwrap();
        let lower = layers(scratch.path());
        for (number, lower) in [lower.clone(), Vec::new()].into_iter().enumerate() {
            let [dir, work] = ["upper", "work"].map(|name| scratch.path().join(format!("{name}{number}")));
            fs::create_dir(&dir).unwrap();
            fs::create_dir(&work).unwrap();
            let overlay = Overlay {
                lower: lower.clone(),
                upper: Some(Upper { dir: dir.clone(), work }),
            };
            let mounted = mount(&overlay).unwrap();
            fs::write(path(&mounted).join("same"), "changed").unwrap();
            if !lower.is_empty() {
                fs::remove_file(path(&mounted).join("c")).unwrap();
                let whiteout = fs::symlink_metadata(dir.join("c")).unwrap();
                assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
            }
            assert_eq!(fs::read_to_string(dir.join("same")).unwrap(), "changed");
        }
        assert_eq!(fs::read_to_string(lower[0].join("same")).unwrap(), "a");
    }
}

#[test]
fn the_classic_way_stacks_as_many_directories_as_the_kernel_does() {
    let scratch = tempfile::tempdir().unwrap();
    let dirs: Vec<PathBuf> = (0..MAX_LOWER_DIRS)
        .map(|number| scratch.path().join(format!("{number:0200}")))
        .collect();
    for (number, dir) in dirs.iter().enumerate() {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join(number.to_string()), "").unwrap();
    }
    let view = Overlay {
        lower: dirs,
        upper: None,
    };
    assert_eq!(names(&classic::mount(&view).unwrap()).len(), MAX_LOWER_DIRS);
}

#[test]
fn the_classic_way_leaves_no_mount_behind() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let view = Overlay {
        lower: layers(scratch.path()),
        upper: None,
    };
    let mounted = classic::mount(&view).unwrap();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    drop(mounted);
}

#[test]
fn what_is_no_fault_of_the_kernels_age_is_told_in_the_first_words() {
    let scratch = tempfile::tempdir().unwrap();
    let upper = Upper {
        dir: scratch.path().to_owned(),
        work: "/proc".into(),
    };
    let overlay = Overlay {
        lower: layers(scratch.path()),
        upper: Some(upper),
    };
    let MountError::Refused { step, source, .. } = overlay.mount().unwrap_err() else {
        panic!("another error")
    };
    assert_eq!((step, source.raw_os_error()), ("creation", Some(22)));
}
