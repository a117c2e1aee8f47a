//! Tests of the solver on vertices that add numbers.

mod execution;
mod failing;
mod planning;
mod reasons;
mod reuse;
mod toy;
mod workshop;
