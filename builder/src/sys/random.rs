//! Numbers that nobody can guess.

use std::io;

/// Fills an array from the kernel's generator, which is not waited for: it is ready once a machine has booted.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    // SAFETY: the kernel writes at most as many bytes as the array has, which lives until the call returns.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, libc::GRND_NONBLOCK) };
    match usize::try_from(filled) {
        Ok(filled) if filled == N => Ok(bytes),
        Ok(_) => Err(io::ErrorKind::Interrupted.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_numbers_are_the_same() {
        let (one, other) = (random::<16>().unwrap(), random::<16>().unwrap());
        assert_ne!(one, other);
    }
}
