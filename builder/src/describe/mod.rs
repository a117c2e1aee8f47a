//! What a Dockerfile offers: its targets, and what each takes. Answers as values that become BuildKit's JSON.

mod location;
mod outline;
mod targets;
#[cfg(test)]
mod tests;

pub use location::Location;
pub use outline::{Argument, Needed, Outline, outline};
pub use targets::{Target, Targets, targets};

use base64::Engine as _;

use crate::diagnostic::SourceFile;

/// Returns a file's text as JSON carries bytes.
fn encoded(source: &SourceFile) -> String {
    base64::engine::general_purpose::STANDARD.encode(source.text())
}
