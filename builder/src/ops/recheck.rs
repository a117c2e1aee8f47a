//! Whether a step saw what its key says: a context is digested first, and mounted where it is when the step runs.

use std::collections::{BTreeSet, HashMap};

use super::{Ops, Value, blocking, files};
use crate::context::Selection;
use crate::diagnostic::Diagnostic;
use crate::graph::Vertex;
use crate::op::{MountSource, Op, RunOp};
use crate::solver::Serves;

/// Looks once more at what a step that has ended was shown of contexts, against what was digested `before` for its key. What
/// somebody has touched since, even if it is as before again, the step may have seen otherwise.
pub(super) async fn serves(
    ops: &Ops,
    vertex: &Vertex<Op>,
    op: &RunOp,
    inputs: &[Value],
    mut before: HashMap<usize, Vec<Selection>>,
) -> Serves {
    for input in shown(op) {
        let Some(context @ Value::Context(_)) = inputs.get(input).cloned() else {
            continue;
        };
        let Some(before) = before.remove(&input) else {
            return Serves::This;
        };
        let (stacks, op) = (ops.stacks.clone(), vertex.op.clone());
        let looked = blocking(move || {
            let now = files::selections(&stacks, &op, input, &context)?;
            let is_untouched = |(now, before): (&Selection, &Selection)| now.is_untouched_since(before);
            Ok(now.len() == before.len() && now.iter().zip(&before).all(is_untouched))
        });
        // What cannot be looked at any more has changed, too.
        if !matches!(looked.await, Ok(true)) {
            let name = &vertex.meta.name;
            let warning = format!("files changed while `{name}` used them: no other build will have its result");
            ops.progress.warn(Diagnostic::warning(warning));
            return Serves::This;
        }
    }
    Serves::Every
}

/// Returns the inputs that a step is shown in place.
fn shown(op: &RunOp) -> BTreeSet<usize> {
    let inputs = op.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { input, .. } => *input,
        _ => None,
    });
    inputs.collect()
}
