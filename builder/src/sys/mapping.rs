//! Whether a file system notices that a file is written to through memory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::ptr::NonNull;

/// Size of the file that is tried with, in bytes: the smallest page there is.
const LENGTH: usize = 4096;

/// A file in memory, unmapped when dropped.
struct Mapping(NonNull<libc::c_void>);

impl Mapping {
    fn of(file: &File) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses overlaps no memory of this process.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start).map(Self).ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn first_byte(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the mapping, which is as long as it was made.
        unsafe { libc::munmap(self.0.as_ptr(), LENGTH) };
    }
}

/// Reads a byte of a file through a mapping, then changes it; `between` is called between the two.
///
/// Where a file system takes no notice of the change, the read is why: it has made the page writable for good.
pub(super) fn read_and_change<T>(file: &File, between: impl FnOnce() -> T) -> io::Result<T> {
    let mapping = Mapping::of(file)?;
    let byte = mapping.first_byte();
    // SAFETY: the byte lies in the mapping, which is readable and lives until the end of this function. It is volatile
    // because the kernel is to see the access.
    let read = unsafe { byte.read_volatile() };
    let between = between();
    // SAFETY: as above, and the mapping is writable.
    unsafe { byte.write_volatile(!read) };
    Ok(between)
}

/// Returns whether a file in the directory gets another time of change when it is written to through a mapping that
/// was read before. That of a tmpfs does not.
pub fn mapped_writes_change_times(directory: &Path) -> io::Result<bool> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&[0; LENGTH])?;
    let time = || {
        let metadata = file.metadata()?;
        Ok::<_, io::Error>((metadata.ctime(), metadata.ctime_nsec()))
    };
    let before = read_and_change(&file, || {
        let before = time();
        // Where times tick, the next tick is waited for.
        std::thread::sleep(std::time::Duration::from_millis(10));
        before
    })??;
    Ok(time()? != before)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snapshotter::{Evidence, Ownership, SnapshotName, SnapshotStore, Stacks, Tree, Writes};

    use super::*;

    #[test]
    fn a_disk_notices_and_memory_does_not() {
        // The target directory lies on a disk.
        assert!(mapped_writes_change_times(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
        assert!(!mapped_writes_change_times(Path::new("/dev/shm")).unwrap());
    }

    /// Changes a file in a tree on a tmpfs through a mapping, and returns whether that is found.
    fn is_found(evidence: Evidence) -> bool {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let [store, trees] = ["store", "trees"].map(|name| scratch.path().join(name));
        std::fs::create_dir(&store).unwrap();
        std::fs::create_dir(&trees).unwrap();
        let store = Arc::new(SnapshotStore::open(&store, Ownership::Real).unwrap());
        let [base, step] = ["base", "step"].map(|name| SnapshotName::new(name).unwrap());
        let active = store.prepare().unwrap();
        std::fs::write(active.upper().join("file"), [0; LENGTH]).unwrap();
        active.commit(&base).unwrap();
        let stacks = Stacks::flat(Arc::clone(&store), &trees, evidence).unwrap();
        let workspace = stacks.workspace(&[base], Writes::Anything).unwrap();
        let Tree::Directory(tree) = workspace.tree() else {
            panic!("an overlay")
        };
        let file = File::options().read(true).write(true).open(tree.join("file")).unwrap();
        read_and_change(&file, || ()).unwrap();
        drop(file);
        workspace.commit(&step).unwrap();
        store.fs_dir(&step).join("file").exists()
    }

    #[test]
    fn what_a_mapping_has_changed_in_memory_is_found_by_its_content_only() {
        assert!(is_found(Evidence::Contents));
        assert!(!is_found(Evidence::Times), "then contents need not be looked at");
    }
}
