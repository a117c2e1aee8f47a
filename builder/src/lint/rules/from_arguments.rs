//! `UndefinedArgInFrom` and `InvalidDefaultArgInFrom`.

use registry::oci::Reference;

use crate::diagnostic::did_you_mean;
use crate::lint::file::File;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of variables in `FROM` that no global `ARG` declares.
pub(super) fn undefined(file: &File<'_>, findings: &mut Findings) {
    let Some(globals) = &file.globals else { return };
    for stage in &file.dockerfile.stages {
        for word in std::iter::once(&stage.base).chain(&stage.platform) {
            let Ok(expanded) = globals.expand(word) else { continue };
            for name in expanded.unset.iter().filter(|name| !globals.knows(name)) {
                findings.go_to(stage.span, &stage.comments);
                let suggestion = did_you_mean(name, globals.names());
                let detail = format!("FROM argument '{name}' is not declared{suggestion}");
                findings.warn(&rule::UNDEFINED_ARG_IN_FROM, detail, word.span);
            }
        }
    }
}

/// Warns of base images whose name is none unless the command line gives arguments.
pub(super) fn invalid_default(file: &File<'_>, findings: &mut Findings) {
    let Some(defaults) = &file.defaults else { return };
    for stage in &file.dockerfile.stages {
        let Ok(name) = defaults.expand(&stage.base) else { return };
        if name.text.parse::<Reference>().is_err() {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base.value
            );
            findings.warn(&rule::INVALID_DEFAULT_ARG_IN_FROM, detail, stage.base.span);
        }
    }
}
