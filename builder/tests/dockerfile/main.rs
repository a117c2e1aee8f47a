//! The Dockerfile language against what BuildKit makes of real files, and against other parsers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod corpus;
mod differential;
mod ignore;
mod print;
mod projection;
/// What the fuzzer holds any bytes to.
#[path = "../../../fuzz/src/language/mod.rs"]
mod properties;
mod shared;
