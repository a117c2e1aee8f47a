//! What operations read of their inputs, digested for their keys.

use std::iter::repeat_with;
use std::sync::PoisonError;

use futures_util::future::join_all;
use registry::oci::Digest;

use super::{OpError, Ops, blocking, files};
use crate::context::Selection;
use crate::op::Op;
use crate::solver::Excerpt;

/// Number of threads at most that digest: more only wait for the same disk.
const READERS: usize = 8;

impl Ops {
    /// Digests excerpts, in as many threads as there are processors; returns one result for each.
    pub(super) async fn digest_all(&self, excerpts: &[Excerpt<'_, Self>]) -> Vec<Result<Digest, OpError>> {
        let shares = excerpts.chunks(excerpts.len().div_ceil(readers(excerpts.len())).max(1));
        let contents = join_all(shares.map(|share| self.digest_share(share))).await;
        contents.into_iter().flatten().collect()
    }

    /// Digests excerpts one after the other in one thread.
    async fn digest_share(&self, share: &[Excerpt<'_, Self>]) -> Vec<Result<Digest, OpError>> {
        let unpacked = share
            .iter()
            .map(|excerpt| self.ensure_unpacked(excerpt.vertex, excerpt.value));
        let unpacked = join_all(unpacked).await;
        let work = share.iter().zip(unpacked).map(|(excerpt, unpacked)| {
            let (op, input, value) = (excerpt.vertex.op.clone(), excerpt.input, excerpt.value.clone());
            unpacked.map(|()| (op, input, value))
        });
        let (work, stacks): (Vec<_>, _) = (work.collect(), self.stacks.clone());
        let digested = blocking(move || {
            let digested = work.into_iter().map(|work| {
                let (op, input, value) = work?;
                let selections = files::selections(&stacks, &op, input, &value)?;
                Ok((files::digest(&stacks, &op, input, &value, &selections)?, selections))
            });
            Ok(digested.collect::<Vec<_>>())
        });
        let digested = digested.await;
        // Only a build that is over is cancelled.
        let digested =
            digested.unwrap_or_else(|_cancelled| repeat_with(|| Err(OpError::Cancelled)).take(share.len()).collect());
        let contents = share.iter().zip(digested).map(|(excerpt, digested)| {
            let (digest, selections) = digested?;
            self.keep_selected(excerpt, selections);
            Ok(digest)
        });
        contents.collect()
    }

    /// Keeps what was digested until it is copied: that must give just the same.
    fn keep_selected(&self, excerpt: &Excerpt<'_, Self>, selections: Vec<Selection>) {
        if matches!(excerpt.vertex.op, Op::Copy(_) | Op::Run(_)) {
            let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
            selected.insert((excerpt.vertex.id, excerpt.input), selections);
        }
    }
}

/// Returns how many threads are to digest this many excerpts.
fn readers(excerpts: usize) -> usize {
    if excerpts <= 1 {
        // Not even asked, because the answer is found in files of control groups.
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from).min(READERS)
}
