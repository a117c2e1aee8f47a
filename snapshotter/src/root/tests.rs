//! Nothing resolves out of a root, whoever resolves.
