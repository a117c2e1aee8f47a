//! Golden tests of plans.
