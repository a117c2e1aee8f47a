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
    text.parse::<Chmod>().map_err(|error| {
        Diagnostic::error(error.to_string())
            .at(text.span, "")
            .help("symbolic modes are read as chmod(1) reads them, for example `u=rwX,go=rX`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;

    #[test]
    fn modes_are_octal_or_symbolic() {
        let parse = |text: &str| chmod(&Spanned::new(text.to_owned(), Span::default()));
        assert_eq!(parse("0755"), Ok(Chmod::Octal(0o755)));
        assert_eq!(parse("0"), Ok(Chmod::Octal(0)));
        assert_eq!(parse("7777"), Ok(Chmod::Octal(0o7777)));
        for good in ["+x", "u=rwX,go=rX", "g=u", "a+X", "u+rw,g+r,o-x,o+w", "u-x+w", "="] {
            assert_eq!(parse(good).map(|mode| mode.to_string()).as_deref(), Ok(good));
        }
        for bad in ["64a", "10000", "888", "x", "u", "u+ug", "u+q", "u=r,"] {
            let error = parse(bad).unwrap_err();
            assert!(
                error.message.starts_with(&format!("invalid chmod parameter: '{bad}'.")),
                "{bad}"
            );
        }
    }

    #[test]
    fn only_numbers_need_no_files_to_be_looked_up_in() {
        assert!(!has_names("0") && !has_names("1000:50"));
        assert!(has_names("root") && has_names("1000:users") && has_names("app:1"));
    }
}
