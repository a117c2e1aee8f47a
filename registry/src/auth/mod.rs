//! Who we are to a registry: credentials, challenges, scopes and tokens, without any HTTP.
//!
//! [`Credentials`] finds a credential where Docker, Podman and Kubernetes keep them and remembers where it
//! was, so that a refusal can name the file to mend. `challenge` reads what a registry demands, `token`
//! says how its token service is asked, `realm` whether that service may be told a password. Sending the
//! requests is [`crate::client`]'s part. No secret has a `Debug` or `Display` form.

mod secret;
mod error;
mod credential;
mod docker_config;
mod credential_helper;
mod credentials;
mod login;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;
pub(crate) mod challenge;
pub(crate) mod scope;
pub(crate) mod realm;
pub(crate) mod token;

pub use credential::{Credential, CredentialSource};
pub use credentials::{Credentials, Lookup};
pub use error::CredentialsError;
pub use login::{login, logout};
pub use secret::Secret;
