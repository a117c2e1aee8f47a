//! What a step prints, made safe for a terminal and for the log of a CI runner.
//!
//! A step's output is a stranger's: it may retitle the window, move the cursor over earlier lines, hide
//! text with bidirectional controls or split a sequence over two writes. [`Lines`] cuts it into lines and
//! leaves only printable text in them; the full log on disk keeps the bytes as they were.

/// Longest line shown, in bytes; a longer one is cut into several.
const MAX_LINE: usize = 16 * 1024;

/// Cuts one stream into clean lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Adds bytes and returns the lines that they complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let room = MAX_LINE - self.partial.len();
            let newline = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (taken, complete) = match newline {
                Some(at) => (at, true),
                None => (bytes.len().min(room), bytes.len() >= room),
            };
            self.partial.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken + usize::from(newline.is_some())..];
            if complete {
                lines.push(clean(&std::mem::take(&mut self.partial)));
            }
        }
        lines
    }

    /// Ends the stream and returns what was left without a newline.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| clean(&rest))
    }
}

/// Returns the text of one line as a terminal would show it at the end, without anything that steers one.
pub fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown = without_sequences(text.trim_end_matches('\r'));
    // A progress bar rewrites its line: what counts is what was written last.
    let last = shown
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or_default();
    without_commands(last.chars().filter_map(visible).collect())
}

/// Returns text of our own that quotes strangers, in lines that no CI runner takes for commands.
pub fn guard(text: &str) -> String {
    let guarded = text.split_inclusive('\n').map(|line| {
        let line = without_commands(line.to_owned());
        match line.trim_start().starts_with("::") {
            true => format!(" | {line}"),
            false => line,
        }
    });
    guarded.collect()
}

/// Breaks up what CI runners take for commands wherever in a line it stands: `##[`, `##vso[`, `##teamcity[`. Those that
/// must begin a line (`::set-output`) never do: every line of a step is shown behind something else.
fn without_commands(text: String) -> String {
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("##") {
        let (before, hashes) = rest.split_at(at + 1);
        out.push_str(before);
        let word = hashes[1..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        if word.starts_with('[') {
            out.push(' ');
        }
        rest = hashes;
    }
    if out.is_empty() {
        return text;
    }
    out + rest
}

/// Drops escape sequences whole (ECMA-48 §5.4 control sequences, §5.6 control strings).
fn without_sequences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let introducer = match c {
            '\u{1b}' => chars.next(),
            '\u{9b}' => Some('['),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => Some(']'),
            _ => {
                out.push(c);
                continue;
            }
        };
        match introducer {
            Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    if c == '\u{7}' || c == '\u{9c}' || (c == '\u{1b}' && chars.next().is_some()) {
                        break;
                    }
                }
            }
            Some(' '..='/') => {
                let _final_byte = chars.next();
            }
            _ => {}
        }
    }
    out
}

/// Returns what stands for a character, if anything does.
fn visible(c: char) -> Option<char> {
    match c {
        '\t' => Some(c),
        c if c.is_control() => None,
        // Bidirectional controls, byte-order mark and line separators reorder or hide what is around them.
        '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{2028}'
        | '\u{2029}' => Some('\u{fffd}'),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_steer_a_terminal_are_dropped_and_text_stays() {
        for (raw, shown) in [
            ("plain", "plain"),
            ("a\tb", "a\tb"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://e\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]52;c;aGk=", ""),
            ("\u{1b}[2J\u{1b}[Hx", "x"),
            ("\u{9b}2Jx", "x"),
            ("\u{1b}Pq\u{1b}\\x", "x"),
            ("\u{1b}(Bx", "x"),
            ("10%\r50%\r100%\r", "100%"),
            ("done\r", "done"),
            ("a\u{8}b\u{7}c", "abc"),
            ("ev\u{202e}il", "ev\u{fffd}il"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(clean(raw.as_bytes()), shown, "{raw:?}");
        }
        assert_eq!(clean(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_line_that_would_be_a_command_is_guarded() {
        let text = "error: x\n ::error::y\nz ::not\n##[error]\n";
        assert_eq!(guard(text), "error: x\n |  ::error::y\nz ::not\n# #[error]\n");
    }

    #[test]
    fn commands_of_ci_runners_are_broken_up_and_other_hashes_are_not() {
        for (raw, shown) in [
            ("##[set-output name=x]y", "# #[set-output name=x]y"),
            ("a ##[error]b ##vso[task]c", "a # #[error]b # #vso[task]c"),
            ("##teamcity[x]", "# #teamcity[x]"),
            ("###[x]", "## #[x]"),
            ("#\u{1b}[0m#[error]", "# #[error]"),
            ("## heading ##", "## heading ##"),
            ("#[derive]", "#[derive]"),
            ("####", "####"),
        ] {
            assert_eq!(clean(raw.as_bytes()), shown, "{raw:?}");
        }
    }

    #[test]
    fn lines_are_cut_across_writes_and_a_long_one_is_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\n\nth"), ["two", ""]);
        assert_eq!(lines.finish().as_deref(), Some("th"));
        assert_eq!(lines.finish(), None);
        let long = vec![b'x'; 3 * MAX_LINE + 5];
        assert_eq!(
            lines.push(&long).iter().map(String::len).collect::<Vec<_>>(),
            [MAX_LINE; 3]
        );
        assert_eq!(lines.finish().map(|l| l.len()), Some(5));
    }

    #[test]
    fn a_sequence_split_over_two_writes_does_not_pass() {
        let mut lines = Lines::default();
        assert!(lines.push(b"\x1b").is_empty());
        assert_eq!(lines.push(b"[2Jx\n"), ["x"]);
    }
}
