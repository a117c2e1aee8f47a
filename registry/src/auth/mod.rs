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
pub(crate) mod challenge;
pub(crate) mod scope;
pub(crate) mod realm;
pub(crate) mod token;

pub use credential::{Credential, CredentialSource};
pub use credentials::{Credentials, Lookup};
pub use error::CredentialsError;
pub use login::{login, logout};
pub use secret::Secret;

/// Gives bytes to the parsers that only this module sees.
#[cfg(test)]
pub(crate) fn parse_all(bytes: &[u8]) {
    let _token = token::Token::parse(bytes);
    if let Ok(config) = docker_config::DockerConfig::parse(bytes) {
        let _credential = config.credential("quay.io", "a/b");
        let _helper = config.own_helper("quay.io");
    }
}
