//! Rows of the threat table that concern a registry client and have no better place.

use std::time::{Duration, Instant};

use axum::http::Method;
use bytes::Bytes;
use registry::client::{BlobSource, Client, ClientError, ClientOptions, ErrorKind, Pushed};
use registry::oci::{Descriptor, Digest, MediaType, Reference};

use crate::fault_registry::{FaultRegistry, Manners, TokenRules};
use crate::faults::Fault;
use crate::fixtures::{Image, client, index, layer, noise, options, platform};
use crate::origins::answering;

#[tokio::test]
async fn r2_a_pinned_digest_is_what_is_asked_for_wherever_the_tag_has_gone() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let (old, new) = (Image::new("amd64").manifest, Image::new("arm64").manifest);
    registry.put_manifest("app", "1", MediaType::MANIFEST, &old);
    registry.put_manifest("app", "1", MediaType::MANIFEST, &new);
    let pinned = registry.reference(&format!("app:1@{}", Digest::of(&old)));
    assert_eq!(client.manifest(&pinned).await.unwrap().1, old);
    assert_eq!(registry.count(Method::GET, "/manifests/1"), 0);
}

#[tokio::test]
async fn r7_a_list_that_leads_on_for_ever_is_left() {
    let (registry, client) = (FaultRegistry::start().await, client());
    for number in 0..3 {
        let manifest = Image::new(&format!("a{number}")).manifest;
        registry.put_manifest("app", &number.to_string(), MediaType::MANIFEST, &manifest);
    }
    let link = Fault::Header("link", "</v2/app/tags/list?n=2&last=0>; rel=\"next\"".to_owned());
    registry.fail(Method::GET, "/tags/", usize::MAX, link);
    // The page that leads to itself is the last one.
    assert_eq!(
        client.tags(&registry.reference("app:1")).await.unwrap(),
        ["0", "1", "1", "2"]
    );
}

#[tokio::test]
async fn r8_what_never_ends_is_left() {
    let registry = FaultRegistry::start().await;
    let blob = registry.put_blob("app", &noise(1000, 1));
    registry.demand_tokens(TokenRules::default());
    for (path, client) in [("/token", client()), ("/manifests/", client()), ("/tags/", client())] {
        registry.fail(Method::GET, path, 1, Fault::Endless);
        let start = Instant::now();
        let image = registry.reference("app:1");
        let error = match path {
            "/tags/" => client.tags(&image).await.unwrap_err(),
            _ => client.manifest(&image).await.unwrap_err(),
        };
        assert!(matches!(error, ClientError::TooLarge { .. }), "{path}: {error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    registry.fail(Method::GET, "/blobs/", 1, Fault::Endless);
    let fetched = client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut Vec::new(), &|_| {})
        .await;
    assert!(
        matches!(fetched, Err(ClientError::Size { expected: 1000, .. })),
        "{fetched:?}"
    );
}

#[tokio::test]
async fn r8_a_header_of_a_mebibyte_and_a_packed_manifest_are_refused() {
    let image = |address: &str| format!("{address}/app:1").parse::<Reference>().unwrap();
    let long = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let (address, _) = answering(long).await;
    let error = client().manifest(&image(&address)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    // Packed with gzip although nobody asked for it: the bytes are taken as they are, and are no manifest.
    let packed = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let (address, said) = answering(packed).await;
    let error = client().manifest(&image(&address)).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    let said = String::from_utf8_lossy(&said.lock().unwrap()[0]).to_lowercase();
    assert!(said.contains("accept-encoding: identity"), "{said}");
}

#[tokio::test]
async fn r8_an_index_of_ten_thousand_manifests_is_read_and_one_beyond_the_limit_is_not() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64"));
    registry.put_manifest("app", "m", MediaType::MANIFEST, &image.manifest);
    registry.put_blob("app", &image.config);
    let mut many = vec![image.descriptor("linux/s390x"); 10_000];
    many.push(image.descriptor("linux/amd64"));
    registry.put_manifest("app", "many", MediaType::INDEX, &index(many.clone()));
    let found = client
        .image(&registry.reference("app:many"), &platform("linux/amd64"))
        .await;
    assert_eq!(found.unwrap().manifest_bytes, image.manifest);
    registry.put_manifest(
        "app",
        "more",
        MediaType::INDEX,
        &index([many.clone(), many.clone(), many].concat()),
    );
    let found = client
        .image(&registry.reference("app:more"), &platform("linux/amd64"))
        .await;
    assert!(matches!(found, Err(ClientError::TooLarge { .. })));
}

#[tokio::test]
async fn r11_a_layer_of_elsewhere_is_asked_for_here() {
    let (registry, stranger) = (FaultRegistry::start().await, FaultRegistry::start().await);
    let bytes = noise(1000, 3);
    stranger.put_blob("app", &bytes);
    let mut blob = layer(&bytes);
    let url = format!("http://{}/v2/app/blobs/{}", stranger.address, blob.digest);
    blob.extra.insert("urls".to_owned(), serde_json::json!([url]));
    let fetched = client()
        .fetch_blob(&registry.reference("app:1"), &blob, &mut Vec::new(), &|_| {})
        .await;
    assert!(matches!(fetched, Err(ClientError::NotFound { .. })), "{fetched:?}");
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn r12_a_digest_that_is_none_makes_no_request() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64"));
    for digest in [
        "sha256:../../x",
        "md5:00",
        "sha512:00",
        "sha256:ABC",
        "sha256:00/../../_catalog",
    ] {
        let text = String::from_utf8(index(vec![image.descriptor("linux/amd64")]).to_vec()).unwrap();
        let bad = text.replace(&Digest::of(&image.manifest).to_string(), digest);
        registry.put_manifest("app", "1", MediaType::INDEX, &Bytes::from(bad));
        let before = registry.seen().len();
        let found = client
            .image(&registry.reference("app:1"), &platform("linux/amd64"))
            .await;
        assert!(matches!(found, Err(ClientError::Malformed { .. })), "{digest}");
        assert_eq!(registry.seen().len(), before + 1, "{digest}");
    }
}

#[tokio::test]
async fn u15_sizes_that_cannot_be_are_refused() {
    let (registry, client, image) = (FaultRegistry::start().await, client(), Image::new("amd64"));
    let size = format!("\"size\":{}", image.manifest.len());
    for bad in ["-1", "9223372036854775807", "18446744073709551616", "1e3", "\"1\""] {
        let text = String::from_utf8(index(vec![image.descriptor("linux/amd64")]).to_vec()).unwrap();
        let changed = text.replace(&size, &format!("\"size\":{bad}"));
        assert_ne!(text, changed);
        registry.put_manifest("app", "1", MediaType::INDEX, &Bytes::from(changed));
        registry.put_manifest("app", "m", MediaType::MANIFEST, &image.manifest);
        let found = client
            .image(&registry.reference("app:1"), &platform("linux/amd64"))
            .await;
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Integrity, "{bad}");
    }
}

