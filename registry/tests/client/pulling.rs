//! Pulling: what is believed, what is refused, and what survives a bad connection.

use std::io;

use axum::http::Method;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use registry::client::{BlobSink, ClientError, ErrorKind};
use registry::oci::{Descriptor, Digest, MediaType};

use crate::fault_registry::FaultRegistry;
use crate::faults::Fault;
use crate::fixtures::{Image, chain, client, index, layer, noise, platform};

async fn with_image(index_of: &[&str]) -> (FaultRegistry, Vec<Image>) {
    let registry = FaultRegistry::start().await;
    let images: Vec<Image> = index_of
        .iter()
        .map(|text| Image::new(&platform(text).architecture))
        .collect();
    let descriptors = images
        .iter()
        .zip(index_of)
        .map(|(image, text)| image.descriptor(text))
        .collect();
    registry.put_manifest("app", "1", MediaType::INDEX, &index(descriptors));
    for image in &images {
        registry.put_manifest("app", "unused", MediaType::MANIFEST, &image.manifest);
        registry.put_blob("app", &image.config);
        registry.put_blob("app", &image.layer);
    }
    (registry, images)
}

#[tokio::test]
async fn an_index_leads_to_the_image_of_a_platform() {
    let (registry, images) = with_image(&["linux/amd64", "linux/arm64"]).await;
    let image = client()
        .image(&registry.reference("app:1"), &platform("linux/arm64/v8"))
        .await
        .unwrap();
    assert_eq!(image.config.architecture, "arm64");
    assert_eq!(image.manifest_bytes, images[1].manifest);
    assert_eq!(image.config_bytes, images[1].config);
    let pinned = format!("{}/app:1@{}", registry.address, Digest::of(&images[1].manifest));
    assert_eq!(image.reference.to_string(), pinned);
    assert_eq!(registry.count(Method::GET, "/blobs/"), 1, "a layer was fetched");
}

