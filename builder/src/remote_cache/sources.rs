//! Everything that `--cache-from` names, asked as one.
//!
//! All places are asked at the same time; of several answers that of the first place counts. A place that cannot be
//! reached, or does not answer, is not asked again in this build; an entry that is damaged counts as none. Both are
//! warned of, and neither is an error.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::{StreamExt as _, stream};
use registry::client::{Client, ObjectStore, RetryPolicy};
use registry::oci::Digest;

use super::directory::DirectoryCache;
use super::objects::ObjectCache;
use super::registry::{Opened, RegistryCache};
use super::{CacheFrom, RemoteCacheError, Which};
use crate::cache::{Record, RecordSource};
use crate::diagnostic::Diagnostic;
use crate::image::Origin;
use crate::op::key::CacheKey;
use crate::progress::Progress;

/// The records of an image with an inline cache.
pub type InlineRecords = HashMap<CacheKey, Record>;

/// Look-ups that are under way in one registry at the same time.
const PARALLEL: usize = 16;
/// How long a place may take to answer before the build goes on without it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A cache is not worth waiting for as a base image is.
const RETRY: RetryPolicy = RetryPolicy {
    tries: 3,
    connect_tries: 2,
    first_delay: Duration::from_millis(250),
    longest_delay: Duration::from_secs(2),
    budget: Duration::from_secs(10),
};

/// Places of records that could be opened.
pub struct Sources {
    places: Vec<Place>,
    progress: Progress,
}

struct Place {
    /// For people.
    name: String,
    /// What tells it from other places.
    identity: String,
    origin: Origin,
    kind: Kind,
    /// What fetches its blobs, if that is a store of objects: with more patience than look-ups have.
    store: Option<ObjectStore>,
    /// Set when it failed: it is not asked any more.
    is_lost: AtomicBool,
}

enum Kind {
    Registry(RegistryCache),
    Inline(InlineRecords),
    Directory(Arc<DirectoryCache>),
    Objects(ObjectCache),
}

impl Kind {
    /// Asks a place that has to be asked for each key.
    async fn lookup(&self, key: CacheKey) -> Result<Option<Record>, RemoteCacheError> {
        match self {
            Self::Registry(cache) => cache.lookup(key).await,
            Self::Objects(cache) => cache.lookup(key).await,
            Self::Inline(records) => Ok(records.get(&key).cloned()),
            Self::Directory(cache) => cache.lookup(key),
        }
    }
}

impl Sources {
    /// Opens places, all at once and each as a displayed step; one that cannot be opened is warned of and left out.
    pub async fn open(from: &[CacheFrom], client: &Client, progress: &Progress) -> Self {
        let impatient = client.with_retry(RETRY);
        let places = from.iter().map(async |from| {
            let name = name(from);
            let step = format!("importing cache manifest from {name}");
            let step = progress.declare(step.as_str(), Digest::of(step.as_bytes()), Vec::new());
            progress.started(step);
            let opened = match tokio::time::timeout(PATIENCE, open(from, &impatient)).await {
                Ok(opened) => opened,
                Err(_elapsed) => Err(RemoteCacheError::Silent(PATIENCE.as_secs())),
            };
            progress.completed(step, opened.as_ref().err().map(ToString::to_string));
            match opened {
                Ok((kind, origin)) => Some(Place {
                    name,
                    identity: identity(from),
                    origin,
                    kind,
                    store: store(from, client),
                    is_lost: AtomicBool::new(false),
                }),
                // What is not there yet will be after the first export.
                Err(RemoteCacheError::Absent(_)) => None,
                Err(error) => {
                    let what = format!("the cache `{name}` cannot be imported");
                    progress.warn(Diagnostic::consequence(&what, &error));
                    None
                }
            }
        });
        Self {
            places: join_all(places).await.into_iter().flatten().collect(),
            progress: progress.clone(),
        }
    }

    /// Returns where layers can be had.
    pub fn origins(&self) -> Vec<Origin> {
        self.places.iter().map(|place| place.origin.clone()).collect()
    }

    /// Returns the stores of objects that layers can be had from, by their addresses.
    pub fn stores(&self) -> HashMap<String, ObjectStore> {
        let stores = self.places.iter().filter_map(|place| place.store.clone());
        stores.map(|store| (store.to_string(), store)).collect()
    }

