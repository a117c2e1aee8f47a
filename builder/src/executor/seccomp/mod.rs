//! Docker's default seccomp profile, as far as it applies without further capabilities.
//!
//! What is not on the list fails with EPERM. Two kinds of call fail with ENOSYS instead, so that C libraries take an
//! older way: `clone3`, whose flags no filter can read, and every call newer than the list. Calls of a foreign
//! architecture (32-bit programs) kill the caller; Docker allows those.

mod table;

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use super::setup_error::{OnPath, SetupError};
use crate::sys;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Flags of `clone` that make namespaces; `CLONE_NEWTIME` is not among them because `clone` reads it as a signal.
const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Execution domains that `personality` may choose: Linux, 32-bit addresses, both with the old `uname`, and a question.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Installs the profile on this process.
pub(super) fn install() -> Result<(), SetupError> {
    let install = || {
        sys::install_filter(&allow_list().map_err(std::io::Error::other)?)?;
        // The younger of two filters that both refuse decides on the error number.
        sys::install_filter(&unknown_calls())
    };
    install().on("install", "the seccomp profile")
}

/// The filter that refuses with EPERM what the list does not allow.
fn allow_list() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = table::allowed().map(|call| (call, Vec::new())).collect();
    rules.insert(
        libc::SYS_clone,
        vec![on_argument(
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(NAMESPACE_FLAGS),
            0,
        )?],
    );
    // These compare the 32 bits that the kernel looks at: what is above them must not make a difference.
    let equals = |value| on_argument(SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    rules.insert(
        libc::SYS_personality,
        PERSONALITIES.into_iter().map(equals).collect::<Result<_, _>>()?,
    );
    rules.insert(
        libc::SYS_socket,
        table::SOCKET_DOMAINS
            .iter()
            .map(|domain| equals(*domain as u64))
            .collect::<Result<_, _>>()?,
    );
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(Errno::PERM.raw_os_error() as u32),
        SeccompAction::Allow,
        ARCHITECTURE,
    )?
    .try_into()
}

/// A rule on the first argument.
fn on_argument(
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(0, length, operator, value)?])
}

/// The filter that refuses with ENOSYS what did not exist when the list was made.
fn unknown_calls() -> [sock_filter; 5] {
    let statement = |code: u32, k: u32| jump(code, k, 0, 0);
    let refuse = libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error() as u32;
    [
        // The call's number is the first field of `seccomp_data`. The other filter has checked the architecture.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::SYS_clone3 as u32,
            2,
            0,
        ),
        jump(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, table::NEWEST as u32, 1, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(libc::BPF_RET | libc::BPF_K, refuse),
    ]
}

fn jump(code: u32, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: if_true,
        jf: if_false,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_compiles_to_a_program_the_kernel_takes() {
        let program = allow_list().unwrap();
        // BPF_MAXINSNS of <linux/bpf_common.h>.
        assert!(program.len() < 4096, "{} instructions", program.len());
    }

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
