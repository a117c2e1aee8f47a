//! How registries are reached: options, `registries.conf`, directories of certificates and proxies, put together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use registry::client::{ClientOptions, Mirrors, MirrorsError, Proxies};

use super::args::RegistryArgs;
use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind};
use crate::diagnostic::Diagnostic;

/// Where the machine's administrator keeps what concerns registries.
const SYSTEM: &str = "/etc/containers";

/// Docker's directories of certificates.
const DOCKER_CERTIFICATES: &str = "/etc/docker/certs.d";

/// Returns how registries are talked to, with the credentials of the environment.
///
/// # Errors
/// If a file is no `registries.conf`, or an option or a proxy's variable cannot be read.
pub(super) fn client_options(args: &RegistryArgs, environment: &Environment) -> Result<ClientOptions, Failure> {
    let own = environment.containers_config();
    let mut certificate_dirs: Vec<PathBuf> = own.iter().map(|own| own.join("certs.d")).collect();
    certificate_dirs.extend([Path::new(SYSTEM).join("certs.d"), DOCKER_CERTIFICATES.into()]);
    Ok(ClientOptions {
        credentials: environment.credentials(),
        insecure: args.insecure_registries.iter().cloned().collect(),
        extra_ca: args.registry_cas.clone(),
        certificate_dirs,
        proxies: proxies(environment)?,
        mirrors: mirrors(args, environment)?,
        trusted_realms: args.registry_realms.iter().cloned().collect(),
        ..ClientOptions::default()
    })
}

/// Returns the proxies of the environment.
///
/// # Errors
/// If one is no address of a proxy.
pub(super) fn proxies(environment: &Environment) -> Result<Proxies, Failure> {
    let variables = environment.proxies();
    let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Proxies::from_variables(pairs).map_err(|error| Failure::because(Kind::Usage, &error))
}

fn mirrors(args: &RegistryArgs, environment: &Environment) -> Result<Mirrors, Failure> {
    let mut mirrors = Mirrors::default();
    for (path, must_exist) in files(args, environment) {
        match fs::read_to_string(&path) {
            Ok(text) => mirrors.extend(Mirrors::parse(&text).map_err(|error| unusable(&path, &error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {}
            Err(error) => {
                let message = Diagnostic::error(format!("cannot read `{}`", path.display()));
                return Err(Failure::new(Kind::Input, message.because(&error)));
            }
        }
    }
    let wrong = |option: &str, error: &MirrorsError| {
        let message = Diagnostic::error(format!("`{option}` cannot be used"));
        Failure::new(Kind::Usage, message.because(error))
    };
    for rule in &args.registry_maps {
        let added = mirrors.add_location(rule);
        added.map_err(|error| wrong("--registry-map", &error))?;
    }
    for rule in &args.registry_mirrors {
        let added = mirrors.add_mirror(rule);
        added.map_err(|error| wrong("--registry-mirror", &error))?;
    }
    Ok(mirrors)
}

/// Returns the files that say where images are, and whether each must be there: the one that is named, else the user's or
/// the machine's, and what is in the directories beside both (containers-registries.conf.d(5)).
fn files(args: &RegistryArgs, environment: &Environment) -> Vec<(PathBuf, bool)> {
    let named = args.registry_config.as_deref().map(absolute);
    if let Some(named) = named.or_else(|| environment.registries_conf()) {
        return vec![(named, true)];
    }
    let own = environment.containers_config();
    let main = own
        .iter()
        .map(|own| own.join("registries.conf"))
        .find(|path| path.exists());
    let main = main.unwrap_or_else(|| Path::new(SYSTEM).join("registries.conf"));
    let dirs = [Some(PathBuf::from(SYSTEM)), own];
    let more = dirs
        .into_iter()
        .flatten()
        .flat_map(|dir| parts(&dir.join("registries.conf.d")));
    std::iter::once(main).chain(more).map(|path| (path, false)).collect()
}

fn parts(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "conf"))
        .collect();
    parts.sort();
    parts
}

fn unusable(path: &Path, error: &MirrorsError) -> Failure {
    let message = Diagnostic::error(format!("cannot use `{}`", path.display()));
    Failure::new(Kind::Usage, message.because(error))
}
