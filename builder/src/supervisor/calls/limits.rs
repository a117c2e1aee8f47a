//! The resource limit in which credentials are kept: to a step it has no limit and takes none.

use crate::supervisor::call::{Call, DONE, Outcome};

/// A `struct rlimit` without limits.
const UNLIMITED: [u8; 16] = [0xff; 16];

pub(super) fn getrlimit(call: &Call<'_>) -> Outcome {
    call.write(call.argument(1), &UNLIMITED)?;
    Ok(DONE)
}

pub(super) fn setrlimit(_call: &Call<'_>) -> Outcome {
    Ok(DONE)
}

pub(super) fn prlimit64(call: &Call<'_>) -> Outcome {
    if call.argument(3) != 0 {
        call.write(call.argument(3), &UNLIMITED)?;
    }
    Ok(DONE)
}
