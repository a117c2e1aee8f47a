//! Named contexts: what `--build-context` names stand for.

use std::collections::BTreeMap;
use std::path::Path;

use registry::oci::Digest;

use super::environment::absolute;
use super::failure::{Failure, Kind};
use super::locate::{context_directory, ignore_file_in};
use super::request::usage;
use super::values::{self, ValueError};
use crate::frontend::NamedContext;
use crate::image::LayoutImage;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::ops::LocalDirectory;
use crate::remote::Remote;

const OPTION: &str = "--build-context";

/// Names that Dockerfiles never take for that of a named context; the first is that of the build's own.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Reads `--build-context NAME=VALUE`; directories go to `directories`.
///
/// # Errors
/// Usage for what is nothing of all that, missing input for a directory that is not there.
pub(super) fn named(
    texts: &[String],
    directories: &mut BTreeMap<String, LocalDirectory>,
    layouts: &mut Vec<LayoutImage>,
) -> Result<BTreeMap<String, NamedContext>, Failure> {
    let mut contexts = BTreeMap::new();
    for text in texts {
        let (name, value) = values::pair(OPTION, text).map_err(usage)?;
        if RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            let problem = format!("`{name}` has a meaning of its own, which no other context can take");
            return Err(usage(ValueError::new(OPTION, text, problem)));
        }
        let remote = Remote::of_context(&value).transpose();
        let remote = remote.map_err(|error| usage(ValueError::new(OPTION, text, error.to_string())))?;
        let context = match (value.split_once("://"), remote) {
            (Some(("docker-image", "scratch")), _) => NamedContext::Scratch,
            (Some(("docker-image", reference)), _) => NamedContext::Image(
                reference
                    .parse()
                    .map_err(|e: registry::oci::ReferenceError| usage(ValueError::new(OPTION, text, e.to_string())))?,
            ),
            (_, Some(remote)) => NamedContext::Remote(Box::new(source(remote))),
            (Some(("oci-layout", place)), _) => {
                let image = layout(text, place)?;
                let reference = image.reference(&name);
                layouts.push(image);
                NamedContext::Image(reference.map_err(|error| usage(ValueError::new(OPTION, text, error.to_string())))?)
            }
            (Some((scheme, _)), None) => {
                let problem =
                    format!("`{scheme}://` is neither a directory, an image, a git repository nor an archive");
                return Err(usage(ValueError::new(OPTION, text, problem)));
            }
            (None, None) => {
                let path = context_directory(&value)?;
                let ignore = ignore_file_in(&path, format!("{name}: .dockerignore"))?;
                directories.insert(name.clone(), LocalDirectory { path, ignore });
                NamedContext::Local { name: name.clone() }
            }
        };
        contexts.insert(name, context);
    }
    Ok(contexts)
}

/// Finds the image that `DIR[:TAG][@DIGEST]` means.
fn layout(text: &str, place: &str) -> Result<LayoutImage, Failure> {
    let (place, digest) = match place.split_once('@') {
        Some((place, digest)) => (place, Some(digest)),
        None => (place, None),
    };
    let digest = digest.map(str::parse::<Digest>).transpose();
    let digest = digest.map_err(|error| usage(ValueError::new(OPTION, text, error.to_string())))?;
    let (directory, tag) = match place.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => (directory, tag),
        _ => (place, "latest"),
    };
    LayoutImage::find(&absolute(Path::new(directory)), tag, digest)
        .map_err(|error| Failure::because(Kind::Input, &error))
}

/// Returns the operation that fetches a context from the network.
fn source(remote: Remote) -> Op {
    match remote {
        Remote::Git(address) => Op::Git(GitOp {
            keep_git_dir: address.keep_git_dir.unwrap_or(false),
            address,
        }),
        Remote::Web(address) => Op::Http(HttpOp {
            address,
            form: HttpForm::Archive,
            checksum: None,
        }),
    }
}
