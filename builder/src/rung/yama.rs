//! Yama, a module of the kernel that keeps processes from looking at each other, beside what their users allow.
//!
//! A supervisor reads the memory of a step's processes, which descend from it: that works with 0 (no more than without Yama)
//! and with 1 (descendants only), the default of most distributions. With 2 it takes `CAP_SYS_PTRACE`, which it has in a user
//! namespace of its own, and with 3 nobody can.

use std::fs;

/// Where the setting is; machines without Yama have no such file.
const SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// Returns the setting, if it can be why a process cannot be looked at.
pub(super) fn forbidding_scope() -> Option<u8> {
    forbidding(&fs::read_to_string(SCOPE).ok()?)
}

fn forbidding(text: &str) -> Option<u8> {
    text.trim().parse().ok().filter(|scope| *scope >= 2)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::trial::Refusal;
    use super::*;

    #[test]
    fn only_what_keeps_descendants_apart_is_a_reason() {
        assert_eq!(forbidding("0\n"), None);
        assert_eq!(forbidding("1\n"), None);
        assert_eq!(forbidding("2\n"), Some(2));
        assert_eq!(forbidding("3\n"), Some(3));
        assert_eq!(forbidding(""), None);
    }

    #[test]
    fn the_setting_is_told_with_what_to_do() {
        for (scope, remedy) in [(2, "`sysctl kernel.yama.ptrace_scope=1`"), (3, "a restart")] {
            let source = io::Error::from_raw_os_error(libc::EPERM);
            let refusal = Refusal::Yama { scope, source };
            assert!(
                refusal
                    .to_string()
                    .contains(&format!("`kernel.yama.ptrace_scope={scope}`"))
            );
            assert!(refusal.remedies()[0].to_string().contains(remedy));
        }
    }
}
