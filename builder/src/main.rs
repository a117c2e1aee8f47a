//! The `croze` command.

fn main() {}
