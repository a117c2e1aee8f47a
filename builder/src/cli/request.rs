//! From `croze build` as typed to a build as meant: every option checked, every path absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use registry::client::ClientOptions;
use registry::oci::{Platform, Reference};

use super::args::{BuildArgs, NetworkArg};
use super::caches;
use super::contexts;
use super::entitlements;
use super::environment::Environment;
use super::failure::{Failure, Kind};
use super::locate::Located;
use super::outputs;
use super::policy;
use super::registries;
use super::ssh::{self, Agents};
use super::values::{self, ValueError};
use crate::attest::AttestOptions;
use crate::build::{Annotations, BuildRequest, Fetching};
use crate::devices::DeviceRegistry;
use crate::executor::{DEFAULT_SHM_SIZE, LimitError};
use crate::export::OutputSpec;
use crate::frontend::NoCache;
use crate::image::Allowance;
use crate::op::Network;
use crate::ops::Secrets;
use crate::policy::Policy;

/// Where CDI specifications are, those of later directories counting more.
const DEVICE_DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// Reads what the options name and checks what they say.
///
/// # Errors
/// Usage for options that contradict themselves, missing input for files that are not there.
pub(super) fn build_request(
    args: &BuildArgs,
    environment: &Environment,
    located: Located,
    read: &ReadOnce,
) -> Result<BuildRequest, Failure> {
    let mut directories = BTreeMap::from([("context".to_owned(), located.directory)]);
    let mut layouts = Vec::new();
    let contexts = contexts::named(&args.build_contexts, &mut directories, &mut layouts)?;
    let tags = tags(args)?;
    let outputs = outputs::outputs(args, &tags)?;
    let build_args = build_args(args, environment)?;
    let attest = attestations(args)?;
    outputs::check_attestations(&outputs, &attest)?;
    let (annotations, platforms) = (annotations(&args.annotations)?, platforms(args)?);
    outputs::check_annotations(&outputs, &annotations, platforms.len(), &attest)?;
    let shm_size = args
        .shm_size
        .as_deref()
        .map(|text| values::size("--shm-size", text))
        .transpose();
    Ok(BuildRequest {
        dockerfile: located.dockerfile,
        source: located.source,
        context_time: located.time,
        directories,
        contexts,
        layouts,
        target: args.target.clone().filter(|target| !target.is_empty()),
        cache_to: caches::targets(args, environment, &build_args)?,
        build_args,
        labels: args
            .labels
            .iter()
            .map(|text| values::pair("--label", text))
            .collect::<Result<_, _>>()
            .map_err(usage)?,
        annotations,
        platforms,
        tags,
        outputs,
        attest,
        compression: values::compression(&args.compression).map_err(usage)?,
        cache_from: caches::sources(args, environment)?,
        no_cache: if args.no_cache {
            NoCache::All
        } else if args.no_cache_filter.is_empty() {
            NoCache::None
        } else {
            NoCache::Stages(args.no_cache_filter.iter().cloned().collect())
        },
        no_cache_mounts: args.no_cache_mounts,
        pull: args.pull,
        network: match args.network {
            NetworkArg::Default => Network::Default,
            NetworkArg::None => Network::None,
            NetworkArg::Host => Network::Host,
        },
        allow: entitlements::of_dockerfile(args)?,
        device_consent: entitlements::devices(args)?,
        devices: Arc::new(DeviceRegistry::load(&device_directories(args))),
        add_hosts: args
            .add_hosts
            .iter()
            .map(|text| values::host(text))
            .collect::<Result<_, _>>()
            .map_err(usage)?,
        shm_size: shm_size.map_err(usage)?.unwrap_or(DEFAULT_SHM_SIZE),
        limits: parse_all("--ulimit", &args.ulimits, |text| {
            text.parse().map_err(|error: LimitError| error.to_string())
        })?,
        secrets: read.secrets.clone(),
        policy: Arc::clone(&read.policy),
        fetching: fetching(args, environment)?,
        jobs: args.jobs,
        resolv_conf: fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    })
}

/// Returns what a layer of a base image may take.
pub(super) fn allowance(args: &BuildArgs) -> Result<Allowance, ValueError> {
    let mut allowance = Allowance::default();
    if let Some(text) = &args.max_layer_size {
        allowance.limits.bytes = values::size("--max-layer-size", text)?;
    }
    if let Some(ratio) = args.max_layer_ratio {
        allowance.ratio = ratio.get();
    }
    Ok(allowance)
}

pub(super) fn usage(error: ValueError) -> Failure {
    Failure::because(Kind::Usage, &error)
}

fn parse_all<T>(
    option: &'static str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Failure> {
    let parse = |text: &String| parse(text).map_err(|problem| usage(ValueError::new(option, text, problem)));
    texts.iter().map(parse).collect()
}

