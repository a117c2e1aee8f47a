//! Tests of the graph on operations that are just letters.

use super::{Graph, GraphBuilder, Meta, VertexId};
use crate::op::key::{Define, KeyHasher};

/// A letter, and a mark that enters no key.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Letter(char, bool);

impl Define for Letter {
    fn kind(&self) -> &'static str {
        "letter/1"
    }

    fn define(&self, hasher: &mut KeyHasher) {
        hasher.number(u32::from(self.0));
    }
}

fn meta(name: &str) -> Meta {
    Meta {
        name: name.to_owned(),
        ..Meta::default()
    }
}

fn add(builder: &mut GraphBuilder<Letter>, letter: char, inputs: &[VertexId]) -> VertexId {
    builder.add(Letter(letter, false), inputs.to_vec(), meta(&letter.to_string()))
}

/// `a` and `b` are joined by `c`, which is used twice by `d`; `e` stands alone.
fn diamond() -> (Graph<Letter>, [VertexId; 5]) {
    let mut builder = GraphBuilder::new();
    let a = add(&mut builder, 'a', &[]);
    let b = add(&mut builder, 'b', &[a]);
    let c = add(&mut builder, 'c', &[a, b]);
    let d = add(&mut builder, 'd', &[c, c]);
    let e = add(&mut builder, 'e', &[]);
    (builder.finish(), [a, b, c, d, e])
}

#[test]
fn vertices_come_after_their_inputs() {
    let (graph, ids) = diamond();
    assert_eq!(graph.iter().map(|vertex| vertex.id).collect::<Vec<_>>(), ids);
    assert!(
        graph
            .iter()
            .all(|vertex| vertex.inputs.iter().all(|&input| input < vertex.id))
    );
    assert_eq!(graph.vertex(ids[3]).inputs, [ids[2], ids[2]]);
}

#[test]
fn equal_operations_on_equal_inputs_are_one_vertex() {
    let mut builder = GraphBuilder::new();
    let a = add(&mut builder, 'a', &[]);
    let b = add(&mut builder, 'b', &[a]);
    assert_eq!(builder.add(Letter('b', false), vec![a], meta("another name")), b);
    assert_ne!(add(&mut builder, 'b', &[]), b);
    assert_ne!(add(&mut builder, 'b', &[a, a]), b);
    assert_ne!(add(&mut builder, 'c', &[a]), b);
    let graph = builder.finish();
    assert_eq!(graph.len(), 5);
    assert_eq!(graph.vertex(b).meta.name, "b", "the first name stays");
}

#[test]
fn operations_that_differ_in_what_enters_no_key_are_two_vertices() {
    let mut builder = GraphBuilder::new();
    let plain = builder.add(Letter('a', false), vec![], meta("plain"));
    assert_ne!(builder.add(Letter('a', true), vec![], meta("marked")), plain);
    assert_eq!(builder.add(Letter('a', false), vec![], meta("plain")), plain);
}

#[test]
#[should_panic(expected = "an input of `c` is not in the graph")]
fn an_input_must_exist_so_that_there_is_no_cycle() {
    let (_, [.., d, _]) = diamond();
    let mut builder = GraphBuilder::new();
    add(&mut builder, 'c', &[d]);
}

#[test]
fn ancestors_are_what_the_targets_are_made_from() {
    let (graph, [a, b, c, d, e]) = diamond();
    assert_eq!(graph.ancestors(&[d]).into_iter().collect::<Vec<_>>(), [a, b, c, d]);
    assert_eq!(graph.ancestors(&[b, e]).into_iter().collect::<Vec<_>>(), [a, b, e]);
    assert!(graph.ancestors(&[]).is_empty());
}

#[test]
fn a_graph_prints_one_line_per_vertex() {
    let mut builder = GraphBuilder::new();
    let a = add(&mut builder, 'a', &[]);
    let b = builder.add(Letter('b', false), vec![a], meta("two\nlines \u{1b}[31m"));
    add(&mut builder, 'c', &[a, b]);
    assert_eq!(
        builder.finish().to_string(),
        "v0: letter a\nv1 <- v0: letter two lines  [31m\nv2 <- v0, v1: letter c\n"
    );
}
