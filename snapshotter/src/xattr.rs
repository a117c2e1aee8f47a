//! Which extended attributes travel between trees and layers, and in what form.
//!
//! `user.*` and `security.capability` travel. The rest stays: `user.overlay.*` and `trusted.*` steer overlay itself,
//! so a layer that could set them could show files that no layer holds; labels (`security.selinux`, …) and access
//! control lists belong to a machine, and Docker drops them too.
//!
//! `user.croze.*` is the store's own: where one user owns every file, [`CAPABILITY_XATTR`] holds what
//! `security.capability` would, and [`InodeRecord`] is kept in another.
//!
//! File capabilities have two forms on disk. Version 3 names the root of a user namespace, version 2 means the
//! machine's own. Archives hold version 2; the kernel turns it into version 3 and back where a user namespace needs
//! that, so the conversion here is for attributes that come in the other form.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, flistxattr_query, fremovexattr, fsetxattr};
use rustix::io::Errno;

use crate::form::Ownership;
use crate::inode_record::{CAPABILITY_XATTR, InodeRecord};

/// Marks a directory of an overlay upper directory as opaque when its value is `y`.
const OPAQUE: &CStr = c"user.overlay.opaque";

/// File capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// Bookkeeping that looks like a user's: overlay's, and that of [`Ownership::Emulated`].
const OWN: [&[u8]; 2] = [OVERLAY, b"user.croze."];

/// What overlay notes of itself.
const OVERLAY: &[u8] = b"user.overlay.";

/// The longest list of names, and the longest value, that the kernel hands out (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`).
const LONGEST: usize = 64 * 1024;

/// The length of file capabilities of version 2 in bytes.
const CAPABILITY_V2_LEN: usize = 20;

/// An extended attribute as an archive holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Name with its namespace, as in `user.note`.
    pub name: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

impl Xattr {
    /// Returns the attribute in the form that travels, or `None` when it does not.
    pub fn for_layer(name: &[u8], value: &[u8]) -> Option<Self> {
        let value = if name == CAPABILITY {
            capability_v2(value)?.to_vec()
        } else if name.starts_with(b"user.") && !OWN.iter().any(|own| name.starts_with(own)) {
            value.to_vec()
        } else {
            return None;
        };
        Some(Self {
            name: name.to_vec(),
            value,
        })
    }

    /// Returns whether only regular files can have it.
    pub fn is_for_files_only(&self) -> bool {
        self.name == CAPABILITY
    }

    /// Sets the attribute on an open file or directory.
    pub(crate) fn set(&self, fd: BorrowedFd<'_>, ownership: Ownership) -> Result<(), Errno> {
        if ownership == Ownership::Emulated && self.name == CAPABILITY {
            return fsetxattr(fd, CAPABILITY_XATTR, &self.value, XattrFlags::empty());
        }
        fsetxattr(fd, self.name.as_slice(), &self.value, XattrFlags::empty())
    }
}

/// Returns file capabilities as version 2, which says nothing of user namespaces.
fn capability_v2(value: &[u8]) -> Option<[u8; CAPABILITY_V2_LEN]> {
    // `struct vfs_ns_cap_data`: magic and flags, two pairs of sets, and in version 3 the namespace's root.
    const REVISION_2: u8 = 2;
    const REVISION_3: u8 = 3;
    let mut data: [u8; CAPABILITY_V2_LEN] = value.get(..CAPABILITY_V2_LEN)?.try_into().ok()?;
    let revision = &mut data[3];
    match (*revision, value.len()) {
        (REVISION_2, 20) => Some(data),
        (REVISION_3, 24) => {
            *revision = REVISION_2;
            Some(data)
        }
        _ => None,
    }
}

/// What was found on one file.
#[derive(Debug, Default)]
pub struct Found {
    /// What travels, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Whether overlay treats the directory as opaque.
    pub opaque: bool,
    /// Number of attributes that stay.
    pub skipped: u64,
    /// What the inode means, if that is noted; asked for with emulated ownership only.
    pub(crate) record: Option<InodeRecord>,
}

/// Buffers to read extended attributes into; most files have none, which costs one call and no buffer.
#[derive(Default)]
pub struct Reader {
    /// Empty until a file has attributes, then long enough for the longest list there can be.
    names: Vec<u8>,
    /// The same for values.
    value: Vec<u8>,
}