    /// Returns whether there is anybody to ask.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    async fn ask_place(&self, place: &Place, keys: &[CacheKey]) -> HashMap<CacheKey, Record> {
        if place.is_lost.load(Ordering::Relaxed) {
            return HashMap::new();
        }
        match &place.kind {
            Kind::Inline(records) => keys
                .iter()
                .filter_map(|key| Some((*key, records.get(key)?.clone())))
                .collect(),
            Kind::Directory(cache) => {
                let (cache, asked) = (Arc::clone(cache), keys.to_vec());
                let answers = tokio::task::spawn_blocking(move || {
                    let answers = asked.into_iter().map(|key| (key, cache.lookup(key)));
                    answers.collect::<Vec<_>>()
                });
                self.believed(place, answers.await.unwrap_or_default())
            }
            Kind::Registry(_) | Kind::Objects(_) => {
                let answers = stream::iter(keys.iter().copied())
                    .map(|key| async move { (key, place.kind.lookup(key).await) })
                    .buffer_unordered(PARALLEL)
                    .collect::<Vec<_>>();
                match tokio::time::timeout(PATIENCE, answers).await {
                    Ok(answers) => self.believed(place, answers),
                    Err(_elapsed) => {
                        self.lose(place, &RemoteCacheError::Silent(PATIENCE.as_secs()));
                        HashMap::new()
                    }
                }
            }
        }
    }

    /// Keeps what was found, and warns of what failed.
    fn believed(
        &self,
        place: &Place,
        answers: Vec<(CacheKey, Result<Option<Record>, RemoteCacheError>)>,
    ) -> HashMap<CacheKey, Record> {
        let believed = answers.into_iter().filter_map(|(key, answer)| match answer {
            Ok(record) => Some((key, record?)),
            Err(error) if error.is_of_one_entry() => {
                let what = format!("the cache `{}` has a damaged entry, whose step runs again", place.name);
                self.progress.warn(Diagnostic::consequence(&what, &error));
                None
            }
            Err(error) => {
                self.lose(place, &error);
                None
            }
        });
        believed.collect()
    }

    fn lose(&self, place: &Place, error: &RemoteCacheError) {
        if !place.is_lost.swap(true, Ordering::Relaxed) {
            let what = format!("the cache `{}` is not asked any more", place.name);
            self.progress.warn(Diagnostic::consequence(&what, error));
        }
    }
}

impl RecordSource for Sources {
    fn ask<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, HashMap<CacheKey, Record>> {
        Box::pin(async move {
            let answers = self.places.iter().map(async |place| {
                let mut records = self.ask_place(place, keys).await;
                for record in records.values_mut() {
                    record.relies_on = BTreeSet::from([place.identity.clone()]);
                }
                records
            });
            let answers = join_all(answers).await;
            // Later ones are overwritten by earlier ones.
            answers.into_iter().rev().flatten().collect()
        })
    }
}

async fn open(from: &CacheFrom, client: &Client) -> Result<(Kind, Origin), RemoteCacheError> {
    match from {
        CacheFrom::Registry { reference, .. } => {
            let cache = RegistryCache::new(client.clone(), reference.clone());
            let origin = cache.origin();
            Ok(match cache.open().await? {
                Opened::Entries => (Kind::Registry(cache), origin),
                Opened::Inline(records) => (Kind::Inline(records), origin),
            })
        }
        CacheFrom::Directory { directory, which } => {
            let (directory, which) = (directory.clone(), which.clone());
            let opening = tokio::task::spawn_blocking(move || DirectoryCache::open(&directory, &which));
            let cache = opening.await.map_err(|_| RemoteCacheError::Lost)??;
            let origin = cache.origin();
            Ok((Kind::Directory(Arc::new(cache)), origin))
        }
        CacheFrom::Objects(place) => {
            let cache = ObjectCache::new(place.open(client)?);
            let origin = cache.origin();
            Ok((Kind::Objects(cache), origin))
        }
    }
}

/// Returns what fetches blobs of a store of objects.
fn store(from: &CacheFrom, client: &Client) -> Option<ObjectStore> {
    match from {
        CacheFrom::Objects(place) => place.open(client).ok(),
        CacheFrom::Registry { .. } | CacheFrom::Directory { .. } => None,
    }
}

/// Returns what tells the caches from others that a build imports from, whether they can be reached or not.
pub fn identities(from: &[CacheFrom]) -> BTreeSet<String> {
    from.iter().map(identity).collect()
}

/// Returns what records that come from a place are marked with.
fn identity(from: &CacheFrom) -> String {
    match from {
        CacheFrom::Objects(place) => place.identity(),
        CacheFrom::Registry { .. } | CacheFrom::Directory { .. } => name(from),
    }
}

/// Returns how a place is called, for people.
fn name(from: &CacheFrom) -> String {
    match from {
        CacheFrom::Registry { reference, .. } => reference.familiar(),
        CacheFrom::Directory { directory, which } => match which {
            Which::Tag(tag) => format!("{}:{tag}", directory.display()),
            Which::Digest(digest) => format!("{}@{digest}", directory.display()),
        },
        CacheFrom::Objects(place) => place.to_string(),
    }
}
