//! The ways in which instructions split their text into words.

use super::mapped::Part;

/// Blanks between the words of `FROM`, `COPY`, `EXPOSE` and the like; other white space belongs to words.
pub(super) const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Splits at blanks; quotes mean nothing.
pub(super) fn at_blanks(text: Part<'_>) -> Vec<Part<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some((word, after)) = first_word(rest) {
        words.push(word);
        rest = after;
    }
    if !rest.is_empty() {
        words.push(rest);
    }
    words
}

/// Splits the first word from the rest, which starts at its first word; nothing if there are no blanks.
pub(super) fn first_word(text: Part<'_>) -> Option<(Part<'_>, Part<'_>)> {
    let at = text.text().find(BLANKS)?;
    let rest = &text.text()[at..];
    let blanks = rest.len() - rest.trim_start_matches(BLANKS).len();
    Some((text.slice(0..at), text.from(at + blanks)))
}

/// Splits at white space outside of quotes, leaving quotes and escapes in the words.
///
/// An escape character at the very end is dropped; a quote that is not closed reaches to the end.
pub(super) fn quoted_words(text: Part<'_>, escape: char) -> Vec<Part<'_>> {
    let all = text.text();
    let mut words = Vec::new();
    let mut start = None;
    let mut end = 0;
    let mut quote = None;
    let mut chars = all.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if let Some(start) = start.take() {
                words.push(text.slice(start..end));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            let Some((next, escaped)) = chars.next() else { break };
            start.get_or_insert(at);
            end = next + escaped.len_utf8();
            continue;
        }
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        start.get_or_insert(at);
        end = at + c.len_utf8();
    }
    if let Some(start) = start {
        words.push(text.slice(start..end));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::mapped::Mapped;
    use super::*;

    fn words(text: &str, split: impl for<'a> Fn(Part<'a>) -> Vec<Part<'a>>) -> Vec<String> {
        let mut mapped = Mapped::default();
        mapped.push(text, 0);
        split(mapped.whole())
            .into_iter()
            .map(|word| word.text().to_owned())
            .collect()
    }

    #[test]
    fn plain_words_end_at_blanks_only() {
        assert_eq!(words("a  \"b\tc\"", at_blanks), ["a", "\"b", "c\""]);
        assert_eq!(words("a\u{a0}b", at_blanks), ["a\u{a0}b"]);
        assert!(words("", at_blanks).is_empty());
    }

    #[test]
    fn quoted_words_keep_their_quotes_and_escapes() {
        let split = |text| words(text, |part| quoted_words(part, '\\'));
        assert_eq!(split("a=1 b=\"x y\" c=d\\ e"), ["a=1", "b=\"x y\"", "c=d\\ e"]);
        assert_eq!(split("a='\\' b"), ["a='\\'", "b"]);
        assert_eq!(split("a=\"\\\" b\" c"), ["a=\"\\\" b\"", "c"]);
        assert_eq!(split("a=x\\"), ["a=x"]);
        assert_eq!(split("a=\"x y"), ["a=\"x y"]);
        assert_eq!(split("\\"), [""; 0]);
        assert_eq!(split("  "), [""; 0]);
        assert_eq!(words("a=x` y", |part| quoted_words(part, '`')), ["a=x` y"]);
    }
}
