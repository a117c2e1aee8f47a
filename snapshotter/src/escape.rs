//! Foreign file names in messages.
//!
//! A name out of an archive or an image may hold terminal escapes, line breaks or bytes that are not UTF-8; it is
//! printed so that none of them reaches the terminal and every name still looks different.

use std::fmt;

/// Displays bytes as text in which control characters, backslashes and bytes that are not UTF-8 are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\\' || is_invisible(character) {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Returns whether a character changes how its neighbours are shown instead of showing itself.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        assert_eq!(Escaped(b"a\x1b[2Jb\nc\\d").to_string(), r"a\u{1b}[2Jb\nc\\d");
        assert_eq!(Escaped("über/\u{202e}cod".as_bytes()).to_string(), r"über/\u{202e}cod");
        assert_eq!(Escaped(b"\xff\xc3\xbc").to_string(), r"\xffü");
    }
}
