//! The tasks beside the coordinator, and what they report when they end.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use registry::oci::Digest;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cache::{Record, RecordSource};
use crate::graph::{Graph, VertexId};
use crate::op::key::CacheKey;
use crate::solver::{Evaluator, Excerpt, Made, Problem, Work};
use crate::state_dir::{Flight, Flights};

/// How a task ended.
pub(super) enum Report<E: Evaluator> {
    /// A record was loaded, or its content is gone.
    Loaded(Option<E::Value>),
    /// Other processes are done with it, and its flight was entered; `None` if that is not possible.
    Entered(Option<Flight>),
    /// What other machines have under a key.
    Answered(Option<Box<Record>>),
    /// What the vertex reads of these inputs was digested.
    Read(Result<Vec<(usize, Digest)>, E::Error>),
    /// The vertex ran.
    Ran(Result<Made<E::Value>, E::Error>),
    /// The build ended first.
    Abandoned,
    /// It panicked, with this message.
    Panicked(String),
}

/// Running tasks, each for one vertex.
pub(super) struct Tasks<E: Evaluator> {
    graph: Arc<Graph<E::Op>>,
    evaluator: Arc<E>,
    cancel: CancellationToken,
    set: JoinSet<Report<E>>,
    owners: HashMap<task::Id, VertexId>,
}

impl<E: Evaluator> Tasks<E> {
    pub(super) fn new(problem: &Problem<E>, cancel: CancellationToken) -> Self {
        Self {
            graph: Arc::clone(&problem.graph),
            evaluator: Arc::clone(&problem.evaluator),
            cancel,
            set: JoinSet::new(),
            owners: HashMap::new(),
        }
    }

    /// Tells everything that runs to end.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Loads the value of a record.
    pub(super) fn load(&mut self, id: VertexId, record: Record) {
        let (graph, evaluator, cancel) = self.shared();
        self.spawn(id, async move {
            let load = evaluator.load(graph.vertex(id), &record);
            cancel
                .run_until_cancelled(load)
                .await
                .map_or(Report::Abandoned, Report::Loaded)
        });
    }

    /// Waits until no other process makes what is under a key.
    pub(super) fn enter(&mut self, id: VertexId, flights: Flights, key: CacheKey) {
        let cancel = self.cancel.clone();
        self.spawn(id, async move {
            let name = key.hex();
            let entered = cancel.run_until_cancelled(flights.enter(&name)).await;
            entered.map_or(Report::Abandoned, |flight| Report::Entered(flight.ok()))
        });
    }

    /// Asks other machines for the record of a vertex.
    pub(super) fn ask(&mut self, id: VertexId, source: Arc<dyn RecordSource>, key: CacheKey) {
        let cancel = self.cancel.clone();
        self.spawn(id, async move {
            let asking = async { source.ask(&[key]).await.remove(&key).map(Box::new) };
            cancel
                .run_until_cancelled(asking)
                .await
                .map_or(Report::Abandoned, Report::Answered)
        });
    }

    /// Digests what a vertex reads of inputs, all at once.
    pub(super) fn read(&mut self, id: VertexId, inputs: Vec<(usize, E::Value)>) {
        let (graph, evaluator, cancel) = self.shared();
        self.spawn(id, async move {
            let vertex = graph.vertex(id);
            let excerpts = inputs
                .iter()
                .map(|&(input, ref value)| Excerpt { vertex, input, value });
            let excerpts: Vec<Excerpt<'_, E>> = excerpts.collect();
            let contents = cancel.run_until_cancelled(evaluator.contents(&excerpts)).await;
            contents.map_or(Report::Abandoned, |contents| {
                let positions = excerpts.iter().map(|excerpt| excerpt.input);
                let read = positions.zip(contents);
                Report::Read(read.map(|(position, content)| Ok((position, content?))).collect())
            })
        });
    }

    /// Runs a vertex. It is not abandoned: an operation must end what it started itself.
    pub(super) fn run(&mut self, id: VertexId, key: CacheKey, inputs: Vec<E::Value>) {
        let (graph, evaluator, cancel) = self.shared();
        let work = Work { key, inputs, cancel };
        self.spawn(
            id,
            async move { Report::Ran(evaluator.run(graph.vertex(id), work).await) },
        );
    }

    /// Waits for a task to end; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<(VertexId, Report<E>)> {
        let (task, report) = match self.set.join_next_with_id().await? {
            Ok((task, report)) => (task, report),
            Err(error) => {
                let task = error.id();
                let report = error
                    .try_into_panic()
                    .map_or(Report::Abandoned, |panic| Report::Panicked(message(panic)));
                (task, report)
            }
        };
        let id = self.owners.remove(&task)?;
        Some((id, report))
    }

    fn shared(&self) -> (Arc<Graph<E::Op>>, Arc<E>, CancellationToken) {
        (
            Arc::clone(&self.graph),
            Arc::clone(&self.evaluator),
            self.cancel.clone(),
        )
    }

    fn spawn(&mut self, id: VertexId, task: impl Future<Output = Report<E>> + Send + 'static) {
        let handle = self.set.spawn(task);
        self.owners.insert(handle.id(), id);
    }
}

fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"no message").to_string(),
    }
}
