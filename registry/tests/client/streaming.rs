//! Blobs that are made while they are sent: one request, bounded memory, and the same bytes when it has to begin anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use registry::client::{BlobMaker, ClientError, ErrorKind, Pushed, Streamed};
use registry::content::Measured;
use registry::oci::{Descriptor, Digest, Reference};

use crate::docker_registry::DockerRegistry;
use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::faults::Fault;
use crate::fixtures::{Maker, chain, client, layer, noise};

async fn push(to: &Reference, maker: &Arc<Maker>) -> Result<Streamed, ClientError> {
    let maker: Arc<dyn BlobMaker> = maker.clone();
    client().push_made(to, None, &maker, &[], &|_| {}).await
}

async fn sent(registry: &FaultRegistry, maker: &Arc<Maker>) -> Measured {
    match push(&registry.reference("app:1"), maker).await.unwrap() {
        Streamed::Sent(measured) => measured,
        other => panic!("{other:?}"),
    }
}

/// Fails unless the registry has exactly the bytes of the maker, and was told so.
fn assert_arrived(registry: &FaultRegistry, maker: &Maker, measured: Measured) {
    let digest = Digest::of(&maker.bytes);
    assert_eq!((measured.digest, measured.size), (digest, maker.bytes.len() as u64));
    assert!(registry.blob("app", digest).unwrap() == maker.bytes);
}

fn methods(registry: &FaultRegistry) -> Vec<String> {
    registry.seen().iter().map(|seen| seen.method.to_string()).collect()
}

fn maker(length: usize) -> Arc<Maker> {
    Arc::new(Maker::of(&noise(length, 11)))
}

