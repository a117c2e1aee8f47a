//! Mirrors and other locations: what is asked of whom, and what happens when one fails.

use axum::http::Method;
use registry::client::{Client, ClientError, ClientOptions, Mirrors};
use registry::oci::MediaType;

use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::faults::Fault;
use crate::fixtures::{Image, options, platform, reference};

/// A registry, a mirror that has a part of it, and a client that knows both.
async fn setup() -> (FaultRegistry, FaultRegistry, Client, Image) {
    let (registry, mirror) = (FaultRegistry::start().await, FaultRegistry::start().await);
    let image = Image::new("amd64");
    for (at, repository) in [(&registry, "app"), (&mirror, "copy/app")] {
        at.put_manifest(repository, "1", MediaType::MANIFEST, &image.manifest);
        at.put_blob(repository, &image.config);
        at.put_blob(repository, &image.layer);
    }
    let mut mirrors = Mirrors::default();
    mirrors
        .add_mirror(&format!("{}={}/copy", registry.address, mirror.address))
        .unwrap();
    let client = Client::new(ClientOptions { mirrors, ..options() });
    (registry, mirror, client, image)
}

async fn pull(client: &Client, registry: &FaultRegistry, image: &Image) {
    let from = registry.reference("app:1");
    let found = client.image(&from, &platform("linux/amd64")).await.unwrap();
    assert_eq!(found.reference.registry(), from.registry(), "the image keeps its name");
    let mut sink = Vec::new();
    client
        .fetch_blob(&found.reference, &found.manifest.layers[0], &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == image.layer);
}

#[tokio::test]
async fn a_mirror_that_has_the_image_is_the_only_one_asked() {
    let (registry, mirror, client, image) = setup().await;
    pull(&client, &registry, &image).await;
    assert_eq!((mirror.seen().len(), registry.seen().len()), (3, 0));
}

#[tokio::test]
async fn whatever_a_mirror_lacks_or_spoils_comes_from_the_registry() {
    for fault in [
        Fault::status(404),
        Fault::status(403),
        Fault::status(501),
        Fault::FlipBit,
        Fault::with_header(302, "location", "file:///etc/passwd"),
        Fault::BreakAfter(50),
    ] {
        let (registry, mirror, client, image) = setup().await;
        mirror.fail_any("", 0..99, fault);
        pull(&client, &registry, &image).await;
        assert!(registry.count(Method::GET, "") > 0);
    }
}

#[tokio::test]
async fn a_blob_that_breaks_off_at_a_mirror_goes_on_at_the_registry() {
    let (registry, mirror, client, image) = setup().await;
    mirror.fail(Method::GET, "/blobs/", 1, Fault::BreakAfter(30_000));
    mirror.fail(Method::GET, "/blobs/", 99, Fault::status(410));
    let layer = crate::fixtures::layer(&image.layer);
    let mut sink = Vec::new();
    client
        .fetch_blob(&registry.reference("app:1"), &layer, &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == image.layer);
    assert_eq!(registry.seen()[0].headers["range"], "bytes=30000-");
}

#[tokio::test]
async fn a_mirror_that_cannot_be_reached_is_tried_for_one_request_only() {
    let registry = FaultRegistry::start().await;
    let image = Image::new("amd64");
    registry.put_manifest("app", "1", MediaType::MANIFEST, &image.manifest);
    registry.put_blob("app", &image.config);
    registry.put_blob("app", &image.layer);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut mirrors = Mirrors::default();
    mirrors.add_mirror(&format!("{}={closed}", registry.address)).unwrap();
    let client = Client::new(ClientOptions { mirrors, ..options() });
    pull(&client, &registry, &image).await;
    let start = std::time::Instant::now();
    for _ in 0..20 {
        pull(&client, &registry, &image).await;
    }
    assert!(
        start.elapsed() < std::time::Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_password_for_the_registry_does_not_go_to_its_mirror() {
    let (registry, mirror, _, image) = setup().await;
    mirror.demand_tokens(TokenRules {
        basic: Some("Basic something-else".to_owned()),
        ..TokenRules::default()
    });
    let mut mirrors = Mirrors::default();
    mirrors
        .add_mirror(&format!("{}={}/copy", registry.address, mirror.address))
        .unwrap();
    let password = registry::auth::Credential::password("me", "hunter2");
    let credentials = registry::auth::Credentials::anonymous().with_given(&registry.address, password);
    let client = Client::new(ClientOptions {
        mirrors,
        credentials,
        ..options()
    });
    pull(&client, &registry, &image).await;
    let told = mirror.seen();
    let basic = told
        .iter()
        .filter_map(|seen| seen.headers.get("authorization")?.to_str().ok());
    assert_eq!(basic.filter(|value| value.starts_with("Basic")).count(), 0);
}

#[tokio::test]
async fn another_location_takes_the_place_of_a_registry_and_pushes_go_where_they_are_named() {
    let (registry, mirror, _, image) = setup().await;
    let mut mirrors = Mirrors::default();
    mirrors
        .add_location(&format!("registry.test={}/copy", mirror.address))
        .unwrap();
    let client = Client::new(ClientOptions { mirrors, ..options() });
    client
        .image(&reference("registry.test/app:1"), &platform("linux/amd64"))
        .await
        .unwrap();
    let manifest = MediaType::from(MediaType::MANIFEST);
    client
        .push_manifest(&registry.reference("new:1"), &manifest, image.manifest.clone())
        .await
        .unwrap();
    assert_eq!((registry.count(Method::PUT, ""), mirror.count(Method::PUT, "")), (1, 0));
}

#[tokio::test]
async fn what_is_blocked_is_not_asked_for() {
    let registry = FaultRegistry::start().await;
    let text = format!(
        "[[registry]]\nlocation = \"{}/app\"\nblocked = true\n",
        registry.address
    );
    let client = Client::new(ClientOptions {
        mirrors: Mirrors::parse(&text).unwrap(),
        ..options()
    });
    let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
    assert!(matches!(error, ClientError::Blocked { .. }), "{error}");
    assert!(registry.seen().is_empty());
}
