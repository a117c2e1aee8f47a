//! Programs of random system calls about owners and credentials, to be run with real ones and with shown ones.
//!
//! What they print tells every result, so that two runs are equal only if every answer was.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use builder::sys;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{self, Gid, Uid};
use rustix::fs::{Access, AtFlags, CWD, XattrFlags, accessat, getxattr, listxattr, setxattr};
use rustix::process::{WaitOptions, umask, waitpid};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Returns numbers of their own for a copy of this process.
    fn split(&mut self) -> Self {
        self.below(usize::MAX);
        Self(self.0 ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Runs something in a copy of this process.
fn in_copy(work: impl FnOnce()) {
    io::stdout().flush().unwrap();
    let copy = sys::fork(|| {
        work();
        io::stdout().flush().unwrap();
        0
    });
    let ended = waitpid(Some(copy.unwrap()), WaitOptions::empty()).unwrap();
    assert_eq!(ended.map(|(_, status)| status.exit_status()), Some(Some(0)));
}

fn told<T: std::fmt::Debug, E: Into<io::Error>>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error {:?}", error.into().raw_os_error()),
    }
}

const IDS: [u32; 5] = [0, 1000, 1001, 50, 65_534];

/// Changes of users, groups and capabilities, in processes that all begin as root.
pub(crate) fn credentials(seed: u64) {
    let mut random = Random(seed);
    for _ in 0..40 {
        let mut own = random.split();
        in_copy(|| (0..12).for_each(|_| change_credentials(&mut own)));
    }
}

