//! Sockets that have a path, watching files, and handles: calls that take a path and nothing else will do.
//!
//! They get one through a descriptor that the caller has for a moment. It is in memory that is mapped for just this call.

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Detour, patiently};
use crate::supervisor::call::{AT_FDCWD, Call, Outcome};
use crate::supervisor::find::Found;
use crate::sys::{self, Lost, Stopped};

/// The longest path that an address holds.
const MAX_PATH: usize = 108;
/// What is mapped.
const PAGE: u64 = 4096;

/// Gives a socket of the caller's a name in a directory.
pub(in crate::supervisor) fn bind(call: &Call<'_>, found: &Found) -> Outcome {
    let (socket, way) = (call.argument(0), Way::to(call, found)?);
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&way.lent(), |caller, lent| {
        way.with_address(caller, lent, |caller, address| {
            with_memory(
                caller,
                |_| address.to_vec(),
                |caller, at| caller.call(libc::SYS_bind, [socket, at, address.len() as u64, 0, 0, pass]),
            )
        })
    })
}

/// Connects a socket of the caller's with another one, which may have to be waited for.
pub(in crate::supervisor) fn connect(call: &Call<'_>, found: &Found) -> Outcome {
    let (socket, way) = (call.argument(0), Way::to(call, found)?);
    patiently(call, move |detour| {
        let pass = detour.pass.0;
        detour.take(&way.lent(), |caller, lent| {
            way.with_address(caller, lent, |caller, address| {
                with_memory(
                    caller,
                    |_| address.to_vec(),
                    |caller, at| {
                        caller.call_interruptibly(libc::SYS_connect, [socket, at, address.len() as u64, 0, 0, pass])
                    },
                )
            })
        })
    })
}

/// Has the caller watch a file.
pub(in crate::supervisor) fn watch(call: &Call<'_>, found: &Found) -> Outcome {
    let (watcher, events, way) = (call.argument(0), call.argument(2), Way::to(call, found)?);
    let detour = Detour::of(call)?;
    let pass = detour.pass.0;
    detour.take(&[way.directory.as_fd()], |caller, lent| {
        let path = [&way.path(lent[0])[..], b"\0"].concat();
        with_memory(
            caller,
            |_| path,
            |caller, at| caller.call(libc::SYS_inotify_add_watch, [watcher, at, events, 0, 0, pass]),
        )
    })
}

/// Has the caller open what cannot be lent to it: a mere handle.
pub(in crate::supervisor) fn open(call: &Call<'_>, found: &Found, flags: OFlags) -> Outcome {
    opening(call, found, flags)?(Detour::of(call)?)
}

/// Has the caller open a FIFO, whose other end somebody else may have to open first.
pub(in crate::supervisor) fn open_patiently(call: &Call<'_>, found: &Found, flags: OFlags) -> Outcome {
    patiently(call, opening(call, found, flags)?)
}

fn opening(
    call: &Call<'_>,
    found: &Found,
    flags: OFlags,
) -> Result<impl FnOnce(Detour) -> Outcome + Send + use<>, Errno> {
    let (way, flags) = (Way::to(call, found)?, u64::from(flags.bits()));
    Ok(move |detour: Detour| {
        let pass = detour.pass.0;
        detour.take(&[way.directory.as_fd()], |caller, lent| {
            let name = [&way.name[..], b"\0"].concat();
            let opened = with_memory(
                caller,
                |_| name,
                |caller, at| caller.call_interruptibly(libc::SYS_openat, [lent[0], at, flags, 0, 0, pass]),
            )?;
            put_in_place(caller, opened, lent, flags)
        })
    })
}

/// Gives what was opened the number of the directory that was lent: the lowest one, as it would have had.
fn put_in_place(caller: &mut Stopped, opened: i64, lent: &mut Vec<u64>, flags: u64) -> Result<i64, Lost> {
    let (Ok(number), &[lowest]) = (u64::try_from(opened), &lent[..]) else {
        return Ok(opened);
    };
    let close_on_exec = flags & u64::from(OFlags::CLOEXEC.bits());
    let placed = caller.call(libc::SYS_dup3, [number, lowest, close_on_exec, 0, 0, 0])?;
    if placed < 0 {
        return Ok(opened);
    }
    lent.clear();
    caller.call(libc::SYS_close, [number, 0, 0, 0, 0, 0])?;
    Ok(placed)
}

