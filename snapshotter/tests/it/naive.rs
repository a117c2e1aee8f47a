//! An unpacker as one writes it who trusts archives: paths are joined, links followed, nothing is limited. It does what
//! layers ask for, and is no worse than it would be by mistake: the attacks must tell it from the real one.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
use snapshotter::layer::{UnpackCause, UnpackError, UnpackMode, Unpacked};
use snapshotter::{FsError, Root};
use tar::EntryType;

/// Unpacks an archive into a directory, and wherever else it leads.
pub(crate) fn unpack(tar: &mut dyn Read, into: &Root, mode: UnpackMode) -> Result<Unpacked, UnpackError> {
    let top = into.open_dir(Path::new("")).unwrap();
    let top = fs::read_link(format!("/proc/self/fd/{}", top.as_raw_fd())).unwrap();
    let mut unpacked = Unpacked::default();
    let mut archive = tar::Archive::new(tar);
    let failed = |entry, error: io::Error| UnpackError {
        entry,
        name: Vec::new(),
        cause: UnpackCause::Tree(FsError::new("unpack", &top, error)),
    };
    for entry in archive.entries().map_err(|error| failed(0, error))? {
        unpacked.entries += 1;
        let entry = entry.and_then(|entry| write(entry, &top, mode));
        unpacked.bytes += entry.map_err(|error| failed(unpacked.entries, error))?;
    }
    Ok(unpacked)
}

/// Writes one entry and returns how many bytes of content it had.
fn write(mut entry: tar::Entry<'_, &mut dyn Read>, top: &Path, mode: UnpackMode) -> io::Result<u64> {
    let path = top.join(entry.path()?);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(hidden) = name.strip_prefix(".wh.").filter(|_| mode != UnpackMode::Archive) {
        let parent = path.parent().unwrap_or(top);
        let gone: Vec<PathBuf> = if hidden == ".wh..opq" {
            fs::read_dir(parent)?.flatten().map(|entry| entry.path()).collect()
        } else {
            vec![parent.join(hidden)]
        };
        for path in gone {
            let _absent = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        return Ok(0);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let link = || entry.link_name().map(|link| link.unwrap_or_default().into_owned());
    let header = entry.header().clone();
    let permissions = header.mode()? & 0o7777;
    let mut bytes = 0;
    match header.entry_type() {
        EntryType::Directory => match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        },
        EntryType::Symlink => return symlink(link()?, &path).map(|()| 0),
        EntryType::Link => return fs::hard_link(top.join(link()?), &path).map(|()| 0),
        EntryType::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(permissions), 0)?,
        EntryType::Char | EntryType::Block => {
            let kind = if header.entry_type() == EntryType::Char {
                FileType::CharacterDevice
            } else {
                FileType::BlockDevice
            };
            let number = makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0));
            mknodat(CWD, &path, kind, Mode::from_raw_mode(permissions), number)?;
        }
        _ => {
            let mut file = fs::File::create(&path)?;
            bytes = io::copy(&mut entry, &mut file)?;
        }
    }
    let attributes: Vec<(String, Vec<u8>)> = match entry.pax_extensions()? {
        Some(records) => records
            .flatten()
            .filter_map(|record| {
                let name = record.key().ok()?.strip_prefix("SCHILY.xattr.")?;
                Some((name.to_owned(), record.value_bytes().to_vec()))
            })
            .collect(),
        None => Vec::new(),
    };
    for (name, value) in attributes {
        setxattr(&path, name.as_str(), &value, XattrFlags::empty())?;
    }
    chown(&path, Some(header.uid()? as u32), Some(header.gid()? as u32))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(permissions))?;
    Ok(bytes)
}
