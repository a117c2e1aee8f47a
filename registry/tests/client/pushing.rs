//! Pushing blobs: the cheapest way first, and every other way when that fails.

use std::sync::Mutex;

use axum::http::Method;
use bytes::Bytes;
use registry::client::{BlobSource, Client, ClientError, ErrorKind, Pushed};

use crate::fault_registry::FaultRegistry;
use crate::faults::Fault;
use crate::fixtures::{client, layer, noise};

async fn push(client: &Client, registry: &FaultRegistry, bytes: &Bytes, from: &[&str]) -> Result<Pushed, ClientError> {
    let from: Vec<_> = from.iter().map(|name| registry.reference(name)).collect();
    let source = BlobSource::Bytes(bytes.clone());
    client
        .push_blob(&registry.reference("app:1"), &layer(bytes), source, &from, &|_| {})
        .await
}

/// Two and a half chunks.
fn long() -> Bytes {
    noise(1 << 20, 9).repeat(40).into()
}

#[tokio::test]
async fn a_blob_is_sent_once() {
    let (registry, client, bytes) = (FaultRegistry::start().await, client(), noise(70_000, 1));
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Existed);
    let methods: Vec<String> = registry.seen().iter().map(|seen| seen.method.to_string()).collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT", "HEAD"]);
}

