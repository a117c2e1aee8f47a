//! `capget` and `capset`.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::ids::change;
use crate::supervisor::call::{Call, DONE, Outcome, Reply};
use crate::supervisor::credentials::CapabilityData;

/// The versions of the calls, and how many words each set has in them.
const VERSIONS: [(u32, usize); 3] = [(0x1998_0330, 1), (0x2007_1026, 2), (0x2008_0522, 2)];

/// Whom a call is about, and how many words it has for each set.
struct Header {
    process: i32,
    words: usize,
}

/// Reads the header of a call. One with an unknown version gets the kernel's own, which is how programs ask for it.
fn header(call: &Call<'_>) -> Result<Option<Header>, Errno> {
    let version = call.read_word(call.argument(0))?;
    match VERSIONS.iter().find(|(known, _)| *known == version) {
        Some((_, words)) => Ok(Some(Header {
            process: call.read_word(call.argument(0) + 4)?.cast_signed(),
            words: *words,
        })),
        None => {
            call.write(call.argument(0), &VERSIONS[2].0.to_ne_bytes())?;
            Ok(None)
        }
    }
}

pub(super) fn capget(call: &Call<'_>) -> Outcome {
    let asks_for_version = call.argument(1) == 0;
    let Some(header) = header(call)? else {
        return if asks_for_version { Ok(DONE) } else { Err(Errno::INVAL) };
    };
    if header.process < 0 {
        return Err(Errno::INVAL);
    }
    // Of another process the kernel tells what it knows.
    if header.process != 0 && !call.is_own_number(header.process)? {
        return Ok(Reply::Continue);
    }
    if asks_for_version {
        return Ok(DONE);
    }
    let data = call.credentials.capabilities();
    let mut bytes = Vec::new();
    for word in 0..header.words {
        for set in [data.effective, data.permitted, data.inheritable] {
            let bits = (set.bits() >> (32 * word)) as u32;
            bytes.extend(bits.to_ne_bytes());
        }
    }
    call.write(call.argument(1), &bytes)?;
    Ok(DONE)
}

pub(super) fn capset(call: &Call<'_>) -> Outcome {
    let Some(header) = header(call)? else {
        return Err(Errno::INVAL);
    };
    // Those of another process cannot be changed; a thread's own number is as good as none.
    if header.process != 0 && !call.is_own_number(header.process)? {
        return Err(Errno::PERM);
    }
    let mut bytes = vec![0; header.words * 12];
    call.read(call.argument(1), &mut bytes)?;
    let mut sets = [0; 3];
    for (index, word) in bytes.chunks_exact(4).enumerate() {
        let word = u32::from_ne_bytes(word.try_into().unwrap_or_default());
        sets[index % 3] |= u64::from(word) << (32 * (index / 3));
    }
    let [effective, permitted, inheritable] = sets.map(CapabilitySet::from_bits_retain);
    change(call, |credentials| {
        credentials.set_capabilities(CapabilityData {
            effective,
            permitted,
            inheritable,
        })
    })
}
