//! Instructions that only note something: `ENV`, `LABEL`, `USER`, `VOLUME`, `MAINTAINER`, `ONBUILD`.

use registry::oci::Empty;

use crate::diagnostic::{Diagnostic, Spanned};
use crate::dockerfile::KeyValue;
use crate::frontend::history::list;
use crate::frontend::lowering::Lowering;
use crate::frontend::stage::OpenStage;

pub(super) fn env(pairs: &[KeyValue], stage: &mut OpenStage, lowering: &Lowering<'_>) -> Result<(), Diagnostic> {
    let pairs = expand(pairs, stage, lowering)?;
    stage.state.record(format!("ENV{}", joined(&pairs)));
    for (name, value) in pairs {
        stage.state.set_env(&name, &value);
    }
    Ok(())
}

pub(super) fn label(pairs: &[KeyValue], stage: &mut OpenStage, lowering: &Lowering<'_>) -> Result<(), Diagnostic> {
    let pairs = expand(pairs, stage, lowering)?;
    stage.state.record(format!("LABEL{}", joined(&pairs)));
    stage.state.config.config.labels.extend(pairs);
    Ok(())
}

pub(super) fn user(user: &Spanned<String>, stage: &mut OpenStage, lowering: &Lowering<'_>) -> Result<(), Diagnostic> {
    let user = lowering.word(user, stage)?;
    stage.state.record(format!("USER {user}"));
    stage.state.config.config.user = user;
    Ok(())
}

pub(super) fn volume(
    paths: &[Spanned<String>],
    stage: &mut OpenStage,
    lowering: &Lowering<'_>,
) -> Result<(), Diagnostic> {
    let mut expanded = Vec::new();
    for path in paths {
        let volume = lowering.word(path, stage)?;
        if volume.is_empty() {
            return Err(Diagnostic::error("VOLUME specified can not be an empty string").at(path.span, ""));
        }
        expanded.push(volume);
    }
    stage.state.record(format!("VOLUME {}", list(&expanded)));
    let volumes = expanded.into_iter().map(|path| (path, Empty {}));
    stage.state.config.config.volumes.extend(volumes);
    Ok(())
}

pub(super) fn maintainer(name: &Spanned<String>, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    stage.state.record(format!("MAINTAINER {}", name.value));
    stage.state.config.author = Some(name.value.clone());
    Ok(())
}

/// Keeps a trigger for images that will be made from this one; the history does not mention it.
pub(super) fn onbuild(expression: &Spanned<String>, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    stage.state.config.config.on_build.push(expression.value.clone());
    Ok(())
}

/// Expands keys and values; all see the environment as it was before the instruction.
fn expand(pairs: &[KeyValue], stage: &OpenStage, lowering: &Lowering<'_>) -> Result<Vec<(String, String)>, Diagnostic> {
    let word = |word| lowering.word(word, stage);
    pairs
        .iter()
        .map(|pair| Ok((word(&pair.key)?, word(&pair.value)?)))
        .collect()
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}
