//! Questions about a Dockerfile: `--call=check|outline|targets`. Nothing is built or written, no layer is fetched, no
//! sandbox entered.

use std::path::Path;
use std::sync::Arc;

use registry::client::Client;
use registry::content::ContentStore;
use registry::oci::{Platform, Reference};
use snapshotter::Ownership;
use tokio::runtime::Handle;

use super::lowering::lower_error;
use super::{BuildError, BuildRequest, ignore_patterns};
use crate::describe::{self, Outline, Targets};
use crate::dockerfile::ignore::Matcher;
use crate::dockerfile::{self, Dockerfile};
use crate::frontend::{self, ResolveError, ResolveImage, ResolvedImage};
use crate::image::{Documents, LayoutImage, PullError, StoredImages};
use crate::lint::{Linter, Report};
use crate::state_dir::{Class, StateDir};

/// What a check has found.
#[derive(Debug)]
pub struct Checked {
    /// The warnings.
    pub report: Report,
    /// What would stop a build before it ran anything, `error=true` included.
    pub errors: Vec<BuildError>,
}

/// Lints every stage, or what the target is made from. Images are looked up in the state directory, if there is
/// one, and then in their registries; an image that cannot be had is an error, and the stages made from it are
/// known only as far as they can be without it.
///
/// # Errors
/// If the file is for another frontend, the options of the check or the ignore file cannot be read, or the state
/// directory is somebody else's.
pub async fn check(request: BuildRequest, client: Client, root: &Path) -> Result<Checked, BuildError> {
    refuse_foreign_syntax(&request)?;
    let (dockerfile, errors) = dockerfile::parse_partially(Arc::clone(&request.dockerfile));
    let ignored = ignored(&request)?;
    let stored = stored(&request, root)?;
    let layouts = request.layouts.clone();
    let Some(request) = request.for_platforms(dockerfile).into_iter().next() else {
        return Err(BuildError::Dockerfile(errors));
    };
    let mut linter = linter(&request, ignored)?;
    linter.file(&request);
    if !errors.is_empty() {
        return Ok(Checked {
            report: linter.finish(&request),
            errors: vec![BuildError::Dockerfile(errors)],
        });
    }
    let images = Images {
        client,
        stored,
        layouts,
        runtime: Handle::current(),
    };
    let looking = tokio::task::spawn_blocking(move || {
        let failures = frontend::inspect(&request, &images, &mut linter);
        (linter.finish(&request), failures)
    });
    let (report, failures) = looking.await.map_err(BuildError::panicked("linting"))?;
    let mut errors: Vec<BuildError> = failures.into_iter().map(lower_error).collect();
    errors.extend(
        report
            .violation()
            .map(|violation| BuildError::Lint(Box::new(violation))),
    );
    Ok(Checked { report, errors })
}

/// Lists what the target takes: build arguments, secrets, SSH agents. No image is asked for.
///
/// # Errors
/// If the Dockerfile is wrong.
pub fn outline(request: &BuildRequest) -> Result<Outline, BuildError> {
    let dockerfile = parse(request)?;
    let requests = request.for_platforms(dockerfile);
    let outlines = requests.iter().take(1).map(describe::outline);
    let mut outlines = outlines
        .collect::<Result<Vec<_>, _>>()
        .map_err(BuildError::Dockerfile)?;
    outlines.pop().ok_or(BuildError::Dockerfile(Vec::new()))
}

/// Lists the stages.
///
/// # Errors
/// If the Dockerfile is wrong.
pub fn targets(request: &BuildRequest) -> Result<Targets, BuildError> {
    Ok(describe::targets(&parse(request)?))
}

fn parse(request: &BuildRequest) -> Result<Dockerfile, BuildError> {
    refuse_foreign_syntax(request)?;
    dockerfile::parse(Arc::clone(&request.dockerfile)).map_err(BuildError::Dockerfile)
}

/// Refuses a file that another frontend would have to read, before it is taken for a Dockerfile.
fn refuse_foreign_syntax(request: &BuildRequest) -> Result<(), BuildError> {
    let source = &request.dockerfile;
    frontend::refuse_foreign_syntax(source, &request.build_args)
        .map_err(|error| BuildError::Dockerfile(vec![error.in_file(source)]))
}

/// Prepares the linter for a request.
pub(super) fn linter(request: &frontend::Request, ignored: Option<Matcher>) -> Result<Linter, BuildError> {
    Linter::new(request, ignored).map_err(|error| BuildError::Dockerfile(vec![error]))
}

/// Compiles the ignore file of the build context, if there is one.
pub(super) fn ignored(request: &BuildRequest) -> Result<Option<Matcher>, BuildError> {
    let file = request
        .directories
        .get("context")
        .and_then(|context| context.ignore.as_ref());
    file.map(|file| ignore_patterns(Some(file))).transpose()
}

/// Opens what the store has under the names of images, if there is a store and the request lets it count.
fn stored(request: &BuildRequest, root: &Path) -> Result<Option<StoredImages>, BuildError> {
    let store = match StateDir::open_existing(root, Ownership::Real)? {
        None => StateDir::open_existing(root, Ownership::Emulated)?,
        store => store,
    };
    let stored = store.filter(|_| !request.pull).and_then(|store| {
        let content = ContentStore::open(&store.path(Class::Blobs)).ok()?;
        Some(StoredImages::new(Some(store.tags()), content))
    });
    Ok(stored)
}

/// Answers the frontend from the images in the store and in layouts, else from registries.
struct Images {
    client: Client,
    stored: Option<StoredImages>,
    layouts: Vec<LayoutImage>,
    runtime: Handle,
}

impl Images {
    /// Returns an image that this machine has, if it does.
    fn at_hand(&self, reference: &Reference, platform: &Platform) -> Result<Option<Documents>, PullError> {
        let layout = |layout: &&LayoutImage| reference.digest() == Some(layout.descriptor.digest);
        if let Some(layout) = self.layouts.iter().find(layout) {
            return Ok(Some(layout.documents(platform)?));
        }
        let stored = self.stored.as_ref().and_then(|stored| {
            let named = stored.named(reference);
            let named = named.filter(|image| stored.is_for(image, platform))?;
            stored.documents(&named, platform)
        });
        Ok(stored)
    }
}

impl ResolveImage for Images {
    fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, ResolveError> {
        let at_hand = self.at_hand(reference, platform);
        if let Some(known) = at_hand.map_err(|error| ResolveError(Box::new(error)))? {
            let manifest_digest = known.descriptor.digest;
            return Ok(ResolvedImage {
                reference: reference.with_digest(manifest_digest),
                manifest_digest,
                config: known.config,
            });
        }
        let image = self.runtime.block_on(self.client.image(reference, platform));
        let image = image.map_err(|error| ResolveError(Box::new(PullError::Client(error))))?;
        Ok(ResolvedImage {
            reference: image.reference,
            manifest_digest: image.manifest_descriptor.digest,
            config: image.config,
        })
    }
}
