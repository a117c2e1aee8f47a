//! The run of an SBOM generator as a part of the graph: cached, shown and confined like every other step.
//!
//! A generator is an image whose command scans directories (BuildKit's SBOM scanning protocol). It finds their paths in
//! its environment and writes statements into another one, where [`read_bundle`](super::read_bundle) looks for them.
//!
//! | variable | directory |
//! |---|---|
//! | `BUILDKIT_SCAN_SOURCE` | the root file system of the result, read-only |
//! | `BUILDKIT_SCAN_SOURCE_EXTRAS` | one directory for each of the context and the stages that are to be scanned too; absent without any |
//! | `BUILDKIT_SCAN_DESTINATION` | where it writes |

use std::path::Path;

use registry::oci::{Platform, Reference};

use super::SbomOptions;
use crate::frontend::ScanTargets;
use crate::graph::{GraphBuilder, Meta, VertexId};
use crate::image::BaseImage;
use crate::op::{ImageOp, LocalOp, Mount, MountSource, Network, Op, RunOp, Security, WorkdirOp};

/// The scan of the result itself.
pub(super) const CORE: &str = "sbom";
/// The directory that the generator writes into.
pub(super) const DESTINATION: &str = "/run/out";
const SOURCE: &str = "/run/src/core/sbom";
const EXTRAS: &str = "/run/src/extras";
/// Host name of the generator's step, as of every other.
const HOSTNAME: &str = "buildkitsandbox";

/// An SBOM generator, ready to be put into a graph.
#[derive(Clone, Debug)]
pub struct Scanner {
    image: ImageOp,
    /// The image as it was asked for.
    named: Reference,
    has_files: bool,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
}

/// Why an image is no SBOM generator.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It has nothing to run.
    #[error("the image `{0}` is no SBOM generator: it has neither an entry point nor a command")]
    NoCommand(String),
}

impl Scanner {
    /// Makes a generator of an image that was resolved for `platform`, the one that the build runs on.
    ///
    /// # Errors
    /// If the image has no command.
    pub fn new(options: &SbomOptions, image: &BaseImage, platform: &Platform) -> Result<Self, ScanError> {
        let config = &image.config.config;
        let words = [&config.entrypoint, &config.cmd].into_iter().flatten().flatten();
        let args: Vec<String> = words.cloned().collect();
        if args.is_empty() {
            return Err(ScanError::NoCommand(options.generator.familiar()));
        }
        let of_image = config
            .env
            .iter()
            .map(|entry| entry.split_once('=').unwrap_or((entry, "")));
        let mut env: Vec<(String, String)> = of_image.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let given = options.parameters.iter();
        env.extend(given.map(|(name, value)| (format!("BUILDKIT_SCAN_{name}"), value.clone())));
        Ok(Self {
            image: ImageOp {
                reference: image.reference.clone(),
                platform: platform.clone(),
            },
            named: options.generator.clone(),
            has_files: !image.layers.is_empty(),
            args,
            env,
            cwd: match config.working_dir.as_str() {
                "" => "/".to_owned(),
                directory => directory.to_owned(),
            },
        })
    }

    /// Adds the scan of a result for a platform, and of what else is to be scanned; returns the vertex whose topmost
    /// layer has what the generator writes.
    pub fn add_to(
        &self,
        graph: &mut GraphBuilder<Op>,
        platform: &Platform,
        result: Option<VertexId>,
        targets: &ScanTargets,
    ) -> VertexId {
        let mut add = |op: Op, inputs: Vec<VertexId>, name: String| {
            let meta = Meta {
                name,
                ..Meta::default()
            };
            graph.add(op, inputs, meta)
        };
        let name = self.named.to_string();
        let image = self.has_files.then(|| {
            let image = Op::Image(self.image.clone());
            add(image, Vec::new(), format!("[internal] load sbom generator {name}"))
        });
        let destination = Op::Workdir(WorkdirOp {
            path: DESTINATION.to_owned(),
            user: String::new(),
            // The scan of equal files must have an equal key, whenever the directory was made.
            mtime: Some(0),
            scratch: image.is_none(),
        });
        let room = add(
            destination,
            image.into_iter().collect(),
            format!("[internal] make room for sboms in {name}"),
        );
        let mut inputs = vec![room];
        let mut mounts = vec![Mount {
            target: "/tmp".to_owned(),
            source: MountSource::Tmpfs { size: None },
        }];
        let mut show = |files: Option<VertexId>, target: String| {
            let input = files.map(|files| {
                inputs.push(files);
                inputs.len() - 1
            });
            mounts.push(Mount {
                target,
                source: MountSource::Bind {
                    input,
                    path: "/".to_owned(),
                    writable: false,
                },
            });
        };
        show(result, SOURCE.to_owned());
        if targets.context {
            let context = Op::Local(LocalOp {
                name: "context".to_owned(),
            });
            let context = add(context, Vec::new(), "[internal] load build context".to_owned());
            show(Some(context), format!("{EXTRAS}/{CORE}-context"));
        }
        for (stage, files) in &targets.stages {
            show(*files, format!("{EXTRAS}/{CORE}-{stage}"));
        }
        let mut env = self.env.clone();
        let mut set = |name: &str, value: &str| env.push((format!("BUILDKIT_SCAN_{name}"), value.to_owned()));
        set("DESTINATION", &format!("{DESTINATION}/"));
        set("SOURCE", SOURCE);
        if targets.context || !targets.stages.is_empty() {
            set("SOURCE_EXTRAS", EXTRAS);
        }
        let scan = Op::Run(RunOp {
            scratch: false,
            args: self.args.clone(),
            env,
            proxy_env: Vec::new(),
            cwd: self.cwd.clone(),
            user: String::new(),
            mounts,
            script: None,
            devices: Vec::new(),
            security: Security::Sandbox,
            network: Network::Default,
            hostname: HOSTNAME.to_owned(),
            extra_hosts: Vec::new(),
            no_cache: targets.no_cache,
        });
        add(scan, inputs, format!("[{platform}] generating sbom using {name}"))
    }
}

/// Returns the destination as a path in the layer that the generator's step has made.
pub(super) fn destination() -> &'static Path {
    Path::new(DESTINATION.trim_start_matches('/'))
}