#[tokio::test]
async fn a_file_is_streamed_and_progress_is_told() {
    let (registry, bytes) = (FaultRegistry::start().await, long());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let told = Mutex::new(Vec::new());
    let progress = |sent| told.lock().unwrap().push(sent);
    let (to, source) = (registry.reference("app:1"), BlobSource::File(file.path().to_owned()));
    client()
        .push_blob(&to, &layer(&bytes), source, &[], &progress)
        .await
        .unwrap();
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    let told = told.into_inner().unwrap();
    assert!(
        told.is_sorted() && told.last() == Some(&(bytes.len() as u64)),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_empty_blob_and_one_of_one_byte_are_blobs() {
    let (registry, client) = (FaultRegistry::start().await, client());
    for bytes in [Bytes::new(), Bytes::from_static(b"x")] {
        assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
        assert_eq!(registry.blob("app", layer(&bytes).digest), Some(bytes));
    }
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    let bytes = Bytes::from_static(b"y");
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.count(Method::PATCH, "/uploads/"), 1);
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted() {
    let (registry, client, bytes) = (FaultRegistry::start().await, client(), noise(1000, 2));
    registry.put_blob("base", &bytes);
    let from = ["app:2", "base:1"];
    assert_eq!(push(&client, &registry, &bytes, &from).await.unwrap(), Pushed::Mounted);
    assert_eq!(registry.count(Method::PUT, ""), 0);
    assert_eq!(
        registry.count(Method::POST, ""),
        1,
        "a repository is not mounted from itself"
    );
}

#[tokio::test]
async fn a_refused_mount_becomes_an_upload() {
    // The registry opens an upload instead: it is used.
    let (registry, client, bytes) = (FaultRegistry::start().await, client(), noise(1000, 3));
    assert_eq!(
        push(&client, &registry, &bytes, &["base:1"]).await.unwrap(),
        Pushed::Uploaded
    );
    assert_eq!(registry.count(Method::POST, ""), 1);
    // It says no in another way.
    for status in [400, 403, 404, 405] {
        let bytes = noise(1000, status);
        registry.fail(Method::POST, "/uploads/", 1, Fault::status(status as u16));
        assert_eq!(
            push(&client, &registry, &bytes, &["base:1"]).await.unwrap(),
            Pushed::Uploaded,
            "{status}"
        );
    }
    let elsewhere = [crate::fixtures::reference("elsewhere.example/base:1")];
    let (to, bytes) = (registry.reference("app:1"), noise(1000, 4));
    let before = registry.count(Method::POST, "");
    let pushed = client
        .push_blob(
            &to,
            &layer(&bytes),
            BlobSource::Bytes(bytes.clone()),
            &elsewhere,
            &|_| {},
        )
        .await;
    assert_eq!(
        (pushed.unwrap(), registry.count(Method::POST, "")),
        (Pushed::Uploaded, before + 1)
    );
}

#[tokio::test]
async fn an_upload_that_breaks_begins_anew() {
    let (registry, client, bytes) = (FaultRegistry::start().await, client(), noise(200_000, 5));
    registry.fail(Method::PUT, "/uploads/", 1, Fault::TakeThenBreak(100_000));
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    registry.fail(Method::PUT, "/uploads/", 2, Fault::status(503));
    let bytes = noise(200_000, 6);
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test]
async fn an_upload_whose_answer_is_lost_is_not_sent_again() {
    let (registry, client, bytes) = (FaultRegistry::start().await, client(), noise(200_000, 7));
    registry.fail(Method::PUT, "/uploads/", 1, Fault::Swallow);
    assert_eq!(push(&client, &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.count(Method::PUT, "/uploads/"), 1);
}

#[tokio::test]
async fn what_is_too_long_for_one_request_goes_in_chunks() {
    for status in [404, 405, 413, 416] {
        let (registry, bytes) = (FaultRegistry::start().await, long());
        registry.fail(Method::PUT, "/uploads/", 1, Fault::status(status));
        assert_eq!(
            push(&client(), &registry, &bytes, &[]).await.unwrap(),
            Pushed::Uploaded,
            "{status}"
        );
        assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
        let patches: Vec<_> = registry
            .seen()
            .into_iter()
            .filter(|seen| seen.method == Method::PATCH)
            .collect();
        let ranges: Vec<&str> = patches
            .iter()
            .map(|seen| seen.headers["content-range"].to_str().unwrap())
            .collect();
        assert_eq!(ranges, ["0-16777215", "16777216-33554431", "33554432-41943039"]);
    }
}

#[tokio::test]
async fn a_broken_chunk_goes_on_from_the_registrys_count() {
    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    registry.fail(Method::PATCH, "/uploads/", 1, Fault::TakeThenBreak(1_000_000));
    registry.fail(Method::PATCH, "/uploads/", 1, Fault::status(502));
    registry.fail(Method::PATCH, "/uploads/", 1, Fault::Swallow);
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    assert_eq!(starts(&registry), ["0", "1000000", "1000000", "17777216", "34554432"]);
}

#[tokio::test]
async fn a_count_that_means_no_byte_or_one_is_found_out() {
    // `Range: 0-0` is what the registry says in both cases.
    for taken in [0, 1] {
        let (registry, bytes) = (FaultRegistry::start().await, noise(1000, 8));
        registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
        registry.fail(Method::PATCH, "/uploads/", 1, Fault::TakeThenBreak(taken));
        assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
        assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    }
}

#[tokio::test]
async fn the_registrys_count_is_believed_and_asked_for_after_a_conflict() {
    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    // It says that it took less than it did, and then will not have the same bytes twice.
    registry.fail(
        Method::PATCH,
        "/uploads/",
        1,
        Fault::Header("range", "0-999999".to_owned()),
    );
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
    assert_eq!(starts(&registry), ["0", "1000000", "16777216", "33554432"]);
}

/// Returns where the chunks began.
fn starts(registry: &FaultRegistry) -> Vec<String> {
    let patches = registry.seen().into_iter().filter(|seen| seen.method == Method::PATCH);
    let start = |range: &str| range.split('-').next().unwrap().to_owned();
    patches
        .map(|seen| start(seen.headers["content-range"].to_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn chunks_that_are_too_long_are_halved_and_short_ones_lengthened() {
    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    registry.fail(Method::PATCH, "/uploads/", 2, Fault::status(413));
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    let lengths: Vec<_> = registry
        .seen()
        .into_iter()
        .filter(|seen| seen.method == Method::PATCH)
        .map(|seen| seen.headers["content-length"].to_str().unwrap().parse::<u64>().unwrap() >> 20)
        .collect();
    assert_eq!(lengths[..3], [16, 8, 4]);

    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    registry.fail(
        Method::POST,
        "/uploads/",
        2,
        Fault::Header("oci-chunk-min-length", (24 << 20).to_string()),
    );
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert_eq!(registry.count(Method::PATCH, "/uploads/"), 2);

    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    let most = u64::MAX.to_string();
    registry.fail(
        Method::POST,
        "/uploads/",
        2,
        Fault::Header("oci-chunk-min-length", most),
    );
    registry.fail(Method::PATCH, "/uploads/", 1, Fault::TakeThenBreak(1_000_000));
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
}

#[tokio::test]
async fn a_forgotten_upload_begins_anew_but_not_for_ever() {
    let (registry, bytes) = (FaultRegistry::start().await, long());
    registry.fail(Method::PUT, "/uploads/", 1, Fault::status(413));
    registry.fail(Method::PATCH, "/uploads/", 1, Fault::TakeThenBreak(1_000_000));
    registry.fail(Method::GET, "/uploads/", 1, Fault::status(404));
    assert_eq!(push(&client(), &registry, &bytes, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);

    let registry = FaultRegistry::start().await;
    registry.fail(Method::PUT, "/uploads/", 99, Fault::status(413));
    registry.fail(Method::PATCH, "/uploads/", 999, Fault::status(405));
    let error = push(&client(), &registry, &bytes, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry, "{error}");
    assert!(registry.seen().len() < 10);
}

#[tokio::test]
async fn a_source_that_is_not_the_blob_is_refused() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"other").unwrap();
    let (to, source) = (registry.reference("app:1"), BlobSource::File(file.path().to_owned()));
    let same_length = client
        .push_blob(&to, &layer(b"bytes"), source.clone(), &[], &|_| {})
        .await
        .unwrap_err();
    assert!(matches!(same_length, ClientError::DigestRefused(_)), "{same_length}");
    assert_eq!(same_length.kind(), ErrorKind::Integrity);
    let shorter = client
        .push_blob(&to, &layer(b"longer bytes"), source, &[], &|_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(
            shorter,
            ClientError::Size {
                expected: 12,
                actual: 5,
                ..
            }
        ),
        "{shorter}"
    );
    let missing = BlobSource::File("/nonexistent/blob".into());
    let missing = client
        .push_blob(&to, &layer(b"bytes"), missing, &[], &|_| {})
        .await
        .unwrap_err();
    assert_eq!(missing.to_string(), "cannot read `/nonexistent/blob`");
    assert_eq!(missing.kind(), ErrorKind::Local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_blobs_are_pushed_at_once() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let blobs: Vec<Bytes> = (0..12).map(|seed| noise(50_000, seed)).collect();
    for fault in [Fault::TakeThenBreak(10), Fault::status(500), Fault::Swallow] {
        registry.fail(Method::PUT, "/uploads/", 2, fault);
    }
    // On other threads, as the scheduler does it.
    let mut pushes = tokio::task::JoinSet::new();
    for bytes in blobs.clone() {
        let (client, registry) = (client.clone(), registry.clone());
        pushes.spawn(async move { push(&client, &registry, &bytes, &[]).await });
    }
    for pushed in pushes.join_all().await {
        assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    }
    for bytes in &blobs {
        assert!(registry.blob("app", layer(bytes).digest).as_ref() == Some(bytes));
    }
}
