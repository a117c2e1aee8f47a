//! The blobs of a store that were found damaged while they were read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::oci::Digest;

/// What readers have found; a clone is the same.
///
/// Damage shows deep below whoever can do something about it, as an error among others of a reader: here it is found again.
#[derive(Clone, Default, Debug)]
pub(super) struct Damaged(Arc<Mutex<BTreeSet<Digest>>>);

impl Damaged {
    pub(super) fn note(&self, digest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }

    pub(super) fn take(&self) -> BTreeSet<Digest> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
