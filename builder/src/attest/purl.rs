//! Package URLs of images, as BuildKit writes them: `pkg:docker/busybox@latest?platform=linux%2Famd64`.

use std::fmt::Write as _;

use registry::oci::{Platform, Reference};

use crate::image::LayoutImage;

/// The only registry whose images are named without it.
const HUB: &str = "docker.io";

/// Returns the package URL of an image for a platform. A digest that the reference has is a qualifier; the tag is the
/// version.
pub fn image_url(reference: &Reference, platform: &Platform) -> String {
    let (kind, name) = match reference.registry() {
        _ if LayoutImage::is_named_by(reference) => ("oci", reference.repository().to_owned()),
        HUB => {
            let repository = reference.repository();
            (
                "docker",
                repository.strip_prefix("library/").unwrap_or(repository).to_owned(),
            )
        }
        host => ("docker", format!("{host}/{}", reference.repository())),
    };
    let parts: Vec<String> = name.split('/').map(escaped).collect();
    let mut url = format!("pkg:{kind}/{}", parts.join("/"));
    // Writing to a string cannot fail.
    if let Some(tag) = reference.tag() {
        let _infallible = write!(url, "@{}", escaped(tag));
    }
    if let Some(digest) = reference.digest() {
        let _infallible = write!(url, "?digest={}", escaped(&digest.to_string()));
    }
    let separator = if reference.digest().is_some() { '&' } else { '?' };
    let _infallible = write!(url, "{separator}platform={}", escaped(&platform.to_string()));
    url
}

/// Escapes what the specification of package URLs does not let stand; a colon may.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            _ => {
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_as_docker_names_it() {
        let digest = registry::oci::Digest::of(b"");
        for (reference, platform, url) in [
            (
                "busybox".to_owned(),
                "linux/amd64",
                "pkg:docker/busybox@latest?platform=linux%2Famd64".to_owned(),
            ),
            (
                "me/app:1".to_owned(),
                "linux/arm/v7",
                "pkg:docker/me/app@1?platform=linux%2Farm%2Fv7".to_owned(),
            ),
            (
                "127.0.0.1:5000/a/b:1_x".to_owned(),
                "linux/amd64",
                "pkg:docker/127.0.0.1:5000/a/b@1_x?platform=linux%2Famd64".to_owned(),
            ),
            (
                format!("busybox:1@{digest}"),
                "linux/amd64",
                format!("pkg:docker/busybox@1?digest={digest}&platform=linux%2Famd64"),
            ),
            (
                format!("oci-layout.invalid/foo@{digest}"),
                "linux/amd64",
                format!("pkg:oci/foo?digest={digest}&platform=linux%2Famd64"),
            ),
        ] {
            assert_eq!(image_url(&reference.parse().unwrap(), &platform.parse().unwrap()), url);
        }
    }
}
