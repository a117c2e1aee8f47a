//! Putting manifests: where they go, and what a refusal means.

use axum::http::Method;
use bytes::Bytes;
use registry::client::{ClientError, ErrorKind};
use registry::oci::{Descriptor, Digest, MediaType};

use crate::fault_registry::FaultRegistry;
use crate::faults::Fault;
use crate::fixtures::{Image, chain, client, layer};

#[tokio::test]
async fn a_manifest_is_put_under_its_tag_or_its_digest() {
    let (registry, client, manifest) = (FaultRegistry::start().await, client(), Image::new("amd64").manifest);
    let media_type = MediaType::from(MediaType::MANIFEST);
    let digest = client
        .push_manifest(&registry.reference("app:1"), &media_type, manifest.clone())
        .await
        .unwrap();
    let (descriptor, bytes) = client.manifest(&registry.reference("app:1")).await.unwrap();
    assert_eq!(
        (descriptor, &bytes),
        (Descriptor::of(MediaType::MANIFEST, &manifest), &manifest)
    );

    let pinned = registry.reference(&format!("other@{digest}"));
    client
        .push_manifest(&pinned, &media_type, manifest.clone())
        .await
        .unwrap();
    assert_eq!(registry.count(Method::PUT, &digest.to_string()), 1);
    let error = client
        .push_manifest(&pinned, &media_type, Bytes::from_static(b"{}"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), registry.count(Method::PUT, "")),
        (ErrorKind::Integrity, 2),
        "{error}"
    );

    registry.fail(
        Method::PUT,
        "/manifests/",
        1,
        Fault::Header("docker-content-digest", layer(b"").digest.to_string()),
    );
    let error = client
        .push_manifest(&registry.reference("app:2"), &media_type, manifest)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

#[tokio::test]
async fn a_refused_manifest_is_explained() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let immutable = "The image tag '1' already exists and cannot be overwritten because the tag is immutable.";
    for (status, code, message, words, hint) in [
        (
            400,
            "TAG_INVALID",
            immutable,
            "the tag cannot be moved: ",
            "push under a new tag",
        ),
        (
            412,
            "PRECONDITION",
            "Failed: configured as immutable",
            "the tag cannot be moved: ",
            "push under a new tag",
        ),
        (
            415,
            "UNSUPPORTED",
            "",
            "does not take `application/vnd.oci.image.manifest.v1+json`",
            "`--output type=image,push=true,oci-mediatypes=false`",
        ),
        (
            400,
            "MANIFEST_INVALID",
            "unknown media type",
            "the registry does not take",
            "`--output type=image,push=true,oci-mediatypes=false`",
        ),
        (
            403,
            "DENIED",
            "quota exceeded",
            "DENIED: quota exceeded (",
            "check the name",
        ),
    ] {
        registry.fail(Method::PUT, "/manifests/", 1, Fault::error(status, code, message));
        let manifest = Image::new("amd64").manifest;
        let to = registry.reference("app:1");
        let error = client
            .push_manifest(&to, &MediaType::MANIFEST.into(), manifest)
            .await
            .unwrap_err();
        assert!(
            chain(&error).contains(words) || chain(&error).contains("DENIED: quota exceeded"),
            "{}",
            chain(&error)
        );
        assert!(
            error.hint().unwrap_or_default().contains(hint),
            "{error}: {:?}",
            error.hint()
        );
    }
    registry.fail(
        Method::PUT,
        "/manifests/",
        3,
        Fault::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"),
    );
    let to = registry.reference("app:1");
    let error = client
        .push_manifest(&to, &MediaType::MANIFEST.into(), Bytes::from_static(b"{}"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::BlobUnknown(_)), "{error}");
}

#[tokio::test]
async fn a_registry_may_find_the_blobs_of_a_manifest_late() {
    let registry = FaultRegistry::start().await;
    registry.fail(
        Method::PUT,
        "/manifests/",
        2,
        Fault::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown"),
    );
    let to = registry.reference("app:1");
    let pushed = client()
        .push_manifest(&to, &MediaType::MANIFEST.into(), Bytes::from_static(b"{}"))
        .await;
    assert_eq!(pushed.unwrap(), Digest::of(b"{}"));
}
