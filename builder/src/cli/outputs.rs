//! What `--output` and its relatives ask for, checked against each other.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use registry::oci::Reference;

use super::args::BuildArgs;
use super::entitlements;
use super::failure::{Failure, Kind};
use super::request::usage;
use super::values::ValueError;
use crate::attest::AttestOptions;
use crate::build::Annotations;
use crate::diagnostic::Diagnostic;
use crate::export::{AnnotationTarget, Destination, Form, ImageOptions, LayoutPlace, LocalMode, OutputSpec};
use crate::image::MediaTypes;

/// Reads `--output`s and `--push`.
///
/// # Errors
/// Usage for those that cannot be read, or contradict each other or other options.
pub(super) fn outputs(args: &BuildArgs, tags: &[Reference]) -> Result<Vec<OutputSpec>, Failure> {
    let mut outputs = Vec::new();
    for text in &args.outputs {
        let output =
            OutputSpec::parse(text).map_err(|error| usage(ValueError::new("--output", text, error.to_string())))?;
        check_output(args, text, &output)?;
        outputs.push(output);
    }
    if args.push && !outputs.iter().any(OutputSpec::is_push) {
        outputs.push(OutputSpec::registry());
    }
    if tags.is_empty() && outputs.iter().any(OutputSpec::is_push_without_name) {
        let message = Diagnostic::error("a tag is needed to push to a registry");
        return Err(Failure::new(
            Kind::Usage,
            message.help("name the image with `-t REGISTRY/NAME:TAG`"),
        ));
    }
    check_stdout(&outputs, args.quiet)?;
    Ok(outputs)
}

/// Refuses what an output cannot do together with the other options.
fn check_output(args: &BuildArgs, text: &str, output: &OutputSpec) -> Result<(), Failure> {
    if let OutputSpec::Local {
        directory,
        mode: LocalMode::Delete,
        ..
    } = output
    {
        entitlements::check_delete(args, directory)?;
    }
    let refuse = |problem: &str| Err(usage(ValueError::new("--output", text, problem)));
    if is_to_stdout(output) && io::stdout().is_terminal() {
        return refuse("an archive is nothing for a terminal: redirect standard output, or name a file with `dest=`");
    }
    if let Some(path) = file_of(output)
        && let Some(directory) = path.parent().filter(|directory| *directory != Path::new(""))
        && !directory.is_dir()
    {
        let problem = format!("`{}` is no directory", directory.display());
        return Err(usage(ValueError::new("--output", text, problem)));
    }
    if matches!(output, OutputSpec::Layout { form: Form::Docker, .. }) && args.platforms.len() > 1 {
        return refuse("`type=docker` holds an image for one platform: use `type=oci`");
    }
    if matches!(
        output,
        OutputSpec::Tar { files, .. } if files.platform_split == Some(false)
    ) && args.platforms.len() > 1
    {
        return refuse("a tar of several platforms has a directory for each");
    }
    Ok(())
}

/// Returns the file that an output is written to, if it is one.
fn file_of(output: &OutputSpec) -> Option<&Path> {
    match output {
        OutputSpec::Tar {
            destination: Destination::File(path),
            ..
        }
        | OutputSpec::Layout {
            place: LayoutPlace::Archive(Destination::File(path)),
            ..
        } => Some(path),
        _ => None,
    }
}

fn is_to_stdout(output: &OutputSpec) -> bool {
    match output {
        OutputSpec::Tar { destination, .. } => *destination == Destination::Stdout,
        OutputSpec::Layout { place, .. } => *place == LayoutPlace::Archive(Destination::Stdout),
        OutputSpec::Image(_) | OutputSpec::Local { .. } | OutputSpec::CacheOnly => false,
    }
}

/// Returns what an output says about the image that it makes, if it makes one.
fn image_options(output: &OutputSpec) -> Option<&ImageOptions> {
    match output {
        OutputSpec::Image(image) => Some(&image.options),
        OutputSpec::Layout { options, .. } => Some(options),
        OutputSpec::Tar { .. } | OutputSpec::Local { .. } | OutputSpec::CacheOnly => None,
    }
}

/// Refuses to write two things to standard output; `--quiet` prints the digest of an image there.
fn check_stdout(outputs: &[OutputSpec], quiet: bool) -> Result<(), Failure> {
    let archives = outputs.iter().filter(|output| is_to_stdout(output)).count();
    let has_image = outputs.iter().any(|output| image_options(output).is_some());
    let problem = match archives {
        0 => return Ok(()),
        1 if !(quiet && has_image) => return Ok(()),
        1 => "an archive and the digest that `--quiet` prints cannot both go to standard output",
        _ => "only one output can go to standard output",
    };
    Err(Failure::new(
        Kind::Usage,
        Diagnostic::error(problem).help("name a file with `dest=`"),
    ))
}

/// Refuses attestations of an image whose media types have no place for them.
///
/// # Errors
/// Usage, then.
pub(super) fn check_attestations(outputs: &[OutputSpec], attest: &AttestOptions) -> Result<(), Failure> {
    let mut options = outputs.iter().filter_map(image_options);
    let is_docker = options.any(|options| options.media_types == MediaTypes::Docker);
    if !(is_docker && attest.any()) {
        return Ok(());
    }
    let message = Diagnostic::error("attestations need OCI's media types");
    Err(Failure::new(
        Kind::Usage,
        message.help("leave out `oci-mediatypes=false`"),
    ))
}

/// Refuses annotations of an index that there will not be: of one platform without attestations.
///
/// # Errors
/// Usage, then.
pub(super) fn check_annotations(
    outputs: &[OutputSpec],
    annotations: &Annotations,
    platforms: usize,
    attest: &AttestOptions,
) -> Result<(), Failure> {
    let on_index = |target| matches!(target, AnnotationTarget::Index | AnnotationTarget::IndexDescriptor);
    let mut options = outputs.iter().filter_map(image_options);
    let wanted = !annotations.index.is_empty()
        || options.any(|options| options.annotations.iter().any(|given| on_index(given.target)));
    if !wanted || platforms > 1 || attest.any() {
        return Ok(());
    }
    let message = Diagnostic::error("an image for one platform has no index to annotate");
    Err(Failure::new(
        Kind::Usage,
        message.help("annotate its manifest, or name several platforms with `--platform`"),
    ))
}
