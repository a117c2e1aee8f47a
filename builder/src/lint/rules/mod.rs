//! One file per rule, or family of them. Two tables list them all.

mod base_platform;
mod casing;
mod commands;
mod context_paths;
mod continuations;
mod deprecated;
mod descriptions;
mod from_arguments;
mod from_platform;
mod ports;
mod secrets;
mod stage_names;
mod variables;
mod workdir;

use super::file::File;
use super::findings::Findings;
use crate::dockerfile::ignore::Matcher;
use crate::frontend::Seen;

/// Looks at a file as a whole.
type FileRule = fn(&File<'_>, &mut Findings);

/// Watches stages while they are lowered; has been told of the place when it sees something there.
pub(super) trait StageRule: Send {
    /// Looks at one thing.
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings);
}

/// The rules about files.
pub(super) const OF_FILES: &[FileRule] = &[
    stage_names::casing,
    stage_names::duplicate,
    stage_names::reserved,
    casing::of_as,
    casing::of_instructions,
    continuations::empty,
    deprecated::maintainer,
    descriptions::invalid,
    from_arguments::undefined,
    from_arguments::invalid_default,
    from_platform::redundant,
    from_platform::constant,
];

/// Returns the rules about stages; `ignored` is the ignore file of the build context.
pub(super) fn of_stages(ignored: Option<Matcher>) -> Vec<Box<dyn StageRule>> {
    vec![
        Box::new(commands::Multiple::default()),
        Box::new(commands::ShellForm),
        Box::new(deprecated::KeyValue),
        Box::new(variables::Undefined),
        Box::new(secrets::Secrets),
        Box::new(workdir::Relative::default()),
        Box::new(context_paths::Ignored::new(ignored)),
        Box::new(ports::Ports),
        Box::new(base_platform::Mismatch),
    ]
}
