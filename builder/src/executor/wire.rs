//! What croze and a monitor say to each other over the control socket.
//!
//! croze sends one frame, the plan, then single bytes; the end of the stream means that croze is gone. The monitor
//! sends one frame, the outcome. A frame is a length, 4 bytes, little-endian, and that many bytes of JSON.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::exit::Ended;
use super::setup_error::SetupError;

/// Asks for SIGTERM.
pub(super) const TERMINATE: u8 = b't';
/// Asks for SIGKILL.
pub(super) const KILL: u8 = b'k';

/// Limit on a frame, in bytes: a plan with its secrets, and far from what would hurt.
const MAX_FRAME: u32 = 256 << 20;

/// What became of a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The program ran and ended.
    Ended(Ended),
    /// The program was never reached.
    NotStarted(SetupError),
    /// The program has ended, but its surroundings could not be taken apart.
    NotUndone(SetupError),
    /// The monitor itself failed.
    MonitorFailed {
        /// What was attempted.
        verb: String,
        /// Error number.
        errno: i32,
    },
}

/// Makes a frame.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(json);
    Ok(frame)
}

/// Sends a frame.
pub(super) fn send(value: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&encode(value)?)
}

/// Receives a frame.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_FRAME {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut json = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use snapshotter::SpecialOwners;

    use super::*;
    use crate::executor::exit::Exit;

    #[test]
    fn a_frame_is_read_back_and_no_byte_more() {
        let mut bytes = Vec::new();
        let outcome = Outcome::Ended(Ended {
            exit: Exit::Code(3),
            special_owners: SpecialOwners::default(),
            only_moved: vec!["usr".into()],
            without_place: None,
        });
        send(&outcome, &mut bytes).unwrap();
        bytes.push(KILL);
        let mut rest = bytes.as_slice();
        assert_eq!(receive::<Outcome>(&mut rest).unwrap(), outcome);
        assert_eq!(rest, [KILL]);
    }

    #[test]
    fn a_cut_or_oversized_frame_is_an_error() {
        let frame = encode(&Exit::Signal(9)).unwrap();
        assert!(receive::<Outcome>(&mut &frame[..frame.len() - 1]).is_err());
        assert!(receive::<Outcome>(&mut [0xff; 8].as_slice()).is_err());
    }
}
