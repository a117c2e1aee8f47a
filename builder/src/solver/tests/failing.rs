//! How a build ends early: failure, panic, cancellation, a cache that cannot be written.

use tokio_util::sync::CancellationToken;

use super::toy::Toy::{Add, Context, Copy, Damage, Fail, Hang, Image, Panic, Stubborn};
use super::toy::{NAP, Number, SLOW, ToyError};
use super::workshop::{Sketch, Workshop, jobs};
use crate::cache::Change;
use crate::cache::{CacheError, CacheStore, Record};
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::{Failure, Limits, MissReason, Observer, Problem, execute, plan};

/// Notes what went wrong, and can cancel the build when a vertex starts.
#[derive(Default)]
struct Notes {
    cancel: CancellationToken,
    cancel_at: Option<VertexId>,
    failed: Vec<(VertexId, String)>,
    cancelled: Vec<VertexId>,
    not_saved: Vec<VertexId>,
}

impl Observer<Number> for Notes {
    fn started(&mut self, vertex: VertexId, _reason: &MissReason, _changes: &[Change]) {
        if self.cancel_at == Some(vertex) {
            self.cancel.cancel();
        }
    }

    fn failed(&mut self, vertex: VertexId, error: &(dyn std::error::Error + 'static)) {
        self.failed.push((vertex, error.to_string()));
    }

    fn cancelled(&mut self, vertex: VertexId) {
        self.cancelled.push(vertex);
    }

    fn not_saved(&mut self, vertex: VertexId, _error: &CacheError) {
        self.not_saved.push(vertex);
    }
}

/// Something that goes wrong beside something that takes long and after something that takes none.
fn beside(wrong: super::toy::Toy) -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("quick", Add(1), &["base"]),
        ("hang", Hang, &[]),
        ("wrong", wrong, &["quick"]),
        ("sum", Add(0), &["wrong", "hang"]),
    ])
}

#[tokio::test]
async fn the_first_failure_is_returned_and_the_others_are_cancelled_and_awaited() {
    let workshop = Workshop::new(&[("base", 1)]);
    let sketch = beside(Fail);
    let mut notes = Notes::default();
    let failure = workshop
        .solve_within(&sketch, &["sum"], Limits::default(), &mut notes)
        .await
        .unwrap_err();
    assert!(matches!(
        failure,
        Failure::Operation {
            error: ToyError::Told,
            ..
        }
    ));
    assert_eq!(failure.vertex(), Some(sketch.id("wrong")));
    assert_eq!(notes.failed, [(sketch.id("wrong"), "it was told to fail".to_owned())]);
    assert_eq!(notes.cancelled, [sketch.id("hang")]);
    assert_eq!(workshop.world.running(), 0, "everything that began has ended");
    assert!(
        !workshop.world.done().contains(&"ran hang".to_owned()),
        "and nobody waited for it"
    );
}

#[tokio::test]
async fn a_panic_ends_the_build_like_a_failure() {
    let workshop = Workshop::new(&[("base", 1)]);
    let sketch = beside(Panic);
    let mut notes = Notes::default();
    let failure = workshop
        .solve_within(&sketch, &["sum"], Limits::default(), &mut notes)
        .await
        .unwrap_err();
    assert_eq!(failure.vertex(), Some(sketch.id("wrong")));
    assert_eq!(failure.to_string(), "`wrong` panicked: a toy panicked");
    assert_eq!(notes.cancelled, [sketch.id("hang")]);
}

#[tokio::test]
async fn what_was_made_before_a_failure_is_not_lost() {
    let workshop = Workshop::new(&[("base", 1)]);
    workshop.solve(&beside(Fail), &["sum"]).await.unwrap_err();
    assert_eq!(workshop.rebuild(&beside(Fail), &["quick"]).await, [""; 0]);
}

#[tokio::test]
async fn what_is_completed_after_a_failure_is_not_lost_either() {
    let workshop = Workshop::new(&[]);
    let sketch = Sketch::new(&[
        ("stubborn", Stubborn, &[]),
        ("wrong", Fail, &[]),
        ("sum", Add(0), &["stubborn", "wrong"]),
    ]);
    workshop.solve(&sketch, &["sum"]).await.unwrap_err();
    assert_eq!(workshop.rebuild(&sketch, &["stubborn"]).await, [""; 0]);
}

#[tokio::test]
async fn after_a_failure_nothing_new_begins() {
    let workshop = Workshop::new(&[("base", 1)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("wrong", Fail, &["base"]),
        ("later", Add(1), &["base"]),
        ("sum", Add(0), &["wrong", "later"]),
    ]);
    workshop
        .solve_within(&sketch, &["sum"], jobs(1), &mut ())
        .await
        .unwrap_err();
    assert_eq!(workshop.world.ran(), ["wrong"]);
}

#[tokio::test]
async fn a_cancelled_build_ends_at_once_and_says_so() {
    let workshop = Workshop::new(&[]);
    let sketch = Sketch::new(&[("hang", Hang, &[]), ("user", Add(1), &["hang"])]);
    let mut notes = Notes {
        cancel_at: Some(sketch.id("hang")),
        ..Notes::default()
    };
    let limits = Limits {
        cancel: notes.cancel.clone(),
        ..Limits::default()
    };
    let result = workshop.solve_within(&sketch, &["user"], limits, &mut notes).await;
    assert!(matches!(result, Err(Failure::Cancelled)));
    assert_eq!(notes.cancelled, [sketch.id("hang")]);
    assert_eq!(notes.failed, []);
    assert_eq!(workshop.world.running(), 0);
    assert!(!workshop.world.done().contains(&"ran hang".to_owned()));
}

