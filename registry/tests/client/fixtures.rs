//! What most tests need: bytes, an image, a client that does not wait long.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use registry::client::{BlobMaker, Client, ClientOptions, RetryPolicy};
use registry::oci::{Descriptor, ImageConfig, Index, Manifest, MediaType, Reference};

/// Options that fail within a test's patience.
pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        retry: RetryPolicy {
            first_delay: Duration::from_millis(5),
            longest_delay: Duration::from_millis(20),
            budget: Duration::from_secs(5),
            ..RetryPolicy::default()
        },
        idle_timeout: Duration::from_millis(1500),
        answer_timeout: Duration::from_secs(3),
        ..ClientOptions::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(options())
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Bytes that are neither short nor regular.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::LAYER_GZIP, bytes)
}

/// Makes a blob out of memory, in writes of odd sizes, and counts.
#[derive(Default, Debug)]
pub(crate) struct Maker {
    pub(crate) bytes: Bytes,
    /// How often it has begun.
    pub(crate) begun: AtomicUsize,
    /// How many bytes were taken from it.
    pub(crate) taken: AtomicUsize,
    /// How long it rests in the middle.
    pub(crate) rest: Duration,
    /// Whether it fails in the middle.
    pub(crate) fails: bool,
}

impl Maker {
    pub(crate) fn of(bytes: &Bytes) -> Self {
        let bytes = bytes.clone();
        Self {
            bytes,
            ..Self::default()
        }
    }
}

impl BlobMaker for Maker {
    fn make(&self, out: &mut dyn Write) -> io::Result<()> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        for (half, bytes) in self.bytes.chunks(self.bytes.len().div_ceil(2).max(1)).enumerate() {
            if half == 1 && self.fails {
                return Err(io::Error::other("the snapshot is gone"));
            }
            std::thread::sleep(self.rest * half as u32);
            for piece in bytes.chunks(9973) {
                out.write_all(piece)?;
                self.taken.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
        Ok(())
    }
}

/// A small image: config, one layer, manifest.
pub(crate) struct Image {
    pub(crate) config: Bytes,
    pub(crate) layer: Bytes,
    pub(crate) manifest: Bytes,
}

impl Image {
    pub(crate) fn new(architecture: &str) -> Self {
        let config = ImageConfig {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            ..ImageConfig::default()
        };
        let config: Bytes = serde_json::to_vec(&config).unwrap().into();
        let layer_bytes = noise(70_000, architecture.len() as u64);
        let manifest = Manifest::new(Descriptor::of(MediaType::CONFIG, &config), vec![layer(&layer_bytes)]);
        let manifest = serde_json::to_vec(&manifest).unwrap().into();
        Self {
            config,
            layer: layer_bytes,
            manifest,
        }
    }

    pub(crate) fn descriptor(&self, platform: &str) -> Descriptor {
        Descriptor {
            platform: Some(platform.parse().unwrap()),
            ..Descriptor::of(MediaType::MANIFEST, &self.manifest)
        }
    }
}

pub(crate) fn index(manifests: Vec<Descriptor>) -> Bytes {
    serde_json::to_vec(&Index::new(manifests)).unwrap().into()
}

pub(crate) fn platform(text: &str) -> registry::oci::Platform {
    text.parse().unwrap()
}

/// An error with all its causes, as a person would see it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
