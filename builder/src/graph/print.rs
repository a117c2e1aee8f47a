//! The graph as plain text: one line per vertex, inputs first.

use std::fmt;

use super::Graph;
use crate::op::key::Define;

impl<O: Define> fmt::Display for Graph<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for vertex in self.iter() {
            write!(f, "{}", vertex.id)?;
            for (position, input) in vertex.inputs.iter().enumerate() {
                write!(f, "{}{input}", if position == 0 { " <- " } else { ", " })?;
            }
            let kind = vertex.op.kind();
            let kind = kind.split_once('/').map_or(kind, |(name, _version)| name);
            // A name can hold what a Dockerfile holds; a line stays a line, and a terminal is not steered.
            let name = vertex.meta.name.replace(char::is_control, " ");
            writeln!(f, ": {kind} {name}")?;
        }
        Ok(())
    }
}
