//! Builds in a toy world: a graph by names, again and again with one cache.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::toy::{Number, Toy, ToyError, World};
use crate::cache::{BelievedCache, CacheStore, MemoryCache, Record, RecordSource};
use crate::graph::{Graph, GraphBuilder, Meta, VertexId};
use crate::op::key::CacheKey;
use crate::solver::{Failure, Limits, Observer, Plan, Problem, Solved, execute, plan};
use crate::state_dir::Flights;

/// A graph of toys whose vertices have names; a name is `stage.vertex` or just the vertex.
#[derive(Clone)]
pub(super) struct Sketch {
    graph: Arc<Graph<Toy>>,
    ids: HashMap<&'static str, VertexId>,
}

impl Sketch {
    /// Makes a graph of `(name, operation, inputs)`.
    pub(super) fn new(vertices: &[(&'static str, Toy, &[&'static str])]) -> Self {
        let mut builder = GraphBuilder::new();
        let mut ids = HashMap::new();
        for (name, op, inputs) in vertices {
            let meta = Meta {
                name: (*name).to_owned(),
                stage: name.split_once('.').map_or("", |(stage, _)| stage).to_owned(),
                platform: String::new(),
                origin: None,
            };
            let inputs = inputs.iter().map(|input| ids[input]).collect();
            ids.insert(*name, builder.add(op.clone(), inputs, meta));
        }
        Self {
            graph: Arc::new(builder.finish()),
            ids,
        }
    }

    pub(super) fn id(&self, name: &str) -> VertexId {
        self.ids[name]
    }

    pub(super) fn name(&self, id: VertexId) -> &str {
        &self.graph.vertex(id).meta.name
    }
}

/// A world and a cache that outlive builds.
pub(super) struct Workshop {
    pub(super) world: Arc<World>,
    pub(super) cache: Arc<MemoryCache>,
    pub(super) elsewhere: Option<Arc<Elsewhere>>,
    pub(super) flights: Option<Flights>,
    name: &'static str,
    builds: AtomicUsize,
}

/// What the cache of another workshop is called.
const ELSEWHERE: &str = "elsewhere";

/// The cache of another workshop, which notes what it is asked for at a time.
pub(super) struct Elsewhere {
    cache: Arc<MemoryCache>,
    asked: Mutex<Vec<usize>>,
}

impl Elsewhere {
    /// Returns how many keys were asked for in each round since the last call.
    pub(super) fn rounds(&self) -> Vec<usize> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl RecordSource for Elsewhere {
    fn ask<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, HashMap<CacheKey, Record>> {
        self.asked.lock().unwrap().push(keys.len());
        let answers = keys.iter().filter_map(|key| {
            let mut record = self.cache.lookup(*key)?;
            record.relies_on = BTreeSet::from([ELSEWHERE.to_owned()]);
            Some((*key, record))
        });
        let answers = answers.collect();
        Box::pin(async {
            tokio::task::yield_now().await;
            answers
        })
    }
}

impl Workshop {
    pub(super) fn new(sources: &[(&'static str, i64)]) -> Self {
        let world = World::default();
        for &(name, number) in sources {
            world.set(name, number);
        }
        Self {
            world: Arc::new(world),
            cache: Arc::new(MemoryCache::new()),
            elsewhere: None,
            flights: None,
            name: "one",
            builds: AtomicUsize::new(0),
        }
    }

    /// Makes another machine in the same world, which has no records of its own and asks this one.
    pub(super) fn other(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            cache: Arc::new(MemoryCache::new()),
            elsewhere: Some(self.as_elsewhere()),
            flights: None,
            name: "other",
            builds: AtomicUsize::new(0),
        }
    }

    /// Returns the cache as others see it.
    pub(super) fn as_elsewhere(&self) -> Arc<Elsewhere> {
        Arc::new(Elsewhere {
            cache: Arc::clone(&self.cache),
            asked: Mutex::default(),
        })
    }

    pub(super) fn problem(&self, sketch: &Sketch, targets: &[&str]) -> Problem<World> {
        Problem {
            graph: Arc::clone(&sketch.graph),
            targets: targets.iter().map(|name| sketch.id(name)).collect(),
            evaluator: Arc::clone(&self.world),
            cache: Arc::new(BelievedCache::new(
                self.cache.clone(),
                self.elsewhere.iter().map(|_| ELSEWHERE.to_owned()).collect(),
            )),
            elsewhere: self
                .elsewhere
                .clone()
                .map(|elsewhere| elsewhere as Arc<dyn RecordSource>),
            flights: self.flights.clone(),
            scope: "Dockerfile".to_owned(),
            build: format!("build {} of {}", self.builds.fetch_add(1, Ordering::SeqCst), self.name),
        }
    }

    /// Plans, without executing.
    pub(super) async fn plan(&self, sketch: &Sketch, targets: &[&str]) -> Plan<Number> {
        plan(&self.problem(sketch, targets)).await.unwrap()
    }

    /// Plans, and returns the plan as text.
    pub(super) async fn plan_text(&self, sketch: &Sketch, targets: &[&str]) -> String {
        self.plan(sketch, targets).await.display(&sketch.graph).to_string()
    }

    /// Builds, and returns the numbers of the targets.
    pub(super) async fn build(&self, sketch: &Sketch, targets: &[&str]) -> Vec<i64> {
        let solved = self.solve(sketch, targets).await.unwrap();
        targets
            .iter()
            .map(|name| solved[&sketch.id(name)].value.number)
            .collect()
    }

    /// Builds, and returns the names of the vertices that ran.
    pub(super) async fn rebuild(&self, sketch: &Sketch, targets: &[&str]) -> Vec<String> {
        self.world.done();
        self.build(sketch, targets).await;
        self.world.ran()
    }

    /// Builds, and returns the canonical key of a vertex.
    pub(super) async fn key(&self, sketch: &Sketch, name: &str) -> CacheKey {
        self.solve(sketch, &[name]).await.unwrap()[&sketch.id(name)].key
    }

    /// Removes the value under a key from the store, but not its record.
    pub(super) fn evict(&self, key: CacheKey) {
        if let Some(record) = self.cache.lookup(key) {
            self.world.evict(&record);
        }
    }

    pub(super) async fn solve(
        &self,
        sketch: &Sketch,
        targets: &[&str],
    ) -> Result<HashMap<VertexId, Solved<Number>>, Failure<ToyError>> {
        self.solve_within(sketch, targets, Limits::default(), &mut ()).await
    }

    pub(super) async fn solve_within(
        &self,
        sketch: &Sketch,
        targets: &[&str],
        limits: Limits,
        observer: &mut dyn Observer<Number>,
    ) -> Result<HashMap<VertexId, Solved<Number>>, Failure<ToyError>> {
        let problem = self.problem(sketch, targets);
        let plan = plan(&problem).await?;
        Ok(execute(&problem, plan, limits, observer).await?.targets)
    }
}

/// Limits to this many jobs.
pub(super) fn jobs(jobs: usize) -> Limits {
    Limits {
        jobs: NonZeroUsize::new(jobs),
        ..Limits::default()
    }
}