fn change_credentials(random: &mut Random) {
    let (one, two, three) = (random.of(&IDS), random.of(&IDS), random.of(&IDS));
    let (uid, gid) = (Uid::from_raw, Gid::from_raw);
    let did = match random.below(11) {
        0 => format!("setuid {one} {}", told(unistd::setuid(uid(one)))),
        1 => format!("setgid {one} {}", told(unistd::setgid(gid(one)))),
        2 => format!("seteuid {one} {}", told(unistd::seteuid(uid(one)))),
        3 => format!("setegid {one} {}", told(unistd::setegid(gid(one)))),
        4 => format!(
            "setresuid {one} {two} {three} {}",
            told(unistd::setresuid(uid(one), uid(two), uid(three)))
        ),
        5 => format!(
            "setresgid {one} {two} {three} {}",
            told(unistd::setresgid(gid(one), gid(two), gid(three)))
        ),
        6 => format!(
            "setgroups {one} {two} {}",
            told(unistd::setgroups(&[gid(one), gid(two)]))
        ),
        7 => format!("setfsuid {one} {}", unistd::setfsuid(uid(one))),
        8 => format!("setfsgid {one} {}", unistd::setfsgid(gid(one))),
        9 => {
            let kept = random.below(2) == 0;
            format!("keepcaps {kept} {}", told(rustix::thread::set_keep_capabilities(kept)))
        }
        _ => {
            let mut sets = capabilities(None).unwrap();
            let mask = CapabilitySet::from_bits_retain(random.below(1 << 30) as u64);
            sets.effective &= mask;
            match random.below(3) {
                0 => sets.permitted &= mask | sets.effective,
                1 => sets.inheritable = mask,
                _ => sets.permitted |= CapabilitySet::SYS_ADMIN,
            }
            format!("capset {mask:?} {}", told(set_capabilities(None, sets)))
        }
    };
    let sets = capabilities(None).unwrap();
    println!(
        "{did} -> {:?} {:?} {:?} {:x} {:x} {:x} {:?}",
        unistd::getresuid().unwrap(),
        unistd::getresgid().unwrap(),
        unistd::getgroups().unwrap(),
        sets.effective.bits(),
        sets.permitted.bits(),
        sets.inheritable.bits(),
        rustix::thread::get_keep_capabilities(),
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in status
        .lines()
        .filter(|line| line.starts_with(['U', 'G', 'C']) && !line.starts_with("Cpus"))
    {
        println!("  {line}");
    }
}

const NAMES: [&str; 7] = ["a", "b", "d", "d/a", "d/e", "d/e/a", "l"];
const MODES: [u32; 9] = [0o644, 0o755, 0o600, 0o000, 0o4755, 0o2755, 0o2775, 0o1777, 0o070];
const UMASKS: [u32; 4] = [0o022, 0o002, 0o077, 0o000];

/// Changes of files by several users, in a directory that all may write.
pub(crate) fn files(seed: u64) {
    let mut random = Random(seed);
    fs::create_dir("/work").unwrap();
    fs::set_permissions("/work", Permissions::from_mode(0o777)).unwrap();
    std::env::set_current_dir("/work").unwrap();
    for _ in 0..250 {
        let user = random.of(&[0, 0, 1000, 1001]);
        let mask = random.of(&UMASKS);
        let mut own = random.split();
        in_copy(|| {
            unistd::setgroups(&[Gid::from_raw(user), Gid::from_raw(50)]).unwrap();
            unistd::setgid(Gid::from_raw(user)).unwrap();
            unistd::setuid(Uid::from_raw(user)).unwrap();
            umask(rustix::fs::Mode::from_raw_mode(mask));
            println!("{user} {mask:o}: {}", change_files(&mut own));
        });
        show(Path::new("/work"));
    }
}

fn change_files(random: &mut Random) -> String {
    let (name, other) = (random.of(&NAMES), random.of(&NAMES));
    let mode = random.of(&MODES);
    let (uid, gid) = (random.of(&IDS), random.of(&IDS));
    let kept = |id: u32| (id != 65_534).then_some(id);
    match random.below(20) {
        0 | 1 => {
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create(true)
                .mode(mode)
                .custom_flags(libc::O_NONBLOCK);
            options.create_new(random.below(2) == 0);
            format!("create {name} {mode:o} {}", told(options.open(name).map(drop)))
        }
        2 | 3 => {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
            format!("mkdir {name} {mode:o} {}", told(builder.create(name)))
        }
        4 => format!("symlink {other} {name} {}", told(symlink(other, name))),
        5 => format!(
            "mkfifo {name} {mode:o} {}",
            told(unistd::mkfifo(name, Mode::from_bits_truncate(mode)))
        ),
        6 | 7 => format!("chown {name} {uid} {gid} {}", told(chown(name, kept(uid), kept(gid)))),
        8 => format!("lchown {name} {uid} {gid} {}", told(lchown(name, kept(uid), kept(gid)))),
        9 | 10 => {
            let changed = fs::set_permissions(name, Permissions::from_mode(mode));
            format!("chmod {name} {mode:o} {}", told(changed))
        }
        11 => format!("unlink {name} {}", told(fs::remove_file(name))),
        12 => format!("rmdir {name} {}", told(fs::remove_dir(name))),
        // Which of two reasons against it the kernel names first is nobody's concern.
        13 if other.starts_with(name) || name.starts_with(other) => "nothing".into(),
        13 => format!("rename {name} {other} {}", told(fs::rename(name, other))),
        14 => format!("link {name} {other} {}", told(fs::hard_link(name, other))),
        15 => format!("list {name} {}", told(fs::read_dir(name).map(drop))),
        16 => {
            let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(name);
            format!("write {name} {}", told(opened.map(drop)))
        }
        17 => {
            let wanted = random.of(&[Access::READ_OK, Access::WRITE_OK, Access::EXEC_OK, Access::EXISTS]);
            let flags = random.of(&[AtFlags::empty(), AtFlags::EACCESS]);
            format!("access {name} {wanted:?} {}", told(accessat(CWD, name, wanted, flags)))
        }
        18 => {
            let set = setxattr(name, "user.note", b"value", XattrFlags::empty());
            let mut value = [0; 9];
            let got = getxattr(name, "user.note", &mut value);
            let mut names = [0; 200];
            let listed = listxattr(name, &mut names);
            format!("xattr {name} {} {} {}", told(set), told(got), told(listed))
        }
        _ => {
            let time = TimeSpec::new(1_700_000_000, 0);
            let set = utimensat(AT_FDCWD, name, &time, &time, UtimensatFlags::FollowSymlink);
            format!("utimes {name} {}", told(set))
        }
    }
}

/// Prints what root sees of a tree.
fn show(directory: &Path) {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let data = path.symlink_metadata().unwrap();
        println!(
            "  {} {:o} {}:{} {}",
            path.display(),
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink()
        );
        if data.is_dir() {
            show(&path);
        }
    }
}
