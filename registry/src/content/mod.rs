//! The content store: immutable blobs on disk, each named by the digest of its bytes.
//!
//! ```text
//! <dir>/sha256/ab/<hex>    one blob, mode 0400; `ab` are the first two digits
//! <scratch>/…              unfinished ingests; the same file system, private to one process
//! ```
//!
//! Any number of processes share a store without a lock: a blob appears by one rename of a finished,
//! hashed file, and is never written to again. A name that exists is therefore complete, with one
//! exception: nothing is synced here, so a power cut can leave an empty or short file behind. That is
//! why every read is verified and why an ingest replaces an existing blob of a wrong size.
//!
//! What a killed process leaves in its scratch directory belongs to whoever owns that directory.

mod damaged;
mod digest_reader;
mod digest_writer;
mod error;
mod hashing;
mod ingest;
mod keeper;
mod store;
mod verify_reader;

pub use digest_reader::DigestReader;
pub use digest_writer::{DigestWriter, Measured};
pub use error::ContentError;
pub use ingest::Ingest;
pub use keeper::Keeper;
pub use store::{BlobInfo, ContentStore};
pub use verify_reader::VerifyReader;

#[cfg(test)]
mod tests;
