//! The steps of a build as a graph: text, DOT, mermaid and SVG, coloured by what became of them and how long they took.

mod svg;

use std::fmt::Write as _;

use super::{BuildRecord, Step, StepResult, line, seconds};

pub use svg::svg;

/// Characters of a name that are shown in a drawing.
const NAME: usize = 60;

/// Returns a line for each step, with the numbers of its inputs.
pub fn text(build: &BuildRecord) -> String {
    let mut text = String::new();
    for (number, step) in build.steps.iter().enumerate() {
        let inputs: Vec<String> = step.inputs.iter().map(ToString::to_string).collect();
        let arrow = if inputs.is_empty() { "" } else { " <- " };
        let took = took(step).map(|took| format!("  {took}")).unwrap_or_default();
        let word = step.result.word();
        let _infallible = writeln!(
            text,
            "{number:>3}{arrow}{}: {word} {}{took}",
            inputs.join(", "),
            line(&step.name)
        );
    }
    text
}

/// Returns the graph in Graphviz's language.
pub fn dot(build: &BuildRecord) -> String {
    let mut text =
        "digraph build {\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n".to_owned();
    for (number, step) in build.steps.iter().enumerate() {
        let label = label(step, "\n")
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let color = color(build, step);
        let _infallible = writeln!(text, "  s{number} [label=\"{label}\", fillcolor=\"{color}\"];");
        for input in &step.inputs {
            let _infallible = writeln!(text, "  s{input} -> s{number};");
        }
    }
    text + "}\n"
}

/// Returns the graph in mermaid's language.
pub fn mermaid(build: &BuildRecord) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (number, step) in build.steps.iter().enumerate() {
        // Its own entities: names of characters between `#` and `;`.
        let escaped: String = label(step, "\n")
            .chars()
            .map(|c| match c {
                '\n' => "<br/>".to_owned(),
                c if c.is_alphanumeric() || " []/.:-_,".contains(c) => c.to_string(),
                c => format!("#{};", u32::from(c)),
            })
            .collect();
        let _infallible = writeln!(text, "  s{number}[\"{escaped}\"]");
        let _infallible = writeln!(text, "  style s{number} fill:{}", color(build, step));
        for input in &step.inputs {
            let _infallible = writeln!(text, "  s{input} --> s{number}");
        }
    }
    text
}

/// Returns what a drawing says of a step.
fn label(step: &Step, newline: &str) -> String {
    let name = line(&step.name);
    let name = match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    };
    let took = took(step).map(|took| format!(", {took}")).unwrap_or_default();
    format!("{name}{newline}{}{took}", step.result.word())
}

fn took(step: &Step) -> Option<String> {
    step.took_ms.map(seconds)
}

/// Returns the colour of a step: of those that ran, the longer they took of what the longest took, the darker.
fn color(build: &BuildRecord, step: &Step) -> &'static str {
    const RAN: [&str; 4] = ["#ffedd5", "#fed7aa", "#fdba74", "#fb923c"];
    match step.result {
        StepResult::Source => "#dbeafe",
        StepResult::Hit => "#bbf7d0",
        StepResult::Failed => "#fca5a5",
        StepResult::Cancelled | StepResult::NotReached => "#e5e7eb",
        StepResult::Unneeded => "#f9fafb",
        StepResult::Ran => {
            let longest = build
                .steps
                .iter()
                .filter_map(|step| step.took_ms)
                .max()
                .unwrap_or(0)
                .max(1);
            let share = step.took_ms.unwrap_or(0).saturating_mul(RAN.len() as u64) / longest;
            RAN[usize::try_from(share).unwrap_or(0).min(RAN.len() - 1)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn the_text_has_a_line_for_each_step() {
        let expected = "  0: source FROM busybox\n  1: source [internal] load build context\n  2 <- 0: hit \
                        [build 2/3] RUN <make> \"all\" | cat\n  3 <- 2, 1: ran [build 3/3] COPY . /src  1.2s\n  4 <- 0: \
                        unneeded [other 2/2] RUN x\n";
        assert_eq!(text(&example()), expected);
    }

    #[test]
    fn names_cannot_break_out_of_the_languages() {
        let mut build = example();
        build.steps[2].name = "a\\\" ] } --> <script> #35; `x`\n".to_owned();
        let dot = dot(&build);
        assert!(
            dot.contains("label=\"a\\\\\\\" ] } --> <script> #35; `x` \\nhit\""),
            "{dot}"
        );
        let mermaid = mermaid(&build);
        assert!(
            mermaid.contains("s2[\"a#92;#34; ] #125; --#62; #60;script#62; #35;35#59; #96;x#96; <br/>hit\"]"),
            "{mermaid}"
        );
        let svg = svg(&build);
        assert!(
            svg.contains("--&gt; &lt;script&gt; #35; `x`") && !svg.contains("<script"),
            "{svg}"
        );
    }

    #[test]
    fn what_took_longest_is_the_darkest() {
        let mut build = example();
        build.steps[2].result = StepResult::Ran;
        build.steps[2].took_ms = Some(10);
        assert_eq!(color(&build, &build.steps[2]), "#ffedd5");
        assert_eq!(color(&build, &build.steps[3]), "#fb923c");
    }
}
