//! What must hold for any bytes, whoever makes them up: a fuzzer, or a test that replays what the fuzzer kept.

pub(crate) mod ignore;
pub(crate) mod meaning;
pub(crate) mod parse;
pub(crate) mod print;
pub(crate) mod words;
