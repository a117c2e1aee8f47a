//! The integration tests of the workspace, in one binary.

mod architecture;
mod export;
mod failures;
mod harness;
mod main_job;
mod outputs;
