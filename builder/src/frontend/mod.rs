//! From a Dockerfile's syntax tree to a graph of operations, an image config and a history.
//!
//! [`references`] tells which images a build needs, so that the caller can resolve them in parallel; then
//! [`lower`] adds the vertices of one platform to a graph. Several platforms are lowered into the same graph one
//! after the other, and share what is equal.
//!
//! The way of a Dockerfile through this module: `globals` evaluates what `FROM` lines may use; `stages` looks up
//! every name and finds what the target needs; `lowering` goes through those stages, with `base` for how each
//! begins and `instruction` for what each of its lines does. Nothing is run and nothing is read but image configs,
//! through [`ResolveImage`]. What a Dockerfile means is what BuildKit 0.32 makes of it; where BuildKit has a
//! quirk that others can see, a comment says so.

mod request;
mod resolve;
mod lowered;
mod failure;
mod path;
mod environment;
mod expand;
mod syntax;
mod history;
mod name;
mod source;
mod remote;
mod epoch;
mod globals;
mod stages;
mod stage;
mod onbuild;
mod observe;
mod lowering;
mod scan;
mod words;
mod base;
mod instruction;
#[cfg(test)]
pub(crate) mod tests;

pub use epoch::EpochSource;
pub use failure::LowerError;
pub use globals::Globals;
pub use instruction::is_proxy;
pub use lowered::{Base, COMMENT, HistoryEntry, Lowered, ScanTargets};
pub use observe::{BaseImage, Observe, Seen};
pub use request::{DeviceConsent, Entitlement, NamedContext, NoCache, Request, TargetPlatform};
pub use resolve::{ImageRequest, ResolveError, ResolveImage, ResolvedImage};
pub use syntax::refuse_foreign_syntax;

use crate::diagnostic::Diagnostic;
use crate::graph::GraphBuilder;
use crate::op::Op;
use lowering::Lowering;
use source::Source;
use stage::StageState;
use stages::StageTable;

/// Returns the images that the target is made from, each once, in the order of the Dockerfile. `ONBUILD` triggers
/// of these images may need further ones.
pub fn references(request: &Request) -> Result<Vec<ImageRequest>, Vec<Diagnostic>> {
    let (_, table) = parse(request)?;
    let mut images: Vec<ImageRequest> = Vec::new();
    for index in table.needed() {
        for (source, name) in table.stages[index].sources() {
            let Source::Image(image) = source else { continue };
            let known = |known: &ImageRequest| known.reference == image.reference && known.platform == image.platform;
            if !images.iter().any(known) {
                images.push(ImageRequest {
                    reference: image.reference.clone(),
                    platform: image.platform.clone(),
                    span: name.span,
                    near: table.near(&image.reference, request),
                });
            }
        }
    }
    Ok(images)
}

/// Returns the source on the network whose time `SOURCE_DATE_EPOCH` means, if it means one: whoever can ask for that
/// time puts it into [`Request::source_time`].
pub fn epoch_source(request: &Request) -> Result<Option<EpochSource>, Vec<Diagnostic>> {
    Globals::epoch_source(request).map_err(|error| vec![error.in_file(&request.dockerfile.source)])
}

/// Adds what the target is made from to a graph and returns what it comes to; `observer` watches.
pub fn lower(
    request: &Request,
    images: &dyn ResolveImage,
    observer: &mut dyn Observe,
    graph: &mut GraphBuilder<Op>,
) -> Result<Lowered, LowerError> {
    let (globals, table) = parse(request).map_err(LowerError::Dockerfile)?;
    let (state, scan) = Lowering::new(request, &table, &globals, images, observer, graph).target()?;
    Ok(finish(state, scan, request, &globals))
}

/// Shows `observer` what [`lower`] would do, but for every stage if no target is chosen; goes on after errors and
/// returns them all.
pub fn inspect(request: &Request, images: &dyn ResolveImage, observer: &mut dyn Observe) -> Vec<LowerError> {
    let (globals, table) = match parse(request) {
        Ok(parsed) => parsed,
        Err(errors) => return vec![LowerError::Dockerfile(errors)],
    };
    let wanted = match request.target {
        Some(_) => table.needed(),
        None => (0..table.stages.len()).collect(),
    };
    let mut graph = GraphBuilder::new();
    Lowering::new(request, &table, &globals, images, observer, &mut graph).inspect(wanted)
}

fn parse(request: &Request) -> Result<(Globals, StageTable<'_>), Vec<Diagnostic>> {
    let in_file = |error: Diagnostic| error.in_file(&request.dockerfile.source);
    let globals = Globals::new(request).map_err(|error| vec![in_file(error)])?;
    let table =
        StageTable::new(request, &globals).map_err(|errors| errors.into_iter().map(in_file).collect::<Vec<_>>())?;
    Ok((globals, table))
}

/// Applies what the command line says about the image as a whole.
fn finish(state: StageState, scan: ScanTargets, request: &Request, globals: &Globals) -> Lowered {
    let mut config = state.config;
    let labels = request.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    config.config.labels.extend(labels);
    if let TargetPlatform::Chosen(platform) = &request.platform {
        // The variant of a base is more exact than a platform without one, unless it is of another architecture.
        let same = config.os == platform.os && config.architecture == platform.architecture;
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.architecture);
        if platform.variant.is_some() || !same {
            config.variant.clone_from(&platform.variant);
        }
        if platform.os_version.is_some() || !same {
            config.os_version.clone_from(&platform.os_version);
        }
    }
    Lowered {
        rootfs: state.rootfs,
        base: state.base,
        config,
        history: state.history,
        epoch: globals.epoch(),
        scan,
    }
}