#[tokio::test]
async fn u15_indexes_in_indexes_end() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let mut bytes = index(vec![Image::new("amd64").descriptor("linux/amd64")]);
    for depth in 0..100 {
        registry.put_manifest("app", &format!("d{depth}"), MediaType::INDEX, &bytes);
        let mut inner = Descriptor::of(MediaType::INDEX, &bytes);
        inner.platform = Some(platform("linux/amd64"));
        bytes = index(vec![inner]);
    }
    let found = client
        .image(&registry.reference("app:d99"), &platform("linux/amd64"))
        .await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Integrity);
    assert!(registry.seen().len() < 10);
}

#[tokio::test]
async fn a_token_that_runs_out_in_mid_push_is_replaced() {
    // 16 MiB chunks that each outlive a token.
    let registry = FaultRegistry::start().await;
    registry.demand_tokens(TokenRules {
        life: Some(Duration::from_millis(60)),
        expires_in: Some(3600),
        ..TokenRules::default()
    });
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    let bytes: Bytes = noise(1 << 20, 9).repeat(40).into();
    let source = BlobSource::Bytes(bytes.clone());
    let (to, client) = (registry.reference("app:1"), client());
    let slow = |sent: u64| std::thread::sleep(Duration::from_millis(if sent > 0 { 100 } else { 0 }));
    let pushed = client.push_blob(&to, &layer(&bytes), source, &[], &slow).await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", Digest::of(&bytes)).unwrap() == bytes);
    assert!(
        registry.count(Method::GET, "/token") >= 3,
        "{}",
        registry.count(Method::GET, "/token")
    );
}

#[tokio::test]
async fn a_body_without_its_length_or_drop_by_drop_arrives_or_is_given_up() {
    let registry = FaultRegistry::start().await;
    let bytes = noise(50_000, 4);
    let blob = registry.put_blob("app", &bytes);
    registry.fail(Method::GET, "/blobs/", 1, Fault::NoLength);
    // A byte in 20 ms would take a quarter of an hour; the second try is as fast as it should be.
    registry.fail(Method::GET, "/blobs/", 2, Fault::Slow(1, Duration::from_millis(20)));
    let slow_is_broken = Client::new(ClientOptions {
        idle_timeout: Duration::from_millis(400),
        ..options()
    });
    for _ in 0..2 {
        let start = Instant::now();
        let mut sink = Vec::new();
        slow_is_broken
            .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &|_| {})
            .await
            .unwrap();
        assert!(
            sink == bytes && start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn every_success_that_registries_know_is_one() {
    let registry = FaultRegistry::start().await;
    registry.behave(Manners {
        other_successes: true,
        ..Manners::default()
    });
    // Without HEAD, without a mount, and only in chunks.
    registry.fail(Method::HEAD, "", usize::MAX, Fault::status(405));
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(405));
    let bytes: Bytes = noise(1 << 20, 5).repeat(20).into();
    let source = BlobSource::Bytes(bytes.clone());
    let from = [registry.reference("base:1")];
    let pushed = client()
        .push_blob(&registry.reference("app:1"), &layer(&bytes), source, &from, &|_| {})
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", Digest::of(&bytes)).unwrap() == bytes);
    assert_eq!(registry.count(Method::PATCH, ""), 2);
}

#[tokio::test]
async fn a_mount_may_be_refused_with_any_status() {
    for status in [202, 400, 401, 403, 404, 405, 409, 415, 422, 501] {
        let registry = FaultRegistry::start().await;
        let bytes = noise(1000, status.into());
        if status != 202 {
            registry.fail(Method::POST, "/uploads/", 1, Fault::status(status));
        }
        let source = BlobSource::Bytes(bytes.clone());
        let from = [registry.reference("base:1")];
        let pushed = client()
            .push_blob(&registry.reference("app:1"), &layer(&bytes), source, &from, &|_| {})
            .await;
        assert_eq!(pushed.unwrap(), Pushed::Uploaded, "{status}");
    }
}

#[tokio::test]
async fn retry_after_as_a_date_is_waited_for() {
    let registry = FaultRegistry::start().await;
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Image::new("amd64").manifest);
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    registry.fail(
        Method::GET,
        "/manifests/",
        1,
        Fault::with_header(503, "retry-after", date),
    );
    client().manifest(&registry.reference("app:1")).await.unwrap();
    let seen = registry.seen();
    // Dates have whole seconds.
    assert!(
        seen[1].at - seen[0].at >= Duration::from_millis(900),
        "{:?}",
        seen[1].at - seen[0].at
    );
}
