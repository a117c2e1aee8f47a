//! What is written on command lines, and in scripts that others wrote.

use std::path::Path;

use builder::attributes::{self, Attributes};
use builder::executor::ResourceLimit;
use builder::export::OutputSpec;
use builder::op::Chmod;
use builder::remote_cache::{CacheFrom, CacheTo, Surroundings};

/// Checks a value of any option.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _attributes = Attributes::parse(&text);
    let _output = OutputSpec::parse(&text);
    let surroundings = Surroundings {
        absolute: &|path| Path::new("/somewhere").join(path),
        variable: &|name| (name.len() % 2 == 0).then(|| "https://service.example".to_owned()),
    };
    let _from = CacheFrom::parse(&text, &surroundings);
    let _to = CacheTo::parse(&text, &surroundings);
    let (_truth, _bytes) = (attributes::truth(&text), attributes::bytes(&text));
    if let Ok(limit) = text.parse::<ResourceLimit>() {
        assert_eq!(limit.to_string().parse(), Ok(limit));
    }
    if let Ok(chmod) = text.parse::<Chmod>() {
        assert_eq!(chmod.to_string().parse().as_ref(), Ok(&chmod));
        for (mode, is_directory) in [(0, false), (0o644, false), (0o7777, true), (0o100_755, false)] {
            assert!(chmod.apply(mode, is_directory) <= 0o7777, "{text:?} of {mode:o}");
        }
    }
}
