//! Decides what must run, and runs it.
//!
//! A [`Problem`] is a graph, its targets, an [`Evaluator`] and a cache. [`plan()`] pins the sources and decides
//! for every vertex whether its value is in the cache, must be made, or is not needed; nothing has run then,
//! and the [`Plan`] can be printed. [`execute()`] follows the plan with everything that is ready in parallel.
//! Generic over the evaluator: the tests use vertices that add numbers.
//!
//! # Keys
//!
//! | key | made of | says |
//! |---|---|---|
//! | *definition key* | operation, canonical keys of the inputs; the content in place of the key for an input that is known only by content | the same was asked for |
//! | *content key* | operation, canonical keys of inputs used whole, digests of the files read of the others | the same would be read |
//! | *canonical key* | the key that a value was first saved under: its definition key; for a vertex whose cache is off, that and the build | the same value |
//! | *run key* | canonical key, build | this run of it: names what it stores ([`Work::key`]) |
//!
//! What of an operation enters is in the table of [`crate::op::key`]. A pinned source has its identity as
//! canonical key. Look-ups go by the definition key, then, where it differs, by the content key. A content hit
//! returns the *old* record and with it the old canonical key, so that everything above computes the keys that
//! it had then and hits too: a change that does not reach the copied files stops at the copy. A vertex that is
//! run although there is a record (`--no-cache`) gets a canonical key of its own, because its value may differ:
//! nothing above it can take a result made from the old value for one made from the new.
//!
//! A value that was made while something outside changed ([`Serves::This`]) has such a key too, and is not saved at all.
//!
//! # Records of other machines
//!
//! What this machine has no record of, or whose content is gone here, is asked for elsewhere
//! ([`crate::cache::RecordSource`]): while planning all definition keys at once (`ahead.rs`), later each key as it becomes
//! known. An answer is believed for the key that was asked, and saved under that key only: whatever it says of its
//! canonical key cannot change what other builds find under that. The same goes for what is made here because the content of
//! such an answer is gone: it has the claimed key in this build, so that what was made from it elsewhere is found, and is
//! saved under the key that was asked for.
//!
//! What is made on top of an answer has keys made of the claimed one, under which other builds may look for something else. So
//! a record says on whose word it relies ([`crate::cache::Record::relies_on`]): on that of the cache that answered, and of
//! those that its inputs rely on; one that is found here passes on what it says itself. Builds that do not import from all
//! of these do not see it ([`crate::cache::BelievedCache`]), and no key that relies on more than a record does is linked to it.
//!
//! # When a content key is known
//!
//! While planning, if the files can be read without a transfer: from a pinned source or from a value that is
//! in the cache. Otherwise when the inputs are done, before the vertex would run: it may still be a hit, and so
//! may those above it, whose keys are computed again then.

mod ahead;
mod decision;
mod evaluator;
mod execute;
mod failure;
mod keys;
mod known;
mod observer;
mod places;
mod plan;
mod printed;
mod problem;
mod reason;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Input, MissReason};
pub use evaluator::{Evaluator, Excerpt, Made, Pinned, Serves, Work};
pub use execute::{Limits, Solution, Solved, VertexKeys, execute};
pub use failure::Failure;
pub use keys::keys_of;
pub use observer::Observer;
pub use plan::{Plan, Planned, plan};
pub use problem::Problem;