#[tokio::test]
async fn damage_that_outlasts_a_build_is_told_whatever_has_ended_it() {
    let workshop = Workshop::new(&[]);
    let sketch = Sketch::new(&[
        ("damage", Damage, &[]),
        ("wrong", Fail, &[]),
        ("both", Add(0), &["damage", "wrong"]),
    ]);
    let is_damage = |failure| {
        matches!(
            failure,
            Failure::Operation {
                error: ToyError::Damage,
                ..
            }
        )
    };
    let mut notes = Notes {
        cancel_at: Some(sketch.id("damage")),
        ..Notes::default()
    };
    let limits = Limits {
        cancel: notes.cancel.clone(),
        ..Limits::default()
    };
    let cancelled = workshop.solve_within(&sketch, &["damage"], limits, &mut notes).await;
    assert!(is_damage(cancelled.unwrap_err()));
    assert_eq!(
        notes.failed,
        [(sketch.id("damage"), "it has left damage behind".to_owned())]
    );

    let mut notes = Notes::default();
    let failed = workshop
        .solve_within(&sketch, &["both"], Limits::default(), &mut notes)
        .await;
    assert!(is_damage(failed.unwrap_err()));
    assert_eq!(notes.failed.len(), 2, "the first is told too");
}

#[tokio::test]
async fn a_build_that_is_cancelled_before_it_begins_runs_nothing() {
    let workshop = Workshop::new(&[("base", 1)]);
    let limits = Limits::default();
    limits.cancel.cancel();
    let result = workshop
        .solve_within(&beside(Add(1)), &["sum"], limits.clone(), &mut ())
        .await;
    assert!(matches!(result, Err(Failure::Cancelled)));
    assert_eq!(workshop.world.ran(), [""; 0]);
    // Nothing is left to be cancelled if there is nothing to do.
    let base = workshop.solve_within(&beside(Add(1)), &["base"], limits, &mut ()).await;
    assert!(base.is_ok());
}

#[tokio::test]
async fn a_build_that_only_reads_can_be_cancelled_too() {
    let workshop = Workshop::new(&[("base", 0)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("make", Add(SLOW), &["base"]),
        ("copy", Copy, &["base", "make"]),
    ]);
    let limits = Limits::default();
    let cancel = limits.cancel.clone();
    let mut notes = Notes::default();
    let (result, ()) = tokio::join!(workshop.solve_within(&sketch, &["copy"], limits, &mut notes), async {
        tokio::time::sleep(NAP / 4).await;
        cancel.cancel();
    });
    assert!(matches!(result, Err(Failure::Cancelled)));
    assert_eq!(workshop.world.ran(), ["make"]);
    assert_eq!((notes.failed, notes.cancelled), (vec![], vec![]));
}

#[tokio::test]
async fn content_that_cannot_be_read_fails_its_reader() {
    let workshop = Workshop::new(&[("base", 1), ("context", -1)]);
    let sketch = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("context", Context("context"), &[]),
        ("make", Add(-7), &["base"]),
        ("copy planned", Copy, &["base", "context"]),
        ("copy executed", Copy, &["base", "make"]),
    ]);
    for target in ["copy planned", "copy executed"] {
        let failure = workshop.solve(&sketch, &[target]).await.unwrap_err();
        assert_eq!(failure.vertex(), Some(sketch.id(target)));
    }
}

/// A cache on a full disk.
struct Full;

impl CacheStore for Full {
    fn lookup(&self, _key: CacheKey) -> Option<Record> {
        None
    }

    fn save(&self, _record: &Record) -> Result<(), CacheError> {
        Err(CacheError::Io {
            verb: "write",
            path: "index".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        })
    }

    fn adopt(&self, _key: CacheKey, record: &Record) -> Result<(), CacheError> {
        self.save(record)
    }

    fn link(&self, _alias: CacheKey, _key: CacheKey) -> Result<(), CacheError> {
        panic!("a link without its record");
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_does_not_fail_the_build() {
    let workshop = Workshop::new(&[("base", 1)]);
    let sketch = beside(Add(1));
    let problem = Problem {
        cache: std::sync::Arc::new(Full),
        ..workshop.problem(&sketch, &["wrong"])
    };
    let mut notes = Notes::default();
    let plan = plan(&problem).await.unwrap();
    let solved = execute(&problem, plan, Limits::default(), &mut notes).await.unwrap();
    assert_eq!(solved.targets[&sketch.id("wrong")].value.number, 3);
    assert_eq!(notes.not_saved, [sketch.id("quick"), sketch.id("wrong")]);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_does_not_fail_a_build_that_found_everything_elsewhere() {
    let workshop = Workshop::new(&[("base", 1)]);
    let sketch = beside(Add(1));
    workshop.build(&sketch, &["wrong"]).await;
    let problem = Problem {
        cache: std::sync::Arc::new(Full),
        ..workshop.other().problem(&sketch, &["wrong"])
    };
    let mut notes = Notes::default();
    let plan = plan(&problem).await.unwrap();
    assert!(plan.is_complete());
    let solved = execute(&problem, plan, Limits::default(), &mut notes).await.unwrap();
    assert_eq!(solved.targets[&sketch.id("wrong")].value.number, 3);
    assert_eq!(notes.not_saved, [sketch.id("quick"), sketch.id("wrong")]);
}
