//! The reasons that people are given.

use std::collections::BTreeMap;

use super::toy::Number;
use super::toy::Toy::{Add, Again, Context, Copy, Image};
use super::workshop::{Sketch, Workshop, jobs};
use crate::cache::Change;
use crate::graph::VertexId;
use crate::solver::{MissReason, Observer};

fn app(step: i64, flag: i64) -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("context", Context("context"), &[]),
        ("build.step", Add(step), &["base"]),
        ("build.compile", Add(flag), &["build.step"]),
        ("final.copy", Copy, &["base", "build.compile"]),
        ("final.files", Copy, &["final.copy", "context"]),
        ("final.run", Add(5), &["final.files"]),
    ])
}

fn workshop() -> Workshop {
    Workshop::new(&[("base", 100), ("context", 40)])
}

/// Plans the last step, and returns the lines of what runs.
async fn runs(workshop: &Workshop, sketch: &Sketch) -> Vec<String> {
    let text = workshop.plan_text(sketch, &["final.run"]).await;
    let runs = text.lines().filter_map(|line| line.strip_prefix("run       "));
    runs.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_first_build_has_nothing_to_compare_with() {
    for line in runs(&workshop(), &app(1, 2)).await {
        assert!(line.ends_with(": no earlier build of it is in the cache"), "{line}");
    }
}

#[tokio::test]
async fn an_edited_instruction_is_named_and_what_follows_from_it_names_its_input() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    assert_eq!(
        runs(&workshop, &app(3, 2)).await,
        [
            "build.step: the instruction, or a value in it, is new since the last build",
            "build.compile: `build.step`, on which it builds, runs again",
            "final.copy: `build.compile` runs again; it need not if the files that it reads from there stay the same",
            "final.files: `final.copy`, on which it builds, runs again",
            "final.run: `final.files`, on which it builds, runs again",
        ]
    );
}

#[tokio::test]
async fn changed_files_of_the_context_are_named() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    workshop.world.set("context", 50);
    assert_eq!(
        runs(&workshop, &app(1, 2)).await,
        [
            "final.files: files that it reads from `context` have changed",
            "final.run: `final.files`, on which it builds, runs again",
        ]
    );
}

#[tokio::test]
async fn a_changed_base_is_named() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    workshop.world.set("base", 200);
    let runs = runs(&workshop, &app(1, 2)).await;
    assert_eq!(runs[0], "build.step: its base `base` has changed since the last build");
    assert_eq!(runs[2], "final.copy: its base `base` has changed since the last build");
}

#[tokio::test]
async fn an_instruction_put_before_another_does_not_make_the_other_look_edited() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    let longer = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("context", Context("context"), &[]),
        ("build.inserted", Add(9), &["base"]),
        ("build.step", Add(1), &["build.inserted"]),
        ("build.compile", Add(2), &["build.step"]),
        ("final.run", Add(5), &["build.compile"]),
    ]);
    assert_eq!(
        runs(&workshop, &longer).await,
        [
            "build.inserted: the instruction, or a value in it, is new since the last build",
            "build.step: `build.inserted`, on which it builds, runs again",
            "build.compile: `build.step`, on which it builds, runs again",
            "final.run: `build.compile`, on which it builds, runs again",
        ]
    );
}

#[tokio::test]
async fn a_step_on_a_cached_input_that_it_was_not_last_built_on_says_so() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    workshop.build(&app(3, 2), &["build.step"]).await;
    let runs = runs(&workshop, &app(3, 2)).await;
    assert_eq!(
        runs[0],
        "build.compile: `build.step`, on which it builds, is not that of the last build"
    );
}

#[tokio::test]
async fn a_result_that_is_gone_and_a_cache_that_is_off_are_named() {
    let workshop = workshop();
    let key = workshop.key(&app(1, 2), "final.run").await;
    workshop.evict(key);
    assert_eq!(
        runs(&workshop, &app(1, 2)).await,
        ["final.run: its result is gone from the store"]
    );
    let again = Sketch::new(&[("base", Image("base"), &[]), ("final.run", Again(5), &["base"])]);
    assert_eq!(runs(&workshop, &again).await, ["final.run: the cache is off for it"]);
}

#[tokio::test]
async fn builds_of_another_scope_are_not_compared_with() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    let mut problem = workshop.problem(&app(3, 2), &["build.step"]);
    problem.scope = "another Dockerfile".to_owned();
    let plan = crate::solver::plan(&problem).await.unwrap();
    assert!(
        plan.display(&problem.graph)
            .to_string()
            .contains("build.step: no earlier build")
    );
}

/// Collects the reasons with which vertices start.
#[derive(Default)]
struct Reasons(BTreeMap<VertexId, String>);

impl Observer<Number> for Reasons {
    fn started(&mut self, vertex: VertexId, reason: &MissReason, _changes: &[Change]) {
        self.0.insert(vertex, reason.to_string());
    }
}

#[tokio::test]
async fn a_reason_that_the_plan_could_not_know_is_known_at_the_start() {
    let workshop = workshop();
    workshop.build(&app(1, 2), &["final.run"]).await;
    let mut reasons = Reasons::default();
    let sketch = app(1, 32);
    workshop
        .solve_within(&sketch, &["final.run"], jobs(1), &mut reasons)
        .await
        .unwrap();
    assert_eq!(
        reasons.0.get(&sketch.id("final.copy")).map(String::as_str),
        Some("files that it reads from `build.compile` have changed")
    );
    assert_eq!(
        reasons.0.get(&sketch.id("final.run")).map(String::as_str),
        Some("`final.files`, on which it builds, runs again")
    );
}
