//! Installing a seccomp filter.

use std::io;

use seccompiler::sock_filter;

use super::check;

/// Installs a filter on this thread, for it and all its descendants.
///
/// Unlike `seccompiler::apply_filter` it does not set *no new privileges*, which would break `sudo` and `su` in a step;
/// the caller needs `CAP_SYS_ADMIN` in its user namespace instead.
pub fn install_filter(program: &[sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads it; `sock_filter` has the same layout in both crates, that of <linux/filter.h>.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    check(result)
}
