//! Sockets that have a path, watching files, and handles: calls that take a path and nothing else will do.
//!
//! They get one through a descriptor that the caller has for a moment. It is in memory that is mapped for just this call.

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Detour;
use crate::supervisor::call::{Call, Outcome, Reply, errno};
use crate::supervisor::find::Found;
use crate::sys::{self, Lost, Response, Stopped};

/// The longest path that an address holds.
const MAX_PATH: usize = 108;
/// What is mapped.
const PAGE: u64 = 4096;

/// Gives a socket of the caller's a name in a directory.
pub(in crate::supervisor) fn bind(call: &Call<'_>, found: &Found) -> Outcome {
    let (socket, way) = (call.argument(0), Way::to(call, found)?);
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&[way.directory.as_fd()], |caller, lent| {
        let Some(address) = address(&way.path(lent[0])) else {
            return Ok(-i64::from(libc::ENAMETOOLONG));
        };
        with_memory(caller, &address, |caller, at| {
            caller.call(libc::SYS_bind, [socket, at, address.len() as u64, 0, 0, pass])
        })
    })
}

/// Connects a socket of the caller's with another one. That may take long, so that it has a thread of its own.
pub(in crate::supervisor) fn connect(call: &Call<'_>, found: &Found) -> Outcome {
    let (socket, way) = (call.argument(0), Way::to(call, found)?);
    let detour = Detour::of(call)?;
    let (pass, id) = (detour.pass.0, detour.id);
    let listener = detour.listener.try_clone().map_err(|error| errno(&error))?;
    let connect = move || {
        let taken = detour.take(&[way.directory.as_fd()], |caller, lent| {
            let Some(address) = address(&way.path(lent[0])) else {
                return Ok(-i64::from(libc::ENAMETOOLONG));
            };
            with_memory(caller, &address, |caller, at| {
                caller.call(libc::SYS_connect, [socket, at, address.len() as u64, 0, 0, pass])
            })
        });
        if let Err(error) = taken {
            // Whoever called may have been killed meanwhile.
            let _gone = sys::respond(listener.as_fd(), id, Response::Fail(error.raw_os_error()));
        }
    };
    let connecting = std::thread::Builder::new().name("supervisor".into()).spawn(connect);
    connecting.map(|_| Reply::Told).map_err(|error| errno(&error))
}

/// Has the caller watch a file.
pub(in crate::supervisor) fn watch(call: &Call<'_>, found: &Found) -> Outcome {
    let (watcher, events, way) = (call.argument(0), call.argument(2), Way::to(call, found)?);
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&[way.directory.as_fd()], |caller, lent| {
        let path = [&way.path(lent[0])[..], b"\0"].concat();
        with_memory(caller, &path, |caller, at| {
            caller.call(libc::SYS_inotify_add_watch, [watcher, at, events, 0, 0, pass])
        })
    })
}

/// Has the caller open what cannot be lent to it: a mere handle.
pub(in crate::supervisor) fn open(call: &Call<'_>, found: &Found, flags: OFlags) -> Outcome {
    let (way, flags) = (Way::to(call, found)?, u64::from(flags.bits()));
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&[way.directory.as_fd()], |caller, lent| {
        let name = [&way.name[..], b"\0"].concat();
        with_memory(caller, &name, |caller, at| {
            caller.call(libc::SYS_openat, [lent[0], at, flags, 0, 0, pass])
        })
    })
}

/// A directory that is lent, and a name in it.
struct Way {
    directory: OwnedFd,
    name: Vec<u8>,
}

impl Way {
    fn to(call: &Call<'_>, found: &Found) -> Result<Self, Errno> {
        Ok(Self {
            // No mere handle can be lent.
            directory: call.place.open(&found.directory, OFlags::RDONLY | OFlags::DIRECTORY)?,
            name: found.name.to_bytes().to_vec(),
        })
    }

    /// Returns a path that whoever has the directory can use.
    fn path(&self, directory: u64) -> Vec<u8> {
        [format!("/proc/self/fd/{directory}/").as_bytes(), &self.name].concat()
    }
}

fn address(path: &[u8]) -> Option<Vec<u8>> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    (path.len() < MAX_PATH).then(|| [&family[..], path, b"\0"].concat())
}

/// Lets the caller have these bytes in memory while it does something.
fn with_memory(
    caller: &mut Stopped,
    bytes: &[u8],
    way: impl FnOnce(&mut Stopped, u64) -> Result<i64, Lost>,
) -> Result<i64, Lost> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    let mapped = caller.call(libc::SYS_mmap, [0, PAGE, protection, kind, u64::MAX, 0])?;
    if (-4095..0).contains(&mapped) {
        return Ok(mapped);
    }
    let address = mapped.cast_unsigned();
    sys::write_memory(caller.thread(), address, bytes)?;
    let result = way(caller, address);
    caller.call(libc::SYS_munmap, [address, PAGE, 0, 0, 0, 0])?;
    result
}
