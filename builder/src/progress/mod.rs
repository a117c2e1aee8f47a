//! What a build tells while it runs, and the displays that show it.
//!
//! Everything below `cli` only sends [`Event`]s through a [`Progress`]; a display on a thread of its own
//! receives them. Nothing else writes to the terminal.

mod event;

pub use event::{Event, Progress, StepId, Stream};
