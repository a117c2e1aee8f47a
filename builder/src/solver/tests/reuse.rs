//! What is made again after a change, and what is not.

use super::toy::Cache;
use super::toy::Toy::{Add, Again, Context, Copy, CopyAgain, Image, Random, Shifting};
use super::workshop::{Sketch, Workshop};
use crate::cache::CacheStore as _;

/// A stage that compiles a context, and one that copies the result.
///
/// `compile` gives the context's number + 1, of which `copy` reads only the tens.
fn two_stages() -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("context", Context("context"), &[]),
        ("build.copy", Copy, &["base", "context"]),
        ("build.compile", Add(1), &["build.copy"]),
        ("final.install", Add(1000), &["base"]),
        ("final.copy", Copy, &["final.install", "build.compile"]),
        ("final.run", Add(5), &["final.copy"]),
    ])
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn a_second_build_runs_nothing() {
    let workshop = Workshop::new(&[("base", 100), ("context", 40)]);
    assert_eq!(workshop.build(&two_stages(), &["final.run"]).await, [1245]);
    assert_eq!(workshop.rebuild(&two_stages(), &["final.run"]).await, NONE);
    assert_eq!(workshop.build(&two_stages(), &["final.run"]).await, [1245]);
}

#[tokio::test]
async fn what_was_made_while_something_changed_serves_its_own_build_only() {
    let workshop = Workshop::new(&[("base", 100)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("shifting", Shifting, &["base"]),
        ("same", Shifting, &["base"]),
        ("above", Add(1), &["shifting"]),
        ("beside", Add(1), &["same"]),
    ]);
    let targets = ["above", "beside"];
    assert_eq!(workshop.build(&sketch, &targets).await, [102, 102]);
    let ran = workshop.rebuild(&sketch, &targets).await;
    assert_eq!(
        ran,
        ["above", "shifting"],
        "it runs again, and what stands on it, once for both"
    );
    let plan = workshop.plan(&sketch, &targets).await;
    let keys = plan.iter().map(|(_, planned)| planned.definition);
    let saved = keys.filter(|key| workshop.cache.lookup(*key).is_some()).count();
    assert_eq!(saved, 0, "under the keys that another build asks for there is nothing");
}

#[tokio::test]
async fn a_change_that_is_not_read_stops_at_once() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    workshop.build(&two_stages(), &["final.run"]).await;
    workshop.world.set("context", 42);
    assert_eq!(workshop.rebuild(&two_stages(), &["final.run"]).await, NONE);
}

#[tokio::test]
async fn a_change_that_is_read_runs_all_that_is_made_from_it_and_nothing_else() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    workshop.build(&two_stages(), &["final.run"]).await;
    workshop.world.set("context", 51);
    assert_eq!(
        workshop.rebuild(&two_stages(), &["final.run"]).await,
        ["build.compile", "build.copy", "final.copy", "final.run"]
    );
    assert_eq!(workshop.build(&two_stages(), &["final.run"]).await, [1255]);
}

#[tokio::test]
async fn a_changed_base_runs_all_that_is_made_from_it() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    workshop.build(&two_stages(), &["final.run"]).await;
    workshop.world.set("base", 200);
    assert_eq!(workshop.rebuild(&two_stages(), &["final.run"]).await.len(), 5);
    assert_eq!(workshop.build(&two_stages(), &["final.run"]).await, [1445]);
}

/// As `two_stages`, but what `compile` adds does not reach the tens that `copy` reads.
fn with_compiler(flag: i64) -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("build.compile", Add(flag), &["base"]),
        ("final.copy", Copy, &["base", "build.compile"]),
        ("final.run", Add(5), &["final.copy"]),
        ("final.test", Add(6), &["final.run"]),
    ])
}

#[tokio::test]
async fn a_change_that_does_not_reach_the_copied_part_stops_there() {
    let workshop = Workshop::new(&[("base", 100)]);
    workshop.build(&with_compiler(1), &["final.test"]).await;
    // The digest of what is copied is known only after the compiler has run: a hit while executing.
    assert_eq!(
        workshop.rebuild(&with_compiler(2), &["final.test"]).await,
        ["build.compile"]
    );
    assert_eq!(workshop.build(&with_compiler(2), &["final.test"]).await, [211]);
}

