//! The nouns of the OCI image and distribution specifications, without I/O.
//!
//! These are our own ordered types and not `oci-spec`'s, because they are digested: its maps serialise
//! in random order and it drops fields it does not know (`HEALTHCHECK`, `ONBUILD`, `SHELL` among them).

mod config;
mod descriptor;
mod digest;
mod manifest;
mod media_type;
mod platform;
mod reference;

pub use config::{ContainerConfig, Empty, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{ChainId, DiffId, Digest, DigestError, Hasher};
pub use manifest::{Index, Manifest};
pub use media_type::MediaType;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
