//! `SecretsUsedInArgOrEnv`: variables whose names speak of secrets, which stay in the image or its history.

use super::StageRule;
use crate::dockerfile::InstructionKind;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Words that tell of a secret; a name has them between underscores or at its ends, in any case.
const SUSPICIOUS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];
/// Words that take the suspicion away.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Warns of `ARG` and `ENV`.
pub(super) struct Secrets;

impl StageRule for Secrets {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Instruction { instruction, .. } = seen else {
            return;
        };
        let (keyword, names): (_, Vec<_>) = match &instruction.kind {
            InstructionKind::Arg(arguments) => ("ARG", arguments.iter().map(|argument| &argument.name).collect()),
            InstructionKind::Env(pairs) => ("ENV", pairs.iter().map(|pair| &pair.key).collect()),
            _ => return,
        };
        for name in names.into_iter().filter(|name| is_secret(name)) {
            let detail = format!(
                "Do not use ARG or ENV instructions for sensitive data ({keyword} \"{}\")",
                name.value
            );
            findings.warn(&rule::SECRETS_USED_IN_ARG_OR_ENV, detail, name.span);
        }
    }
}

fn is_secret(name: &str) -> bool {
    let has = |words: &[&str]| {
        name.split('_')
            .any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
    };
    has(&SUSPICIOUS) && !has(&HARMLESS)
}
