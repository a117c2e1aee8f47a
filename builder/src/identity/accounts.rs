//! `/etc/passwd` and `/etc/group` of a root file system.
//!
//! The files belong to whoever made the image. They are read through [`Root`], so a link leads nowhere else; they
//! must be regular files of at most 10 MiB, so a FIFO does not hang and a device does not fill the memory
//! (CVE-2024-9676, CVE-2026-47262). A line that is not an account is skipped, as the C library does.

use std::path::Path;

use snapshotter::{FsError, Root};

use super::spec::MAX_ID;

/// Bytes of an account file at most, as in BuildKit.
const LIMIT: u64 = 10 << 20;

/// A line of `/etc/passwd`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

/// A line of `/etc/group`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
}

/// Reads the users; a missing file has none.
pub(super) fn users(root: &Root) -> Result<Vec<User>, FsError> {
    let text = read(root, "/etc/passwd")?;
    Ok(text.lines().filter_map(parse_user).collect())
}

/// Reads the groups; a missing file has none.
pub(super) fn groups(root: &Root) -> Result<Vec<Group>, FsError> {
    let text = read(root, "/etc/group")?;
    Ok(text.lines().filter_map(parse_group).collect())
}

fn read(root: &Root, path: &str) -> Result<String, FsError> {
    let bytes = root.read_file(Path::new(path), LIMIT)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses `name:password:uid:gid:comment:home:shell`; the last three may be missing.
fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = parse_name(fields.next()?)?;
    let uid = parse_id(fields.nth(1)?)?;
    let gid = parse_id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default().to_owned();
    Some(User { name, uid, gid, home })
}

/// Parses `name:password:gid:member,member`.
fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = parse_name(fields.next()?)?;
    let gid = parse_id(fields.nth(1)?)?;
    let members = fields
        .next()
        .unwrap_or_default()
        .split(',')
        .map(|member| member.trim().to_owned())
        .collect();
    Some(Group { name, gid, members })
}

/// Refuses what no step could run as: to the kernel 4294967295 means not to change anything, and a step that was to give up
/// being root would stay it.
fn parse_id(field: &str) -> Option<u32> {
    field.parse().ok().filter(|id| *id <= MAX_ID)
}

/// Refuses comments, and the `+` and `-` lines of NIS.
fn parse_name(field: &str) -> Option<String> {
    let name = field.trim();
    (!name.is_empty() && !name.starts_with(['#', '+', '-'])).then(|| name.to_owned())
}
