//! The runtime in which a command waits for networks, processes and signals.

use std::io;
use std::os::unix::net::UnixStream;

use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, Kind, out_of};

/// Descriptors that a runtime has from its beginning: tokio panics if it lacks those for signals.
const DESCRIPTORS: usize = 6;

/// It cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot begin to wait for networks, processes and signals")]
struct NoRuntime(#[source] io::Error);

/// Starts a runtime that waits for everything.
///
/// # Errors
/// If descriptors, memory or threads have run out.
pub(super) fn start(builder: &mut Builder) -> Result<Runtime, Failure> {
    let spare: io::Result<Vec<_>> = (0..DESCRIPTORS / 2).map(|_| UnixStream::pair()).collect();
    let started = spare.and_then(|spare| {
        drop(spare);
        builder.enable_all().build()
    });
    started.map_err(|error| out_of(&NoRuntime(error), Kind::Resource))
}
