//! What a build tells while it runs, and the displays that show it.
//!
//! Everything below `cli` only sends [`Event`]s through a [`Progress`]; a display on a thread of its own
//! receives them. Nothing else writes to the terminal.

mod bytes;
mod clean;
mod display;
mod event;
mod plain;
mod rawjson;
mod recorder;
mod tty;

pub use bytes::Bytes;
pub use clean::{Lines, clean, guard};
pub use display::Display;
pub use event::{Event, Progress, StepId, Stream};
pub use plain::Plain;
pub use rawjson::RawJson;
pub use recorder::{Recorder, Tail};
pub use tty::Tty;
