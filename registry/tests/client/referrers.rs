//! What refers to an image: in registries that list it, and in those that do not.

use axum::http::Method;
use bytes::Bytes;
use registry::client::{Client, ClientError};
use registry::oci::{Descriptor, Digest, MediaType, Reference};

use crate::docker_registry::DockerRegistry;
use crate::fault_registry::{FaultRegistry, Manners};
use crate::faults::Fault;
use crate::fixtures::{Image, client};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A manifest that refers to `image`, as signers write it.
fn signature(image: &Bytes, number: u32) -> Bytes {
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::MANIFEST, "artifactType": BUNDLE,
        "config": Descriptor::of(EMPTY, b"{}"), "layers": [Descriptor::of(BUNDLE, b"{}")],
        "subject": Descriptor::of(MediaType::MANIFEST, image),
        "annotations": {"number": number.to_string()},
    });
    serde_json::to_vec(&manifest).unwrap().into()
}

async fn push(client: &Client, to: &Reference, signature: Bytes) -> Digest {
    client
        .push_referrer(to, &MediaType::MANIFEST.into(), signature)
        .await
        .unwrap()
}

async fn digests(client: &Client, of: &Reference, image: &Bytes, kind: Option<&str>) -> Vec<Digest> {
    let found = client.referrers(of, Digest::of(image), kind).await.unwrap();
    found.iter().map(|referrer| referrer.digest).collect()
}

#[tokio::test]
async fn a_registry_that_lists_referrers_is_left_to_it() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64").manifest);
    registry.behave(Manners {
        referrers: true,
        ..Manners::default()
    });
    let to = registry.reference("app:1");
    let pushed = push(&client, &to, signature(&image, 1)).await;
    assert_eq!(registry.seen().len(), 1, "no list under a tag is made");
    assert_eq!(digests(&client, &to, &image, None).await, [pushed]);
    assert_eq!(digests(&client, &to, &image, Some(BUNDLE)).await, [pushed]);
    // The registry does not filter.
    assert_eq!(digests(&client, &to, &image, Some("application/other")).await, []);
}

#[tokio::test]
async fn where_it_does_not_the_list_under_the_tag_has_the_artifacts_own_type() {
    let docker = DockerRegistry::open();
    let (image, client) = (Image::new("amd64"), client());
    let to = docker.reference("app:1");
    crate::against_docker_registry::push_image(&client, &to, &image)
        .await
        .unwrap();
    for blob in [Bytes::from_static(b"{}")] {
        let source = registry::client::BlobSource::Bytes(blob.clone());
        let descriptor = Descriptor::of(EMPTY, &blob);
        client.push_blob(&to, &descriptor, source, &[], &|_| {}).await.unwrap();
    }
    let mut pushed = Vec::new();
    for number in 0..3 {
        pushed.push(push(&client, &to, signature(&image.manifest, number)).await);
    }
    // The same again changes nothing.
    push(&client, &to, signature(&image.manifest, 1)).await;
    assert_eq!(digests(&client, &to, &image.manifest, Some(BUNDLE)).await, pushed);

    let tag = Digest::of(&image.manifest).to_string().replace(':', "-");
    let (_, list) = client.manifest(&docker.reference(&format!("app:{tag}"))).await.unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let first = &list["manifests"][0];
    assert_eq!(first["artifactType"], BUNDLE);
    assert_eq!(first["annotations"]["number"], "0");
    assert_eq!(first["mediaType"], MediaType::MANIFEST);
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64").manifest);
    let to = registry.reference("app:1");
    let both = tokio::join!(
        push(&client, &to, signature(&image, 1)),
        push(&client, &to, signature(&image, 2))
    );
    let mut found = digests(&client, &to, &image, None).await;
    let mut pushed = vec![both.0, both.1];
    found.sort();
    pushed.sort();
    assert_eq!(found, pushed);
}

#[tokio::test]
async fn a_list_that_is_no_list_is_refused_and_a_page_for_people_is_none() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64").manifest);
    let to = registry.reference("app:1");
    let html = Fault::Answer {
        status: 200,
        headers: vec![("content-type", "text/html".to_owned())],
        body: "<html>".to_owned(),
    };
    registry.fail(Method::GET, "/referrers/", 1, html);
    assert_eq!(digests(&client, &to, &image, None).await, []);
    let tag = Digest::of(&image).to_string().replace(':', "-");
    registry.put_manifest("app", &tag, MediaType::MANIFEST, &image);
    let error = client.referrers(&to, Digest::of(&image), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    let error = client
        .push_referrer(&to, &MediaType::MANIFEST.into(), image)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}
