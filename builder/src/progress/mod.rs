//! What a build tells while it runs, and the displays that show it.
//!
//! Everything below `cli` only sends [`Event`]s through a [`Progress`]; a display on a thread of its own
//! receives them. Nothing else writes to the terminal.

mod bytes;
mod channel;
mod clean;
mod display;
mod event;
mod github;
mod gitlab;
mod groups;
mod plain;
mod rawjson;
mod recorder;
mod tty;
mod turns;

pub use bytes::Bytes;
pub use channel::{Events, Progress, Queued, Room};
pub use clean::{Lines, clean, guard};
pub use display::Display;
pub use event::{Event, StepId, Stream};
pub use github::{Files, annotation};
pub use groups::{GroupForm, Groups, Marks, Runner};
pub use plain::{Plain, PlainForm};
pub use rawjson::RawJson;
pub use recorder::{Recorder, Tail};
pub use tty::Tty;
pub use turns::{Ending, Form, Said, Speaker, Turns};
