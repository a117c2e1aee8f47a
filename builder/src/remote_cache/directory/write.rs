//! Adding to a cache in a directory, and removing from it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use registry::content::ContentStore;
use registry::oci::{Descriptor, Digest, Index, Manifest, MediaType};
use rustix::fs::{FlockOperation, flock};

use super::{DOCUMENT_LIMIT, DirectoryCache, KEYS, REF_NAME, blob_path, keys, read_blob, read_index};
use crate::export::{OutputFile, beside, reclaim};
use crate::op::key::CacheKey;
use crate::remote_cache::document::{ARTIFACT_TYPE, EMPTY_BYTES, EntryImage};
use crate::remote_cache::entry::EMPTY;
use crate::remote_cache::{RemoteCacheError, Which};

/// The version file's content.
const OCI_LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// An entry to add.
#[derive(Clone, Debug)]
pub struct Written {
    /// The entry's image.
    pub image: EntryImage,
    /// The keys that it is found by.
    pub keys: Vec<CacheKey>,
    /// Whether it takes the place of what is there under these keys.
    pub replaces: bool,
}

/// Returns which entries a cache lacks. Blocks.
pub fn lacking(directory: &Path, tag: &str, entries: Vec<Written>) -> Vec<Written> {
    let Ok(cache) = DirectoryCache::open(directory, &Which::Tag(tag.to_owned())) else {
        return entries;
    };
    let is_there = |entry: &Written| entry.keys.iter().all(|key| cache.by_key.contains_key(key));
    entries
        .into_iter()
        .filter(|entry| entry.replaces || !is_there(entry))
        .collect()
}

/// Returns whether a directory has a blob; whoever reads it checks what is in it.
pub fn blob_is_there(directory: &Path, blob: &Descriptor) -> bool {
    fs::metadata(blob_path(directory, blob.digest)).is_ok_and(|found| found.is_file() && found.len() == blob.size)
}

/// Adds entries to a cache; with `reset` it has no others afterwards, and the directory no blob that nothing names.
/// Layers are taken from `content`, unless they are there. Blocks.
///
/// # Errors
/// If a layer is nowhere, or the directory cannot be written.
pub fn add(
    directory: &Path,
    tag: &str,
    reset: bool,
    entries: &[Written],
    content: &ContentStore,
) -> Result<(), RemoteCacheError> {
    let _lock = lock(directory)?;
    let present = present(directory, tag, reset)?;
    for entry in entries {
        for layer in &entry.image.layers {
            copy_blob(directory, layer, content)?;
        }
        let EntryImage { manifest, config, .. } = &entry.image;
        write_blob(directory, &config.descriptor, &config.bytes)?;
        if entry.image.layers.is_empty() {
            write_blob(directory, &Descriptor::of(EMPTY, EMPTY_BYTES), EMPTY_BYTES)?;
        }
        write_blob(directory, &manifest.descriptor, &manifest.bytes)?;
    }
    replace(directory, tag, merged(present, entries))?;
    if reset { sweep(directory) } else { Ok(()) }
}

/// Returns the entries that stay. Whatever else has the tag gives way, as in BuildKit, and so does a state of the cache that is
/// damaged or gone; one that only cannot be read now does not.
fn present(directory: &Path, tag: &str, reset: bool) -> Result<Vec<Descriptor>, RemoteCacheError> {
    read_index(directory)?;
    if reset {
        return Ok(Vec::new());
    }
    match DirectoryCache::open(directory, &Which::Tag(tag.to_owned())) {
        Ok(cache) => Ok(cache.entries),
        Err(error) if error.is_unread() => Err(error),
        Err(_) => Ok(Vec::new()),
    }
}

/// Removes the entries of a cache that `goes` says, and whatever nothing names then. Blocks.
pub(in crate::remote_cache) fn remove(
    directory: &Path,
    tag: &str,
    goes: impl Fn(Digest) -> bool,
) -> Result<(), RemoteCacheError> {
    let _lock = lock(directory)?;
    let mut entries = DirectoryCache::open(directory, &Which::Tag(tag.to_owned()))?.entries;
    entries.retain(|entry| !goes(entry.digest));
    replace(directory, tag, entries)?;
    sweep(directory)
}

/// Exports and removals into one directory take turns; what those that died have left goes first.
fn lock(directory: &Path) -> Result<File, RemoteCacheError> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(RemoteCacheError::io("create", &blobs))?;
    let handle = File::open(directory).map_err(RemoteCacheError::io("open", directory))?;
    flock(&handle, FlockOperation::LockExclusive)
        .map_err(|error| RemoteCacheError::io("lock", directory)(error.into()))?;
    for directory in [directory, &blobs] {
        reclaim(directory).map_err(RemoteCacheError::io("list", directory))?;
    }
    Ok(handle)
}

