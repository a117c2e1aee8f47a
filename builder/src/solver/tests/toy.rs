//! A toy world: vertices that add numbers, and an evaluator that notes what it does.
//!
//! A value is a number, stacked on that of input 0 as a layer is: it is gone when what is below it is gone. What a
//! vertex reads of an input *by content* is the number without its last digit, so
//! that a change from 41 to 42 does not reach it and one from 41 to 51 does.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use registry::oci::Digest;

use crate::cache::Record;
use crate::graph::Vertex;
use crate::op::key::{CacheKey, Define, KeyHasher};
use crate::solver::{Evaluator, Excerpt, Made, Pinned, Serves, Work};

/// What a toy vertex does.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Toy {
    /// A number from outside that has an identity, as an image has.
    Image(&'static str),
    /// A number from outside that only its content identifies, as a context is.
    Context(&'static str),
    /// Adds a constant to the sum of the inputs, all of them used whole.
    Add(i64),
    /// Adds the tens of the other inputs, read by content, to input 0.
    Copy,
    /// The same operation as `Add`, with the cache off.
    Again(i64),
    /// The same operation as `Copy`, with the cache off.
    CopyAgain,
    /// Gives another number each time.
    Random(Cache),
    /// Adds 1 to input 0 and each time finds that what it reads has changed meanwhile.
    Shifting,
    /// Fails.
    Fail,
    /// Panics.
    Panic,
    /// Gives 1 after a [`NAP`], unless cancelled.
    Sleep(u32),
    /// Gives 1 after longer than any test should take, unless cancelled.
    Hang,
    /// Gives 1 after a [`NAP`], whatever happens.
    Stubborn,
    /// Leaves damage behind after a [`NAP`], whatever happens.
    Damage,
}

/// Long enough for others to begin meanwhile.
pub(super) const NAP: Duration = Duration::from_millis(100);

/// A number whose content takes a [`NAP`] to read.
pub(super) const SLOW: i64 = 1313;

/// Whether a vertex asks the cache; enters no key.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Cache {
    On,
    Off,
}

impl Define for Toy {
    fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image/1",
            Self::Context(_) => "context/1",
            Self::Add(_) | Self::Again(_) => "add/1",
            Self::Copy | Self::CopyAgain => "copy/1",
            Self::Random(_) => "random/1",
            Self::Shifting => "shifting/1",
            Self::Fail => "fail/1",
            Self::Panic => "panic/1",
            Self::Sleep(_) => "sleep/1",
            Self::Hang => "hang/1",
            Self::Stubborn => "stubborn/1",
            Self::Damage => "damage/1",
        }
    }

    fn define(&self, hasher: &mut KeyHasher) {
        match self {
            Self::Add(number) | Self::Again(number) => {
                hasher.text(&number.to_string());
            }
            Self::Sleep(number) => {
                hasher.number(*number);
            }
            // A source's name does not enter, as an image's does not.
            Self::Image(_) | Self::Context(_) => {}
            Self::Copy
            | Self::CopyAgain
            | Self::Random(_)
            | Self::Shifting
            | Self::Fail
            | Self::Panic
            | Self::Hang
            | Self::Stubborn
            | Self::Damage => {}
        }
    }

    fn is_source(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Context(_))
    }

    fn reads_by_content(&self, input: usize) -> bool {
        matches!(self, Self::Copy | Self::CopyAgain) && input > 0
    }

    fn ignores_cache(&self) -> bool {
        matches!(self, Self::Again(_) | Self::CopyAgain | Self::Random(Cache::Off))
    }
}

/// Why a toy failed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum ToyError {
    #[error("it was told to fail")]
    Told,
    #[error("it has left damage behind")]
    Damage,
    #[error("it was cancelled")]
    Cancelled,
    #[error("a negative number has no content")]
    Unreadable,
    #[error("there is no `{0}`")]
    NoSource(&'static str),
}

/// The outside world, and a count of what was done to it.
#[derive(Default)]
pub(super) struct World {
    state: Mutex<State>,
    sequence: AtomicUsize,
}

#[derive(Default)]
struct State {
    sources: HashMap<&'static str, i64>,
    remote: BTreeSet<&'static str>,
    /// What is in the store, by the name of the run that made it.
    stored: HashMap<CacheKey, i64>,
    log: Vec<String>,
    running: usize,
    most_running: usize,
}

impl World {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says what a source is from now on.
    pub(super) fn set(&self, name: &'static str, number: i64) {
        self.state(|state| state.sources.insert(name, number));
    }

    /// Makes the content of a source expensive to read.
    pub(super) fn set_remote(&self, name: &'static str) {
        self.state(|state| state.remote.insert(name));
    }

    /// Removes the value that a record tells of from the store, but not what it is stacked on.
    pub(super) fn evict(&self, record: &Record) {
        if let Some(top) = stack(record).and_then(|mut stack| stack.pop()) {
            self.state(|state| state.stored.remove(&top));
        }
    }

    /// Returns the number that a value is stacked on: what is in the store, not what was there when it was made.
    pub(super) fn below(&self, value: &Number) -> i64 {
        match value.stack.iter().nth_back(1) {
            Some(run) => self.state(|state| state.stored[run]),
            None => 0,
        }
    }

    /// Returns what was done since the last call, in order.
    pub(super) fn done(&self) -> Vec<String> {
        self.state(|state| std::mem::take(&mut state.log))
    }