#[tokio::test]
async fn a_blob_is_made_once_and_goes_in_one_request_without_a_length() {
    for length in [3_000_000, 1, 0] {
        let (registry, maker) = (FaultRegistry::start().await, maker(length));
        let measured = sent(&registry, &maker).await;
        assert_arrived(&registry, &maker, measured);
        assert_eq!(methods(&registry), ["POST", "PATCH", "PUT"]);
        let patch = &registry.seen()[1].headers;
        assert!(!patch.contains_key("content-length") && !patch.contains_key("content-range"));
        assert_eq!(maker.begun.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn debians_registry_takes_a_stream() {
    let (registry, maker) = (DockerRegistry::open(), maker(20_000_000));
    let to = registry.reference("app:1");
    assert!(matches!(push(&to, &maker).await.unwrap(), Streamed::Sent(_)));
    let mut back = Vec::new();
    let blob = layer(&maker.bytes);
    client().fetch_blob(&to, &blob, &mut back, &|_| {}).await.unwrap();
    assert!(back == maker.bytes);
}

#[tokio::test]
async fn what_the_registry_has_or_mounts_is_not_made() {
    let (registry, maker) = (FaultRegistry::start().await, maker(1000));
    let blob: Descriptor = registry.put_blob("base", &maker.bytes);
    let dynamic: Arc<dyn BlobMaker> = maker.clone();
    let (to, from) = (registry.reference("app:1"), [registry.reference("base:1")]);
    for expected in [Pushed::Mounted, Pushed::Existed] {
        let pushed = client()
            .push_made(&to, Some(&blob), &dynamic, &from, &|_| {})
            .await
            .unwrap();
        assert!(matches!(pushed, Streamed::There(how) if how == expected), "{pushed:?}");
    }
    assert_eq!(maker.begun.load(Ordering::SeqCst), 0);
    // Where it is in neither place it is made, and the upload that the mount has opened is used.
    registry.empty();
    let pushed = client()
        .push_made(&to, Some(&blob), &dynamic, &from, &|_| {})
        .await
        .unwrap();
    assert!(matches!(pushed, Streamed::Sent(measured) if measured.digest == blob.digest));
    assert_eq!(methods(&registry)[3..], ["HEAD", "POST", "PATCH", "PUT"]);
}

#[tokio::test]
async fn what_breaks_is_made_again_and_has_the_same_bytes() {
    for (method, fault) in [
        (Method::PATCH, Fault::TakeThenBreak(500_000)),
        (Method::PATCH, Fault::TakeThenBreak(0)),
        (Method::PATCH, Fault::Swallow),
        (Method::PATCH, Fault::status(500)),
        (Method::PATCH, Fault::with_header(503, "retry-after", "0")),
        // The upload is lost: before the bytes, and after them.
        (Method::PATCH, Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "unknown")),
        (Method::PUT, Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "unknown")),
        (Method::PUT, Fault::status(502)),
        // It has taken less than all.
        (Method::PATCH, Fault::Header("range", "0-9".to_owned())),
    ] {
        let (registry, maker) = (FaultRegistry::start().await, maker(1_000_000));
        registry.fail(method.clone(), "/uploads/", 1, fault.clone());
        let measured = sent(&registry, &maker).await;
        assert_arrived(&registry, &maker, measured);
        assert_eq!(maker.begun.load(Ordering::SeqCst), 2, "{method} {fault:?}");
        assert_eq!(registry.count(Method::POST, "/uploads/"), 2, "{method} {fault:?}");
    }
}

#[tokio::test]
async fn a_blob_whose_last_answer_is_lost_is_not_made_again() {
    let (registry, maker) = (FaultRegistry::start().await, maker(1_000_000));
    registry.fail(Method::PUT, "/uploads/", 1, Fault::Swallow);
    let measured = sent(&registry, &maker).await;
    assert_arrived(&registry, &maker, measured);
    assert_eq!(maker.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_that_runs_out_on_the_way_is_renewed() {
    let (registry, maker) = (FaultRegistry::start().await, maker(1_000_000));
    // Every request finds its token used up by the one before.
    registry.demand_tokens(TokenRules {
        uses: Some(1),
        ..TokenRules::default()
    });
    let measured = sent(&registry, &maker).await;
    assert_arrived(&registry, &maker, measured);
    let patched = registry.count(Method::PATCH, "/uploads/");
    assert_eq!(
        (patched, registry.count(Method::PUT, "/uploads/")),
        (2, 2),
        "{:?}",
        methods(&registry)
    );
}

#[tokio::test]
async fn a_registry_that_takes_no_stream_is_told_of_and_tried_once() {
    for status in [400, 405, 411, 413, 415, 416, 501] {
        // An answer that comes before all was sent can be lost with the connection, which is tried once more.
        for (fault, tries) in [(Fault::TakeThenAnswer(status), 1..=1), (Fault::status(status), 1..=2)] {
            let (registry, maker) = (FaultRegistry::start().await, maker(300_000));
            registry.fail(Method::PATCH, "/uploads/", 9, fault);
            let pushed = push(&registry.reference("app:1"), &maker).await.unwrap();
            assert!(matches!(pushed, Streamed::Unfit(ClientError::Refused(_))), "{pushed:?}");
            assert!(tries.contains(&registry.count(Method::PATCH, "/uploads/")), "{status}");
        }
    }
    let (registry, maker) = (FaultRegistry::start().await, maker(300_000));
    registry.fail(Method::PATCH, "/uploads/", 9, Fault::TakeThenBreak(100_000));
    let pushed = push(&registry.reference("app:1"), &maker).await.unwrap();
    assert!(
        matches!(pushed, Streamed::Unfit(ClientError::Broken { .. })),
        "{pushed:?}"
    );
    assert_eq!(registry.count(Method::PATCH, "/uploads/"), 2);
}

#[tokio::test]
async fn who_may_not_push_is_not_asked_for_another_way() {
    let (registry, maker) = (FaultRegistry::start().await, maker(1000));
    registry.fail(Method::PATCH, "/uploads/", 9, Fault::status(403));
    let error = push(&registry.reference("app:1"), &maker).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
}

#[tokio::test]
async fn a_registry_with_other_bytes_is_not_believed() {
    let (registry, maker) = (FaultRegistry::start().await, maker(1000));
    let other = Digest::of(b"other").to_string();
    registry.fail(
        Method::PUT,
        "/uploads/",
        1,
        Fault::Header("docker-content-digest", other),
    );
    let error = push(&registry.reference("app:1"), &maker).await.unwrap_err();
    assert!(matches!(error, ClientError::Digest { .. }), "{error}");
    registry.fail(Method::PUT, "/uploads/", 1, Fault::error(400, "DIGEST_INVALID", "no"));
    let error = push(&registry.reference("app:1"), &maker).await.unwrap_err();
    assert!(matches!(error, ClientError::DigestRefused(_)), "{error}");
}

#[tokio::test]
async fn a_blob_that_cannot_be_made_is_this_machines_fault_and_never_closed() {
    let registry = FaultRegistry::start().await;
    let maker = Arc::new(Maker {
        fails: true,
        ..Maker::of(&noise(3_000_000, 11))
    });
    let error = push(&registry.reference("app:1"), &maker).await.unwrap_err();
    assert_eq!(chain(&error), "cannot make the bytes of a blob: the snapshot is gone");
    assert_eq!(error.kind(), ErrorKind::Local);
    assert_eq!(maker.begun.load(Ordering::SeqCst), 1);
    assert_eq!(registry.count(Method::PUT, ""), 0);
}

#[tokio::test]
async fn nothing_is_made_ahead_of_a_registry_that_does_not_read() {
    let (registry, bytes) = (FaultRegistry::start().await, Bytes::from(vec![7; 64 << 20]));
    registry.fail(Method::PATCH, "/uploads/", 9, Fault::Deaf);
    let maker = Arc::new(Maker::of(&bytes));
    let pushed = push(&registry.reference("app:1"), &maker).await.unwrap();
    assert!(
        matches!(pushed, Streamed::Unfit(ClientError::Stalled { .. })),
        "{pushed:?}"
    );
    // Twice what fits into the queue and the buffers of two sockets.
    let taken = maker.taken.load(Ordering::SeqCst);
    assert!(taken < 32 << 20, "{} MiB were made for nobody", taken >> 20);
}

#[tokio::test]
async fn a_maker_that_takes_its_time_is_waited_for() {
    let registry = FaultRegistry::start().await;
    let maker = Arc::new(Maker {
        // Longer than the network may rest.
        rest: Duration::from_secs(2),
        ..Maker::of(&noise(1_000_000, 11))
    });
    let measured = sent(&registry, &maker).await;
    assert_arrived(&registry, &maker, measured);
    assert_eq!(maker.begun.load(Ordering::SeqCst), 1);
}
