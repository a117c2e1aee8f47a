//! What was asked of a build: the frontend's options, and the ids of what the steps were lent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Steps;
use crate::frontend::{NamedContext, NoCache, is_proxy};
use crate::image::LayoutImage;
use crate::op::{MountSource, Network, Op};
use crate::remote::masked;

/// The frontend by BuildKit's name for it.
const FRONTEND: &str = "dockerfile.v0";

/// What was asked of a build, as both versions of the predicate have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Parameters {
    /// What made sense of the Dockerfile.
    pub frontend: &'static str,
    /// The frontend's options by BuildKit's names for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The secrets that steps and repositories could see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Need>,
    /// The SSH agents that they could ask.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<Need>,
    /// What was read of this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<LocalSource>,
}

/// Something secret by its id, never its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Need {
    /// The id on the command line.
    pub id: String,
    /// Whether everything that asks for it can do without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A directory of this machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct LocalSource {
    /// `context`, `dockerfile`, or the name of a context.
    pub name: String,
}

/// The options of a build that become `args`.
#[derive(Clone, Copy, Debug)]
pub struct RequestArgs<'a> {
    /// `--build-arg`s.
    pub build_args: &'a BTreeMap<String, String>,
    /// `--label`s.
    pub labels: &'a BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<&'a str>,
    /// `--build-context`s.
    pub contexts: &'a BTreeMap<String, NamedContext>,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: &'a NoCache,
    /// `--network`.
    pub network: Network,
    /// `--add-host`: address and name.
    pub add_hosts: &'a [(String, String)],
}

impl Parameters {
    /// Returns what was asked for, with what the steps were lent; `locals` is what was read of this machine.
    pub fn of(request: RequestArgs<'_>, steps: &Steps<'_>, locals: Vec<String>) -> Self {
        let (mut secrets, mut agents) = (BTreeMap::new(), BTreeMap::new());
        for vertex in steps.vertices() {
            match &vertex.op {
                Op::Run(op) => {
                    for mount in &op.mounts {
                        match &mount.source {
                            MountSource::Secret { id, required, .. } => need(&mut secrets, id, !required),
                            MountSource::Ssh { id, required, .. } => need(&mut agents, id, !required),
                            _ => {}
                        }
                    }
                }
                Op::Git(op) if op.address.url.starts_with("http") => {
                    need(&mut secrets, "GIT_AUTH_HEADER", true);
                    need(&mut secrets, "GIT_AUTH_TOKEN", true);
                }
                Op::Git(_) => need(&mut agents, "default", true),
                _ => {}
            }
        }
        let needs = |needs: BTreeMap<String, bool>| needs.into_iter().map(|(id, optional)| Need { id, optional });
        let locals: BTreeSet<LocalSource> = locals.into_iter().map(|name| LocalSource { name }).collect();
        Self {
            frontend: FRONTEND,
            args: request.args(),
            secrets: needs(secrets).collect(),
            ssh: needs(agents).collect(),
            locals: locals.into_iter().collect(),
        }
    }

    /// Leaves out what only detailed provenance tells; returns whether the options are all still there.
    pub fn reduce(&mut self) -> bool {
        let before = self.args.len();
        self.args
            .retain(|name, _| !name.starts_with("build-arg:") && !name.starts_with("label:"));
        self.secrets.clear();
        self.ssh.clear();
        self.args.len() == before
    }
}

fn need(needs: &mut BTreeMap<String, bool>, id: &str, optional: bool) {
    let all = needs.entry(id.to_owned()).or_insert(true);
    *all &= optional;
}

impl RequestArgs<'_> {
    /// Returns the options by BuildKit's names. Proxies are left out: they are this machine's, often hold a password,
    /// and change nothing of the result.
    fn args(&self) -> BTreeMap<String, String> {
        let mut args = BTreeMap::new();
        let mut set = |name: String, value: &str| drop(args.insert(name, masked(value)));
        for (name, value) in self.build_args.iter().filter(|(name, _)| !is_proxy(name)) {
            set(format!("build-arg:{name}"), value);
        }
        for (name, value) in self.labels {
            set(format!("label:{name}"), value);
        }
        for (name, context) in self.contexts {
            set(format!("context:{name}"), &described(context));
        }
        if let Some(target) = self.target {
            set("target".to_owned(), target);
        }
        match self.no_cache {
            NoCache::None => {}
            NoCache::All => set("no-cache".to_owned(), ""),
            NoCache::Stages(stages) => {
                let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
                set("no-cache".to_owned(), &stages.join(","));
            }
        }
        match self.network {
            Network::Default => {}
            Network::None => set("force-network-mode".to_owned(), "none"),
            Network::Host => set("force-network-mode".to_owned(), "host"),
        }
        if !self.add_hosts.is_empty() {
            let hosts = self.add_hosts.iter().map(|(address, name)| format!("{name}={address}"));
            set("add-hosts".to_owned(), &hosts.collect::<Vec<_>>().join(","));
        }
        args
    }
}

/// Returns what a named context stands for, in the words of `--build-context`; a directory is not told.
fn described(context: &NamedContext) -> String {
    match context {
        NamedContext::Local { name } => format!("local:{name}"),
        NamedContext::Scratch => "docker-image://scratch".to_owned(),
        NamedContext::Image(reference) if LayoutImage::is_named_by(reference) => {
            let digest = reference
                .digest()
                .map(|digest| format!("@{digest}"))
                .unwrap_or_default();
            format!("oci-layout://{}{digest}", reference.repository())
        }
        NamedContext::Image(reference) => format!("docker-image://{}", reference.familiar()),
        NamedContext::Remote(op) => match &**op {
            Op::Git(op) => op.address.to_string(),
            Op::Http(op) => op.address.to_string(),
            _ => String::new(),
        },
    }
}
