//! Credentials stay at home: token services, redirects and upload locations that belong to somebody else.

use axum::http::Method;
use registry::auth::{Credential, Credentials};
use registry::client::{BlobSource, Client, ClientError, ClientOptions, ErrorKind, Pushed};
use registry::oci::MediaType;

use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::faults::Fault;
use crate::fixtures::{Image, chain, layer, noise, options};

/// A registry that demands tokens, somebody else, and a client that knows a password for the first.
async fn setup() -> (FaultRegistry, FaultRegistry, Client) {
    let (registry, stranger) = (FaultRegistry::start().await, FaultRegistry::start().await);
    let credential = Credential::password("me", "hunter2");
    let credentials = Credentials::anonymous().with_given(&registry.address, credential);
    registry.demand_tokens(TokenRules::default());
    (
        registry,
        stranger,
        Client::new(ClientOptions {
            credentials,
            ..options()
        }),
    )
}

#[tokio::test]
async fn r3_a_token_service_on_another_host_is_not_even_asked() {
    let (registry, stranger, client) = setup().await;
    let port = stranger.address.rsplit(':').next().unwrap();
    for realm in [
        format!("http://localhost:{port}/token"),
        "file:///etc/passwd".to_owned(),
        "no url".to_owned(),
    ] {
        registry.demand_tokens(TokenRules {
            realm: realm.clone(),
            ..TokenRules::default()
        });
        let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Realm { .. }) && error.kind() == ErrorKind::Auth,
            "{error}"
        );
        assert!(error.to_string().contains(&realm), "{error}");
    }
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn r3_a_token_service_that_redirects_elsewhere_is_not_followed() {
    let (registry, stranger, client) = setup().await;
    let away = Fault::with_header(307, "location", format!("http://{}/token", stranger.address));
    registry.fail(Method::GET, "/token", 9, away);
    let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
    assert!(
        chain(&error).contains("leads the token request to another server"),
        "{}",
        chain(&error)
    );
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn r4_a_redirect_to_another_origin_loses_the_authorization() {
    let (registry, stranger, client) = setup().await;
    let bytes = noise(5000, 1);
    let blob = registry.put_blob("app", &bytes);
    stranger.put_blob("cdn", &bytes);
    // The other origin differs in its port only.
    let location = format!("http://{}/v2/cdn/blobs/{}", stranger.address, blob.digest);
    // The first request is refused, the second brings the token.
    registry.fail(
        Method::GET,
        "/v2/app/blobs/",
        1,
        Fault::with_header(401, "www-authenticate", challenge(&registry)),
    );
    registry.fail(
        Method::GET,
        "/v2/app/blobs/",
        1,
        Fault::with_header(307, "location", location),
    );
    let mut sink = Vec::new();
    client
        .fetch_blob(&registry.reference("app:1"), &blob, &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == bytes);
    assert_eq!(stranger.seen().len(), 1);
    assert!(registry.was_told_anything() && !stranger.was_told_anything());
}

#[tokio::test]
async fn r4_a_challenge_of_another_origin_is_not_met() {
    let (registry, stranger, client) = setup().await;
    let blob = registry.put_blob("app", &noise(10, 2));
    stranger.demand_tokens(TokenRules::default());
    let location = format!("http://{}/v2/cdn/blobs/{}", stranger.address, blob.digest);
    registry.fail(
        Method::GET,
        "/v2/app/blobs/",
        1,
        Fault::with_header(307, "location", location),
    );
    let error = client
        .fetch_blob(&registry.reference("app:1"), &blob, &mut Vec::new(), &|_| {})
        .await
        .unwrap_err();
    assert_eq!((error.kind(), stranger.seen().len()), (ErrorKind::Auth, 1), "{error}");
}

#[tokio::test]
async fn r5_an_upload_location_elsewhere_gets_the_bytes_and_nothing_else() {
    let (registry, stranger, client) = setup().await;
    let bytes = noise(5000, 3);
    registry.fail(
        Method::POST,
        "/uploads/",
        1,
        Fault::with_header(401, "www-authenticate", challenge(&registry)),
    );
    let location = format!("http://{}/bucket/key?signature=s", stranger.address);
    registry.fail(
        Method::POST,
        "/uploads/",
        1,
        Fault::with_header(202, "location", location),
    );
    stranger.fail(Method::PUT, "/bucket/key", 1, Fault::status(201));
    let to = registry.reference("app:1");
    let pushed = client
        .push_blob(&to, &layer(&bytes), BlobSource::Bytes(bytes.clone()), &[], &|_| {})
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    let seen = stranger.seen();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].query.starts_with("signature=s&digest=sha256%3A"),
        "{}",
        seen[0].query
    );
    assert!(registry.was_told_anything() && !stranger.was_told_anything());
}

#[tokio::test]
async fn r4_redirects_end_and_lead_only_to_http() {
    let (registry, _, client) = setup().await;
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Image::new("amd64").manifest);
    for (location, words) in [
        ("/v2/app/manifests/1", "more than 10 redirects"),
        ("file:///etc/passwd", "is no http or https URL"),
        ("gopher://x/", "is no http or https URL"),
    ] {
        registry.fail(
            Method::GET,
            "/v2/app/manifests/1",
            11,
            Fault::with_header(302, "location", location),
        );
        let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
        assert_eq!(error.kind(), ErrorKind::Registry);
        // What is left of the script would meet the next case.
        while registry.count(Method::GET, "/v2/app/manifests/1") % 11 != 0 {
            let _rest = client.manifest(&registry.reference("app:1")).await;
        }
    }
    registry.fail(Method::GET, "/v2/app/manifests/2", 1, Fault::status(302));
    let error = client.manifest(&registry.reference("app:2")).await.unwrap_err();
    assert!(chain(&error).contains("it has no location"), "{}", chain(&error));
}

fn challenge(registry: &FaultRegistry) -> String {
    format!("Bearer realm=\"http://{}/token\",service=\"test\"", registry.address)
}
