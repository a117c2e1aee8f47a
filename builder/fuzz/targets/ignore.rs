//! Fuzzes ignore files.
#![no_main]

#[allow(dead_code, reason = "each target checks one property")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::ignore::check(bytes));
