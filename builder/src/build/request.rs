//! A build as meant: everything about the command line, checked, with paths absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use registry::client::Proxies;
use registry::compress::Compression;
use registry::oci::{Platform, Reference};

use crate::attest::{AttestOptions, ConfigSource};
use crate::devices::DeviceRegistry;
use crate::diagnostic::SourceFile;
use crate::dockerfile::Dockerfile;
use crate::executor::{DEFAULT_SHM_SIZE, ResourceLimit};
use crate::export::OutputSpec;
use crate::frontend::{self, DeviceConsent, Entitlement, NamedContext, NoCache, TargetPlatform};
use crate::image::LayoutImage;
use crate::op::Network;
use crate::ops::{LocalDirectory, Secrets};
use crate::policy::Policy;
use crate::remote_cache::{CacheFrom, CacheTo};

/// A build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The Dockerfile.
    pub dockerfile: Arc<SourceFile>,
    /// Where the main context and the Dockerfile come from.
    pub source: ConfigSource,
    /// The main context's own time in seconds since 1970, if it has one.
    pub context_time: Option<i64>,
    /// Directories of files by the name that the graph knows them by; `context` is the main one.
    pub directories: BTreeMap<String, LocalDirectory>,
    /// What `--build-context` names stand for.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Images of layouts on disk that `contexts` name.
    pub layouts: Vec<LayoutImage>,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`s.
    pub build_args: BTreeMap<String, String>,
    /// `--label`s.
    pub labels: BTreeMap<String, String>,
    /// `--annotation`s.
    pub annotations: Annotations,
    /// For which platforms; empty for this machine's.
    pub platforms: Vec<Platform>,
    /// `-t`.
    pub tags: Vec<Reference>,
    /// `-o` and `--push`.
    pub outputs: Vec<OutputSpec>,
    /// `--attest`, `--provenance`, `--sbom`.
    pub attest: AttestOptions,
    /// How new layers are compressed.
    pub compression: Compression,
    /// `--cache-from`.
    pub cache_from: Vec<CacheFrom>,
    /// `--cache-to`.
    pub cache_to: Vec<CacheTo>,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--no-cache-mounts`.
    pub no_cache_mounts: bool,
    /// Whether registries are asked about images that the store has under their tag.
    pub pull: bool,
    /// `--network`.
    pub network: Network,
    /// `--allow`.
    pub allow: BTreeSet<Entitlement>,
    /// `--allow device`.
    pub device_consent: DeviceConsent,
    /// The devices of the machine.
    pub devices: Arc<DeviceRegistry>,
    /// `--source-policy-file`.
    pub policy: Arc<Policy>,
    /// `--add-host`: address and name.
    pub add_hosts: Vec<(String, String)>,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// `--ulimit`s.
    pub limits: Vec<ResourceLimit>,
    /// `--secret` and `--ssh`.
    pub secrets: Secrets,
    /// What fetching from the network may use of the machine.
    pub fetching: Fetching,
    /// How many steps run at once; `None` for all that are ready.
    pub jobs: Option<NonZeroUsize>,
    /// Content of `/etc/resolv.conf` for steps.
    pub resolv_conf: String,
}

impl BuildRequest {
    /// Makes the build of a Dockerfile in its context that nothing else is said about.
    pub fn new(dockerfile: Arc<SourceFile>, context: LocalDirectory) -> Self {
        Self {
            source: ConfigSource {
                context: None,
                local_dockerfile: true,
                path: dockerfile.name().to_owned(),
            },
            dockerfile,
            context_time: None,
            directories: BTreeMap::from([("context".to_owned(), context)]),
            contexts: BTreeMap::new(),
            layouts: Vec::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: Annotations::default(),
            platforms: Vec::new(),
            tags: Vec::new(),
            outputs: Vec::new(),
            attest: AttestOptions::default(),
            compression: Compression::GZIP,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            no_cache: NoCache::None,
            no_cache_mounts: false,
            pull: false,
            network: Network::Default,
            allow: BTreeSet::new(),
            device_consent: DeviceConsent::default(),
            devices: Arc::default(),
            policy: Arc::default(),
            add_hosts: Vec::new(),
            shm_size: DEFAULT_SHM_SIZE,
            limits: Vec::new(),
            secrets: Secrets::default(),
            fetching: Fetching::default(),
            jobs: None,
            resolv_conf: String::new(),
        }
    }

    /// Returns what the frontend is asked, for each platform.
    pub(super) fn for_platforms(&self, dockerfile: Dockerfile) -> Vec<frontend::Request> {
        let platforms: Vec<TargetPlatform> = match self.platforms.as_slice() {
            [] => vec![TargetPlatform::Implied(Platform::host())],
            chosen => chosen.iter().cloned().map(TargetPlatform::Chosen).collect(),
        };
        let dockerfile = Arc::new(dockerfile);
        let requests = platforms
            .into_iter()
            .map(|platform| self.for_frontend(&dockerfile, platform));
        requests.collect()
    }

    /// Returns what the frontend is asked for one platform.
    fn for_frontend(&self, dockerfile: &Arc<Dockerfile>, platform: TargetPlatform) -> frontend::Request {
        frontend::Request {
            target: self.target.clone(),
            context_time: self.context_time,
            build_args: self.build_args.clone(),
            labels: self.labels.clone(),
            multi_platform: self.platforms.len() > 1,
            contexts: self.contexts.clone(),
            no_cache: self.no_cache.clone(),
            network: self.network,
            allow: self.allow.clone(),
            device_consent: self.device_consent.clone(),
            devices: Arc::clone(&self.devices),
            policy: Arc::clone(&self.policy),
            add_hosts: self.add_hosts.clone(),
            shm_size: Some(self.shm_size),
            build_platform: Platform::host(),
            platform: platform.clone(),
            ..frontend::Request::new(Arc::clone(dockerfile), (*platform).clone())
        }
    }
}

/// What fetching from the network may use of the machine.
#[derive(Clone, Debug, Default)]
pub struct Fetching {
    /// All that git, and what it starts, sees of the environment.
    pub environment: Vec<(String, OsString)>,
    /// Certificates to believe beside the system's, as PEM files.
    pub extra_ca: Vec<PathBuf>,
    /// Proxies between us and other machines.
    pub proxies: Proxies,
}

/// `--annotation`s by what they are put on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotations {
    /// On each manifest.
    pub manifest: BTreeMap<String, String>,
    /// On the index.
    pub index: BTreeMap<String, String>,
}
