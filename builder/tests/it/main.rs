//! The integration tests of the workspace, in one binary.

mod architecture;
mod export;
mod failures;
mod harness;
mod lint;
mod main_job;
mod outputs;
