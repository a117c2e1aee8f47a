//! The integration tests of the workspace, in one binary.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod architecture;
mod bare;
mod cache_matrix;
mod checks;
mod endurance;
mod export;
mod failures;
mod harness;
mod hostile;
mod interrupted;
mod lint;
mod main_job;
mod meanwhile;
mod outputs;
mod policy;
mod promises;
mod remote;
mod shared_cache;
mod stalled;
mod store;
mod streaming;
mod unmakeable;
