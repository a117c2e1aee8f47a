//! The images that the outputs want: one for each way in which they want its bytes to be.

use registry::compress::Compression;
use registry::oci::Reference;

use super::BuildRequest;
use crate::export::{ImageOptions, OutputSpec};
use crate::image::LayerFormat;

/// One image, and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// What the output says about it.
    pub(super) options: ImageOptions,
    /// How its layers are made.
    pub(super) format: LayerFormat,
    /// The time of everything in it, in seconds since 1970.
    pub(super) epoch: Option<i64>,
    /// Its names.
    pub(super) names: Vec<Reference>,
    /// Where it goes; `None` only keeps it in the store.
    pub(super) output: Option<OutputSpec>,
}

impl Variant {
    /// Returns the images that a request wants; none if it wants only files. `epoch` is `SOURCE_DATE_EPOCH`.
    pub(super) fn of_request(request: &BuildRequest, epoch: Option<i64>) -> Vec<Self> {
        let wanted = request.outputs.iter().filter_map(|output| match output {
            OutputSpec::Image(image) => Some((image.options.clone(), Some(output))),
            OutputSpec::Layout { options, .. } => Some((options.clone(), Some(output))),
            OutputSpec::Tar { .. } | OutputSpec::Local { .. } | OutputSpec::CacheOnly => None,
        });
        let kept = request.outputs.is_empty().then(|| (ImageOptions::default(), None));
        wanted
            .chain(kept)
            .map(|(options, output)| Self::new(request, epoch, options, output.cloned()))
            .collect()
    }

    fn new(request: &BuildRequest, epoch: Option<i64>, options: ImageOptions, output: Option<OutputSpec>) -> Self {
        let lowered_to = options.source_date_epoch.of_files(epoch);
        let compression: Compression = options.compression.unwrap_or(request.compression);
        let names = request.tags.iter().chain(&options.names).cloned().collect();
        let format = LayerFormat {
            compression,
            clamp_mtime: lowered_to.filter(|_| options.rewrite_timestamp),
        };
        Self {
            format,
            epoch: options.source_date_epoch.of_image(epoch),
            names,
            options,
            output,
        }
    }

    /// Whether the image goes to registries.
    pub(super) fn is_pushed(&self) -> bool {
        matches!(&self.output, Some(OutputSpec::Image(image)) if image.push)
    }

    /// Whether its tags are left alone in the registry.
    pub(super) fn by_digest(&self) -> bool {
        matches!(&self.output, Some(OutputSpec::Image(image)) if image.by_digest)
    }
}
