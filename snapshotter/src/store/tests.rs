//! Snapshots appear whole, once, and leave nothing behind.
