//! Writing the id maps of a user namespace that another process has made, and becoming its root.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use rustix::thread::{Gid, LinkNameSpaceType, Uid, move_into_link_name_space, set_thread_res_gid, set_thread_res_uid};

use super::error::{EnterError, errno};
use super::id_map::{IdMap, Mapping, Writer};

/// Where setuid helpers are installed. `PATH` is not asked: it may lead into a build context.
const HELPER_DIRS: [&str; 6] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
];

/// Returns where a helper is installed: beside croze itself, as in croze's own image, or where systems have it.
pub fn find_helper(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|dir| dir.join(name));
    let installed = HELPER_DIRS.iter().map(|dir| Path::new(dir).join(name));
    beside.into_iter().chain(installed).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Writes the maps of the user namespace that `process` has made, or has the helpers write them.
pub fn write_maps(process: Pid, map: &IdMap) -> Result<(), EnterError> {
    match map.writer {
        Writer::Direct => {
            write_map(process, "uid_map", &map.uids)?;
            write_map(process, "gid_map", &map.gids)
        }
        Writer::OwnRight => {
            write(process, "setgroups", "deny")?;
            write_map(process, "uid_map", &map.uids)?;
            write_map(process, "gid_map", &map.gids)
        }
        Writer::Helpers => {
            run_helper(process, "newuidmap", &map.uids)?;
            run_helper(process, "newgidmap", &map.gids)
        }
    }
}

/// Enters a user namespace whose maps are written, and becomes uid 0 and gid 0 in it, with all capabilities.
///
/// The supplementary groups stay, so that the process can still read what the caller could. Fails while the process has
/// several threads.
pub fn enter(namespace: BorrowedFd<'_>) -> Result<(), EnterError> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::User)).map_err(errno("enter the user namespace"))?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(errno("become group 0"))?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(errno("become user 0"))
}

fn write_map(process: Pid, file: &str, map: &[Mapping]) -> Result<(), EnterError> {
    let line = |mapping: &Mapping| format!("{} {} {}\n", mapping.inside, mapping.outside, mapping.count);
    // The kernel takes the whole map in one write, once.
    write(process, file, &map.iter().map(line).collect::<String>())
}

fn write(process: Pid, file: &str, text: &str) -> Result<(), EnterError> {
    let path = PathBuf::from(format!("/proc/{}/{file}", process.as_raw_pid()));
    fs::write(&path, text).map_err(|source| EnterError::WriteMap { path, source })
}

fn run_helper(process: Pid, name: &str, map: &[Mapping]) -> Result<(), EnterError> {
    let program = find_helper(name).ok_or_else(|| EnterError::NoHelper { name: name.into() })?;
    let numbers = map
        .iter()
        .flat_map(|mapping| [mapping.inside, mapping.outside, mapping.count])
        .map(|number| number.to_string());
    let output = Command::new(&program)
        .args(iter::once(process.as_raw_pid().to_string()).chain(numbers))
        .env_clear()
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(EnterError::HelperFailed { program, message })
        }
        Err(source) => Err(EnterError::HelperNotRun { program, source }),
    }
}
