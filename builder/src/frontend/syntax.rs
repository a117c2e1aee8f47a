//! Who understands a file: `# syntax=` names another frontend, and croze has only its own.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, SourceFile};
use crate::dockerfile;

/// The build argument that replaces the directive.
const NAME: &str = "BUILDKIT_SYNTAX";

/// Refuses a file that is written for another frontend than the Dockerfile's. To be asked before the file is
/// parsed: what is wrong with it as a Dockerfile says nothing then.
///
/// # Errors
/// If the directive, or the build argument that replaces it, names anything but the Dockerfile's own syntax.
pub fn refuse_foreign_syntax(source: &SourceFile, build_args: &BTreeMap<String, String>) -> Result<(), Diagnostic> {
    let refusal = |syntax: &str| {
        Diagnostic::error(format!("the syntax `{syntax}` is not supported"))
            .help("only `docker/dockerfile` and its versions are: other frontends are programs that BuildKit runs")
    };
    match (build_args.get(NAME), dockerfile::syntax(source)) {
        (Some(given), _) if dockerfile::is_own_syntax(given) => Ok(()),
        (Some(given), _) => Err(refusal(given).note(format!("the build argument `{NAME}` asks for it"))),
        (None, Some(directive)) if !dockerfile::is_own_syntax(&directive.value) => {
            Err(refusal(&directive.value).at(directive.span, ""))
        }
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, build_args: &[&str]) -> Option<String> {
        let given = build_args.iter().map(|value| (NAME.to_owned(), (*value).to_owned()));
        let refused = refuse_foreign_syntax(&SourceFile::new("Dockerfile", text), &given.collect());
        refused.err().map(|error| error.message)
    }

    #[test]
    fn only_the_dockerfiles_own_syntax_is_understood() {
        let foreign = Some("the syntax `foobar` is not supported".to_owned());
        assert_eq!(refused("FROM scratch", &[]), None);
        assert_eq!(refused("# syntax=docker/dockerfile:1.7-labs\nFROM scratch", &[]), None);
        assert_eq!(refused("# syntax=foobar\nFROM scratch", &[]), foreign);
        assert_eq!(refused("# syntax=foobar\nFROM scratch", &["dockerfile.v0"]), None);
        assert_eq!(refused("FROM scratch", &["foobar"]), foreign);
    }
}
