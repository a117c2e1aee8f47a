//! What is asked of the frontend: a Dockerfile and everything about the command line that changes its meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use registry::oci::{Platform, Reference};

use crate::devices::DeviceRegistry;
use crate::dockerfile::Dockerfile;
use crate::op::{Network, Op};
use crate::policy::Policy;

/// One build of one Dockerfile for one platform.
#[derive(Clone, Debug)]
pub struct Request {
    /// The parsed Dockerfile.
    pub dockerfile: Arc<Dockerfile>,
    /// `--target`: the name of the stage to build; the last one if `None`.
    pub target: Option<String>,
    /// `--build-arg`s.
    pub build_args: BTreeMap<String, String>,
    /// `--label`s; they win over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// For which platform the image is built.
    pub platform: TargetPlatform,
    /// On which platform the build runs: `BUILDPLATFORM`.
    pub build_platform: Platform,
    /// Whether several platforms are built, so that step names must tell them apart.
    pub multi_platform: bool,
    /// `--build-context`s by name, as given.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The build context's own time in seconds since 1970, if it has one: what `SOURCE_DATE_EPOCH=context` means.
    pub context_time: Option<i64>,
    /// The time of the source that [`super::epoch_source`] returns, in seconds since 1970, if it has one.
    pub source_time: Option<i64>,
    /// `--no-cache` and `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--network`: what `RUN` gets unless it says otherwise.
    pub network: Network,
    /// `--allow`: what the Dockerfile may ask for beyond the ordinary.
    pub allow: BTreeSet<Entitlement>,
    /// `--allow device`: which devices the Dockerfile may ask for.
    pub device_consent: DeviceConsent,
    /// The devices of the machine.
    pub devices: Arc<DeviceRegistry>,
    /// Which sources may be used, and which are used instead.
    pub policy: Arc<Policy>,
    /// Host name that steps see, unless the build argument `BUILDKIT_SANDBOX_HOSTNAME` gives another.
    pub hostname: Option<String>,
    /// `--add-host`: address and name.
    pub add_hosts: Vec<(String, String)>,
    /// `--shm-size`: bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
}

impl Request {
    /// Makes a request with nothing on the command line but the Dockerfile, for one platform.
    pub fn new(dockerfile: impl Into<Arc<Dockerfile>>, platform: Platform) -> Self {
        Self {
            dockerfile: dockerfile.into(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            build_platform: platform.clone(),
            platform: TargetPlatform::Implied(platform),
            multi_platform: false,
            contexts: BTreeMap::new(),
            context_time: None,
            source_time: None,
            no_cache: NoCache::None,
            network: Network::Default,
            allow: BTreeSet::new(),
            device_consent: DeviceConsent::default(),
            devices: Arc::default(),
            policy: Arc::default(),
            hostname: None,
            add_hosts: Vec::new(),
            shm_size: None,
        }
    }

    /// Returns the named context for a stage or image name, with Docker's rules: a name means its familiar form
    /// without `:latest`, which is given back with it, and `name::os/arch` wins over `name` for that platform.
    pub(super) fn context(&self, name: &str, platform: &Platform) -> Option<(String, &NamedContext)> {
        // Both words have a meaning of their own that no context can take.
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let wanted = context_key(name);
        let find = |suffix: &str| {
            self.contexts.iter().find(|(given, _)| match given.split_once("::") {
                Some((given, platform)) => !suffix.is_empty() && platform == suffix && context_key(given) == wanted,
                None => suffix.is_empty() && context_key(given) == wanted,
            })
        };
        let (_, context) = find(&platform.to_string()).or_else(|| find(""))?;
        Some((wanted, context))
    }
}

fn context_key(name: &str) -> String {
    let familiar = name
        .parse::<Reference>()
        .map_or_else(|_| name.to_lowercase(), |reference| reference.familiar());
    familiar.strip_suffix(":latest").map_or(familiar.clone(), str::to_owned)
}

/// The platform of the image, and whether anybody asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetPlatform {
    /// The platform of this machine: an image that is made for another keeps its own.
    Implied(Platform),
    /// `--platform`: the image says so whatever its base says.
    Chosen(Platform),
}

impl std::ops::Deref for TargetPlatform {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        match self {
            Self::Implied(platform) | Self::Chosen(platform) => platform,
        }
    }
}

/// What a name given with `--build-context` stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamedContext {
    /// Files: a directory, known to the evaluator under this name.
    Local {
        /// The name in [`crate::op::LocalOp`].
        name: String,
    },
    /// Files on the network: the source that fetches them.
    Remote(Box<Op>),
    /// `docker-image://…`, or an image that the evaluator knows by this name.
    Image(Reference),
    /// `docker-image://scratch`: nothing at all.
    Scratch,
}

/// For which steps the cache must not be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum NoCache {
    /// For none.
    #[default]
    None,
    /// For all.
    All,
    /// For those of these stages, by name.
    Stages(BTreeSet<String>),
}

impl NoCache {
    pub(super) fn covers(&self, stage: Option<&str>) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Stages(names) => stage.is_some_and(|stage| names.iter().any(|name| name.eq_ignore_ascii_case(stage))),
        }
    }
}

/// Which devices of the machine a Dockerfile may ask for, beside those that every build may use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceConsent {
    /// Whether all.
    pub all: bool,
    /// These, by what names of the machine mean.
    pub names: BTreeSet<String>,
    /// Devices of the machine by names that only this build has for them; they may be used.
    pub aliases: BTreeMap<String, String>,
}

/// Something that a Dockerfile may do only with the consent of who starts the build.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entitlement {
    /// `RUN --network=host`.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
}

impl Entitlement {
    /// Returns the name that `--allow` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
        }
    }
}