#[tokio::test]
async fn a_missing_platform_is_reported_with_those_that_are_there() {
    let (registry, _) = with_image(&["linux/amd64", "linux/arm64"]).await;
    let error = client()
        .image(&registry.reference("app:1"), &platform("linux/s390x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!(
        "`{}/app:1` has no image for linux/s390x; it has linux/amd64, linux/arm64",
        registry.address
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let registry = FaultRegistry::start().await;
    let (client, reference) = (client(), registry.reference("app:none"));
    assert_eq!(client.head(&reference).await.unwrap(), None);
    let error = client.manifest(&reference).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!(
        "`{0}/app:none` does not exist: `GET http://{0}/v2/app/manifests/none` was answered with 404 Not Found: \
         MANIFEST_UNKNOWN: MANIFEST_UNKNOWN",
        registry.address
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn r2_the_digest_of_the_received_bytes_decides() {
    let (registry, images) = with_image(&["linux/amd64"]).await;
    let (client, tag) = (client(), registry.reference("app:1"));
    let other = Digest::of(b"other");

    registry.fail(Method::GET, "/manifests/1", 1, Fault::FlipBit);
    let flipped = client.manifest(&tag).await.unwrap_err();
    assert!(matches!(flipped, ClientError::Digest { .. }), "{flipped}");

    registry.fail(
        Method::GET,
        "/manifests/1",
        1,
        Fault::Header("docker-content-digest", other.to_string()),
    );
    let lied = client.manifest(&tag).await.unwrap_err();
    assert!(
        matches!(lied, ClientError::Digest { expected, .. } if expected == other),
        "{lied}"
    );

    // The registry serves the right manifest under a wrong digest, and says so itself.
    registry.put_manifest("app", &other.to_string(), MediaType::MANIFEST, &images[0].manifest);
    let moved = client.manifest(&tag.with_digest(other)).await.unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::Integrity, "{moved}");
    let moved = client.head(&tag.with_digest(other)).await.unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::Integrity, "{moved}");
}

#[tokio::test]
async fn r2_the_index_binds_type_and_size_of_its_manifests() {
    let registry = FaultRegistry::start().await;
    let image = Image::new("amd64");
    registry.put_manifest("app", "m", MediaType::MANIFEST, &image.manifest);
    registry.put_blob("app", &image.config);
    let right = image.descriptor("linux/amd64");
    let wrong_size = Descriptor {
        size: right.size + 1,
        ..right.clone()
    };
    let wrong_type = Descriptor {
        media_type: MediaType::DOCKER_MANIFEST.into(),
        ..right.clone()
    };
    for (tag, descriptor) in [("right", right), ("size", wrong_size), ("type", wrong_type)] {
        registry.put_manifest("app", tag, MediaType::INDEX, &index(vec![descriptor]));
        let image = client()
            .image(&registry.reference(&format!("app:{tag}")), &platform("linux/amd64"))
            .await;
        assert_eq!(
            image.err().map(|error| error.kind()),
            (tag != "right").then_some(ErrorKind::Integrity),
            "{tag}"
        );
    }
}

#[tokio::test]
async fn r1_bytes_of_two_types_are_refused() {
    let registry = FaultRegistry::start().await;
    let (client, image) = (client(), Image::new("amd64"));
    for (tag, media_type) in [
        ("index", MediaType::INDEX),
        ("html", "text/html"),
        ("docker", MediaType::DOCKER_MANIFEST),
    ] {
        registry.put_manifest("app", tag, media_type, &image.manifest);
        let error = client
            .manifest(&registry.reference(&format!("app:{tag}")))
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
        assert!(chain(&error).contains(media_type), "{}", chain(&error));
    }
}

#[tokio::test]
async fn r8_too_much_is_refused_before_it_is_read() {
    let registry = FaultRegistry::start().await;
    let client = client();
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Bytes::from(vec![b' '; (4 << 20) + 1]));
    let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::TooLarge { limit: 0x40_0000, .. }),
        "{error}"
    );

    let body = "x".repeat(1 << 20);
    registry.fail(
        Method::GET,
        "/manifests/2",
        1,
        Fault::Answer {
            status: 400,
            headers: Vec::new(),
            body,
        },
    );
    let error = client.manifest(&registry.reference("app:2")).await.unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

#[tokio::test]
async fn where_head_is_refused_get_answers() {
    let (registry, _) = with_image(&["linux/amd64"]).await;
    let (client, reference) = (client(), registry.reference("app:1"));
    let by_head = client.head(&reference).await.unwrap().unwrap();
    assert_eq!(registry.count(Method::GET, ""), 0);
    registry.fail(Method::HEAD, "/manifests/", 1, Fault::status(405));
    assert_eq!(client.head(&reference).await.unwrap().unwrap(), by_head);
    assert_eq!(registry.count(Method::GET, ""), 1);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let registry = FaultRegistry::start().await;
    let bytes = noise(300_000, 1);
    let blob = registry.put_blob("app", &bytes);
    for length in [100_000, 50_000, 0, 120_000] {
        registry.fail(Method::GET, "/blobs/", 1, Fault::BreakAfter(length));
    }
    let (mut sink, told) = (Vec::new(), std::sync::Mutex::new(0));
    let progress = |offset| *told.lock().unwrap() = offset;
    client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &progress)
        .await
        .unwrap();
    assert!(sink == bytes);
    assert_eq!(*told.lock().unwrap(), 300_000);
    let ranges: Vec<String> = registry
        .seen()
        .iter()
        .map(|seen| {
            seen.headers
                .get("range")
                .map_or_else(String::new, |range| range.to_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        ranges,
        ["", "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=270000-"]
    );
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_again_and_the_sink_notices_nothing() {
    let registry = FaultRegistry::start().await;
    let bytes = noise(300_000, 2);
    let blob = registry.put_blob("app", &bytes);
    registry.fail(Method::GET, "/blobs/", 1, Fault::BreakAfter(123_456));
    registry.fail(Method::GET, "/blobs/", 1, Fault::IgnoreRange);
    let mut sink = Vec::new();
    client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == bytes);
}

#[tokio::test]
async fn a_download_that_stands_still_is_taken_up_again() {
    let registry = FaultRegistry::start().await;
    let bytes = noise(200_000, 3);
    let blob = registry.put_blob("app", &bytes);
    registry.fail(Method::GET, "/blobs/", 1, Fault::StallAfter(99_999));
    let mut sink = Vec::new();
    client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == bytes);
    assert_eq!(registry.seen()[1].headers["range"], "bytes=99999-");
}

