//! A plan as text: one line for each vertex.

use std::fmt;

use super::{Decision, Plan};
use crate::cache::tell;
use crate::graph::Graph;

/// Shows a plan with the names of its graph.
pub(super) struct Printed<'a, V, O> {
    plan: &'a Plan<V>,
    graph: &'a Graph<O>,
}

impl<'a, V, O> Printed<'a, V, O> {
    pub(super) fn new(plan: &'a Plan<V>, graph: &'a Graph<O>) -> Self {
        Self { plan, graph }
    }
}

impl<V, O> fmt::Display for Printed<'_, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, planned) in self.plan.iter() {
            let name = self.graph.vertex(id).meta.name.replace(char::is_control, " ");
            match &planned.decision {
                Decision::Source => writeln!(f, "source    {name}")?,
                Decision::Hit => writeln!(f, "hit       {name}")?,
                Decision::Run(reason) if planned.changes.is_empty() => writeln!(f, "run       {name}: {reason}")?,
                Decision::Run(reason) => writeln!(f, "run       {name}: {reason}: {}", tell(&planned.changes))?,
                Decision::Unneeded { .. } => writeln!(f, "unneeded  {name}")?,
            }
        }
        Ok(())
    }
}
