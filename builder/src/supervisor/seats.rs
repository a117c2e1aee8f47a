//! How many threads a supervisor has: each takes a seat before it is started, and whatever becomes of it gives it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seats for as many threads as there may be.
pub(super) struct Seats {
    taken: AtomicUsize,
    limit: usize,
}

/// One of them, given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    is_taken: bool,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let taken = AtomicUsize::new(0);
        Arc::new(Self { taken, limit })
    }

    /// Takes a seat, if one is free.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let more = |taken| (taken < self.limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Seat {
            seats: Arc::clone(self),
            is_taken: true,
        })
    }

    /// Returns whether nobody has a seat.
    pub(super) fn are_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }
}

impl Seat {
    /// Gives the seat back, unless it is the last that is taken. Returns whether it has.
    pub(super) fn give_back_unless_last(&mut self) -> bool {
        let fewer = |taken| (taken > 1).then(|| taken - 1);
        let given = self
            .seats
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
        self.is_taken &= given.is_err();
        !self.is_taken
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_taken {
            self.seats.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_of_a_thread_that_never_was_can_be_taken_again() {
        let seats = Seats::new(2);
        let mut first = seats.take().unwrap();
        // What a thread would have been started with, which could not be.
        let never_run = seats.take().map(|seat| move || drop(seat));
        assert!(never_run.is_some() && seats.take().is_none());
        drop(never_run);
        assert!(!first.give_back_unless_last(), "it is the only one");
        let second = seats.take().unwrap();
        assert!(first.give_back_unless_last());
        drop(first);
        assert!(!seats.are_empty());
        drop(second);
        assert!(seats.are_empty());
    }
}
