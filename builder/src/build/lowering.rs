//! From the Dockerfile's text to the graph of all platforms, and what the linter says on the way.

use std::sync::Arc;

use futures_util::future::try_join_all;
use registry::oci::{Digest, Platform, Reference};
use tokio::runtime::Handle;

use super::check::{ignored, linter};
use super::{BuildError, BuildRequest};
use crate::attest::Scanner;
use crate::dockerfile::{self, Dockerfile};
use crate::fetch::Fetcher;
use crate::frontend::{self, LowerError, Lowered, ResolveError, ResolveImage, ResolvedImage};
use crate::graph::{Graph, GraphBuilder, VertexId};
use crate::image::{BaseImage, BaseImages, PullError};
use crate::lint::Linter;
use crate::op::Op;
use crate::policy::{ConversionError, Place, PolicyError};
use crate::progress::Progress;

/// Everything that is to be built.
pub(super) struct Everything {
    /// The images that come of it.
    pub(super) lowered: Vec<(Platform, Lowered)>,
    /// The runs of the SBOM generator, one for each of them, if there is one.
    pub(super) scans: Vec<VertexId>,
    pub(super) graph: Graph<Op>,
}

/// Parses the Dockerfile, as a step of its own.
pub(super) fn load_definition(request: &BuildRequest, progress: &Progress) -> Result<Dockerfile, BuildError> {
    let source = &request.dockerfile;
    let name = format!("[internal] load build definition from {}", source.name());
    let step = progress.declare(name, Digest::of(source.text().as_bytes()), Vec::new());
    progress.started(step);
    if let Err(error) = frontend::refuse_foreign_syntax(source, &request.build_args) {
        progress.completed(step, Some(error.message.clone()));
        return Err(BuildError::Dockerfile(vec![error.in_file(source)]));
    }
    let (dockerfile, errors) = dockerfile::parse_partially(Arc::clone(source));
    let failed = !errors.is_empty();
    progress.completed(step, failed.then(|| "the Dockerfile has errors".to_owned()));
    if !failed {
        return Ok(dockerfile);
    }
    // What is odd in the lines that can be read is worth saying all the same.
    if let Some(first) = request.for_platforms(dockerfile).first()
        && let Ok(mut linter) = linter(first, None)
    {
        linter.file(first);
        warn(linter, first, progress);
    }
    Err(BuildError::Dockerfile(errors))
}

/// Resolves what the Dockerfile names and lowers it for every platform into one graph. Warnings are those of the
/// first platform, and fail the build here, if they do: before anything runs.
pub(super) async fn lower(
    request: &BuildRequest,
    dockerfile: Dockerfile,
    images: &Arc<BaseImages>,
    fetcher: &Fetcher,
    progress: &Progress,
) -> Result<Everything, BuildError> {
    let mut requests = request.for_platforms(dockerfile);
    let timed = ask_times(&mut requests, fetcher, progress).await;
    let requests = Arc::new(requests);
    let Some(first) = requests.first() else {
        return Err(BuildError::Dockerfile(Vec::new()));
    };
    let mut linter = linter(first, ignored(request)?)?;
    linter.file(first);
    let resolved = match timed {
        Ok(()) => tokio::try_join!(resolve(&requests, images, progress), scanner(request, images, progress)),
        Err(error) => Err(error),
    };
    let (linter, lowered) = match resolved {
        Ok(((), scanner)) => lower_all(&requests, linter, images, scanner).await?,
        Err(error) => (linter, Err(error)),
    };
    let violation = warn(linter, first, progress);
    match (lowered, violation) {
        (Ok(_), Some(violation)) => Err(violation),
        (lowered, _) => lowered,
    }
}

/// Shows what the linter has found; returns the error that it amounts to.
fn warn(linter: Linter, request: &frontend::Request, progress: &Progress) -> Option<BuildError> {
    let report = linter.finish(request);
    for warning in &report.warnings {
        progress.warn(warning.diagnostic(&report.source));
    }
    report
        .violation()
        .map(|violation| BuildError::Lint(Box::new(violation)))
}

/// Finds out the times of sources on the network that `SOURCE_DATE_EPOCH` names, each source's once.
async fn ask_times(
    requests: &mut [frontend::Request],
    fetcher: &Fetcher,
    progress: &Progress,
) -> Result<(), BuildError> {
    let mut known: Vec<(Op, Option<i64>)> = Vec::new();
    for request in requests {
        let Some(source) = frontend::epoch_source(request).map_err(lower_error)? else {
            continue;
        };
        if let Some((_, time)) = known.iter().find(|(op, _)| *op == source.op) {
            request.source_time = *time;
            continue;
        }
        let name = "[internal] resolve SOURCE_DATE_EPOCH";
        let step = progress.declare(name, Digest::of(format!("{:?}", source.op).as_bytes()), Vec::new());
        progress.started(step);
        let time = fetcher.time(&source.op).await;
        progress.completed(step, time.as_ref().err().map(ToString::to_string));
        request.source_time = time.map_err(|error| BuildError::Epoch {
            origin: source.origin,
            source: Box::new(error),
        })?;
        known.push((source.op, request.source_time));
    }
    Ok(())
}

