//! Choosing an index's manifest for a platform. Pure.
//!
//! The order of preference is containerd's: the platform itself, then older variants that it runs (`v7` runs
//! `v6`), then the 32-bit architecture of the same family. Among equals the index's order decides.

use crate::oci::{Descriptor, Platform};

/// Docker's mark on manifests that describe an image and are none.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Returns the manifest of an index for a platform.
pub fn select<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let images: Vec<&Descriptor> = manifests.iter().filter(|manifest| is_image(manifest)).collect();
    let chosen = acceptable(wanted).into_iter().find_map(|platform| {
        images.iter().find(|image| {
            image
                .platform
                .clone()
                .map(Platform::normalized)
                .is_some_and(|has| is_same(&has, &platform))
        })
    });
    match (chosen, &images[..]) {
        // An index of one image that does not say for which platform is for any.
        (None, [only]) if only.platform.is_none() => Some(only),
        (chosen, _) => chosen.copied(),
    }
}

/// Returns the platforms for which there are manifests, once each.
pub(super) fn available(manifests: &[Descriptor]) -> Vec<Platform> {
    let images = manifests.iter().filter(|manifest| is_image(manifest));
    images
        .filter_map(|image| image.platform.clone())
        .map(Platform::normalized)
        .fold(Vec::new(), |mut seen, platform| {
            if !seen.iter().any(|known| is_same(known, &platform)) {
                seen.push(platform);
            }
            seen
        })
}

fn is_image(descriptor: &Descriptor) -> bool {
    let known_type = descriptor.media_type.is_manifest() || descriptor.media_type.is_index();
    let unknown_platform = descriptor
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown");
    known_type && !unknown_platform && !descriptor.annotations.contains_key(REFERENCE_TYPE)
}

/// Whether two platforms are the same. The version of the operating system is Windows', and counts only if both
/// have one: without one, the index's order decides.
fn is_same(a: &Platform, b: &Platform) -> bool {
    let version_agrees = match (&a.os_version, &b.os_version) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    version_agrees && (&a.os, &a.architecture, &a.variant) == (&b.os, &b.architecture, &b.variant)
}

/// Returns the platforms whose images run on `wanted`, best first.
fn acceptable(wanted: &Platform) -> Vec<Platform> {
    let wanted = wanted.clone().normalized();
    let with = |architecture: &str, variant: Option<u32>| Platform {
        architecture: architecture.to_owned(),
        variant: variant.map(|version| format!("v{version}")),
        ..wanted.clone()
    };
    let version = wanted
        .variant
        .as_deref()
        .and_then(|variant| variant.strip_prefix('v')?.parse::<u32>().ok());
    let mut platforms = vec![wanted.clone()];
    match (wanted.architecture.as_str(), version) {
        ("amd64", version) => {
            platforms.extend((2..version.unwrap_or(1)).rev().map(|older| with("amd64", Some(older))));
            platforms.extend(version.map(|_| with("amd64", None)));
            platforms.push(with("386", None));
        }
        ("arm", Some(version)) => platforms.extend((5..version).rev().map(|older| with("arm", Some(older)))),
        ("arm64", version) => {
            // `v8` is arm64's unspoken variant.
            platforms.extend(version.map(|_| with("arm64", None)));
            platforms.extend((5..=8).rev().map(|older| with("arm", Some(older))));
        }
        _ => {}
    }
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, MediaType};

    fn index(platforms: &[&str]) -> Vec<Descriptor> {
        let manifest = |text: &&str| Descriptor {
            platform: (!text.is_empty()).then(|| match text.split('/').collect::<Vec<_>>()[..] {
                [os, architecture, ref variant @ ..] => Platform {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: variant.first().map(|v| (*v).to_owned()),
                    os_version: None,
                },
                _ => panic!("{text}"),
            }),
            ..Descriptor::new(MediaType::MANIFEST, Digest::of(text.as_bytes()), 1)
        };
        platforms.iter().map(manifest).collect()
    }

    #[test]
    fn the_best_manifest_that_runs_is_chosen() {
        for (wanted, has, chosen) in [
            ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some("linux/amd64")),
            ("linux/arm64", &["linux/arm64/v8"], Some("linux/arm64/v8")),
            ("linux/arm64", &["linux/aarch64"], Some("linux/aarch64")),
            ("linux/arm64/v9", &["linux/arm64/v8"], Some("linux/arm64/v8")),
            ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7")),
            ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some("linux/arm/v6")),
            ("linux/arm/v6", &["linux/arm/v7"], None),
            ("linux/arm", &["linux/arm"], Some("linux/arm")),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v2"],
                Some("linux/amd64/v2"),
            ),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v4"],
                Some("linux/amd64"),
            ),
            ("linux/amd64", &["linux/amd64/v2"], None),
            ("linux/amd64", &["linux/amd64/v1"], Some("linux/amd64/v1")),
            ("linux/amd64", &["linux/386"], Some("linux/386")),
            ("linux/amd64", &["windows/amd64"], None),
            ("linux/s390x", &["linux/amd64"], None),
            ("linux/amd64", &["unknown/unknown", "linux/amd64"], Some("linux/amd64")),
            ("linux/amd64", &[""], Some("")),
            ("linux/amd64", &["", ""], None),
            ("linux/amd64", &[], None),
        ] {
            let index = index(has);
            let found = select(&index, &wanted.parse().unwrap()).map(|found| found.digest);
            assert_eq!(
                found,
                chosen.map(|text: &str| Digest::of(text.as_bytes())),
                "{wanted} of {has:?}"
            );
        }
    }

    #[test]
    fn attestations_are_no_images() {
        let mut index = index(&["linux/amd64", "linux/amd64"]);
        index[0]
            .annotations
            .insert(REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned());
        index[0].digest = Digest::of(b"attestation");
        assert_eq!(select(&index, &"linux/amd64".parse().unwrap()), Some(&index[1]));
        assert_eq!(available(&index).len(), 1);
    }
}
