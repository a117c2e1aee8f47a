//! Any text is read or refused, and says the same when it is printed or has other line breaks.

use std::sync::Arc;

use builder::diagnostic::{Diagnostic, SourceFile, Span};
use builder::dockerfile::{Dockerfile, Instruction, InstructionKind, parse, parse_trigger};

use super::{meaning, print::assert_printed_parses_back};

/// Line breaks of two bytes may make a longer line too long.
const SURELY_SHORT: usize = 60_000;

/// Checks a Dockerfile.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = read(&text);
    match &read {
        Ok(file) => {
            for instruction in file
                .globals
                .iter()
                .chain(file.stages.iter().flat_map(|stage| &stage.instructions))
            {
                assert_inside(&text, instruction.span);
                assert_inside(&text, instruction.keyword.span);
                assert_trigger_is_read_alone(file, instruction);
            }
            file.stages.iter().for_each(|stage| assert_inside(&text, stage.span));
            assert!(!file.stages.is_empty());
            assert_printed_parses_back(&text);
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            let labels = errors.iter().flat_map(|error| &error.labels);
            labels.for_each(|label| assert_inside(&text, label.span));
        }
    }
    if !text.contains('\r') && text.len() < SURELY_SHORT {
        assert_same_with_other_line_breaks(&text, &read);
    }
}

fn read(text: &str) -> Result<Dockerfile, Vec<Diagnostic>> {
    parse(Arc::new(SourceFile::new("Dockerfile", text)))
}

fn assert_inside(text: &str, span: Span) {
    assert!(text.get(span.range()).is_some(), "{span:?} is no part of:\n{text}");
}

/// The text of a trigger means the same in the config of an image, where no directive changes the escape character and
/// nobody looks for flags before its keyword.
fn assert_trigger_is_read_alone(file: &Dockerfile, instruction: &Instruction) {
    let InstructionKind::Onbuild { expression, trigger } = &instruction.kind else {
        return;
    };
    if file.escape != '\\' || expression.starts_with("--") || expression.len() > SURELY_SHORT {
        return;
    }
    let (_, alone) = parse_trigger("trigger", expression)
        .unwrap_or_else(|errors| panic!("{:?} is refused alone: {errors:?}", expression.value));
    assert_eq!(meaning::of(&alone.kind), meaning::of(&trigger.kind));
}

/// Bodies of heredocs keep their line breaks; all else is the same.
fn assert_same_with_other_line_breaks(text: &str, read_before: &Result<Dockerfile, Vec<Diagnostic>>) {
    let other = text.replace('\n', "\r\n");
    match (read_before, &read(&other)) {
        (Ok(before), Ok(after)) => {
            let with_same_breaks = |file| meaning::of_file(file).replace("\\r\\n", "\\n");
            assert_eq!(with_same_breaks(before), with_same_breaks(after), "with CR LF:\n{text}");
            assert_eq!(before.empty_continuations.len(), after.empty_continuations.len());
        }
        (Err(before), Err(after)) => {
            let messages = |errors: &[Diagnostic]| -> Vec<String> {
                let messages = errors.iter().map(|error| error.message.clone());
                messages.collect()
            };
            assert_eq!(messages(before), messages(after), "with CR LF:\n{text}");
        }
        (before, after) => panic!("{before:?}\nwith CR LF {after:?}"),
    }
}
