//! The graph as a drawing: a row for each distance from the sources, boxes in the order of the steps.

use std::fmt::Write as _;

use super::super::{BuildRecord, StepResult};
use super::{color, label};

/// Width and height of a box, and the space between boxes and rows, in pixels.
const BOX: (usize, usize) = (400, 44);
const GAP: (usize, usize) = (24, 40);

/// Returns the graph as an SVG document.
pub fn svg(build: &BuildRecord) -> String {
    let rows = rows(build);
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let size = (width * (BOX.0 + GAP.0) + GAP.0, rows.len() * (BOX.1 + GAP.1) + GAP.1);
    let mut places = vec![(0, 0); build.steps.len()];
    for (row, steps) in rows.iter().enumerate() {
        // Rows are centred, so that what is alone in its row stands below what it is made from.
        let left = (width - steps.len()) * (BOX.0 + GAP.0) / 2 + GAP.0;
        for (column, step) in steps.iter().enumerate() {
            places[*step] = (left + column * (BOX.0 + GAP.0), row * (BOX.1 + GAP.1) + GAP.1);
        }
    }
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        size.0, size.1
    );
    for (number, step) in build.steps.iter().enumerate() {
        for input in &step.inputs {
            let (from, to) = (places[*input], places[number]);
            let (from, to) = ((from.0 + BOX.0 / 2, from.1 + BOX.1), (to.0 + BOX.0 / 2, to.1));
            let middle = (from.1 + to.1) / 2;
            let _infallible = writeln!(
                text,
                "<path d=\"M{} {} C{} {middle} {} {middle} {} {}\" fill=\"none\" stroke=\"#9ca3af\"/>",
                from.0, from.1, from.0, to.0, to.0, to.1
            );
        }
    }
    for (number, step) in build.steps.iter().enumerate() {
        let (x, y) = places[number];
        let dashes = match step.result {
            StepResult::Unneeded | StepResult::NotReached => " stroke-dasharray=\"4 3\"",
            _ => "",
        };
        let label = label(step, "\n");
        let (name, result) = label.split_once('\n').unwrap_or((&label, ""));
        let _infallible = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"{}\" stroke=\"#6b7280\"{dashes}/>\n\
             <text x=\"{tx}\" y=\"{}\">{}</text>\n<text x=\"{tx}\" y=\"{}\" fill=\"#4b5563\">{}</text>",
            BOX.0,
            BOX.1,
            color(build, step),
            y + 18,
            escape(name),
            y + 35,
            escape(result),
            tx = x + 10,
        );
    }
    text + "</svg>\n"
}

/// Returns the steps by their distance from the sources.
fn rows(build: &BuildRecord) -> Vec<Vec<usize>> {
    let mut distances: Vec<usize> = Vec::new();
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for (number, step) in build.steps.iter().enumerate() {
        // Inputs come first; one that does not is no input.
        let below = step.inputs.iter().filter_map(|input| distances.get(*input)).max();
        let distance = below.map_or(0, |below| below + 1);
        distances.push(distance);
        if rows.len() <= distance {
            rows.resize(distance + 1, Vec::new());
        }
        rows[distance].push(number);
    }
    rows
}

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::example;
    use super::*;

    #[test]
    fn every_step_is_below_its_inputs_and_every_edge_is_drawn() {
        let build = example();
        assert_eq!(rows(&build), [vec![0, 1], vec![2, 4], vec![3]]);
        let svg = svg(&build);
        assert_eq!(svg.matches("<path ").count(), 4);
        assert_eq!(svg.matches("rx=\"6\"").count(), 5);
        assert!(svg.ends_with("</svg>\n"));
    }
}
