//! Heredocs: which ones a line opens, and their bodies in the lines after it.

use super::{
    instruction::Heredoc,
    lines::Lines,
    mapped::Part,
    words::{Mode, Unset, WordError, lex},
};
use crate::diagnostic::{Diagnostic, Span};

/// A heredoc as its opening word announces it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Opener {
    /// The delimiter, without quotes.
    pub(super) name: String,
    /// Whether nothing of it was quoted.
    pub(super) expand: bool,
    /// Whether leading tabs are stripped.
    pub(super) chomp: bool,
    /// The file descriptor; 0 if none is named.
    pub(super) fd: u32,
    /// The word from `<<` on, as written.
    pub(super) written: String,
}

/// Reads a word as the opening of a heredoc: digits, `<<`, perhaps `-`, and a name without `<`.
pub(super) fn opener(word: &str) -> Result<Option<Opener>, WordError> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (fd, written) = word.split_at(digits);
    let Some(rest) = written.strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let name = name.trim_start_matches(|c: char| c.is_ascii_whitespace());
    if name.is_empty() || name.contains('<') {
        return Ok(None);
    }
    let plain = lex(name, '\\', Mode::HeredocName, &Unset)?.words;
    let quoted = lex(name, '\\', Mode::Display, &Unset)?.words;
    let ([plain], [quoted]) = (plain.as_slice(), quoted.as_slice()) else {
        return Ok(None);
    };
    Ok(Some(Opener {
        name: plain.clone(),
        // Quotes that the first reading removed were quotes; others are part of the name.
        expand: quotes(plain) == quotes(quoted),
        chomp,
        fd: fd.parse().unwrap_or(0),
        written: written.to_owned(),
    }))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

/// Finds the heredocs that a line opens, in order.
///
/// A line that is no valid sequence of words, for example because of a lone apostrophe, opens none.
pub(super) fn openers(line: &str) -> Result<Vec<Opener>, WordError> {
    if !line.contains("<<") {
        return Ok(Vec::new());
    }
    let Ok(lexed) = lex(line, '\\', Mode::Raw, &Unset) else {
        return Ok(Vec::new());
    };
    let openers = lexed.words.iter().map(|word| opener(word));
    openers.filter_map(Result::transpose).collect()
}

/// Reads the body of a heredoc from the lines after the instruction.
pub(super) fn body(opener: Opener, lines: &mut Lines<'_>, source: &str, line: Part<'_>) -> Result<Heredoc, Diagnostic> {
    let mut span: Option<Span> = None;
    let mut near_miss = None;
    loop {
        let Some(physical) = lines.next_physical() else {
            return Err(unterminated(&opener, near_miss, line));
        };
        let text = if opener.chomp {
            physical.text.trim_start_matches('\t')
        } else {
            physical.text
        };
        if text == opener.name {
            let span = span.unwrap_or(Span::new(physical.start, physical.start));
            let raw = &source[span.range()];
            return Ok(Heredoc {
                name: opener.name,
                expand: opener.expand,
                chomp: opener.chomp,
                fd: opener.fd,
                body: if opener.chomp {
                    without_leading_tabs(raw)
                } else {
                    raw.to_owned()
                },
                opener: opener.written,
                span,
            });
        }
        let here = Span::new(physical.start, physical.next);
        if near_miss.is_none() && text.trim() == opener.name {
            near_miss = Some(Span::new(physical.start, physical.start + physical.text.len()));
        }
        span = Some(span.map_or(here, |span| span.to(here)));
    }
}

fn unterminated(opener: &Opener, near_miss: Option<Span>, line: Part<'_>) -> Diagnostic {
    let at = line.text().find(&opener.written);
    let place = at.map_or(line.span(), |at| line.slice(at..at + opener.written.len()).span());
    let error = Diagnostic::error("unterminated heredoc").at(place, format!("a line `{}` must end it", opener.name));
    match near_miss {
        Some(span) => error
            .at(span, "this line has blanks around the word")
            .help("the word that ends a heredoc stands alone on its line; after `<<-`, tabs may precede it"),
        None => error.help(format!("add a line that says `{}` and nothing else", opener.name)),
    }
}

fn without_leading_tabs(body: &str) -> String {
    body.split_inclusive('\n')
        .map(|line| line.trim_start_matches('\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(word: &str) -> Option<(String, bool, bool, u32)> {
        opener(word)
            .unwrap()
            .map(|opener| (opener.name, opener.expand, opener.chomp, opener.fd))
    }

    #[test]
    fn words_that_open_heredocs_are_recognised() {
        let cases = [
            ("<<EOF", "EOF", true, false, 0),
            ("<<-EOF", "EOF", true, true, 0),
            ("<<'EOF'", "EOF", false, false, 0),
            ("<<-\"EOF\"", "EOF", false, true, 0),
            ("<<EO\"F\"", "EOF", false, false, 0),
            ("<< EOF", "EOF", true, false, 0),
            ("<<- EOF", "EOF", true, true, 0),
            ("<< -EOF", "-EOF", true, false, 0),
            ("3<<IN", "IN", true, false, 3),
            ("<<eo\\'f", "eo'f", true, false, 0),
            ("<<'e'o\\'f", "eo'f", false, false, 0),
            ("<<'one two'", "one two", false, false, 0),
            ("<<$EOF", "$EOF", true, false, 0),
            ("<<file.txt", "file.txt", true, false, 0),
        ];
        for (word, name, expand, chomp, fd) in cases {
            assert_eq!(named(word), Some((name.to_owned(), expand, chomp, fd)), "{word}");
        }
    }

    #[test]
    fn other_words_open_none() {
        for word in ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh", "a<<EOF"] {
            assert_eq!(named(word), None, "{word}");
        }
        for word in ["<<'EOF", "<<\"EOF", "<<EOF'", "<<EOF\""] {
            assert!(opener(word).is_err(), "{word}");
        }
    }

    #[test]
    fn heredocs_are_found_among_the_words_of_a_line() {
        let names = |line: &str| -> Vec<String> {
            let openers = openers(line).unwrap();
            openers.into_iter().map(|opener| opener.name).collect()
        };
        assert_eq!(names("RUN <<EOF <<-'E 2' cat"), ["EOF", "E 2"]);
        assert_eq!(names("RUN <<  EOF > foo"), ["EOF"]);
        assert_eq!(names("RUN 4<<A&&b"), ["A&&b"]);
        assert_eq!(names("RUN << -EOF"), ["-EOF"]);
        // The blank after `<<-` separates words in BuildKit's lexer, though not after `<<`.
        for line in [
            "RUN '<<EOF'",
            "RUN \"<<EOF\"",
            "RUN cat <<< x",
            "RUN \\<<EOF",
            "RUN <<A it's",
            "RUN <<- EOF",
        ] {
            assert!(names(line).is_empty(), "{line}");
        }
    }
}
