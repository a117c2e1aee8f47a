//! Docker's default seccomp profile, as far as it applies without further capabilities.
//!
//! What is not on the list fails with EPERM. Two kinds of call fail with ENOSYS instead, so that C libraries take an
//! older way: `clone3`, whose flags no filter can read, and every call newer than the list. Calls of a foreign
//! architecture (32-bit programs) kill the caller; Docker allows those.

mod numbers;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::setup_error::{OnPath, SetupError};
use crate::sys;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Flags of `clone` that make namespaces; `CLONE_NEWTIME` is not among them because `clone` reads it as a signal.
const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Execution domains that `personality` may choose: Linux, 32-bit addresses, both with the old `uname`, and a question.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Installs the profile on this process.
pub(super) fn install() -> Result<(), SetupError> {
    let install = || {
        sys::install_filter(&refused_arguments().map_err(io::Error::other)?)?;
        let numbers = numbers::compile(&allowed_numbers(), table::NEWEST as u32);
        sys::install_filter(&numbers.ok_or(io::ErrorKind::FileTooLarge)?)
    };
    install().on("install", "the seccomp profile")
}

/// Refuses sockets of all domains but that of Unix, as if the kernel did not have them. Needs *no new privileges* where
/// the process has no `CAP_SYS_ADMIN`.
pub(super) fn refuse_sockets() -> Result<(), SetupError> {
    let refuse = || {
        let unix = argument(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?;
        let rules = BTreeMap::from([(libc::SYS_socket, vec![SeccompRule::new(vec![unix])?])]);
        let refuse = SeccompAction::Errno(Errno::AFNOSUPPORT.raw_os_error() as u32);
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCHITECTURE)?.try_into()
    };
    let program: Result<BpfProgram, seccompiler::BackendError> = refuse();
    let installed = program
        .map_err(io::Error::other)
        .and_then(|program| sys::install_filter(&program));
    installed.on("install", "the filter of sockets")
}

/// Returns the calls that are allowed with some arguments or all.
fn allowed_numbers() -> BTreeSet<u32> {
    let with_some = [libc::SYS_clone, libc::SYS_personality, libc::SYS_socket];
    table::allowed().chain(with_some).map(|call| call as u32).collect()
}

/// The filter that refuses calls for their arguments, with EPERM.
fn refused_arguments() -> Result<BpfProgram, seccompiler::BackendError> {
    let rule = |conditions: Result<Vec<_>, _>| SeccompRule::new(conditions?);
    // Refused with any one of these flags.
    let has = |flag| argument(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag);
    let flags = NAMESPACE_FLAGS
        .iter()
        .map(|&flag| rule(has(flag as u64).map(|one| vec![one])));
    // Refused if it is none of these. The kernel looks at 32 bits: what is above them must not make a difference.
    let is_not = |value| argument(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value);
    let personality = rule(PERSONALITIES.into_iter().map(is_not).collect());
    let domain = rule(
        table::SOCKET_DOMAINS
            .iter()
            .map(|&domain| is_not(domain as u64))
            .collect(),
    );
    let rules = BTreeMap::from([
        (libc::SYS_clone, flags.collect::<Result<_, _>>()?),
        (libc::SYS_personality, vec![personality?]),
        (libc::SYS_socket, vec![domain?]),
    ]);
    let refuse = SeccompAction::Errno(Errno::PERM.raw_os_error() as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCHITECTURE)?.try_into()
}

/// A condition on the first argument.
fn argument(
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(0, length, operator, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_on_the_list_is_newer_than_the_list() {
        assert_eq!(table::allowed().max(), Some(table::NEWEST));
    }

    #[test]
    fn what_docker_refuses_is_not_on_the_list() {
        let refused = [
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_open_by_handle_at,
            libc::SYS_pivot_root,
            libc::SYS_kexec_load,
            libc::SYS_clone3,
        ];
        for call in refused {
            assert!(table::allowed().all(|allowed| allowed != call), "{call}");
        }
        for domain in [libc::AF_ALG, libc::AF_VSOCK] {
            assert!(!table::SOCKET_DOMAINS.contains(&domain), "{domain}");
        }
    }
}
