//! Where the C library looks host names up.

#[cfg(target_env = "gnu")]
use std::ffi::{c_char, c_int};
use std::io;

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// Declared in `<nss.h>`.
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Makes it look in `/etc/hosts` and ask the name servers of `/etc/resolv.conf`, whatever `/etc/nsswitch.conf` says now
/// or later: that file may come to be an image's, and the libraries that it names would be loaded into this process.
///
/// Other C libraries than GNU's never do anything else.
pub fn fix_host_lookup() -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: both strings are terminated and live for ever; the library copies what it parses of them.
        let result = unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    #[test]
    fn a_name_of_etc_hosts_is_found_without_asking_what_to_ask() {
        super::fix_host_lookup().unwrap();
        let found: Vec<_> = ("localhost", 80).to_socket_addrs().unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()));
    }
}
