//! `FromAsCasing` and `ConsistentInstructionCasing`.

use crate::lint::file::File;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// How a word is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
    Mixed,
}

impl Casing {
    fn of(word: &str) -> Self {
        if word == word.to_lowercase() {
            Self::Lower
        } else if word == word.to_uppercase() {
            Self::Upper
        } else {
            Self::Mixed
        }
    }
}

/// Compares `AS` with its `FROM`. A `FROM` that is mixed itself is the other rule's business.
pub(super) fn of_as(file: &File<'_>, findings: &mut Findings) {
    for stage in &file.dockerfile.stages {
        let (from, Some(r#as)) = (file.from(stage), file.r#as(stage)) else {
            continue;
        };
        let casing = Casing::of(from.value);
        if casing != Casing::Mixed && Casing::of(r#as.value) != casing {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!("'{}' and '{}' keywords' casing do not match", r#as.value, from.value);
            findings.warn(&rule::FROM_AS_CASING, detail, r#as.span);
        }
    }
}

/// Compares every keyword with the majority of those that are all of one case; a draw goes to upper case.
pub(super) fn of_instructions(file: &File<'_>, findings: &mut Findings) {
    let casings: Vec<Casing> = file
        .in_stages()
        .map(|statement| Casing::of(statement.keyword(file).value))
        .collect();
    let count = |wanted| casings.iter().filter(|casing| **casing == wanted).count();
    let (majority, name) = if count(Casing::Lower) > count(Casing::Upper) {
        (Casing::Lower, "lowercase")
    } else {
        (Casing::Upper, "uppercase")
    };
    for (statement, casing) in file.in_stages().zip(&casings) {
        if *casing != majority {
            let keyword = statement.keyword(file);
            findings.go_to(statement.span(), statement.comments());
            let detail = format!(
                "Command '{}' should match the case of the command majority ({name})",
                keyword.value
            );
            findings.warn(&rule::CONSISTENT_INSTRUCTION_CASING, detail, keyword.span);
        }
    }
}