#[tokio::test]
async fn a_download_that_never_gets_further_is_given_up() {
    let registry = FaultRegistry::start().await;
    let blob = registry.put_blob("app", &noise(1000, 4));
    registry.fail(Method::GET, "/blobs/", 100, Fault::BreakAfter(0));
    let error = client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut Vec::new(), &|_| {})
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), registry.count(Method::GET, "/blobs/")),
        (ErrorKind::Network, 6),
        "{error}"
    );
}

/// A sink that cannot forget, as one that feeds a decompressor.
#[derive(Default)]
struct OneWay(Vec<u8>);

impl BlobSink for OneWay {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.0.write(bytes)
    }
}

#[tokio::test]
async fn wrong_bytes_are_fetched_once_more_if_the_sink_can_forget_them() {
    let registry = FaultRegistry::start().await;
    let (client, bytes) = (client(), noise(100_000, 5));
    let (blob, from) = (registry.put_blob("app", &bytes), registry.reference("app:1"));

    registry.fail(Method::GET, "/blobs/", 1, Fault::FlipBit);
    let mut sink = Vec::new();
    client.fetch_blob(&from, &blob, &mut sink, &|_| {}).await.unwrap();
    assert!(sink == bytes);

    registry.fail(Method::GET, "/blobs/", 2, Fault::FlipBit);
    let error = client
        .fetch_blob(&from, &blob, &mut Vec::new(), &|_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Digest { expected, .. } if expected == blob.digest),
        "{error}"
    );

    registry.fail(Method::GET, "/blobs/", 1, Fault::FlipBit);
    let error = client
        .fetch_blob(&from, &blob, &mut OneWay::default(), &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

#[tokio::test]
async fn a_blob_of_another_size_is_refused() {
    let registry = FaultRegistry::start().await;
    let (client, from) = (client(), registry.reference("app:1"));
    let blob = registry.put_blob("app", &noise(1000, 6));
    for size in [999, 1001] {
        let blob = Descriptor { size, ..blob.clone() };
        let error = client
            .fetch_blob(&from, &blob, &mut Vec::new(), &|_| {})
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Size { actual: 1000, .. }), "{error}");
    }
    let empty = registry.put_blob("app", &Bytes::new());
    client
        .fetch_blob(&from, &empty, &mut Vec::new(), &|_| {})
        .await
        .unwrap();
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_transfer() {
    let registry = FaultRegistry::start().await;
    let blob = registry.put_blob("app", &noise(1000, 7));
    let (mut sink, receiver) = tokio::sync::mpsc::channel(1);
    drop(receiver);
    let error = client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &|_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Sink { .. }) && error.kind() == ErrorKind::Local,
        "{error}"
    );
    let missing = layer(b"missing");
    let error = client()
        .fetch_blob(&registry.reference("app:1"), &missing, &mut sink, &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn what_is_no_container_image_is_refused_by_name() {
    let registry = FaultRegistry::start().await;
    let image = Image::new("amd64");
    let text = String::from_utf8(image.manifest.to_vec()).unwrap();
    let chart = Bytes::from(text.replace(MediaType::CONFIG, "application/vnd.cncf.helm.config.v1+json"));
    registry.put_manifest("chart", "1", MediaType::MANIFEST, &chart);
    let error = client()
        .image(&registry.reference("chart:1"), &platform("linux/amd64"))
        .await
        .unwrap_err();
    assert!(
        chain(&error).contains("its config is `application/vnd.cncf.helm.config.v1+json`"),
        "{}",
        chain(&error)
    );
}
