//! Where the layers of an image go: into the store, or through to a registry without a stop.
//!
//! A blob is kept if anybody reads it here: a layout, an image that stays in the store, a cache elsewhere, a second
//! registry. Where nobody does, a second copy of what the snapshot holds would be all that it is.

use std::collections::BTreeSet;

use registry::oci::Reference;

use super::variant::Variant;
use super::{BuildRequest, cache_export};
use crate::image::LayerFormat;
use crate::remote_cache::{CacheTo, Mode};

/// What becomes of the layers of one format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Their blobs stay in the store, and go from there to each of these repositories at once.
    Kept(Vec<Reference>),
    /// They are sent while they are packed, to these repositories of one registry, which has at least one.
    Through {
        /// The repository that takes the bytes.
        first: Reference,
        /// Those that mount them from there.
        others: Vec<Reference>,
        /// Whether a layer that is known waits until the registry turns out to lack the image.
        asks_for_image: bool,
    },
}

/// Returns the route of each format in which images are wanted. `is_complete` says that nothing runs: then the image is most
/// likely in its registry, and nothing goes there before its manifest is asked for.
pub(super) fn routes(request: &BuildRequest, variants: &[Variant], is_complete: bool) -> Vec<(LayerFormat, Route)> {
    let mut routes: Vec<(LayerFormat, Route)> = Vec::new();
    for variant in variants {
        if routes.iter().any(|(format, _)| *format == variant.format) {
            continue;
        }
        let same = || variants.iter().filter(|other| other.format == variant.format);
        let pushed = same().filter(|variant| variant.is_pushed());
        let repositories = repositories(pushed.flat_map(|variant| &variant.names));
        let route = match repositories.split_first() {
            Some((first, others))
                if same().all(Variant::is_pushed)
                    && others.iter().all(|other| other.registry() == first.registry())
                    && !request
                        .cache_to
                        .iter()
                        .any(|to| reads(to, variant.format, first, request, variants)) =>
            {
                Route::Through {
                    first: first.clone(),
                    others: others.to_vec(),
                    asks_for_image: is_complete,
                }
            }
            _ if is_complete => Route::Kept(Vec::new()),
            _ => Route::Kept(repositories),
        };
        routes.push((variant.format, route));
    }
    routes
}

/// Returns whether a cache needs the blobs of image layers here. One in the same registry mounts them, if it wants no others.
fn reads(to: &CacheTo, format: LayerFormat, pushed: &Reference, request: &BuildRequest, variants: &[Variant]) -> bool {
    let is_mounted = matches!(to, CacheTo::Registry { reference, options, .. }
        if options.mode == Mode::Min && reference.registry() == pushed.registry());
    let of_cache = to
        .options()
        .map(|options| cache_export::format(options, request, variants));
    of_cache == Some(format) && !is_mounted
}

/// Keeps one reference of each repository.
fn repositories<'a>(references: impl Iterator<Item = &'a Reference>) -> Vec<Reference> {
    let mut seen = BTreeSet::new();
    let is_new = |r: &&Reference| seen.insert((r.registry().to_owned(), r.repository().to_owned()));
    references.filter(is_new).cloned().collect()
}