    /// Returns the names of the vertices that ran since the last call, sorted.
    pub(super) fn ran(&self) -> Vec<String> {
        let mut ran: Vec<String> = self
            .done()
            .iter()
            .filter_map(|line| line.strip_prefix("run "))
            .map(str::to_owned)
            .collect();
        ran.sort();
        ran
    }

    /// Returns how many vertices ran at the same time at most.
    pub(super) fn most_running(&self) -> usize {
        self.state(|state| state.most_running)
    }

    /// Returns how many vertices run now.
    pub(super) fn running(&self) -> usize {
        self.state(|state| state.running)
    }

    fn log(&self, line: String) {
        self.state(|state| state.log.push(line));
    }
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Number {
    pub(super) number: i64,
    /// The source that it is, if any.
    source: Option<&'static str>,
    /// The names of the runs that made it and what it is stacked on, bottom first.
    stack: Vec<CacheKey>,
}

fn stack(record: &Record) -> Option<Vec<CacheKey>> {
    serde_json::from_value(record.payload["stack"].clone()).ok()
}

impl Evaluator for World {
    type Op = Toy;
    type Value = Number;
    type Error = ToyError;

    async fn pin(&self, vertex: &Vertex<Toy>) -> Result<Pinned<Number>, ToyError> {
        self.log(format!("pin {}", vertex.meta.name));
        let (name, named) = match vertex.op {
            Toy::Image(name) => (name, true),
            Toy::Context(name) => (name, false),
            _ => return Err(ToyError::Told),
        };
        let number = self
            .state(|state| state.sources.get(name).copied())
            .ok_or(ToyError::NoSource(name))?;
        tokio::task::yield_now().await;
        self.log(format!("pinned {}", vertex.meta.name));
        Ok(Pinned {
            identity: named.then(|| Digest::of(number.to_string().as_bytes())),
            value: Number {
                number,
                source: Some(name),
                stack: vec![],
            },
        })
    }

    async fn load(&self, vertex: &Vertex<Toy>, record: &Record) -> Option<Number> {
        self.log(format!("load {}", vertex.meta.name));
        let number = record.payload["number"].as_i64()?;
        let stack = stack(record)?;
        let whole = self.state(|state| stack.iter().all(|run| state.stored.contains_key(run)));
        whole.then_some(Number {
            number,
            source: None,
            stack,
        })
    }

    fn is_lasting(&self, error: &ToyError) -> bool {
        *error == ToyError::Damage
    }

    fn is_local(&self, value: &Number) -> bool {
        self.state(|state| value.source.is_none_or(|name| !state.remote.contains(name)))
    }

    async fn contents(&self, excerpts: &[Excerpt<'_, Self>]) -> Vec<Result<Digest, ToyError>> {
        let contents = excerpts.iter().map(async |excerpt| {
            self.log(format!("read {}", excerpt.vertex.meta.name));
            if excerpt.value.number == SLOW {
                tokio::time::sleep(NAP).await;
            }
            tokio::task::yield_now().await;
            if excerpt.value.number < 0 {
                return Err(ToyError::Unreadable);
            }
            Ok(Digest::of((excerpt.value.number / 10).to_string().as_bytes()))
        });
        join_all(contents).await
    }

    async fn run(&self, vertex: &Vertex<Toy>, work: Work<Number>) -> Result<Made<Number>, ToyError> {
        self.log(format!("run {}", vertex.meta.name));
        self.state(|state| {
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
        });
        let result = self.evaluate(&vertex.op, &work).await;
        self.state(|state| state.running -= 1);
        let number = result?;
        self.log(format!("ran {}", vertex.meta.name));
        let other = self.state(|state| state.stored.insert(work.key, number));
        assert_eq!(other, None, "two runs have one name");
        let mut stack = work
            .inputs
            .into_iter()
            .next()
            .map_or_else(Vec::new, |input| input.stack);
        stack.push(work.key);
        Ok(Made {
            payload: serde_json::json!({ "number": number, "stack": stack }),
            serves: match vertex.op {
                Toy::Shifting => Serves::This,
                _ => Serves::Every,
            },
            value: Number {
                number,
                source: None,
                stack,
            },
        })
    }
}

impl World {
    async fn evaluate(&self, op: &Toy, work: &Work<Number>) -> Result<i64, ToyError> {
        let mut inputs = work.inputs.iter().map(|value| value.number);
        // Gives others a chance to run at the same time, so that order is not by accident.
        tokio::task::yield_now().await;
        match op {
            Toy::Image(_) | Toy::Context(_) | Toy::Fail => Err(ToyError::Told),
            Toy::Add(number) | Toy::Again(number) => Ok(number + inputs.sum::<i64>()),
            Toy::Copy | Toy::CopyAgain => {
                Ok(inputs.next().unwrap_or(0) + inputs.map(|number| number / 10 * 10).sum::<i64>())
            }
            Toy::Shifting => Ok(1 + inputs.sum::<i64>()),
            Toy::Random(_) => Ok(1000 * (1 + self.sequence.fetch_add(1, Ordering::SeqCst) as i64)),
            Toy::Panic => panic!("a toy panicked"),
            Toy::Stubborn => {
                tokio::time::sleep(NAP).await;
                Ok(1)
            }
            Toy::Damage => {
                tokio::time::sleep(NAP).await;
                Err(ToyError::Damage)
            }
            Toy::Sleep(_) | Toy::Hang => {
                let time = if *op == Toy::Hang { 100 * NAP } else { NAP };
                let sleep = work.cancel.run_until_cancelled(tokio::time::sleep(time));
                sleep.await.map(|()| 1).ok_or(ToyError::Cancelled)
            }
        }
    }
}
