//! Tests of the solver on vertices that add numbers.

mod elsewhere;
mod execution;
mod failing;
mod flights;
mod oracle;
mod planning;
mod reasons;
mod reuse;
mod stacking;
mod toy;
mod workshop;
