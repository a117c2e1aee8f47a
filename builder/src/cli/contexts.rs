//! Named contexts: what `--build-context` names stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::Failure;
use super::locate::{context_directory, read_text};
use super::request::usage;
use super::values::{self, ValueError};
use crate::diagnostic::SourceFile;
use crate::frontend::NamedContext;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::ops::LocalDirectory;
use crate::remote::Remote;

/// Reads `--build-context NAME=VALUE`; directories go to `directories`.
///
/// # Errors
/// Usage for what is nothing of all that, missing input for a directory that is not there.
pub(super) fn named(
    texts: &[String],
    directories: &mut BTreeMap<String, LocalDirectory>,
) -> Result<BTreeMap<String, NamedContext>, Failure> {
    const OPTION: &str = "--build-context";
    let mut contexts = BTreeMap::new();
    for text in texts {
        let (name, value) = values::pair(OPTION, text).map_err(usage)?;
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
            (Some((scheme, _)), None) => {
                let problem =
                    format!("`{scheme}://` is neither a directory, an image, a git repository nor an archive");
                return Err(usage(ValueError::new(OPTION, text, problem)));
            }
            (None, None) => {
                let path = context_directory(&value)?;
                let ignore = path.join(".dockerignore");
                let ignore = read_text(&ignore)
                    .ok()
                    .map(|text| Arc::new(SourceFile::new(format!("{name}: .dockerignore"), text)));
                directories.insert(name.clone(), LocalDirectory { path, ignore });
                NamedContext::Local { name: name.clone() }
            }
        };
        contexts.insert(name, context);
    }
    Ok(contexts)
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
