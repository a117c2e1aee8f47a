//! `RUN`.

use super::{command, statement::Statement};
use crate::diagnostic::did_you_mean;
use crate::{
    diagnostic::{Diagnostic, Spanned},
    dockerfile::{
        device,
        flags::Takes,
        instruction::{Heredoc, InstructionKind},
        mount,
    },
};

pub(super) fn run(statement: &Statement<'_>, heredocs: Vec<Heredoc>) -> Result<InstructionKind, Diagnostic> {
    let flags = &statement.flags;
    flags.check(&[
        ("mount", Takes::Values),
        ("network", Takes::Value),
        ("security", Takes::Value),
        ("device", Takes::Values),
    ])?;
    let network = flags.value("network");
    let security = flags.value("security");
    one_of(network.as_ref(), "invalid network mode", &["default", "none", "host"])?;
    one_of(security.as_ref(), "invalid security mode", &["sandbox", "insecure"])?;
    let mounts = flags
        .named("mount")
        .map(|flag| mount::parse(flag.value(), flag.span))
        .collect::<Result<_, _>>()?;
    let devices = flags
        .named("device")
        .filter(|flag| !flag.value().text().is_empty())
        .map(|flag| device::parse(flag.value()))
        .collect::<Result<_, _>>()?;
    Ok(InstructionKind::Run {
        command: command::form(statement, heredocs),
        mounts,
        network,
        security,
        devices,
    })
}

fn one_of(value: Option<&Spanned<String>>, message: &str, known: &[&str]) -> Result<(), Diagnostic> {
    match value {
        Some(value) if !known.contains(&value.as_str()) => {
            let suggestion = did_you_mean(value, known.iter().copied());
            Err(Diagnostic::error(format!("{message} \"{}\"{suggestion}", value.value))
                .at(value.span, "")
                .help(format!("`{}`", known.join("`, `"))))
        }
        _ => Ok(()),
    }
}
