//! `croze login` and `croze logout`.

use std::io::Read as _;

use registry::auth::{self, Credential, CredentialsError};
use registry::client::{Client, ClientOptions};
use registry::oci::Reference;

use super::args::{LoginArgs, LogoutArgs};
use super::environment::Environment;
use super::failure::{Failure, Kind, resource_or};
use super::registries;
use crate::diagnostic::Diagnostic;

/// The longest password that is read, in bytes: tokens of clouds have a few thousand.
const MAX_PASSWORD: u64 = 64 * 1024;

/// Checks credentials against the registry and keeps them; returns what to say.
pub(super) async fn login(args: &LoginArgs, environment: &Environment) -> Result<String, Failure> {
    let registry = registry_of(&args.registry)?;
    let config = config_path(environment)?;
    let mut password = String::new();
    let read = std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut password);
    read.map_err(|error| Failure::because(Kind::Usage, &error))?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let message = Diagnostic::error("no password on standard input");
        return Err(Failure::new(
            Kind::Usage,
            message.help("pipe it in: `echo \"$TOKEN\" | croze login …`"),
        ));
    }
    let credential = Credential::password(args.username.as_str(), password);
    let client = Client::new(ClientOptions {
        credentials: auth::Credentials::anonymous().with_given(registry.as_str(), credential.clone()),
        ..registries::client_options(&args.reach, environment)?
    });
    client
        .ping(&registry)
        .await
        .map_err(|error| Failure::of_client(&error))?;
    let kept = auth::login(&config, &registry, &credential, None)
        .await
        .map_err(|e| failed(&e))?;
    Ok(format!(
        "logged in to {registry} as {}; kept in {kept}\n",
        args.username
    ))
}

/// Forgets credentials; returns what to say.
pub(super) async fn logout(args: &LogoutArgs, environment: &Environment) -> Result<String, Failure> {
    let config = config_path(environment)?;
    let registry = registry_of(&args.registry)?;
    let known = auth::logout(&config, &registry, None).await.map_err(|e| failed(&e))?;
    Ok(if known {
        format!("logged out of {registry}\n")
    } else {
        format!("not logged in to {registry}\n")
    })
}

fn config_path(environment: &Environment) -> Result<std::path::PathBuf, Failure> {
    environment.docker_config().ok_or_else(|| {
        let message = Diagnostic::error("there is no place for credentials: neither `DOCKER_CONFIG` nor `HOME` is set");
        Failure::new(Kind::Environment, message)
    })
}

fn failed(error: &CredentialsError) -> Failure {
    let kind = match error {
        CredentialsError::File { .. } | CredentialsError::HelperRun { .. } => resource_or(error, Kind::Environment),
        _ => Kind::Auth,
    };
    Failure::because(kind, error)
}

/// Returns the registry that a person means: docker's users also write it as a URL.
fn registry_of(text: &str) -> Result<String, Failure> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.unwrap_or(text);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    // A reference knows what may be a registry, and which one is meant by each name of Docker Hub.
    let reference = format!("{host}/name/name").parse::<Reference>();
    match reference.ok().filter(|reference| reference.repository() == "name/name") {
        Some(reference) => Ok(reference.registry().to_owned()),
        None => {
            let message = Diagnostic::error(format!("`{text}` is no registry"));
            let failure = Failure::new(Kind::Usage, message);
            Err(failure.help("write a host such as `ghcr.io`, or `docker.io` for Docker Hub"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_may_be_given_as_docker_s_users_write_it() {
        for (text, registry) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io", "ghcr.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("http://localhost:5000/", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(registry_of(text).unwrap(), registry, "{text}");
        }
    }

    #[test]
    fn what_is_no_registry_is_not_asked() {
        for text in [
            "",
            "ghcr",
            "https://",
            "https://user@ghcr.io",
            "gh cr.io",
            "ftp://ghcr.io",
        ] {
            assert_eq!(registry_of(text).unwrap_err().kind, Kind::Usage, "{text}");
        }
    }
}
