//! Where context and Dockerfile come from, as provenance tells it.

use std::path::Path;

use super::locate::Place;
use crate::attest::{ConfigSource, Material, digest_set};
use crate::diagnostic::SourceFile;
use crate::fetch::Revision;
use crate::remote::Remote;

/// What a Dockerfile is called that has no name of its own: one from standard input, or from a URL.
const UNNAMED: &str = "Dockerfile";

/// Returns where things come from. `revision` is which version of the context was fetched; `is_within` tells whether the
/// Dockerfile is in the context, so that its name is its path there.
pub(super) fn config_source(
    place: &Place,
    dockerfile: &SourceFile,
    revision: Option<&Revision>,
    is_within: bool,
) -> ConfigSource {
    let address = match place {
        Place::Remote(Remote::Git(address)) => Some(address.to_string()),
        Place::Remote(Remote::Web(address)) => Some(address.to_string()),
        Place::Directory(_) | Place::Stdin => None,
    };
    let name = dockerfile.name();
    let is_unnamed = name == "-" || name.contains("://");
    let own = Path::new(name).file_name().and_then(|name| name.to_str());
    let path = match own {
        _ if is_within => name,
        Some(own) if !is_unnamed => own,
        _ => UNNAMED,
    };
    ConfigSource {
        context: address.map(|uri| Material {
            uri,
            digest: revision.map(digest_set).unwrap_or_default(),
        }),
        local_dockerfile: !is_within,
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str, is_within: bool) -> String {
        config_source(&Place::Stdin, &SourceFile::new(name, ""), None, is_within).path
    }

    #[test]
    fn a_dockerfile_of_this_machine_is_told_by_its_name_alone() {
        assert_eq!(path("dir/my.Dockerfile", false), "my.Dockerfile");
        assert_eq!(path("dir/my.Dockerfile", true), "dir/my.Dockerfile");
        assert_eq!(path("-", false), "Dockerfile");
        assert_eq!(path("https://user@example.com/x", false), "Dockerfile");
    }

    #[test]
    fn a_context_from_elsewhere_is_told_by_its_address_and_what_it_was() {
        let remote = Remote::of_context("https://u:p@example.com/x.git#v1").unwrap().unwrap();
        let revision = Revision::Commit("a".repeat(40));
        let source = config_source(&Place::Remote(remote), &SourceFile::new("f", ""), Some(&revision), true);
        let context = source.context.unwrap();
        assert_eq!(context.uri, "https://xxxxx:xxxxx@example.com/x.git#v1");
        assert_eq!(context.digest["sha1"], "a".repeat(40));
        assert!(!source.local_dockerfile);
    }
}
