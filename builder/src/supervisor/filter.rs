//! The seccomp filter that stops the calls of the table, and no others.
//!
//! It looks at numbers of this architecture only: Docker's profile, which is in force beside it, ends programs of
//! another, and its refusals win over a notification.

use seccompiler::sock_filter;

use super::Pass;
use super::calls::{Row, When};
use crate::sys::bpf::{jump, load, runs, verdict};

/// Where the fields of `seccomp_data` are, in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
const LAST_ARGUMENT: u32 = ARGUMENTS + 8 * 5;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// Compiles the filter, which stops no call that has the pass, where there is one. `None` if the table is longer than
/// jumps can span.
pub(super) fn compile<'a>(rows: impl Iterator<Item = &'a Row> + Clone, pass: Option<Pass>) -> Option<Vec<sock_filter>> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, NATIVE, 1, 0),
        verdict(libc::SECCOMP_RET_ALLOW),
        load(NUMBER),
    ];
    let with_arguments = rows.clone().filter_map(|(number, when, _)| match when {
        When::Argument(index, values) => Some((*number as u32, *index, *values)),
        When::Always | When::NotZero(_) => None,
    });
    for (number, index, values) in with_arguments {
        let count = values.len();
        program.push(jump(libc::BPF_JEQ, number, 0, u8::try_from(count + 3).ok()?));
        // The lower half of an argument comes first on the machines that there are.
        program.push(load(ARGUMENTS + 8 * u32::from(index)));
        for (position, value) in values.iter().enumerate() {
            program.push(jump(libc::BPF_JEQ, *value, u8::try_from(count - position).ok()?, 0));
        }
        program.push(verdict(libc::SECCOMP_RET_ALLOW));
        program.push(verdict(libc::SECCOMP_RET_USER_NOTIF));
    }
    let not_zero = rows.clone().filter_map(|(number, when, _)| match when {
        When::NotZero(index) => Some((*number as u32, *index)),
        When::Always | When::Argument(..) => None,
    });
    for (number, index) in not_zero {
        let argument = ARGUMENTS + 8 * u32::from(index);
        program.extend([
            jump(libc::BPF_JEQ, number, 0, 6),
            load(argument),
            jump(libc::BPF_JEQ, 0, 0, 3),
            load(argument + 4),
            jump(libc::BPF_JEQ, 0, 0, 1),
            verdict(libc::SECCOMP_RET_ALLOW),
            verdict(libc::SECCOMP_RET_USER_NOTIF),
        ]);
    }
    let always = rows.filter(|(_, when, _)| matches!(when, When::Always));
    let runs = runs(&always.map(|(number, ..)| *number as u32).collect());
    for (position, run) in runs.iter().enumerate() {
        let left = u8::try_from(2 * (runs.len() - position) - 2).ok()?;
        // From here to the two verdicts at the end.
        program.push(jump(libc::BPF_JGT, *run.end(), 1, 0));
        program.push(jump(libc::BPF_JGE, *run.start(), left + 1, left));
    }
    program.push(verdict(libc::SECCOMP_RET_ALLOW));
    // Only here: the kernel does not even run a filter for numbers of which it decides without looking at arguments.
    if let Some(Pass(pass)) = pass {
        program.extend([
            load(LAST_ARGUMENT),
            jump(libc::BPF_JEQ, pass as u32, 0, 3),
            load(LAST_ARGUMENT + 4),
            jump(libc::BPF_JEQ, (pass >> 32) as u32, 0, 1),
            verdict(libc::SECCOMP_RET_ALLOW),
        ]);
    }
    program.push(verdict(libc::SECCOMP_RET_USER_NOTIF));
    Some(program)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::calls::{self, Needs};
    use super::*;

    /// What the kernel does, for the few instructions that are used.
    fn run(program: &[sock_filter], architecture: u32, number: u32, argument: impl Fn(u32) -> u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = &program[at];
            at += 1;
            let holds = match u32::from(instruction.code) & 0xf7 {
                code if code == libc::BPF_LD | libc::BPF_ABS => {
                    accumulator = match instruction.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => argument((offset - ARGUMENTS) / 8),
                    };
                    continue;
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ => accumulator == instruction.k,
                code if code == libc::BPF_JMP | libc::BPF_JGT => accumulator > instruction.k,
                code if code == libc::BPF_JMP | libc::BPF_JGE => accumulator >= instruction.k,
                _ => return instruction.k,
            };
            at += usize::from(if holds { instruction.jt } else { instruction.jf });
        }
    }

    #[test]
    fn the_calls_of_the_table_are_stopped_and_no_others() {
        for needs in [Needs::OwnersAndTop, Needs::OwnersAndWindows, Needs::OwnersAndPaths] {
            stops_just_those_of_the_table(needs);
        }
    }

    #[test]
    fn a_call_with_the_whole_pass_is_not_stopped() {
        // Both halves of what the program is told are the same.
        for (pass, expected) in [
            (0x0000_0007_0000_0007, libc::SECCOMP_RET_ALLOW),
            (0x0000_0008_0000_0007, libc::SECCOMP_RET_USER_NOTIF),
            (0x0000_0007_0000_0008, libc::SECCOMP_RET_USER_NOTIF),
        ] {
            let program = compile(calls::rows(Needs::OwnersAndPaths), Some(Pass(pass))).unwrap();
            let given = |index: u32| if index == 5 { 7 } else { 0 };
            assert_eq!(run(&program, NATIVE, libc::SYS_connect as u32, given), expected);
        }
    }

    fn stops_just_those_of_the_table(needs: Needs) {
        let program = compile(calls::rows(needs), Some(Pass(u64::MAX))).unwrap();
        for number in (0..600).chain([0x4000_0000, u32::MAX]) {
            let row = calls::rows(needs).find(|(known, ..)| *known == i64::from(number));
            let when = row.map(|(_, when, _)| *when);
            let (matching, other) = match when {
                None => (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ALLOW),
                Some(When::Always) => (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_USER_NOTIF),
                Some(When::Argument(..)) => (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW),
                Some(When::NotZero(index)) => {
                    let given = |asked| u32::from(asked != u32::from(index));
                    assert_eq!(
                        run(&program, NATIVE, number, given),
                        libc::SECCOMP_RET_ALLOW,
                        "{number}"
                    );
                    (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_USER_NOTIF)
                }
            };
            let values = match when {
                Some(When::Argument(index, values)) => values.iter().map(|value| (u32::from(index), *value)).collect(),
                _ => vec![(0, 0)],
            };
            for (index, value) in values {
                let given = |asked| if asked == index { value } else { 0xdead };
                assert_eq!(run(&program, NATIVE, number, given), matching, "{number} {value}");
            }
            assert_eq!(run(&program, NATIVE, number, |_| 0xdead), other, "{number}");
            assert_eq!(run(&program, NATIVE ^ 1, number, |_| 4), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn no_call_stands_in_the_table_twice() {
        for needs in [Needs::OwnersAndTop, Needs::OwnersAndWindows, Needs::OwnersAndPaths] {
            let numbers: BTreeSet<_> = calls::rows(needs).map(|(number, ..)| number).collect();
            assert_eq!(numbers.len(), calls::rows(needs).count());
        }
    }
}
