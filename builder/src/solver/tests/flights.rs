//! Several builds with one cache at the same time: work is done once, whoever does it.

use std::time::Duration;

use snapshotter::Ownership;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::toy::Cache;
use super::toy::Toy::{Add, Copy, Fail, Image, Random, Sleep};
use super::toy::{NAP, Number};
use super::workshop::{Sketch, Workshop, jobs};
use crate::cache::Change;
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::{Failure, Limits, MissReason, Observer};
use crate::state_dir::StateDir;

/// A workshop whose builds hear of each other.
fn workshop(sources: &[(&'static str, i64)]) -> (TempDir, Workshop) {
    let dir = TempDir::new().unwrap();
    let mut workshop = Workshop::new(sources);
    let state = StateDir::open(&dir.path().join("state"), Ownership::Real).unwrap();
    workshop.flights = Some(state.flights());
    (dir, workshop)
}

/// Counts what one build waits for, finds and runs.
#[derive(Default)]
struct Tally {
    waits: usize,
    hits: usize,
    runs: usize,
}

impl Observer<Number> for Tally {
    fn hit(&mut self, _vertex: VertexId, _key: CacheKey) {
        self.hits += 1;
    }

    fn waits(&mut self, _vertex: VertexId) {
        self.waits += 1;
    }

    fn started(&mut self, _vertex: VertexId, _reason: &MissReason, _changes: &[Change]) {
        self.runs += 1;
    }
}

#[tokio::test]
async fn builds_at_the_same_time_run_each_vertex_once() {
    let (_dir, workshop) = workshop(&[("base", 1)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("a", Sleep(1), &[]),
        ("b", Random(Cache::On), &["base"]),
        ("sum", Add(1), &["a", "b"]),
    ]);
    let (mut first, mut second) = (Tally::default(), Tally::default());
    let (one, two) = tokio::join!(
        workshop.solve_within(&sketch, &["sum"], jobs(2), &mut first),
        workshop.solve_within(&sketch, &["sum"], jobs(2), &mut second),
    );
    let sum = sketch.id("sum");
    assert_eq!(one.unwrap()[&sum], two.unwrap()[&sum], "a random number is one value");
    assert_eq!(workshop.world.ran(), ["a", "b", "sum"]);
    assert_eq!(first.runs + second.runs, 3);
    assert_eq!(first.hits + second.hits, 3);
    assert!(first.waits + second.waits > 0);
}

#[tokio::test]
async fn equal_content_is_copied_once_whatever_it_comes_from() {
    let (_dir, workshop) = workshop(&[("base", 1), ("41", 41), ("42", 42)]);
    let sketch = |name: &'static str| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("from", Image(name), &[]),
            ("slow", Sleep(1), &["base"]),
            ("copy", Copy, &["slow", "from"]),
        ])
    };
    let (one, two) = (sketch("41"), sketch("42"));
    let (one, two) = tokio::join!(workshop.build(&one, &["copy"]), workshop.build(&two, &["copy"]));
    assert_eq!([one, two], [[41], [41]]);
    assert_eq!(workshop.world.ran(), ["copy", "slow"]);
}

#[tokio::test]
async fn what_one_build_fails_to_make_the_other_tries_itself() {
    let (_dir, workshop) = workshop(&[]);
    let sketch = Sketch::new(&[("fail", Fail, &[])]);
    let (one, two) = tokio::join!(workshop.solve(&sketch, &["fail"]), workshop.solve(&sketch, &["fail"]));
    assert!(matches!(one, Err(Failure::Operation { .. })) && matches!(two, Err(Failure::Operation { .. })));
    assert_eq!(workshop.world.ran(), ["fail", "fail"]);
}

#[tokio::test]
async fn a_vertex_whose_cache_is_off_neither_waits_nor_is_waited_for() {
    let (_dir, workshop) = workshop(&[]);
    let sketch = Sketch::new(&[("random", Random(Cache::Off), &[])]);
    let mut tally = Tally::default();
    let (one, two) = tokio::join!(
        workshop.build(&sketch, &["random"]),
        workshop.solve_within(&sketch, &["random"], Limits::default(), &mut tally),
    );
    assert_ne!(one, [two.unwrap()[&sketch.id("random")].value.number]);
    assert_eq!(tally.waits, 0);
}

#[tokio::test]
async fn a_build_that_waits_can_be_cancelled_and_one_that_does_not_gets_the_result() {
    let (_dir, workshop) = workshop(&[]);
    let sketch = Sketch::new(&[("sleep", Sleep(1), &[])]);
    let limits = Limits {
        cancel: CancellationToken::new(),
        ..Limits::default()
    };
    let cancel = limits.cancel.clone();
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        workshop.solve_within(&sketch, &["sleep"], limits, &mut ()).await
    };
    let cancelling = async {
        tokio::time::sleep(NAP / 2).await;
        cancel.cancel();
    };
    let (one, two, ()) = tokio::join!(workshop.build(&sketch, &["sleep"]), waiting, cancelling);
    assert_eq!(one, [1]);
    assert!(matches!(two, Err(Failure::Cancelled)));
    assert_eq!(workshop.world.ran(), ["sleep"]);
}

#[tokio::test]
async fn a_build_with_one_job_does_not_wait_for_itself() {
    let (_dir, workshop) = workshop(&[("base", 1)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("a", Add(1), &["base"]),
        ("b", Add(2), &["a"]),
        ("c", Add(3), &["base"]),
        ("sum", Add(0), &["b", "c"]),
    ]);
    let solved = workshop.solve_within(&sketch, &["sum"], jobs(1), &mut ()).await;
    assert_eq!(solved.unwrap()[&sketch.id("sum")].value.number, 8);
}

#[tokio::test]
async fn what_follows_a_hit_leaves_the_key_that_this_was_found_by() {
    let (_dir, workshop) = workshop(&[("base", 1), ("41", 41), ("42", 42), ("43", 43), ("44", 44)]);
    let sketch = |names: &[&'static str]| {
        let sources = names.iter().map(|name| (*name, Image(name), &[][..]));
        let mut vertices: Vec<(&str, _, &[&str])> = vec![("base", Image("base"), &[]), ("slow", Sleep(1), &["base"])];
        vertices.extend(sources);
        let copies: [(&str, &[&str]); 2] = [
            ("copy", &["slow", names[0]]),
            ("other", &["slow", names[names.len() - 1]]),
        ];
        vertices.extend(
            copies
                .iter()
                .take(names.len())
                .map(|(name, inputs)| (*name, Copy, *inputs)),
        );
        Sketch::new(&vertices)
    };
    let (one, two) = (sketch(&["41"]), sketch(&["42", "43"]));
    let (made, found) = tokio::join!(
        workshop.build(&one, &["copy"]),
        workshop.build(&two, &["copy", "other"])
    );
    assert_eq!(made, [41]);
    assert_eq!(found, [41, 41]);
    // Another definition of the same content.
    assert_eq!(workshop.rebuild(&sketch(&["44"]), &["copy"]).await, [""; 0]);
}
