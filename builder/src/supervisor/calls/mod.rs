//! The system calls that a supervisor answers: one table for the filter that stops them and for whoever handles them.

mod access;
mod capabilities;
mod create;
mod exec;
mod ids;
mod limits;
mod names;
mod open;
mod owner;
mod prctl;
mod sockets;
mod stat;
mod through;
mod top;
mod xattr;

use libc::*;
use serde::{Deserialize, Serialize};

use super::call::{Call, Outcome};

#[cfg(feature = "fuzzing")]
pub(super) use exec::script;
pub(super) use open::hand_over;
pub(super) use through::perform;

/// Which calls of a number are stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// All.
    Always,
    /// Those with one of these values in an argument's lower 32 bits.
    Argument(u8, &'static [u32]),
    /// Those in which an argument is not zero.
    NotZero(u8),
}

/// What answers a call.
pub(super) type Handler = fn(&Call<'_>) -> Outcome;

/// A call and its handler.
pub(super) type Row = (c_long, When, Handler);

/// What a step cannot do by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Needs {
    /// To have owners and credentials.
    Owners,
    /// The same, and to change the names in `/`.
    OwnersAndTop,
    /// To have owners and credentials, and to see what lies behind windows.
    OwnersAndWindows,
    /// To have owners and credentials, and every path followed.
    OwnersAndPaths,
}

/// Returns the whole table for a step.
pub(super) fn rows(needs: Needs) -> impl Iterator<Item = &'static Row> + Clone {
    let (more, most): (&[Row], &[Row]) = match needs {
        Needs::Owners => (&[], &[]),
        Needs::OwnersAndTop => (TOP, &[]),
        Needs::OwnersAndWindows => (WINDOWS, &[]),
        Needs::OwnersAndPaths => (WINDOWS, PATHS),
    };
    EVERYWHERE.iter().chain(ARCHITECTURE).chain(more).chain(most)
}

use When::{Always, Argument, NotZero};

/// What `prctl` may be asked about credentials.
const PRCTL: When = Argument(0, prctl::OPTIONS);
/// The resource limit in which credentials are kept.
const FIRST_IS_TAG: When = Argument(0, &[super::state::TAG]);
const SECOND_IS_TAG: When = Argument(1, &[super::state::TAG]);
/// `SO_PEERCRED`, the third argument of `getsockopt`.
const PEER: When = Argument(2, &[SO_PEERCRED as u32]);
/// What `seccomp` may be asked that changes anything.
const SETS_FILTER: When = Argument(0, &[SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER]);

// Calls that the `libc` crate does not name for every target. Since Linux 5.1 a new call has the same number everywhere.
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const GETXATTRAT: c_long = 464;
const LISTXATTRAT: c_long = 465;
const REMOVEXATTRAT: c_long = 466;

