//! The words of seccomp filters: what the two that croze compiles by itself are made of.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use seccompiler::sock_filter;

/// Loads a field of `seccomp_data` that begins at this byte.
pub fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Ends the filter with a verdict.
pub fn verdict(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

/// Compares what was loaded, and passes over as many instructions.
pub fn jump(comparison: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, value, if_true, if_false)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = code as u16;
    sock_filter { code, jt, jf, k }
}

/// Joins consecutive numbers.
pub fn runs(numbers: &BTreeSet<u32>) -> Vec<RangeInclusive<u32>> {
    let mut runs: Vec<RangeInclusive<u32>> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.end() + 1 == number => *run = *run.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_one_run() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10].into()), [1..=3, 7..=7, 9..=10]);
        assert!(runs(&BTreeSet::new()).is_empty());
    }
}