/// Reads `--platform`s; each counts once, however often it is given.
fn platforms(args: &BuildArgs) -> Result<Vec<Platform>, Failure> {
    let given = parse_all("--platform", &args.platforms, |text| {
        text.parse::<Platform>().map_err(|e| e.to_string())
    })?;
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in given {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// Returns where the devices of the machine are described.
fn device_directories(args: &BuildArgs) -> Vec<PathBuf> {
    match args.cdi_spec_dirs.as_slice() {
        [] => DEVICE_DIRECTORIES.map(PathBuf::from).to_vec(),
        given => given.to_vec(),
    }
}

/// Reads `--tag`s.
fn tags(args: &BuildArgs) -> Result<Vec<Reference>, Failure> {
    let tags = parse_all("--tag", &args.tags, |text| {
        text.parse::<Reference>().map_err(|e| e.to_string())
    })?;
    if let Some(pinned) = tags.iter().find(|tag| tag.tag().is_none()) {
        return Err(usage(ValueError::new(
            "--tag",
            &pinned.familiar(),
            "a digest cannot be chosen: name a tag",
        )));
    }
    Ok(tags)
}

/// Returns how registries are talked to.
///
/// # Errors
/// Usage for tags and outputs that cannot be read: an output may name a registry to talk to.
pub(super) fn client_options(args: &BuildArgs, environment: &Environment) -> Result<ClientOptions, Failure> {
    let options = registries::client_options(&args.registry, environment)?;
    let insecure = insecure_registries(args, environment)?;
    Ok(ClientOptions {
        insecure: options.insecure.into_iter().chain(insecure).collect(),
        ..options
    })
}

/// Returns the registries of outputs and caches with `registry.insecure=true`.
fn insecure_registries(args: &BuildArgs, environment: &Environment) -> Result<BTreeSet<String>, Failure> {
    let tags = tags(args)?;
    let mut registries: BTreeSet<String> = caches::insecure_registries(args, environment)?.into_iter().collect();
    for output in outputs::outputs(args, &tags)? {
        if let OutputSpec::Image(image) = output
            && image.insecure
        {
            let names = tags.iter().chain(&image.options.names);
            registries.extend(names.map(|name| name.registry().to_owned()));
        }
    }
    Ok(registries)
}

/// Reads `--build-arg`s; those without a value, the proxies and `SOURCE_DATE_EPOCH` come from the environment.
pub(super) fn build_args(args: &BuildArgs, environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let mut given: BTreeMap<String, String> = environment.proxies().into_iter().collect();
    if let Some(epoch) = environment.text("SOURCE_DATE_EPOCH") {
        given.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for text in &args.build_args {
        match text.split_once('=') {
            Some(("", _)) => return Err(usage(ValueError::new("--build-arg", text, "the name is missing"))),
            Some((key, value)) => drop(given.insert(key.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = environment.given(text).and_then(|value| value.into_string().ok()) {
                    given.insert(text.clone(), value);
                }
            }
        }
    }
    Ok(given)
}

fn annotations(texts: &[String]) -> Result<Annotations, Failure> {
    let mut annotations = Annotations::default();
    for text in texts {
        let (key, value) = values::pair("--annotation", text).map_err(usage)?;
        let (place, key) = match key.split_once(':') {
            Some((place, key)) if !place.contains(['.', '/']) => (place, key.to_owned()),
            _ => ("manifest", key),
        };
        let place = match place {
            "manifest" => &mut annotations.manifest,
            "index" => &mut annotations.index,
            other => {
                let problem = format!("`{other}` is neither `manifest` nor `index`");
                return Err(usage(ValueError::new("--annotation", text, problem)));
            }
        };
        place.insert(key, value);
    }
    Ok(annotations)
}

/// Reads `--attest`, `--provenance` and `--sbom`.
fn attestations(args: &BuildArgs) -> Result<AttestOptions, Failure> {
    let mut options = AttestOptions::default();
    let long = args.attests.iter().map(|text| ("--attest", text, text.clone()));
    let provenance = args
        .provenance
        .iter()
        .map(|text| ("--provenance", text, AttestOptions::long_form("provenance", text)));
    let sbom = args
        .sbom
        .iter()
        .map(|text| ("--sbom", text, AttestOptions::long_form("sbom", text)));
    for (option, given, text) in long.chain(provenance).chain(sbom) {
        let added = options.add(&text);
        added.map_err(|error| usage(ValueError::new(option, given, error.to_string())))?;
    }
    Ok(options)
}

/// Returns what fetching from the network may use.
///
/// # Errors
/// If a proxy's variable cannot be read.
pub(super) fn fetching(args: &BuildArgs, environment: &Environment) -> Result<Fetching, Failure> {
    Ok(Fetching {
        environment: environment.for_git(),
        extra_ca: args.registry.registry_cas.clone(),
        proxies: registries::proxies(environment)?,
    })
}

/// What is read before anything else and only once: it may come from pipes, and agents must live as long as the build.
pub(super) struct ReadOnce {
    /// `--secret` and `--ssh`.
    pub(super) secrets: Secrets,
    /// `--source-policy-file`.
    pub(super) policy: Arc<Policy>,
    _agents: Agents,
}

impl ReadOnce {
    /// Reads it.
    ///
    /// # Errors
    /// Usage, or missing input for an agent, a key, a secret or a file that is not there.
    pub(super) fn new(args: &BuildArgs, environment: &Environment) -> Result<Self, Failure> {
        let variable = |name: &str| environment.given(name).map(std::os::unix::ffi::OsStringExt::into_vec);
        let secrets = args
            .secrets
            .iter()
            .map(|text| values::secret(text, variable))
            .collect::<Result<_, _>>();
        let secrets = secrets.map_err(usage)?;
        let policy = Arc::new(policy::read(args, environment)?);
        let agents = ssh::agents(&args.ssh, environment)?;
        let secrets = Secrets {
            secrets,
            agents: agents.sockets.clone(),
        };
        secrets.check().map_err(|error| {
            Failure::because(Kind::Input, &error).help("`src=` of `--secret` names a file that croze can read")
        })?;
        Ok(Self {
            secrets,
            policy,
            _agents: agents,
        })
    }
}
