//! What is attested of a result: how it was made (SLSA provenance) and what is in it (an SBOM).
//!
//! An attestation is an in-toto *statement*: a *predicate* about *subjects*, which are an image's manifest or the files of
//! a directory. Form, storage and options are those of BuildKit 0.32, so that whatever reads its attestations (`docker
//! buildx imagetools inspect`, policy engines, scanners) reads these.
//!
//! ```text
//! index ─┬─ manifest linux/amd64          the image
//!        └─ manifest unknown/unknown      `manifest`: vnd.docker.reference.digest names the image
//!             ├─ SBOM statement           `bundle`: what the generator that `scan` put into the graph has written
//!             └─ provenance statement     `provenance`: of the request, the graph and what its sources were found to be
//! ```
//!
//! Everything but `bundle` is pure. Provenance holds no secret: ids instead of values, addresses without their users,
//! and no proxies, which change nothing of the result. The present and the build's name, which make each statement
//! another, are left out where `reproducible=true` says that the result must not depend on them.

mod bundle;
mod files;
mod layers;
mod manifest;
mod materials;
mod operation;
mod options;
mod parameters;
pub mod predicate;
mod provenance;
mod purl;
mod scan;
mod source_map;
mod statement;
mod steps;

pub use bundle::{BundleError, read_bundle};
pub use files::{FileNames, StatementFileError, write_statements};
pub use layers::{LayersOf, chains};
pub use manifest::{attestation_entry, attestation_manifest};
pub use materials::{ConfigSource, DigestSet, Material, Sources, digest_set, materials};
pub use options::{AttestError, AttestOptions, Mode, ProvenanceOptions, SbomOptions, SlsaVersion};
pub use parameters::{LocalSource, Need, Parameters, RequestArgs};
pub use provenance::{Detail, Invocation, Provenance};
pub use purl::image_url;
pub use scan::{ScanError, Scanner};
pub use source_map::source_map;
pub use statement::{Attestation, Subject};
pub use steps::Steps;

#[cfg(test)]
mod tests;
