//! Images of an image layout on disk: `--build-context NAME=oci-layout://DIR`.
//!
//! What a build needs of one is brought into the content store, digests checked; from there on it is an image that
//! was pulled before.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use registry::client::manifest_for;
use registry::content::{ContentError, ContentStore, Ingest};
use registry::oci::{Descriptor, Digest, Index, Manifest, Platform, Reference};

use super::resolve::MAX_DOCUMENT;
use super::stored::Documents;

/// The annotation that names an image in an index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Bytes of a blob that are copied at a time.
const PIECE: usize = 256 << 10;

/// The host of the names that images of layouts get; nobody can have it (RFC 2606).
const HOST: &str = "oci-layout.invalid";

/// An image of a layout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayoutImage {
    /// The layout's directory.
    pub directory: PathBuf,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

/// Why an image of a layout cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of it cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document of it is none.
    #[error("`{}` is no document of an image layout", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The layout has no such image.
    #[error("the layout `{}` has no image `{wanted}`", directory.display())]
    Missing {
        /// The layout.
        directory: PathBuf,
        /// The tag or digest.
        wanted: String,
    },
    /// There is no manifest for the platform.
    #[error("the image in the layout `{}` is not for {platform}", directory.display())]
    Platform {
        /// The layout.
        directory: PathBuf,
        /// The platform.
        platform: Platform,
    },
    /// A blob has another length than its descriptor says.
    #[error("`{}` should have {expected} bytes but has {actual}", path.display())]
    Size {
        /// The blob.
        path: PathBuf,
        /// As the descriptor says, in bytes.
        expected: u64,
        /// As it is, in bytes.
        actual: u64,
    },
    /// A document is not what its name says.
    #[error("`{}` is damaged: its digest is `{actual}`", path.display())]
    Digest {
        /// The blob.
        path: PathBuf,
        /// As it is.
        actual: Digest,
    },
    /// A blob could not be written to the store.
    #[error("cannot keep a blob")]
    Keep(#[source] io::Error),
    /// A blob is not what its name says, or cannot be kept.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl LayoutImage {
    /// Finds an image by its digest, else by its tag.
    ///
    /// # Errors
    /// If the layout cannot be read or has no such image.
    pub fn find(directory: &Path, tag: &str, digest: Option<Digest>) -> Result<Self, LayoutError> {
        let path = directory.join("index.json");
        let index: Index = parse(&path, &read(&path)?)?;
        let mut named = index.manifests.into_iter();
        let found = match digest {
            Some(digest) => named.find(|entry| entry.digest == digest),
            None => named.find(|entry| {
                let name = entry.annotations.get(REF_NAME);
                name.is_some_and(|name| name == tag || name.ends_with(&format!(":{tag}")))
            }),
        };
        let wanted = || digest.map_or_else(|| tag.to_owned(), |digest| digest.to_string());
        found
            .map(|descriptor| Self {
                directory: directory.to_owned(),
                descriptor,
            })
            .ok_or_else(|| LayoutError::Missing {
                directory: directory.to_owned(),
                wanted: wanted(),
            })
    }

    /// Returns the reference that stands for the image; `name` is for people.
    ///
    /// # Errors
    /// If `name` cannot be part of a reference.
    pub fn reference(&self, name: &str) -> Result<Reference, registry::oci::ReferenceError> {
        let name: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        format!("{HOST}/{}@{}", name.trim_matches('-'), self.descriptor.digest).parse()
    }

    /// Tells whether a reference stands for an image of a layout; its repository is then the name for people.
    pub fn is_named_by(reference: &Reference) -> bool {
        reference.registry() == HOST
    }

    /// Returns what the platform's image is made of.
    ///
    /// # Errors
    /// If it is not for the platform, or a document of it is not what its digest says.
    pub fn documents(&self, platform: &Platform) -> Result<Documents, LayoutError> {
        let mut descriptor = self.descriptor.clone();
        if descriptor.media_type.is_index() {
            let index: Index = self.document(descriptor.digest)?;
            let manifest = manifest_for(&index.manifests, platform).cloned();
            descriptor = manifest.ok_or_else(|| LayoutError::Platform {
                directory: self.directory.clone(),
                platform: platform.clone(),
            })?;
        }
        let manifest: Manifest = self.document(descriptor.digest)?;
        let config = self.document(manifest.config.digest)?;
        Ok(Documents {
            descriptor,
            manifest,
            config,
        })
    }

    /// Brings what the platform's image is made of into the store, and returns its manifest's descriptor.
    pub(super) fn import(&self, platform: &Platform, content: &ContentStore) -> Result<Descriptor, LayoutError> {
        let Documents {
            descriptor, manifest, ..
        } = self.documents(platform)?;
        let documents = [&self.descriptor, &descriptor, &manifest.config];
        for blob in manifest.layers.iter().chain(documents) {
            self.copy(blob, content)?;
        }
        Ok(descriptor)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        blob_path(&self.directory, digest)
    }

    fn document<T: serde::de::DeserializeOwned>(&self, digest: Digest) -> Result<T, LayoutError> {
        let path = self.blob(digest);
        let bytes = read(&path)?;
        let actual = Digest::of(&bytes);
        if actual != digest {
            return Err(LayoutError::Digest { path, actual });
        }
        parse(&path, &bytes)
    }

    fn copy(&self, blob: &Descriptor, content: &ContentStore) -> Result<(), LayoutError> {
        let (digest, path) = (blob.digest, self.blob(blob.digest));
        let check = |actual| match actual == blob.size {
            true => Ok(()),
            false => Err(LayoutError::Size {
                path: path.clone(),
                expected: blob.size,
                actual,
            }),
        };
        if let Some(actual) = content.size(digest)? {
            return check(actual);
        }
        let failed = |source| LayoutError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(failed)?;
        check(file.metadata().map_err(failed)?.len())?;
        let ingest = keep(file, path, content)?;
        ingest.commit(Some(digest))?;
        Ok(())
    }
}

/// Copies a file of a layout into the store, not yet under its name.
pub(super) fn keep(file: File, path: PathBuf, content: &ContentStore) -> Result<Ingest, LayoutError> {
    let mut file = BufReader::with_capacity(PIECE, file);
    let mut ingest = content.ingest()?;
    loop {
        let piece = match file.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(LayoutError::Read { path, source }),
            Ok([]) => return Ok(ingest),
            Ok(piece) => piece,
        };
        ingest.write_all(piece).map_err(LayoutError::Keep)?;
        let length = piece.len();
        file.consume(length);
    }
}

/// Returns where a blob of a layout is.
pub(super) fn blob_path(directory: &Path, digest: Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let failed = |source| LayoutError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_DOCUMENT {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LayoutError> {
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Malformed {
        path: path.to_owned(),
        source,
    })
}