/// A directory that is lent, and a name in it.
pub(super) struct Way {
    directory: OwnedFd,
    name: Vec<u8>,
    /// The caller's working directory, if the name is too long for an address that begins with the directory.
    back: Option<OwnedFd>,
}

impl Way {
    pub(super) fn to(call: &Call<'_>, found: &Found) -> Result<Self, Errno> {
        // No mere handle can be lent.
        let lendable = OFlags::RDONLY | OFlags::DIRECTORY;
        let name = found.name.to_bytes().to_vec();
        let back = match address(&path_in(u64::from(u32::MAX), &name)) {
            Some(_) => None,
            None => Some(call.place.open(call.open_descriptor(AT_FDCWD)?, lendable)?),
        };
        Ok(Self {
            directory: call.place.open(&found.directory, lendable)?,
            name,
            back,
        })
    }

    /// Returns what is to be lent.
    pub(super) fn lent(&self) -> Vec<BorrowedFd<'_>> {
        [&self.directory]
            .into_iter()
            .chain(&self.back)
            .map(|lent| lent.as_fd())
            .collect()
    }

    /// Returns a path that whoever has the directory can use.
    fn path(&self, directory: u64) -> Vec<u8> {
        path_in(directory, &self.name)
    }

    /// Does something with an address that means this way to the caller, who is in the directory meanwhile if only the name
    /// has room in one.
    pub(super) fn with_address(
        &self,
        caller: &mut Stopped,
        lent: &[u64],
        act: impl FnOnce(&mut Stopped, &[u8]) -> Result<i64, Lost>,
    ) -> Result<i64, Lost> {
        let [directory, back @ ..] = lent else {
            return Ok(-i64::from(libc::EBADF));
        };
        let path = if back.is_empty() {
            self.path(*directory)
        } else {
            self.name.clone()
        };
        let Some(address) = address(&path) else {
            return Ok(-i64::from(libc::ENAMETOOLONG));
        };
        let [back] = back else {
            return act(caller, &address);
        };
        let entered = caller.call(libc::SYS_fchdir, [*directory, 0, 0, 0, 0, 0])?;
        if entered < 0 {
            return Ok(entered);
        }
        let result = act(caller, &address);
        undo(caller, result, libc::SYS_fchdir, [*back, 0, 0, 0, 0, 0])
    }
}

fn path_in(directory: u64, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{directory}/").as_bytes(), name].concat()
}

fn address(path: &[u8]) -> Option<Vec<u8>> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    (path.len() < MAX_PATH).then(|| [&family[..], path, b"\0"].concat())
}

/// Lets the caller have bytes in memory while it does something; they may depend on where.
pub(super) fn with_memory(
    caller: &mut Stopped,
    bytes: impl FnOnce(u64) -> Vec<u8>,
    way: impl FnOnce(&mut Stopped, u64) -> Result<i64, Lost>,
) -> Result<i64, Lost> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    let mapped = caller.call(libc::SYS_mmap, [0, PAGE, protection, kind, u64::MAX, 0])?;
    if (-4095..0).contains(&mapped) {
        return Ok(mapped);
    }
    let address = mapped.cast_unsigned();
    let written = sys::write_memory(caller.thread(), address, &bytes(address));
    let result = written.map_err(Lost::from).and_then(|_| way(caller, address));
    undo(caller, result, libc::SYS_munmap, [address, PAGE, 0, 0, 0, 0])
}

/// Has the caller make a call that takes something back, and returns what came of it before, unless that was its end.
fn undo(caller: &mut Stopped, result: Result<i64, Lost>, number: i64, arguments: [u64; 6]) -> Result<i64, Lost> {
    if !matches!(result, Err(Lost::Ended { .. })) {
        caller.call(number, arguments)?;
    }
    result
}
