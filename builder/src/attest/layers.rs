//! Which layers the result of each step has.

use std::collections::{BTreeMap, HashMap};

use registry::oci::Descriptor;
use serde_json::{Map, Value, json};

use super::Steps;
use crate::graph::{Vertex, VertexId};
use crate::op::{CopyOp, ImageOp, Op, RunOp, WorkdirOp};

/// The layers that are known when a result is complete.
pub struct LayersOf<'a> {
    /// Those of an image that steps start from, lowest first.
    pub image: &'a dyn Fn(&ImageOp) -> Option<Vec<Descriptor>>,
    /// The one that a step has added.
    pub step: &'a HashMap<VertexId, Descriptor>,
}

/// Returns the stack of layers of each step's result, lowest first, under the name of its output. A step that left no
/// layer in the image, as those of other stages, is not there: nobody has packed its files.
///
/// # Errors
/// Only if a descriptor cannot be written as JSON.
pub fn chains(steps: &Steps<'_>, layers: &LayersOf<'_>) -> Result<Value, serde_json::Error> {
    let mut known: BTreeMap<VertexId, Vec<Descriptor>> = BTreeMap::new();
    let mut named = Map::new();
    for vertex in steps.vertices() {
        let Some(chain) = chain(vertex, layers, &known) else {
            continue;
        };
        // BuildKit lists several stacks where a result has several forms; here it has one.
        named.insert(steps.output(vertex.id), json!([serde_json::to_value(&chain)?]));
        known.insert(vertex.id, chain);
    }
    Ok(named.into())
}

fn chain(
    vertex: &Vertex<Op>,
    layers: &LayersOf<'_>,
    known: &BTreeMap<VertexId, Vec<Descriptor>>,
) -> Option<Vec<Descriptor>> {
    let input = |position: usize| known.get(vertex.inputs.get(position)?).cloned();
    match &vertex.op {
        Op::Image(op) => (layers.image)(op),
        Op::Local(_) | Op::Http(_) | Op::Git(_) => None,
        Op::Merge => {
            let mut below = input(0)?;
            below.extend(input(1)?);
            Some(below)
        }
        Op::Run(RunOp { scratch, .. }) | Op::Copy(CopyOp { scratch, .. }) | Op::Workdir(WorkdirOp { scratch, .. }) => {
            let mut below = if *scratch { Vec::new() } else { input(0)? };
            below.push(layers.step.get(&vertex.id)?.clone());
            Some(below)
        }
    }
}
