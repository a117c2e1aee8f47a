//! What a plan says, and that making it does nothing.

use super::toy::Toy::{Add, Again, Context, Copy, Fail, Image};
use super::workshop::{Sketch, Workshop};
use crate::solver::{Decision, Failure, plan};

fn chain() -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Add(1), &["base"]),
        ("two", Add(2), &["one"]),
        ("aside", Fail, &["base"]),
    ])
}

#[tokio::test]
async fn what_the_targets_do_not_need_is_neither_pinned_nor_planned_nor_run() {
    let workshop = Workshop::new(&[("base", 10), ("other", 20)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("other", Context("other"), &[]),
        ("aside", Fail, &["other"]),
        ("one", Add(1), &["base"]),
    ]);
    let plan = workshop.plan(&sketch, &["one"]).await;
    assert_eq!(plan.get(sketch.id("aside")), None);
    assert_eq!(workshop.build(&sketch, &["one"]).await, [11]);
    assert!(
        !workshop
            .world
            .done()
            .iter()
            .any(|line| line.contains("other") || line.contains("aside"))
    );
}

#[tokio::test]
async fn a_plan_runs_nothing_and_writes_nothing() {
    let workshop = Workshop::new(&[("base", 10)]);
    let plan = workshop.plan(&chain(), &["two"]).await;
    assert!(!plan.is_complete());
    assert_eq!(workshop.world.ran(), [""; 0]);
    assert_eq!(workshop.cache.counts(), (0, 0));
}

#[tokio::test]
async fn a_plan_that_finds_a_hit_by_content_writes_nothing_either() {
    let workshop = Workshop::new(&[("base", 100), ("lib", 41)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("lib", Image("lib"), &[]),
        ("copy", Copy, &["base", "lib"]),
    ]);
    workshop.build(&sketch, &["copy"]).await;
    workshop.world.set("lib", 42);
    let before = workshop.cache.counts();
    assert!(workshop.plan(&sketch, &["copy"]).await.is_complete());
    assert_eq!(workshop.cache.counts(), before);
    workshop.build(&sketch, &["copy"]).await;
    assert_ne!(workshop.cache.counts(), before, "executing saves the new definition");
}

#[tokio::test]
async fn a_hit_hides_what_it_was_made_from_and_loads_none_of_it() {
    let workshop = Workshop::new(&[("base", 10)]);
    workshop.build(&chain(), &["two"]).await;
    workshop.world.done();
    assert_eq!(
        workshop.plan_text(&chain(), &["two"]).await,
        "unneeded  base\nunneeded  one\nhit       two\n"
    );
    assert_eq!(workshop.world.done(), ["pin base", "pinned base", "load two"]);
}

#[tokio::test]
async fn a_hit_on_top_hides_that_a_record_below_it_is_lost() {
    let workshop = Workshop::new(&[("base", 10)]);
    let one = workshop.key(&chain(), "one").await;
    workshop.build(&chain(), &["two"]).await;
    workshop.cache.forget(one);
    let plan = workshop.plan(&chain(), &["two"]).await;
    assert!(plan.is_complete());
    assert_eq!(
        plan.get(chain().id("one")).map(|planned| &planned.decision),
        Some(&Decision::Unneeded { cached: false })
    );
    assert_eq!(workshop.rebuild(&chain(), &["two"]).await, [""; 0]);
}

#[tokio::test]
async fn sources_are_pinned_all_at_once() {
    // Each pin takes a yield; pinned one after the other they would interleave with nothing.
    let workshop = Workshop::new(&[("a", 1), ("b", 2), ("c", 3)]);
    let sketch = Sketch::new(&[
        ("a", Image("a"), &[]),
        ("b", Image("b"), &[]),
        ("c", Context("c"), &[]),
        ("sum", Add(0), &["a", "b", "c"]),
    ]);
    workshop.plan(&sketch, &["sum"]).await;
    assert_eq!(
        workshop.world.done(),
        ["pin a", "pin b", "pin c", "pinned a", "pinned b", "pinned c"]
    );
}

#[tokio::test]
async fn a_source_that_cannot_be_pinned_ends_the_plan_with_its_vertex() {
    let workshop = Workshop::new(&[]);
    let failure = plan(&workshop.problem(&chain(), &["two"])).await.unwrap_err();
    assert_eq!(failure.vertex(), Some(chain().id("base")));
    assert!(matches!(failure, Failure::Operation { .. }));
}

#[tokio::test]
async fn planning_reads_nothing_that_would_have_to_be_transferred_first() {
    let workshop = Workshop::new(&[("base", 100), ("lib", 41)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("lib", Image("lib"), &[]),
        ("copy", Copy, &["base", "lib"]),
    ]);
    workshop.build(&sketch, &["copy"]).await;
    workshop.world.set("lib", 42);
    workshop.world.set_remote("lib");
    workshop.world.done();
    assert!(!workshop.plan(&sketch, &["copy"]).await.is_complete());
    assert!(!workshop.world.done().contains(&"read copy".to_owned()));
    assert_eq!(
        workshop.rebuild(&sketch, &["copy"]).await,
        [""; 0],
        "execution reads it and hits"
    );
}

#[tokio::test]
async fn the_keys_of_a_plan_do_not_depend_on_the_build() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("context", Context("context"), &[]),
        ("copy", Copy, &["base", "context"]),
        ("fresh", Again(1), &["copy"]),
    ]);
    let (first, second) = (
        workshop.plan(&sketch, &["fresh"]).await,
        workshop.plan(&sketch, &["fresh"]).await,
    );
    let key = |plan: &crate::solver::Plan<_>, name| plan.get(sketch.id(name)).map(|planned| planned.key);
    assert_eq!(key(&first, "copy"), key(&second, "copy"));
    assert_ne!(key(&first, "fresh"), key(&second, "fresh"), "unless the cache is off");
    assert_ne!(
        key(&first, "context"),
        key(&second, "context"),
        "or nothing names the source"
    );
}
