//! Push and pull through a registry that fails one request in ten, in every way that its script knows.
//!
//! `CROZE_FAULT_ROUNDS` says how many rounds there are (20 if it says nothing); each is drawn with its own seed, which a
//! failure names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use registry::client::{BlobMaker, BlobSource, Client, ClientError, ClientOptions, RetryPolicy, Streamed};
use registry::oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType};

use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::fixtures::{Maker, chain, layer, noise, options, platform};

const ROUNDS: u64 = 20;

/// A client as patient as the one of a build, but for the length of its pauses.
fn client() -> Client {
    Client::new(ClientOptions {
        retry: RetryPolicy {
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(10),
            ..RetryPolicy::default()
        },
        idle_timeout: Duration::from_millis(250),
        ..options()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_pull_survive_one_failure_in_ten() {
    let rounds = std::env::var("CROZE_FAULT_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let registry = FaultRegistry::start().await;
    // Fewer than a round has requests; more than others send while one that was refused waits for its turn again.
    registry.demand_tokens(TokenRules {
        uses: Some(15),
        ..TokenRules::default()
    });
    let mut requests = 0;
    for seed in 0..rounds {
        registry.empty();
        registry.fail_one_in(10, seed);
        if let Err(problem) = round(&registry, seed).await {
            panic!("seed {seed}: {problem}\n{}", registry.failed().join("\n"));
        }
        requests = registry.seen().len();
    }
    let failed = registry.failed();
    let kinds: std::collections::BTreeSet<&str> = failed
        .iter()
        .filter_map(|line| Some(line.split_once(": ")?.1))
        .collect();
    println!(
        "{rounds} rounds, {requests} requests, {} failed in {} ways",
        failed.len(),
        kinds.len()
    );
    assert!(failed.len() as u64 >= rounds, "the registry hardly failed: {failed:?}");
}

/// Pushes an image of three layers, some of them made while they are sent, with all at once, and pulls it with a client that knows nothing yet.
async fn round(registry: &FaultRegistry, seed: u64) -> Result<(), String> {
    let layers: Vec<Bytes> = (0..3)
        .map(|number| noise(90_000 + number as usize, seed * 3 + number))
        .collect();
    let config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        ..ImageConfig::default()
    };
    let config: Bytes = serde_json::to_vec(&config).unwrap().into();
    let descriptors: Vec<Descriptor> = layers.iter().map(|bytes| layer(bytes)).collect();
    let manifest = Manifest::new(Descriptor::of(MediaType::CONFIG, &config), descriptors);
    let manifest: Bytes = serde_json::to_vec(&manifest).unwrap().into();

    let (to, pusher) = (registry.reference("app:1"), client());
    let mut pushes = tokio::task::JoinSet::new();
    for bytes in layers.iter().chain([&config]) {
        let (to, pusher, bytes) = (to.clone(), pusher.clone(), bytes.clone());
        pushes.spawn(async move {
            let source = BlobSource::Bytes(bytes.clone());
            if bytes.len() % 2 == 0 {
                // As a build does it: what cannot be streamed is sent in the other ways.
                let maker: Arc<dyn BlobMaker> = Arc::new(Maker::of(&bytes));
                match pusher.push_made(&to, None, &maker, &[], &|_| {}).await? {
                    Streamed::Sent(sent) => assert_eq!(sent.digest, Digest::of(&bytes)),
                    Streamed::There(pushed) => unreachable!("nobody asked for it: {pushed:?}"),
                    Streamed::Unfit(_) => drop(pusher.push_blob(&to, &layer(&bytes), source, &[], &|_| {}).await?),
                }
                return Ok::<_, ClientError>(());
            }
            pusher
                .push_blob(&to, &layer(&bytes), source, &[], &|_| {})
                .await
                .map(drop)
        });
    }
    for pushed in pushes.join_all().await {
        pushed.map_err(|error| format!("push: {}", chain(&error)))?;
    }
    let put = pusher
        .push_manifest(&to, &MediaType::MANIFEST.into(), manifest.clone())
        .await;
    let digest = put.map_err(|error| format!("manifest: {}", chain(&error)))?;
    for bytes in layers.iter().chain([&config]) {
        assert!(
            registry.blob("app", Digest::of(bytes)).as_ref() == Some(bytes),
            "another blob arrived"
        );
    }

    let puller = client();
    let found = puller
        .head(&to)
        .await
        .map_err(|error| format!("head: {}", chain(&error)))?;
    assert_eq!(found.map(|found| found.digest), Some(digest));
    let image = puller.image(&to, &platform("linux/amd64")).await;
    let image = image.map_err(|error| format!("image: {}", chain(&error)))?;
    assert_eq!((&image.manifest_bytes, &image.config_bytes), (&manifest, &config));
    for (blob, bytes) in image.manifest.layers.iter().zip(&layers) {
        let mut sink = Vec::new();
        let fetched = puller.fetch_blob(&image.reference, blob, &mut sink, &|_| {}).await;
        fetched.map_err(|error| format!("layer: {}", chain(&error)))?;
        assert!(sink == *bytes, "other bytes came back");
    }
    Ok(())
}