const EVERYWHERE: &[Row] = &[
    (SYS_getuid, Always, ids::getuid),
    (SYS_geteuid, Always, ids::geteuid),
    (SYS_getgid, Always, ids::getgid),
    (SYS_getegid, Always, ids::getegid),
    (SYS_getresuid, Always, ids::getresuid),
    (SYS_getresgid, Always, ids::getresgid),
    (SYS_getgroups, Always, ids::getgroups),
    (SYS_setuid, Always, ids::setuid),
    (SYS_setgid, Always, ids::setgid),
    (SYS_setreuid, Always, ids::setreuid),
    (SYS_setregid, Always, ids::setregid),
    (SYS_setresuid, Always, ids::setresuid),
    (SYS_setresgid, Always, ids::setresgid),
    (SYS_setfsuid, Always, ids::setfsuid),
    (SYS_setfsgid, Always, ids::setfsgid),
    (SYS_setgroups, Always, ids::setgroups),
    (SYS_umask, Always, ids::umask),
    (SYS_chroot, Always, ids::chroot),
    (SYS_capget, Always, capabilities::capget),
    (SYS_capset, Always, capabilities::capset),
    (SYS_prctl, PRCTL, prctl::prctl),
    (SYS_prlimit64, SECOND_IS_TAG, limits::prlimit64),
    (SYS_getrlimit, FIRST_IS_TAG, limits::getrlimit),
    (SYS_setrlimit, FIRST_IS_TAG, limits::setrlimit),
    (SYS_execve, Always, exec::execve),
    (SYS_execveat, Always, exec::execveat),
    (SYS_fstat, Always, stat::fstat),
    (SYS_newfstatat, Always, stat::newfstatat),
    (SYS_statx, Always, stat::statx),
    (SYS_faccessat, Always, access::faccessat),
    (SYS_faccessat2, Always, access::faccessat2),
    (SYS_fchown, Always, owner::fchown),
    (SYS_fchownat, Always, owner::fchownat),
    (SYS_fchmod, Always, owner::fchmod),
    (SYS_fchmodat, Always, owner::fchmodat),
    (FCHMODAT2, Always, owner::fchmodat2),
    (SYS_utimensat, Always, owner::utimensat),
    (SYS_openat, Always, open::openat),
    (SYS_openat2, Always, open::openat2),
    (SYS_truncate, Always, open::truncate),
    (SYS_chdir, Always, access::chdir),
    (SYS_mkdirat, Always, create::mkdirat),
    (SYS_mknodat, Always, create::mknodat),
    (SYS_symlinkat, Always, create::symlinkat),
    (SYS_linkat, Always, names::linkat),
    (SYS_unlinkat, Always, names::unlinkat),
    (SYS_renameat, Always, names::renameat),
    (SYS_renameat2, Always, names::renameat),
    (SYS_setxattr, Always, xattr::set_by_path),
    (SYS_lsetxattr, Always, xattr::set_of_link),
    (SYS_fsetxattr, Always, xattr::set_by_descriptor),
    (SYS_getxattr, Always, xattr::get_by_path),
    (SYS_lgetxattr, Always, xattr::get_of_link),
    (SYS_fgetxattr, Always, xattr::get_by_descriptor),
    (SYS_listxattr, Always, xattr::list_by_path),
    (SYS_llistxattr, Always, xattr::list_of_link),
    (SYS_flistxattr, Always, xattr::list_by_descriptor),
    (SYS_removexattr, Always, xattr::remove_by_path),
    (SYS_lremovexattr, Always, xattr::remove_of_link),
    (SYS_fremovexattr, Always, xattr::remove_by_descriptor),
    (SETXATTRAT, Always, xattr::unknown),
    (GETXATTRAT, Always, xattr::unknown),
    (LISTXATTRAT, Always, xattr::unknown),
    (REMOVEXATTRAT, Always, xattr::unknown),
    (SYS_bind, Always, sockets::bind),
    (SYS_getsockopt, PEER, sockets::peer),
];

#[cfg(target_arch = "x86_64")]
const TOP: &[Row] = &[
    (SYS_getdents64, Always, top::getdents64),
    (SYS_readlinkat, Always, top::readlinkat),
    (SYS_readlink, Always, top::readlink),
];

#[cfg(target_arch = "aarch64")]
const TOP: &[Row] = &[
    (SYS_getdents64, Always, top::getdents64),
    (SYS_readlinkat, Always, top::readlinkat),
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &[Row] = &[
    (SYS_stat, Always, stat::stat),
    (SYS_lstat, Always, stat::lstat),
    (SYS_access, Always, access::access),
    (SYS_chown, Always, owner::chown),
    (SYS_lchown, Always, owner::lchown),
    (SYS_chmod, Always, owner::chmod),
    (SYS_utime, Always, owner::utimes),
    (SYS_utimes, Always, owner::utimes),
    (SYS_futimesat, Always, owner::futimesat),
    (SYS_open, Always, open::open),
    (SYS_creat, Always, open::creat),
    (SYS_mkdir, Always, create::mkdir),
    (SYS_mknod, Always, create::mknod),
    (SYS_symlink, Always, create::symlink),
    (SYS_link, Always, names::link),
    (SYS_unlink, Always, names::unlink),
    (SYS_rmdir, Always, names::rmdir),
    (SYS_rename, Always, names::rename),
];

#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &[Row] = &[];

/// Calls that are about files and not about owners.
#[cfg(target_arch = "x86_64")]
const WINDOWS: &[Row] = &[
    (SYS_readlink, Always, through::readlink),
    (SYS_readlinkat, Always, through::readlinkat),
    (SYS_statfs, Always, through::statfs),
    (SYS_getcwd, Always, through::getcwd),
];

#[cfg(target_arch = "aarch64")]
const WINDOWS: &[Row] = &[
    (SYS_readlinkat, Always, through::readlinkat),
    (SYS_statfs, Always, through::statfs),
    (SYS_getcwd, Always, through::getcwd),
];

/// Calls that are about files, and that the kernel performs where it has the same root as the step.
const PATHS: &[Row] = &[
    (SYS_connect, Always, through::connect),
    // Its fifth argument is an address, which what is connected does without.
    (SYS_sendto, NotZero(4), through::send_to),
    (SYS_sendmsg, Always, through::send_message),
    (SYS_sendmmsg, Always, through::send_messages),
    (SYS_inotify_add_watch, Always, through::watch),
    (SYS_name_to_handle_at, Always, through::no_handle),
    // Whoever is traced cannot go on a detour.
    (SYS_ptrace, Always, through::no_tracing),
    (SYS_seccomp, SETS_FILTER, through::set_filter),
];
