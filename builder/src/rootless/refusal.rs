//! The reasons behind the error codes with which kernels refuse user namespaces.

use std::{fs, io};

use super::error::EnterError;

/// What a machine has that keeps ordinary users from user namespaces.
#[derive(Clone, Copy)]
struct Hindrances {
    /// Debian's and Arch's switch is off.
    switch: bool,
    /// AppArmor takes the capabilities away, as on Ubuntu from 23.10 on.
    apparmor: bool,
    /// A seccomp filter is in force.
    seccomp: bool,
}

/// Finds the reason why a user namespace was refused.
pub fn why_no_namespace(source: io::Error) -> EnterError {
    Hindrances::here().to_namespace(source)
}

/// Finds the reason why mounting was refused in a user namespace that could be made.
pub fn why_no_mount(source: io::Error) -> EnterError {
    Hindrances::here().to_mount(source)
}

impl Hindrances {
    fn here() -> Self {
        Self {
            switch: says("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            apparmor: says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            seccomp: has_seccomp_filter(),
        }
    }

    fn to_namespace(self, source: io::Error) -> EnterError {
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EUSERS) => EnterError::LimitReached,
            Some(libc::EINVAL | libc::ENOSYS) => EnterError::NotInKernel,
            Some(libc::EPERM | libc::EACCES) if self.switch => EnterError::SwitchedOff,
            Some(libc::EPERM | libc::EACCES) if self.apparmor => EnterError::AppArmor,
            Some(libc::EPERM | libc::EACCES) if self.seccomp => EnterError::Seccomp,
            _ => EnterError::Refused { source },
        }
    }

    /// Ubuntu lets everybody make a namespace and then takes the capabilities away.
    fn to_mount(self, source: io::Error) -> EnterError {
        if self.apparmor {
            EnterError::AppArmor
        } else {
            EnterError::NoMount { source }
        }
    }
}

fn says(path: &str, value: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}

fn has_seccomp_filter() -> bool {
    let filtered = |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2");
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.lines().any(filtered))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Hindrances = Hindrances {
        switch: false,
        apparmor: false,
        seccomp: false,
    };

    #[test]
    fn a_refusal_is_told_by_its_number_and_what_the_machine_has() {
        let seccomp = Hindrances { seccomp: true, ..NONE };
        let ubuntu = Hindrances {
            apparmor: true,
            ..seccomp
        };
        let debian = Hindrances { switch: true, ..ubuntu };
        for (hindrances, number, expected) in [
            (NONE, libc::ENOSPC, "`user.max_user_namespaces`"),
            (ubuntu, libc::EUSERS, "`user.max_user_namespaces`"),
            (seccomp, libc::ENOSYS, "no user namespaces"),
            (NONE, libc::EINVAL, "no user namespaces"),
            (debian, libc::EPERM, "`kernel.unprivileged_userns_clone`"),
            (ubuntu, libc::EACCES, "AppArmor restricts"),
            (seccomp, libc::EPERM, "seccomp profile"),
            (NONE, libc::EPERM, "was refused"),
            (debian, libc::EIO, "was refused"),
        ] {
            let told = hindrances
                .to_namespace(io::Error::from_raw_os_error(number))
                .to_string();
            assert!(told.contains(expected), "{number}: {told}");
        }
    }

    #[test]
    fn mounts_that_ubuntu_refuses_are_told_from_others() {
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        let ubuntu = Hindrances { apparmor: true, ..NONE };
        assert!(matches!(ubuntu.to_mount(refused()), EnterError::AppArmor));
        assert!(matches!(NONE.to_mount(refused()), EnterError::NoMount { .. }));
    }
}
