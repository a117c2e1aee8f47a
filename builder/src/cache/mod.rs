//! What was built before: records by key.
//!
//! A [`Record`] says what a step gave and what it was made from; it never holds content, it names it. Stores
//! of records implement [`CacheStore`] and pass the suite in `conformance.rs`:
//!
//! | store | where | for |
//! |---|---|---|
//! | [`LocalCache`] | one small file per key in the state directory | every build |
//! | [`MemoryCache`] | memory, strict about misuse | tests |
//!
//! What other machines have made comes through a [`RecordSource`], and is seen by builds that import from there
//! ([`BelievedCache`]).

mod aspects;
mod believed;
mod local;
mod memory;
mod record;
mod source;
mod store;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

pub use aspects::{Aspects, Change, ChangeKind, hidden, tell, tell_some};
pub use believed::BelievedCache;
pub use local::{Inspected, LocalCache, inspect};
pub use memory::MemoryCache;
pub use record::{Lineage, Reading, Record};
pub use source::RecordSource;
pub use store::{CacheError, CacheStore};
