//! The reasons behind the error codes with which kernels refuse user namespaces.

use std::{fs, io};

use super::error::EnterError;

/// Finds the reason why a user namespace was refused.
pub fn why_no_namespace(source: io::Error) -> EnterError {
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => EnterError::LimitReached,
        Some(libc::EINVAL | libc::ENOSYS) => EnterError::NotInKernel,
        Some(libc::EPERM | libc::EACCES) => {
            if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
                EnterError::SwitchedOff
            } else if apparmor_restricts() {
                EnterError::AppArmor
            } else if has_seccomp_filter() {
                EnterError::Seccomp
            } else {
                EnterError::Refused { source }
            }
        }
        _ => EnterError::Refused { source },
    }
}

/// Finds the reason why mounting was refused in a user namespace that could be made.
pub fn why_no_mount(source: io::Error) -> EnterError {
    // Ubuntu lets everybody make one and then takes the capabilities away.
    if apparmor_restricts() {
        EnterError::AppArmor
    } else {
        EnterError::NoMount { source }
    }
}

fn says(path: &str, value: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}

fn apparmor_restricts() -> bool {
    says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
}

fn has_seccomp_filter() -> bool {
    let filtered = |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2");
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.lines().any(filtered))
}