impl Reader {
    /// Returns what an open file or directory has.
    pub(crate) fn read(&mut self, fd: BorrowedFd<'_>, ownership: Ownership) -> Result<Found, Errno> {
        let mut found = Found::default();
        let length = self.list(fd)?;
        for name in names(&self.names[..length]) {
            let value = match fgetxattr(fd, name, self.value.as_mut_slice()) {
                Ok(length) => &self.value[..length],
                Err(error) if is_hidden(error) => {
                    found.skipped += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if name == OPAQUE {
                found.opaque = value == b"y";
            } else if name == InodeRecord::XATTR && ownership == Ownership::Emulated {
                found.record = Some(InodeRecord::parse(value).map_err(|_| Errno::UCLEAN)?);
            } else if name == CAPABILITY_XATTR && ownership == Ownership::Emulated {
                found.xattrs.extend(Xattr::for_layer(CAPABILITY, value));
            } else if OWN.iter().any(|own| name.to_bytes().starts_with(own)) {
                // Bookkeeping that no step has set: overlay renames what a step sets, and ours is hidden from it.
            } else if let Some(xattr) = Xattr::for_layer(name.to_bytes(), value) {
                found.xattrs.push(xattr);
            } else {
                found.skipped += 1;
            }
        }
        found.xattrs.sort();
        Ok(found)
    }

    /// Returns every attribute that can be read, but overlay's own, by name.
    pub(crate) fn all(&mut self, fd: BorrowedFd<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let mut all = BTreeMap::new();
        self.each(fd, |name, value| {
            all.insert(name.to_bytes().to_vec(), value.to_vec());
            Ok(())
        })?;
        Ok(all)
    }

    /// Shows every attribute that can be read, but overlay's own.
    fn each(
        &mut self,
        fd: BorrowedFd<'_>,
        mut show: impl FnMut(&CStr, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let length = self.list(fd)?;
        for name in names(&self.names[..length]).filter(|name| !name.to_bytes().starts_with(OVERLAY)) {
            match fgetxattr(fd, name, self.value.as_mut_slice()) {
                Ok(length) => show(name, &self.value[..length])?,
                Err(error) if is_hidden(error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the list of names, and returns its length.
    fn list(&mut self, fd: BorrowedFd<'_>) -> Result<usize, Errno> {
        if self.names.is_empty() {
            // A list that is not asked for tells how long it is.
            if matches!(flistxattr_query(fd), Ok(0) | Err(Errno::OPNOTSUPP)) {
                return Ok(0);
            }
            self.names.resize(LONGEST, 0);
            self.value.resize(LONGEST, 0);
        }
        match flistxattr(fd, self.names.as_mut_slice()) {
            Err(Errno::OPNOTSUPP) => Ok(0),
            length => length,
        }
    }
}

/// Returns the names of a list.
fn names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

/// Returns whether an attribute is listed but not for us: `security.capability` of a namespace that is not ours, or a
/// race.
fn is_hidden(error: Errno) -> bool {
    matches!(error, Errno::NODATA | Errno::OVERFLOW | Errno::OPNOTSUPP | Errno::PERM)
}

/// Removes the attributes that travel from a directory that was there before, whose entry says all about it.
pub(crate) fn clear(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    for xattr in Reader::default().read(directory, Ownership::Real)?.xattrs {
        match fremovexattr(directory, xattr.name.as_slice()) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies every attribute but overlay's own from one file to another: records and all. What may not be set here (a
/// label, or what an administrator has put there) stays behind.
pub(crate) fn copy_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>, reader: &mut Reader) -> Result<(), Errno> {
    reader.each(from, |name, value| {
        match fsetxattr(to, name, value, XattrFlags::empty()) {
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS) => Ok(()),
            set => set,
        }
    })
}

/// Removes every attribute but overlay's own, as far as that is allowed.
pub(crate) fn clear_all(file: BorrowedFd<'_>, reader: &mut Reader) -> Result<(), Errno> {
    reader.each(file, |name, _| match fremovexattr(file, name) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS | Errno::NODATA) => Ok(()),
        removed => removed,
    })
}

/// Returns whether an open directory is marked as opaque.
pub(crate) fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut value = [0; 1];
    match fgetxattr(directory, OPAQUE, &mut value) {
        Ok(length) => Ok(value[..length] == *b"y"),
        // Longer values mean something else.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Marks an open directory as opaque.
pub(crate) fn set_opaque(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::Xattr;

    #[test]
    fn bookkeeping_and_labels_stay_behind() {
        for name in [
            "user.overlay.opaque",
            "user.croze.stat",
            "user.croze.capability",
            "trusted.overlay.opaque",
            "trusted.x",
            "security.selinux",
            "system.x",
        ] {
            assert_eq!(Xattr::for_layer(name.as_bytes(), b"y"), None, "{name}");
        }
        assert_eq!(Xattr::for_layer(b"user.overlays", b"\0\n").unwrap().value, b"\0\n");
    }

    #[test]
    fn capabilities_of_a_namespace_become_those_of_any() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend(5..21);
        v3.extend([0xa0, 0x86, 1, 0]);
        let mut v2 = v3[..20].to_vec();
        v2[3] = 2;
        assert_eq!(Xattr::for_layer(b"security.capability", &v3).unwrap().value, v2);
        assert_eq!(Xattr::for_layer(b"security.capability", &v2).unwrap().value, v2);
        for bad in [&v2[..19], &v3[..20], &v3[..12], &[]] {
            assert_eq!(Xattr::for_layer(b"security.capability", bad), None);
        }
    }
}
