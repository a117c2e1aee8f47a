//! The command line: the only place that prints, exits, or reads the environment.

pub mod args;
pub mod failure;
pub mod render;
