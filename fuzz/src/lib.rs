//! What must hold for any bytes, whoever makes them up: none of croze's parsers of foreign bytes panics or takes more than
//! its input deserves, and what it makes of them is as its users take it to be.
//!
//! A [`Target`] is one kind of input with its properties. The fuzzer (`run.sh`) is guided by the coverage of this workspace's
//! crates; the test of this crate replays what the fuzzer kept, and changes it at random ([`changes`]).

mod archive;
pub mod changes;
mod image;
mod language;
mod network;
mod options;
mod scratch;
mod sources;
mod state;
mod words;

/// One kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `corpus`.
    pub name: &'static str,
    /// Panics if something does not hold for an input.
    pub check: fn(&[u8]),
    /// The longest input that is tried, in bytes.
    pub longest: usize,
    /// How many changed inputs the ordinary tests try: what takes them a second or two.
    pub cases: u32,
}

/// All kinds of input.
pub const TARGETS: &[Target] = &[
    // The language.
    target("parse", language::parse::check, 512, 2_000),
    target("words", words::check, 512, 2_000),
    target("ignore", language::ignore::check, 512, 2_000),
    // Registries and other servers.
    target("header", network::header, 512, 20_000),
    target("document", network::document, 4096, 10_000),
    target("reference", network::reference, 256, 20_000),
    target("certificate", network::certificate, 2048, 20_000),
    target("compressed", network::compressed, 2048, 2_000),
    target("references", sources::references, 512, 10_000),
    target("cache", sources::cache_entry, 4096, 5_000),
    // Files of the user's machine that others may have written.
    target("credentials", network::credentials, 1024, 10_000),
    target("registries", network::registries, 1024, 5_000),
    target("address", sources::address, 256, 10_000),
    target("policy", sources::policy, 1024, 5_000),
    target("devices", sources::devices, 2048, 2_000),
    target("layout", sources::layout, 2048, 5_000),
    target("options", options::check, 256, 10_000),
    target("state", state::check, 2048, 5_000),
    // Images.
    target("archive", archive::check, 4096, 1_000),
    target("attributes", image::attributes, 512, 20_000),
    target("accounts", image::accounts, 1024, 5_000),
    target("program", image::program, 1024, 20_000),
    target("statement", image::statement, 1024, 3_000),
];

const fn target(name: &'static str, check: fn(&[u8]), longest: usize, cases: u32) -> Target {
    Target {
        name,
        check,
        longest,
        cases,
    }
}
