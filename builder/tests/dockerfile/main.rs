//! The Dockerfile language against what BuildKit makes of real files, and against other parsers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod corpus;
mod differential;
mod fuzz;
mod ignore;
mod print;
mod projection;
#[path = "../../fuzz/properties/mod.rs"]
mod properties;
mod shared;