#[tokio::test]
async fn a_hit_by_content_is_a_hit_by_definition_the_next_time() {
    let workshop = Workshop::new(&[("base", 100)]);
    workshop.build(&with_compiler(1), &["final.test"]).await;
    workshop.build(&with_compiler(2), &["final.test"]).await;
    workshop.world.done();
    let plan = workshop.plan(&with_compiler(2), &["final.test"]).await;
    assert!(plan.is_complete(), "the plan knows without reading anything");
    assert_eq!(workshop.world.done(), ["pin base", "pinned base", "load final.test"]);
}

#[tokio::test]
async fn a_hit_by_content_keeps_the_canonical_key() {
    let workshop = Workshop::new(&[("base", 100)]);
    let (first, top) = (
        workshop.key(&with_compiler(1), "final.copy").await,
        workshop.key(&with_compiler(1), "final.test").await,
    );
    assert_eq!(workshop.key(&with_compiler(2), "final.copy").await, first);
    assert_eq!(workshop.key(&with_compiler(2), "final.test").await, top);
    assert_eq!(
        workshop.key(&with_compiler(2), "final.test").await,
        top,
        "also when planned"
    );
}

#[tokio::test]
async fn equal_content_from_another_place_is_a_hit() {
    let from = |source| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("lib", Image(source), &[]),
            ("copy", Copy, &["base", "lib"]),
        ])
    };
    let workshop = Workshop::new(&[("base", 100), ("here", 41), ("there", 42)]);
    workshop.build(&from("here"), &["copy"]).await;
    assert_eq!(workshop.rebuild(&from("there"), &["copy"]).await, NONE);
}

#[tokio::test]
async fn a_context_used_whole_is_never_taken_for_another() {
    // Nothing identifies it, so what is made from all of it is made in each build.
    let sketch = Sketch::new(&[
        ("context", Context("context"), &[]),
        ("other", Context("other"), &[]),
        ("whole", Add(1), &["context"]),
        ("too", Add(1), &["other"]),
        ("sum", Add(0), &["whole", "too"]),
    ]);
    let workshop = Workshop::new(&[("context", 1), ("other", 2)]);
    assert_eq!(workshop.build(&sketch, &["sum"]).await, [5]);
    workshop.world.set("context", 3);
    assert_eq!(workshop.build(&sketch, &["sum"]).await, [7]);
}

#[tokio::test]
async fn the_order_of_inputs_matters() {
    let ordered = |first, second| {
        Sketch::new(&[
            ("a", Image("a"), &[]),
            ("b", Image("b"), &[]),
            ("copy", Copy, &[first, second]),
        ])
    };
    let workshop = Workshop::new(&[("a", 10), ("b", 25)]);
    assert_eq!(workshop.build(&ordered("a", "b"), &["copy"]).await, [30]);
    assert_eq!(workshop.build(&ordered("b", "a"), &["copy"]).await, [35]);
}

#[tokio::test]
async fn a_result_that_is_gone_is_made_again_only_when_it_is_needed() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    let sketch = two_stages();
    let compiled = workshop.key(&sketch, "build.compile").await;
    workshop.build(&sketch, &["final.run"]).await;
    workshop.evict(compiled);
    assert_eq!(
        workshop.rebuild(&sketch, &["final.run"]).await,
        NONE,
        "hidden behind a hit"
    );
    let both = ["final.run", "build.compile"];
    assert_eq!(workshop.rebuild(&sketch, &both).await, ["build.compile"]);
    assert_eq!(workshop.rebuild(&sketch, &both).await, NONE);
}

/// A vertex that gives another number each time it runs, and a user of it: mixing two runs shows.
fn random(cache: Cache) -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("random", Random(cache), &["base"]),
        ("user", Add(1), &["random"]),
    ])
}

#[tokio::test]
async fn nothing_is_stacked_on_another_value_than_it_was_made_on() {
    for record_is_lost in [false, true] {
        let workshop = Workshop::new(&[("base", 100)]);
        let old = workshop.build(&random(Cache::On), &["random", "user"]).await;
        let key = workshop.key(&random(Cache::On), "random").await;
        workshop.evict(key);
        if record_is_lost {
            workshop.cache.forget(key);
        }
        let new = workshop.build(&random(Cache::On), &["random"]).await[0];
        assert_ne!(new, old[0]);
        let both = workshop.build(&random(Cache::On), &["random", "user"]).await;
        assert_eq!(both, [new, new + 1]);
    }
}

#[tokio::test]
async fn a_gone_target_is_made_from_what_is_left() {
    let workshop = Workshop::new(&[("base", 100), ("context", 41)]);
    let sketch = two_stages();
    let key = workshop.key(&sketch, "final.run").await;
    workshop.evict(key);
    assert_eq!(workshop.rebuild(&sketch, &["final.run"]).await, ["final.run"]);
    assert_eq!(workshop.key(&sketch, "final.run").await, key);
}

