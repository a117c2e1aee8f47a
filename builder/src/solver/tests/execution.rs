//! How execution goes: in parallel, within limits, equal work once, and told to the observer.

use std::collections::HashMap;
use std::time::Duration;

use super::toy::Toy::{Add, Context, Copy, Image, Sleep};
use super::toy::{NAP, Number};
use super::workshop::{Sketch, Workshop, jobs};
use crate::cache::Change;
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::{MissReason, Observer};

/// Ten vertices that sleep, and their sum.
fn sleepers() -> Sketch {
    const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let sleepers = NAMES
        .iter()
        .zip(0..)
        .map(|(&name, number)| (name, Sleep(number), &[][..]));
    Sketch::new(&sleepers.chain([("sum", Add(0), &NAMES[..])]).collect::<Vec<_>>())
}

#[tokio::test]
async fn ten_sleeping_vertices_sleep_at_the_same_time() {
    let workshop = Workshop::new(&[]);
    assert_eq!(workshop.build(&sleepers(), &["sum"]).await, [10]);
    assert_eq!(workshop.world.most_running(), 10);
}

#[tokio::test]
async fn no_more_vertices_run_at_a_time_than_there_are_jobs() {
    for limit in [1, 3] {
        let workshop = Workshop::new(&[]);
        workshop
            .solve_within(&sleepers(), &["sum"], jobs(limit), &mut ())
            .await
            .unwrap();
        assert_eq!(workshop.world.most_running(), limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vertices_run_on_several_threads_without_losing_one() {
    let workshop = Workshop::new(&[("base", 1)]);
    let names: Vec<&'static str> = (0..300).map(|number| &*format!("v{number}").leak()).collect();
    let mut vertices = vec![("base", Image("base"), &[][..])];
    for (number, &name) in names.iter().enumerate() {
        vertices.push((
            name,
            Add(number as i64),
            if number < 3 {
                &["base"][..]
            } else {
                &names[number - 3..number - 2]
            },
        ));
    }
    let sketch = Sketch::new(&vertices);
    let targets = ["v297", "v298", "v299"];
    let sum = |first: i64| 1 + (first..300).step_by(3).sum::<i64>();
    assert_eq!(workshop.build(&sketch, &targets).await, [sum(0), sum(1), sum(2)]);
    assert_eq!(workshop.rebuild(&sketch, &targets).await, [""; 0]);
}

#[tokio::test]
async fn planning_and_executing_can_be_spawned() {
    let sketch = sleepers();
    let workshop = Workshop::new(&[]);
    let build = tokio::spawn(async move { workshop.solve_within(&sketch, &["0"], jobs(1), &mut ()).await.is_ok() });
    assert!(build.await.unwrap());
}

#[tokio::test]
async fn vertices_that_turn_out_to_be_equal_run_once() {
    // Different definitions, equal content; known only when both `make` have run.
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("make 1", Add(1), &["base"]),
        ("make 2", Add(2), &["base"]),
        ("copy 1", Copy, &["base", "make 1"]),
        ("copy 2", Copy, &["base", "make 2"]),
        ("user 1", Add(7), &["copy 1"]),
        ("user 2", Add(7), &["copy 2"]),
    ]);
    for limit in [1, 2, 8] {
        let workshop = Workshop::new(&[("base", 100)]);
        let solved = workshop
            .solve_within(&sketch, &["user 1", "user 2"], jobs(limit), &mut ())
            .await
            .unwrap();
        let ran = workshop.world.ran();
        assert_eq!(ran.iter().filter(|name| name.starts_with("copy")).count(), 1, "{ran:?}");
        assert_eq!(ran.iter().filter(|name| name.starts_with("user")).count(), 1, "{ran:?}");
        assert_eq!(solved[&sketch.id("user 1")], solved[&sketch.id("user 2")]);
        assert_eq!(workshop.rebuild(&sketch, &["user 1", "user 2"]).await, [""; 0]);
    }
}

#[tokio::test]
async fn two_names_of_the_same_base_run_their_steps_once() {
    let workshop = Workshop::new(&[("tag", 5), ("digest", 5)]);
    let sketch = Sketch::new(&[
        ("tag", Image("tag"), &[]),
        ("digest", Image("digest"), &[]),
        ("one", Add(1), &["tag"]),
        ("two", Add(1), &["digest"]),
    ]);
    assert_eq!(workshop.build(&sketch, &["one", "two"]).await, [6, 6]);
    assert_eq!(workshop.world.ran().len(), 1);
}

#[tokio::test]
async fn an_input_used_twice_is_waited_for_once() {
    let workshop = Workshop::new(&[("base", 10)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Add(1), &["base"]),
        ("twice", Copy, &["one", "one"]),
    ]);
    assert_eq!(workshop.build(&sketch, &["twice", "base"]).await, [21, 10]);
}

/// Notes what it hears.
#[derive(Default)]
struct Notes {
    heard: Vec<(&'static str, VertexId)>,
    ready: HashMap<VertexId, (i64, CacheKey)>,
    took: HashMap<VertexId, Duration>,
}

impl Observer<Number> for Notes {
    fn hit(&mut self, vertex: VertexId, _key: CacheKey) {
        self.heard.push(("hit", vertex));
    }

    fn started(&mut self, vertex: VertexId, _reason: &MissReason, _changes: &[Change]) {
        self.heard.push(("started", vertex));
    }

    fn completed(&mut self, vertex: VertexId, took: Duration) {
        self.heard.push(("completed", vertex));
        self.took.insert(vertex, took);
    }

    fn ready(&mut self, vertex: VertexId, value: &Number, key: CacheKey) {
        self.heard.push(("ready", vertex));
        self.ready.insert(vertex, (value.number, key));
    }
}

#[tokio::test]
async fn the_observer_hears_of_every_vertex_in_order() {
    let workshop = Workshop::new(&[("context", 40)]);
    let sketch = Sketch::new(&[
        ("sleep", Sleep(0), &[]),
        ("context", Context("context"), &[]),
        ("copy", Copy, &["sleep", "context"]),
    ]);
    let listen = async |targets| {
        let mut notes = Notes::default();
        workshop
            .solve_within(&sketch, targets, jobs(1), &mut notes)
            .await
            .unwrap();
        notes
    };
    let heard = |notes: &Notes| {
        let lines = notes
            .heard
            .iter()
            .map(|(what, id)| format!("{what} {}", sketch.name(*id)));
        lines.collect::<Vec<_>>()
    };
    let first = listen(&["copy"]).await;
    assert_eq!(
        heard(&first),
        [
            "ready context",
            "started sleep",
            "completed sleep",
            "ready sleep",
            "started copy",
            "completed copy",
            "ready copy"
        ]
    );
    assert!(first.took[&sketch.id("sleep")] >= NAP);
    let second = listen(&["copy"]).await;
    assert_eq!(heard(&second), ["hit sleep", "hit copy", "ready copy"]);
    assert_eq!(second.ready[&sketch.id("copy")], first.ready[&sketch.id("copy")]);
}
