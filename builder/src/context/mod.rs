//! Contexts read in place, and what copies and mounts select of them.
//!
//! A [`Tree`] is a directory of the host with its ignore file, or the mounted root file system of a stage: nothing
//! is copied or transferred to look at it. [`select`] turns what a `COPY` source or a bind mount names into a
//! [`Selection`]: names, attributes and digests, frozen as they were read. [`Selection::digest`] is what enters the
//! content key; [`digest`](self::Use) has the table of what matters. [`StatCache`] makes unchanged files cheap.

mod digest;
mod error;
mod file_digest;
mod hash;
mod resolve;
mod select;
mod selection;
mod stat_cache;
mod tree;

pub use digest::Use;
pub use error::SelectError;
pub use select::{Query, select};
pub use selection::{Content, Entry, FileContent, Match, Selection, Standing};
pub use stat_cache::StatCache;
pub use tree::{Tree, TreeKind};

pub(crate) use error::{Shown, absolute};
pub(crate) use file_digest::{BUFFER, begin as begin_file_digest};
pub(crate) use resolve::{ResolveError, resolve};