/// Puts entries among those that are there; a key leads to the last entry that has it.
fn merged(present: Vec<Descriptor>, added: &[Written]) -> Vec<Descriptor> {
    let taken: BTreeSet<CacheKey> = added.iter().flat_map(|entry| entry.keys.iter().copied()).collect();
    let kept = present.into_iter().filter_map(|entry| {
        let left: Vec<CacheKey> = keys(&entry).into_iter().filter(|key| !taken.contains(key)).collect();
        (!left.is_empty()).then(|| with_keys(entry, &left))
    });
    let added = added
        .iter()
        .map(|entry| with_keys(entry.image.manifest.descriptor.clone(), &entry.keys));
    kept.chain(added).collect()
}

fn with_keys(mut entry: Descriptor, keys: &[CacheKey]) -> Descriptor {
    let keys: Vec<String> = keys.iter().map(CacheKey::hex).collect();
    entry.annotations.insert(KEYS.to_owned(), keys.join(","));
    entry
}

/// Writes the index of a cache, and makes its tag name it; without entries the tag goes.
fn replace(directory: &Path, tag: &str, entries: Vec<Descriptor>) -> Result<(), RemoteCacheError> {
    let mut layout = read_index(directory)?.unwrap_or_else(|| Index::new(Vec::new()));
    layout
        .manifests
        .retain(|entry| entry.annotations.get(REF_NAME).map(String::as_str) != Some(tag));
    if !entries.is_empty() {
        let mut index = Index::new(entries);
        index.extra.insert("artifactType".to_owned(), ARTIFACT_TYPE.into());
        let bytes = serde_json::to_vec(&index)?;
        let mut descriptor = Descriptor::of(MediaType::INDEX, &bytes);
        write_blob(directory, &descriptor, &bytes)?;
        descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        layout.manifests.push(descriptor);
    }
    write_file(&directory.join("oci-layout"), OCI_LAYOUT)?;
    write_file(&directory.join("index.json"), &serde_json::to_vec(&layout)?)
}

/// Removes the blobs that nothing names.
fn sweep(directory: &Path) -> Result<(), RemoteCacheError> {
    let mut named = BTreeSet::new();
    let mut waiting = read_index(directory)?.map_or_else(Vec::new, |index| index.manifests);
    while let Some(descriptor) = waiting.pop() {
        if !named.insert(descriptor.digest) {
            continue;
        }
        let media_type = &descriptor.media_type;
        if !media_type.is_index() && !media_type.is_manifest() {
            continue;
        }
        let bytes = match read_blob(directory, descriptor.digest, DOCUMENT_LIMIT) {
            Ok(bytes) => bytes,
            // Who could not read what names things would remove them.
            Err(error) if error.is_unread() => return Err(error),
            // What is damaged or gone names nothing.
            Err(_) => continue,
        };
        if media_type.is_index() {
            let index = serde_json::from_slice::<Index>(&bytes);
            waiting.extend(index.into_iter().flat_map(|index| index.manifests));
        } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            named.insert(manifest.config.digest);
            named.extend(manifest.layers.iter().map(|layer| layer.digest));
        }
    }
    let blobs = directory.join("blobs/sha256");
    let names = fs::read_dir(&blobs).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in names.map_err(RemoteCacheError::io("list", &blobs))? {
        let digest = entry
            .file_name()
            .to_str()
            .and_then(|hex| format!("sha256:{hex}").parse().ok());
        if digest.is_some_and(|digest: Digest| !named.contains(&digest)) {
            fs::remove_file(entry.path()).map_err(RemoteCacheError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// Copies a blob from the store, unless it is there.
fn copy_blob(directory: &Path, blob: &Descriptor, content: &ContentStore) -> Result<(), RemoteCacheError> {
    if blob_is_there(directory, blob) {
        return Ok(());
    }
    let path = blob_path(directory, blob.digest);
    let mut reader = content.open_blob(blob)?;
    place(&path, |file| io::copy(&mut reader, file).map(drop))
}

fn write_blob(directory: &Path, blob: &Descriptor, bytes: &[u8]) -> Result<(), RemoteCacheError> {
    if blob_is_there(directory, blob) {
        return Ok(());
    }
    place(&blob_path(directory, blob.digest), |file| file.write_all(bytes))
}

/// Makes a file appear whole. It is not synced: whoever reads a blob checks its digest.
fn place(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), RemoteCacheError> {
    let mut file = beside(path).map_err(RemoteCacheError::io("create", path))?;
    fill(file.as_file_mut()).map_err(RemoteCacheError::io("write", path))?;
    fault::point("cache.rename").map_err(RemoteCacheError::io("rename a file to", path))?;
    file.persist(path)
        .map_err(|error| RemoteCacheError::io("rename a file to", path)(error.error))?;
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RemoteCacheError> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes).map_err(RemoteCacheError::io("write", path))?;
    Ok(file.commit()?)
}
