//! Foreign words made fit for a message: one line, no control characters, not too long.

/// Characters that are kept.
pub(crate) const LIMIT: usize = 300;

/// Returns the first line of `text` that says something, with control characters shown as `\u{…}`.
pub(crate) fn one_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut shown = String::new();
    for (count, c) in line.chars().enumerate() {
        match c {
            _ if count == LIMIT => {
                shown.push('…');
                break;
            }
            // Bidirectional overrides reorder what stands around them.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                shown.extend(c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_cannot_steer_a_terminal() {
        assert_eq!(one_line("\n  \x1b[31mred\r\nsecond"), "\\u{1b}[31mred");
        assert_eq!(one_line(""), "");
        assert_eq!(one_line("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(one_line(&"x".repeat(1000)).chars().count(), LIMIT + 1);
    }
}
