//! Tests of keys.

mod encoding;
mod operations;
mod sources;