/// Resolves all images that are named, at once.
async fn resolve(
    requests: &[frontend::Request],
    images: &Arc<BaseImages>,
    progress: &Progress,
) -> Result<(), BuildError> {
    let mut needed = Vec::new();
    for request in requests {
        needed.extend(frontend::references(request).map_err(BuildError::Dockerfile)?);
    }
    try_join_all(needed.into_iter().map(|image| async move {
        let resolved = resolve_one(&image.reference, &image.platform, images, progress).await;
        resolved.map(drop).map_err(|source| BuildError::Image {
            origin: Some(image.span),
            near: image.near,
            source: Box::new(source),
        })
    }))
    .await?;
    Ok(())
}

/// Resolves an image, as a step of its own.
async fn resolve_one(
    reference: &Reference,
    platform: &Platform,
    images: &BaseImages,
    progress: &Progress,
) -> Result<Arc<BaseImage>, PullError> {
    let name = format!("[internal] load metadata for {reference}");
    let step = progress.declare(name, Digest::of(reference.to_string().as_bytes()), Vec::new());
    progress.started(step);
    let resolved = images.resolve(reference, platform).await;
    progress.completed(step, resolved.as_ref().err().map(ToString::to_string));
    resolved
}

/// Resolves the SBOM generator, if one is asked for. It runs on this machine, whatever it scans.
async fn scanner(
    request: &BuildRequest,
    images: &BaseImages,
    progress: &Progress,
) -> Result<Option<Scanner>, BuildError> {
    let Some(options) = &request.attest.sbom else {
        return Ok(None);
    };
    let platform = Platform::host();
    let refused = |source| BuildError::Policy { origin: None, source };
    let generator = Place::Image(options.generator.clone());
    let generator = match request.policy.decide(&generator).map_err(refused)? {
        None => options.generator.clone(),
        Some(Place::Image(other)) => other,
        Some(other) => {
            let error = PolicyError::conversion(&generator, &other, ConversionError::NoGenerator);
            return Err(refused(error));
        }
    };
    let image = resolve_one(&generator, &platform, images, progress).await;
    let image = image.map_err(|source| BuildError::Image {
        origin: None,
        near: None,
        source: Box::new(source),
    })?;
    Ok(Some(Scanner::new(options, &image, &platform)?))
}

async fn lower_all(
    requests: &Arc<Vec<frontend::Request>>,
    mut linter: Linter,
    images: &Arc<BaseImages>,
    scanner: Option<Scanner>,
) -> Result<(Linter, Result<Everything, BuildError>), BuildError> {
    let requests = Arc::clone(requests);
    let resolver = Resolver {
        images: Arc::clone(images),
        runtime: Handle::current(),
    };
    let lowering = tokio::task::spawn_blocking(move || {
        let mut graph = GraphBuilder::new();
        let (mut lowered, mut scans) = (Vec::new(), Vec::new());
        for (number, request) in requests.iter().enumerate() {
            let image = match number {
                0 => frontend::lower(request, &resolver, &mut linter, &mut graph),
                _ => frontend::lower(request, &resolver, &mut (), &mut graph),
            };
            match image {
                Ok(image) => {
                    let platform = (*request.platform).clone();
                    let scan = scanner
                        .as_ref()
                        .map(|scanner| scanner.add_to(&mut graph, &platform, image.rootfs, &image.scan));
                    scans.extend(scan);
                    lowered.push((platform, image));
                }
                Err(error) => return (linter, Err(lower_error(error))),
            }
        }
        let graph = graph.finish();
        (linter, Ok(Everything { lowered, scans, graph }))
    });
    lowering.await.map_err(BuildError::panicked("lowering"))
}

/// Returns why lowering failed as why the build failed.
pub(super) fn lower_error(error: LowerError) -> BuildError {
    match error {
        LowerError::Dockerfile(errors) => BuildError::Dockerfile(errors),
        LowerError::Resolve {
            diagnostic,
            span,
            near,
            error: ResolveError(error),
        } => match error.downcast::<PullError>() {
            Ok(source) => BuildError::Image {
                origin: Some(span),
                near,
                source,
            },
            Err(_) => BuildError::Dockerfile(vec![*diagnostic]),
        },
        LowerError::Policy { origin, error } => BuildError::Policy { origin, source: error },
    }
}

/// Answers the frontend from the images that are known, and asks for those that only `ONBUILD` names.
struct Resolver {
    images: Arc<BaseImages>,
    runtime: Handle,
}

impl ResolveImage for Resolver {
    fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, ResolveError> {
        let base = self.runtime.block_on(self.images.resolve(reference, platform));
        let base = base.map_err(|error| ResolveError(Box::new(error)))?;
        Ok(ResolvedImage {
            reference: base.reference.clone(),
            manifest_digest: base.manifest.digest,
            config: base.config.clone(),
        })
    }
}