#[tokio::test]
async fn a_gone_result_found_by_content_keeps_its_canonical_key() {
    let workshop = Workshop::new(&[("base", 100)]);
    let copied = workshop.key(&with_compiler(1), "final.copy").await;
    workshop.build(&with_compiler(1), &["final.test"]).await;
    workshop.evict(copied);
    assert_eq!(
        workshop.rebuild(&with_compiler(2), &["final.copy"]).await,
        ["build.compile", "final.copy"]
    );
    assert_eq!(workshop.key(&with_compiler(2), "final.copy").await, copied);
    workshop.evict(copied);
    assert_eq!(
        workshop.rebuild(&with_compiler(2), &["final.copy"]).await,
        ["final.copy"]
    );
    assert_eq!(
        workshop.key(&with_compiler(2), "final.copy").await,
        copied,
        "also when planned"
    );
}

#[tokio::test]
async fn a_gone_result_made_without_cache_keeps_its_canonical_key() {
    let sketch = |op| Sketch::new(&[("base", Image("base"), &[]), ("one", op, &["base"])]);
    let workshop = Workshop::new(&[("base", 100)]);
    let key = workshop.key(&sketch(Again(1)), "one").await;
    workshop.evict(key);
    assert_eq!(workshop.rebuild(&sketch(Add(1)), &["one"]).await, ["one"]);
    assert_eq!(workshop.key(&sketch(Add(1)), "one").await, key);
}

#[tokio::test]
async fn a_vertex_without_cache_runs_each_time() {
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("again", Again(1), &["base"]),
        ("user", Add(1), &["again"]),
    ]);
    let workshop = Workshop::new(&[("base", 100)]);
    for _ in 0..2 {
        assert_eq!(workshop.rebuild(&sketch, &["user"]).await, ["again", "user"]);
    }
}

#[tokio::test]
async fn a_vertex_without_cache_does_not_hit_by_content_either() {
    let sketch = |flag| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("compile", Add(flag), &["base"]),
            ("again", CopyAgain, &["base", "compile"]),
        ])
    };
    let workshop = Workshop::new(&[("base", 100)]);
    workshop.build(&sketch(1), &["again"]).await;
    assert_eq!(workshop.rebuild(&sketch(1), &["again"]).await, ["again"]);
    assert_eq!(workshop.rebuild(&sketch(2), &["again"]).await, ["again", "compile"]);
}

#[tokio::test]
async fn a_vertex_without_cache_does_not_hit_when_its_input_does_so_late() {
    let sketch = |flag| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("compile", Add(flag), &["base"]),
            ("copy", Copy, &["base", "compile"]),
            ("random", Random(Cache::Off), &["copy"]),
            ("user", Add(1), &["random"]),
        ])
    };
    let targets = ["random", "user"];
    let workshop = Workshop::new(&[("base", 100)]);
    let first = workshop.build(&sketch(1), &targets).await;
    workshop.world.done();
    let second = workshop.build(&sketch(2), &targets).await;
    assert_eq!(workshop.world.ran(), ["compile", "random", "user"]);
    assert_ne!(second, first);
    assert_eq!(second[1], second[0] + 1);
}

#[tokio::test]
async fn a_value_made_without_cache_takes_the_place_of_the_old_one_everywhere() {
    let targets = ["random", "user"];
    let workshop = Workshop::new(&[("base", 100)]);
    let old = workshop.build(&random(Cache::On), &targets).await;
    assert_eq!(workshop.build(&random(Cache::On), &targets).await, old);
    let new = workshop.build(&random(Cache::Off), &targets).await;
    assert_ne!(new, old);
    assert_eq!(new[1], new[0] + 1, "the user is made of the new value");
    assert_eq!(
        workshop.build(&random(Cache::On), &targets).await,
        new,
        "what was made is saved"
    );
    assert_eq!(workshop.rebuild(&random(Cache::On), &targets).await, NONE);
}

#[tokio::test]
async fn what_copies_from_a_vertex_without_cache_still_hits_by_content() {
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("again", Again(1), &["base"]),
        ("copy", Copy, &["base", "again"]),
        ("user", Add(1), &["copy"]),
    ]);
    let workshop = Workshop::new(&[("base", 100)]);
    workshop.build(&sketch, &["user"]).await;
    assert_eq!(workshop.rebuild(&sketch, &["user"]).await, ["again"]);
}
