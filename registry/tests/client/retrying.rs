//! Patience: with whom, how long, and when it ends.

use std::time::{Duration, Instant};

use axum::http::Method;
use registry::client::{Client, ClientError, ErrorKind, RetryPolicy};
use registry::oci::MediaType;

use crate::fault_registry::FaultRegistry;
use crate::faults::Fault;
use crate::fixtures::{Image, chain, client, options, reference};

async fn with_manifest() -> FaultRegistry {
    let registry = FaultRegistry::start().await;
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Image::new("amd64").manifest);
    registry
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504, 522] {
        let registry = with_manifest().await;
        registry.fail(Method::GET, "/manifests/", 3, Fault::status(status));
        client().manifest(&registry.reference("app:1")).await.unwrap();
        assert_eq!(registry.seen().len(), 4, "{status}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for status in [400, 403, 404, 410, 418, 501] {
        let registry = with_manifest().await;
        registry.fail(Method::GET, "/manifests/", 3, Fault::status(status));
        client().manifest(&registry.reference("app:1")).await.unwrap_err();
        assert_eq!(registry.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_or_within_the_answer_is_tried_again() {
    let registry = with_manifest().await;
    registry.fail(Method::GET, "/manifests/", 2, Fault::Swallow);
    registry.fail(Method::GET, "/manifests/", 2, Fault::BreakAfter(10));
    client().manifest(&registry.reference("app:1")).await.unwrap();
    assert_eq!(registry.seen().len(), 5);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let registry = with_manifest().await;
    registry.fail(Method::GET, "/manifests/", 1, Fault::StallAfter(5));
    client().manifest(&registry.reference("app:1")).await.unwrap();
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn retry_after_holds_for_every_request_to_the_registry() {
    let registry = with_manifest().await;
    registry.fail(
        Method::GET,
        "/manifests/1",
        1,
        Fault::with_header(429, "retry-after", "1"),
    );
    let (client, reference) = (client(), registry.reference("app:1"));
    let first = tokio::spawn({
        let (client, reference) = (client.clone(), reference.clone());
        async move { client.manifest(&reference).await }
    });
    while registry.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.manifest(&reference).await.unwrap();
    first.await.unwrap().unwrap();
    let seen = registry.seen();
    assert_eq!(seen.len(), 3);
    for later in &seen[1..] {
        let waited = later.at - seen[0].at;
        assert!(
            waited >= Duration::from_millis(990) && waited < Duration::from_secs(3),
            "{waited:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_beyond_the_budget_is_not_begun() {
    let registry = with_manifest().await;
    registry.fail(
        Method::GET,
        "/manifests/",
        9,
        Fault::with_header(429, "retry-after", "3600"),
    );
    let start = Instant::now();
    let error = client().manifest(&registry.reference("app:1")).await.unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(2) && registry.seen().len() == 1,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("limits requests")),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn tries_end() {
    let registry = with_manifest().await;
    registry.fail(
        Method::GET,
        "/manifests/",
        99,
        Fault::error(503, "UNAVAILABLE", "in repair"),
    );
    let error = client().manifest(&registry.reference("app:1")).await.unwrap_err();
    assert_eq!((registry.seen().len(), error.kind()), (6, ErrorKind::Network));
    assert!(
        error
            .to_string()
            .ends_with("was answered with 503 Service Unavailable: UNAVAILABLE: in repair"),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_without_a_registry_is_reported_soon_and_with_its_cause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = client()
        .manifest(&reference(&format!("{port}/app:1")))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(chain(&error).contains("Connection refused"), "{}", chain(&error));
    assert_eq!(
        error.to_string(),
        format!("cannot connect for `GET http://{port}/v2/app/manifests/1`")
    );
}

#[tokio::test]
async fn one_in_ten_failing_hurts_nobody() {
    let registry = with_manifest().await;
    let mut options = options();
    options.retry = RetryPolicy {
        first_delay: Duration::from_millis(1),
        ..options.retry
    };
    let client = Client::new(options);
    let faults = [
        Fault::status(500),
        Fault::BreakAfter(3),
        Fault::Swallow,
        Fault::status(429),
        Fault::BreakAfter(0),
    ];
    for round in 0..200 {
        if round % 10 == 0 {
            registry.fail(Method::GET, "/manifests/", 1, faults[round / 10 % faults.len()].clone());
        }
        client.manifest(&registry.reference("app:1")).await.unwrap();
    }
    assert_eq!(registry.seen().len(), 220);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_at_once() {
    // RFC 6761 promises that nobody ever has such a name.
    let start = Instant::now();
    let patient = Client::new(registry::client::ClientOptions {
        retry: RetryPolicy {
            first_delay: Duration::from_secs(20),
            ..RetryPolicy::default()
        },
        ..options()
    });
    let error = patient
        .manifest(&reference("registry.invalid/app:1"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::UnknownHost { .. }), "{}", chain(&error));
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.hint().unwrap().contains("check the name"));
    assert!(start.elapsed() < Duration::from_secs(15), "it was asked for again");
}
