//! The contract of records that are kept elsewhere.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::Record;
use crate::op::key::CacheKey;

/// Records of other machines, which are far away: asked for many at a time and only read.
///
/// Nothing that goes wrong here is an error of the build. What cannot be had, understood or believed is not among
/// the answers; whoever implements this tells the user.
pub trait RecordSource: Send + Sync {
    /// Returns the records that are under `keys`; a key without an answer has none.
    fn ask<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, HashMap<CacheKey, Record>>;
}
