//! The filter that decides by the number of a call alone: a chain of comparisons with the runs of allowed numbers.
//!
//! When a filter is installed the kernel evaluates it for every number there is. A chain of runs is ten times shorter
//! than one of single numbers, and a step starts half a millisecond earlier.

use std::collections::BTreeSet;

use rustix::io::Errno;
use seccompiler::sock_filter;

use crate::sys::bpf::{jump, load, runs, verdict};

/// Compiles the filter: what is on the list passes, `clone3` and what is newer than `newest` gets ENOSYS, and everything
/// else EPERM. `None` if the list has more gaps than jumps can span.
pub(super) fn compile(allowed: &BTreeSet<u32>, newest: u32) -> Option<Vec<sock_filter>> {
    let runs = runs(allowed);
    // The number is the first field of `seccomp_data`.
    let mut program = vec![load(0)];
    // The verdicts stand at the end, in this order: how far each is from an instruction is known beforehand.
    let verdicts = [
        libc::SECCOMP_RET_ERRNO | Errno::PERM.raw_os_error() as u32,
        libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error() as u32,
        libc::SECCOMP_RET_ALLOW,
    ];
    let [refuse, unknown, allow] = [0, 1, 2].map(|verdict| 3 + 2 * runs.len() + verdict);
    let to = |target: usize, from: usize| u8::try_from(target - from - 1).ok();
    program.push(jump(libc::BPF_JEQ, libc::SYS_clone3 as u32, to(unknown, 1)?, 0));
    program.push(jump(libc::BPF_JGT, newest, to(unknown, 2)?, 0));
    for run in runs {
        let at = program.len();
        program.push(jump(libc::BPF_JGT, *run.end(), 1, 0));
        program.push(jump(
            libc::BPF_JGE,
            *run.start(),
            to(allow, at + 1)?,
            to(refuse, at + 1)?,
        ));
    }
    program.extend(verdicts.map(verdict));
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does, for the few instructions that are used.
    fn run(program: &[sock_filter], number: u32) -> u32 {
        let mut at = 1;
        loop {
            let instruction = &program[at];
            let holds = match u32::from(instruction.code) & 0xf0 {
                libc::BPF_JEQ => number == instruction.k,
                libc::BPF_JGT => number > instruction.k,
                libc::BPF_JGE => number >= instruction.k,
                _ => return instruction.k,
            };
            at += 1 + usize::from(if holds { instruction.jt } else { instruction.jf });
        }
    }

    #[test]
    fn every_number_gets_the_verdict_of_the_list() {
        let allowed: BTreeSet<u32> = super::super::allowed_numbers();
        let newest = super::super::table::NEWEST as u32;
        let program = compile(&allowed, newest).unwrap();
        for number in (0..newest + 50).chain([0x4000_0000, u32::MAX]) {
            let expected = match number {
                _ if allowed.contains(&number) => libc::SECCOMP_RET_ALLOW,
                _ if number == libc::SYS_clone3 as u32 || number > newest => libc::SECCOMP_RET_ERRNO | 38,
                _ => libc::SECCOMP_RET_ERRNO | 1,
            };
            assert_eq!(run(&program, number), expected, "{number}");
        }
    }
}
