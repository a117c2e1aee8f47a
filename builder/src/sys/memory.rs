//! The memory of another process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

/// Reads what is at `address` in the memory of a process, and returns how many bytes could be read.
///
/// Where a container runtime forbids `process_vm_readv`, as containerd 1.6 does, procfs says the same more slowly.
pub fn read_memory(process: Pid, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = remote(address, buffer.len());
    // SAFETY: `local` describes `buffer`, which is writable and outlives the call; the remote address is only ever used
    // by the kernel, which checks it.
    let read = unsafe { libc::process_vm_readv(process.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(read) {
        Ok(read) => Ok(read),
        Err(_) => through_procfs(io::Error::last_os_error(), || {
            open_memory(process)?.read_at(buffer, address)
        }),
    }
}

/// Writes to `address` in the memory of a process, and returns how many bytes could be written.
pub fn write_memory(process: Pid, address: u64, bytes: &[u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = remote(address, bytes.len());
    // SAFETY: the kernel only reads `local`, which describes `bytes`; it checks the remote address.
    let written =
        unsafe { libc::process_vm_writev(process.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(written) {
        Ok(written) => Ok(written),
        Err(_) => through_procfs(io::Error::last_os_error(), || {
            open_memory(process)?.write_at(bytes, address)
        }),
    }
}

fn remote(address: u64, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: length,
    }
}

/// Tries the other way if the first is forbidden as such, rather than for this address.
fn through_procfs(error: io::Error, other: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS) => other().map_err(|error| match error.raw_os_error() {
            // What procfs says of an address that is not mapped.
            Some(libc::EIO) => io::Error::from_raw_os_error(libc::EFAULT),
            _ => error,
        }),
        _ => Err(error),
    }
}

/// Opens the memory of a process as a file, in which addresses are places, and can be written to even where the process
/// itself may not.
pub fn open_memory(process: Pid) -> io::Result<File> {
    let path = format!("/proc/{}/mem", process.as_raw_pid());
    File::options().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_written_either_way() {
        let own = rustix::process::getpid();
        let mut bytes = *b"abcdef";
        let address = bytes.as_mut_ptr() as u64;
        let mut read = [0; 3];
        assert_eq!(read_memory(own, address, &mut read).unwrap(), 3);
        assert_eq!(&read, b"abc");
        assert_eq!(write_memory(own, address, b"xyz").unwrap(), 3);
        assert_eq!(open_memory(own).unwrap().read_at(&mut read, address + 1).unwrap(), 3);
        assert_eq!(&read, b"yzd");
        assert_eq!(open_memory(own).unwrap().write_at(b"!", address).unwrap(), 1);
        assert_eq!(&bytes, b"!yzdef");
    }

    #[test]
    fn a_constant_can_be_overwritten() {
        static CONSTANT: [u8; 4] = *b"abcd";
        let own = rustix::process::getpid();
        let address = std::hint::black_box(&CONSTANT).as_ptr() as u64;
        assert!(write_memory(own, address, b"x").is_err());
        open_memory(own).unwrap().write_all_at(b"xyz", address).unwrap();
        let mut read = [0; 4];
        read_memory(own, address, &mut read).unwrap();
        assert_eq!(&read, b"xyzd");
    }

    #[test]
    fn an_address_that_is_not_mapped_is_a_fault_either_way() {
        let own = rustix::process::getpid();
        let error = read_memory(own, 8, &mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        let forbidden = io::Error::from_raw_os_error(libc::EPERM);
        let error = through_procfs(forbidden, || open_memory(own)?.read_at(&mut [0], 8)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }
}
