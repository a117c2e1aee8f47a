//! `StageNameCasing`, `DuplicateStageName` and `ReservedStageName`.

use std::collections::BTreeSet;

use crate::lint::file::File;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Names that mean something else in `FROM` and `--from`.
const RESERVED: [&str; 2] = ["context", "scratch"];

pub(super) fn casing(file: &File<'_>, findings: &mut Findings) {
    for stage in &file.dockerfile.stages {
        let Some(name) = &stage.name else { continue };
        let written = file.text(name.span);
        if written != written.to_lowercase() {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!("Stage name '{written}' should be lowercase");
            findings.warn(&rule::STAGE_NAME_CASING, detail, name.span);
        }
    }
}

pub(super) fn duplicate(file: &File<'_>, findings: &mut Findings) {
    let mut known = BTreeSet::new();
    for stage in &file.dockerfile.stages {
        let Some(name) = &stage.name else { continue };
        if !known.insert(name.as_str()) {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!("Duplicate stage name \"{}\", stage names should be unique", name.value);
            findings.warn(&rule::DUPLICATE_STAGE_NAME, detail, name.span);
        }
    }
}

pub(super) fn reserved(file: &File<'_>, findings: &mut Findings) {
    for stage in &file.dockerfile.stages {
        let Some(name) = &stage.name else { continue };
        if RESERVED.contains(&name.as_str()) {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!(
                "Stage name should not use the same name as reserved stage \"{}\"",
                name.value
            );
            findings.warn(&rule::RESERVED_STAGE_NAME, detail, name.span);
        }
    }
}
