//! `--chown` and `--chmod`.

use crate::diagnostic::{Diagnostic, Spanned};
use crate::op::Chmod;

/// Tells whether a `user[:group]` has a name in it, which only the files of a root file system can resolve.
pub(super) fn has_names(chown: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    !chown.split(':').all(is_number)
}

/// Reads `--chmod`, expanded.
pub(super) fn chmod(text: &Spanned<String>) -> Result<Chmod, Diagnostic> {
    let parsed = text.parse::<Chmod>();
    parsed.map_err(|error| Diagnostic::error(error.to_string()).at(text.span, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_need_no_files_to_be_looked_up_in() {
        assert!(!has_names("0") && !has_names("1000:50"));
        assert!(has_names("root") && has_names("1000:users") && has_names("app:1"));
    }
}
