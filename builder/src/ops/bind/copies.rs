//! Copies of what is at a path of a context, for steps that cannot be shown it in place: each is made once in a build.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use registry::oci::Digest;
use snapshotter::ActiveSnapshot;

use super::Sight;
use crate::ops::OpError;

/// What was copied of one context, until nobody needs the context any more.
#[derive(Default)]
pub(in crate::ops) struct Copies(Mutex<HashMap<Seen, Turn>>);

/// Where something is in the context, and what a step is to see of it.
type Seen = (PathBuf, Digest);

/// Taken by who makes a copy; others wait for it.
type Turn = Arc<Mutex<Option<Arc<ContextCopy>>>>;

/// A copy.
pub(super) struct ContextCopy {
    /// The files, each where it is in the context.
    pub(super) files: ActiveSnapshot,
    /// What was copied.
    pub(super) sight: Sight,
}

impl Copies {
    /// Returns a copy of what was seen, and whether it had to be made for that. One that turns out to show something else,
    /// because somebody changes files, serves nobody who comes later.
    pub(super) fn of(
        &self,
        wanted: &Sight,
        make: impl FnOnce() -> Result<ContextCopy, OpError>,
    ) -> Result<(Arc<ContextCopy>, bool), OpError> {
        let seen = (wanted.origin.clone(), wanted.digest);
        let turn = {
            let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(copies.entry(seen).or_default())
        };
        let mut kept = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = &*kept {
            return Ok((Arc::clone(copy), false));
        }
        let copy = Arc::new(make()?);
        if copy.sight == *wanted {
            *kept = Some(Arc::clone(&copy));
        }
        Ok((copy, true))
    }
}

#[cfg(test)]
mod tests {
    use registry::oci::Digest;
    use snapshotter::{Ownership, SnapshotStore};

    use super::*;
    use crate::context::Selection;

    #[test]
    fn a_copy_serves_those_who_are_to_see_just_that() {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path(), Ownership::Real).unwrap();
        let sight = |content: &str| {
            let mut sight = Sight::of(&Selection::default());
            sight.digest = Digest::of(content.as_bytes());
            sight
        };
        let copies = Copies::default();
        let is_new = |wanted: &str, found: &str| {
            let make = || {
                Ok(ContextCopy {
                    files: store.prepare()?,
                    sight: sight(found),
                })
            };
            copies.of(&sight(wanted), make).unwrap().1
        };
        assert!(is_new("one", "one") && !is_new("one", "one"));
        // It was changed before it was copied, and back.
        assert!(is_new("two", "three") && is_new("two", "two") && !is_new("two", "two"));
        assert!(is_new("three", "three"));
        assert!(!is_new("one", "one"));
    }
}
