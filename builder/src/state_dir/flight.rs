//! Work that one process does while others, who want the same, wait for it.
//!
//! Whoever is about to make something enters its *flight*: a file in `run` that is locked for as long as the work goes
//! on. Who finds it locked waits, and looks again then: most likely the thing is there. A process that dies gives the
//! lock back, and one of those who wait does the work. A step may wait for the layers that it needs, and a layer waits
//! for nothing: so no two processes can wait for each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StateDirError;
use super::lock::lock_named;

/// First and longest pause between two tries to enter. Polling instead of one blocking call: a build that is cancelled
/// must not be stuck in the kernel.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// The flights of all processes that share a state directory; a clone is the same.
#[derive(Clone, Debug)]
pub struct Flights {
    run: PathBuf,
}

/// The right to do a piece of work; given back when dropped.
#[derive(Debug)]
#[must_use = "others begin the same work when this is dropped"]
pub struct Flight {
    path: PathBuf,
    _lock: File,
}

impl Flights {
    pub(super) fn new(run: PathBuf) -> Self {
        Self { run }
    }

    /// Enters the flight of a piece of work, unless somebody is in it. The name is fit for a file.
    ///
    /// # Errors
    /// If the file cannot be made or locked.
    pub fn try_enter(&self, name: &str) -> Result<Option<Flight>, StateDirError> {
        let path = self.run.join(format!("flight-{name}"));
        let open = || {
            fault::point("flight.open")?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let lock = open().map_err(StateDirError::io("open", &path))?;
        fault::point("flight.opened").map_err(StateDirError::io("lock", &path))?;
        // Lazily: a flight that is dropped ends, and this one may be somebody else's.
        Ok(lock_named(&lock, &path)?.then(|| Flight { path, _lock: lock }))
    }

    /// Waits until nobody else is in a flight, and enters it.
    ///
    /// # Errors
    /// If the file cannot be made or locked.
    pub async fn enter(&self, name: &str) -> Result<Flight, StateDirError> {
        let [mut pause, longest] = PAUSES;
        loop {
            if let Some(flight) = self.try_enter(name)? {
                return Ok(flight);
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// Returns the directory that they are in.
    pub fn directory(&self) -> &Path {
        &self.run
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // The name goes before the lock: whoever has opened it meanwhile sees that it is no name any more. One that
        // stays is reclaimed as what a dead process has left.
        let _reclaimed_later = fault::point("flight.leave").and_then(|()| fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_is_in_a_flight_at_a_time_and_the_next_enters_when_it_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let flights = Flights::new(dir.path().to_owned());
        let first = flights.try_enter("a").unwrap().unwrap();
        assert!(flights.try_enter("a").unwrap().is_none());
        assert!(flights.try_enter("b").unwrap().is_some(), "another one is free");
        drop(first);
        assert!(flights.try_enter("a").unwrap().is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn many_that_come_and_go_never_meet() {
        let dir = tempfile::tempdir().unwrap();
        let (flights, inside) = (Flights::new(dir.path().to_owned()), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (flights, inside) = (flights.clone(), Arc::clone(&inside));
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    runtime.unwrap().block_on(async {
                        for _ in 0..50 {
                            let flight = flights.enter("a").await.unwrap();
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(flight);
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
