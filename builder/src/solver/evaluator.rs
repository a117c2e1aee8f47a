//! The solver's whole view of the world: what an operation is worth, and how to make it.

use std::future::Future;

use registry::oci::Digest;
use tokio_util::sync::CancellationToken;

use crate::cache::{Aspects, Record};
use crate::graph::Vertex;
use crate::op::key::{CacheKey, Define};

/// Evaluates operations for the solver.
///
/// # Lifecycle
/// Sources are *pinned* before anything else, all at once. While planning and executing, values of earlier
/// builds are *loaded* from their records, the *content* that an operation reads of a value is digested, and
/// what remains is *run*. All of it happens concurrently; a method that blocks or computes for long must move
/// that to a blocking thread itself.
pub trait Evaluator: Send + Sync + 'static {
    /// What a vertex does.
    type Op: Define + Send + Sync + 'static;
    /// What a vertex gives: a handle, cheap to clone.
    type Value: Clone + Send + Sync + 'static;
    /// Why an operation failed.
    type Error: std::error::Error + Send + 'static;

    /// Pins a source: finds out what its name means in this build.
    fn pin(&self, vertex: &Vertex<Self::Op>) -> impl Future<Output = Result<Pinned<Self::Value>, Self::Error>> + Send;

    /// Returns the value that a record tells of, or `None` if any part of it is gone.
    ///
    /// From here until the end of the build the value must stay: this is where a lease is taken.
    fn load(&self, vertex: &Vertex<Self::Op>, record: &Record) -> impl Future<Output = Option<Self::Value>> + Send;

    /// Returns whether the files of a value can be read without first transferring them.
    ///
    /// A plan digests only the content of such values, so that planning pulls nothing; execution digests all.
    fn is_local(&self, _value: &Self::Value) -> bool {
        true
    }

    /// Digests excerpts of values; returns one result for each, in their order. It is asked for many at once, because
    /// most are small and each way to a blocking thread and back costs as much.
    ///
    /// Equal files under equal names, owners and modes must give equal digests, whatever the rest.
    fn contents(&self, excerpts: &[Excerpt<'_, Self>])
    -> impl Future<Output = Vec<Result<Digest, Self::Error>>> + Send;

    /// Returns what people know a vertex by, and the files that it reads as far as they have been digested; called before
    /// it runs, to tell why.
    fn aspects(&self, _vertex: &Vertex<Self::Op>) -> Aspects {
        Aspects::default()
    }

    /// Returns whether an error tells of damage that somebody has to mend, whatever else the build has ended with.
    fn is_lasting(&self, _error: &Self::Error) -> bool {
        false
    }

    /// Performs an operation.
    ///
    /// When `work.cancel` is cancelled it must end soon, with everything that it started, and return an
    /// error; a value is returned only for work that was done whole.
    fn run(
        &self,
        vertex: &Vertex<Self::Op>,
        work: Work<Self::Value>,
    ) -> impl Future<Output = Result<Made<Self::Value>, Self::Error>> + Send;
}

/// What an operation reads of one of its inputs: all its selectors together.
pub struct Excerpt<'a, E: Evaluator + ?Sized> {
    /// Who reads.
    pub vertex: &'a Vertex<E::Op>,
    /// The number of the input.
    pub input: usize,
    /// The value of the input.
    pub value: &'a E::Value,
}

/// A source whose meaning is fixed for this build.
#[derive(Clone, Debug)]
pub struct Pinned<V> {
    /// What identifies it between builds (for an image the ChainID of its layers, so that a re-tagged or
    /// re-configured image with the same files is the same); `None` if only the content that is read of it does.
    pub identity: Option<Digest>,
    /// Its value; nothing need have been transferred yet.
    pub value: V,
}

/// What an operation gets to work with.
#[derive(Clone, Debug)]
pub struct Work<V> {
    /// The name of what this run makes, fit to name a snapshot; no other run ever has it.
    ///
    /// It is not the key that the value is saved under. Were content stored under that, then a step that ran again
    /// (its record was pruned) could slip other files under a layer that was made on the old ones, and the record
    /// of that layer would not notice. Stored under the run, the old content is gone for good, and who was made
    /// on it is not loaded any more.
    pub key: CacheKey,
    /// The values of the inputs, in order.
    pub inputs: Vec<V>,
    /// Cancelled when the build is over for another reason.
    pub cancel: CancellationToken,
}

/// What an operation made.
#[derive(Clone, Debug)]
pub struct Made<V> {
    /// The value.
    pub value: V,
    /// What [`Evaluator::load`] will need in another build.
    pub payload: serde_json::Value,
    /// Who may have it.
    pub serves: Serves,
}

/// Which builds a value that was made may serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// Every build: it was made from what its keys say.
    Every,
    /// This one: something outside changed while it was made, and its keys say less than the truth.
    This,
}
