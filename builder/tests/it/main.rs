//! Integration tests: croze's pieces against the tools that its results are for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod export;
