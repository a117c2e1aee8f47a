//! `croze login` and `croze logout`.

use std::io::Read as _;

use registry::auth::{self, Credential, CredentialsError};
use registry::client::{Client, ClientOptions};

use super::args::{LoginArgs, LogoutArgs};
use super::environment::Environment;
use super::failure::{Failure, Kind};
use super::registries;
use crate::diagnostic::Diagnostic;

/// The longest password that is read, in bytes: tokens of clouds have a few thousand.
const MAX_PASSWORD: u64 = 64 * 1024;

/// Checks credentials against the registry and keeps them; returns what to say.
pub(super) async fn login(args: &LoginArgs, environment: &Environment) -> Result<String, Failure> {
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
        credentials: auth::Credentials::anonymous().with_given(args.registry.as_str(), credential.clone()),
        ..registries::client_options(&args.reach, environment)?
    });
    client
        .ping(&args.registry)
        .await
        .map_err(|error| Failure::of_client(&error))?;
    let kept = auth::login(&config, &args.registry, &credential, None)
        .await
        .map_err(|e| failed(&e))?;
    Ok(format!(
        "logged in to {} as {}; kept in {kept}\n",
        args.registry, args.username
    ))
}

/// Forgets credentials; returns what to say.
pub(super) async fn logout(args: &LogoutArgs, environment: &Environment) -> Result<String, Failure> {
    let config = config_path(environment)?;
    let known = auth::logout(&config, &args.registry, None)
        .await
        .map_err(|e| failed(&e))?;
    Ok(if known {
        format!("logged out of {}\n", args.registry)
    } else {
        format!("not logged in to {}\n", args.registry)
    })
}

fn config_path(environment: &Environment) -> Result<std::path::PathBuf, Failure> {
    environment.docker_config().ok_or_else(|| {
        let message = Diagnostic::error("there is no place for credentials: neither `DOCKER_CONFIG` nor `HOME` is set");
        Failure::new(Kind::Environment, message)
    })
}

fn failed(error: &CredentialsError) -> Failure {
    Failure::because(Kind::Auth, error)
}
