//! Archives: whatever is in them, unpacking ends and touches nothing outside of its directory, and what it has made says
//! the same when it is packed and unpacked again.

use std::fs;
use std::path::Path;

use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, Unpacked, pack, unpack};
use snapshotter::{Inodes, Ownership, Root};

use crate::scratch;

/// Bytes that an archive and its files may have.
const MOST: u64 = 1 << 20;

/// Size of a header, where its checksum is, and where what tells it from content.
const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..262;

/// What nobody may touch.
const SECRET: &str = "secret";

/// Checks an archive; its first byte says how it is unpacked, and whether checksums are put right first.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&how, archive)) = bytes.split_first() else {
        return;
    };
    let mut archive = archive.to_vec();
    if how & 4 == 0 {
        archive.chunks_exact_mut(BLOCK).for_each(put_checksum_right);
    }
    let mode = match how & 3 {
        0 => UnpackMode::Upper,
        1 => UnpackMode::Merged,
        2 => UnpackMode::Archive,
        _ => UnpackMode::ArchiveOwnedBy { uid: 7, gid: 8 },
    };
    let ownership = if how & 8 == 0 {
        Ownership::Real
    } else {
        Ownership::Emulated
    };
    scratch::with("archive", |directory| {
        let (outside, victim) = (directory.join("outside"), directory.join("outside/victim"));
        if !victim.exists() {
            scratch::write(&outside, "victim", SECRET.as_bytes());
        }
        let before = looks(&outside);
        let (first, second) = (directory.join("first"), directory.join("second"));
        let first = Tree::empty(&first, ownership);
        if let Some(unpacked) = first.unpack(&archive, mode) {
            assert_same_again(&first, &second, mode, unpacked);
        }
        drop(first);
        assert_eq!(looks(&outside), before, "something outside was touched");
        assert_eq!(fs::read_dir(directory).expect("a directory can be listed").count(), 1);
    });
}

/// What there is to see of a directory with one file.
fn looks(directory: &Path) -> Vec<(u64, i64, i64, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(directory).expect("a directory can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let mut paths: Vec<_> = paths.chain([directory.to_owned()]).collect();
    paths.sort();
    let look = |path: &Path| {
        let found = fs::symlink_metadata(path).expect("a file can be looked at");
        let content = fs::read(path).unwrap_or_default();
        (found.ino(), found.mtime(), found.ctime_nsec(), found.mode(), content)
    };
    paths.iter().map(|path| look(path)).collect()
}

/// A directory that goes when it is dropped.
struct Tree<'p> {
    path: &'p Path,
    ownership: Ownership,
}

impl<'p> Tree<'p> {
    fn empty(path: &'p Path, ownership: Ownership) -> Self {
        fs::create_dir(path).expect("a directory can be made");
        Self { path, ownership }
    }

    fn root(&self) -> Root {
        let root = Root::open(self.path).expect("a directory can be opened");
        root.with_inodes(Inodes::new(self.ownership))
    }

    fn unpack(&self, mut archive: &[u8], mode: UnpackMode) -> Option<Unpacked> {
        let limits = Limits {
            bytes: MOST,
            ..Limits::default()
        };
        unpack(&mut archive, &self.root(), mode, &limits).ok()
    }

    fn pack(&self, form: TreeForm) -> Option<Vec<u8>> {
        let mut packed = Vec::new();
        pack(&self.root(), form, &PackOptions::default(), &mut packed).ok()?;
        Some(packed)
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        fs::remove_dir_all(self.path).expect("a tree can be removed");
    }
}

/// Packs a tree, unpacks that elsewhere, and packs it again.
fn assert_same_again(first: &Tree<'_>, elsewhere: &Path, mode: UnpackMode, unpacked: Unpacked) {
    let form = match mode {
        // What leans on layers below is thrown away; and a whole tree may hold names that no layer can.
        UnpackMode::Upper if unpacked.needs_merged => return,
        UnpackMode::Upper => TreeForm::OverlayUpper,
        _ => TreeForm::Plain,
    };
    // What is packed tells of every directory, also of those that were made on the way and have no owner given.
    let again = match mode {
        UnpackMode::Upper => UnpackMode::Upper,
        _ => UnpackMode::Archive,
    };
    let Some(packed) = first.pack(form) else { return };
    let second = Tree::empty(elsewhere, first.ownership);
    assert!(
        second.unpack(&packed, again).is_some(),
        "what was packed cannot be unpacked"
    );
    assert!(
        second.pack(form) == Some(packed),
        "what was packed is unpacked as something else"
    );
}

fn put_checksum_right(block: &mut [u8]) {
    if &block[MAGIC] != b"ustar" {
        return;
    }
    block[CHECKSUM].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
