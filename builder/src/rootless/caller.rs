//! What this process is and may do.

use std::path::Path;
use std::{fs, io};

use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, no_new_privs};

use super::error::{EnterError, errno};
use super::id_map::Mapping;
use super::subid::{self, IdRange};

/// What decides which ids a process can map. Plain data: a test can make one up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// The user's name in `/etc/passwd`.
    pub name: Option<String>,
    /// Effective capabilities.
    pub capabilities: CapabilitySet,
    /// Whether *no new privileges* is set: setuid programs are of no use.
    pub no_new_privileges: bool,
    /// The users that exist in this process's own user namespace.
    pub own_uids: Vec<Mapping>,
    /// The groups that exist in this process's own user namespace.
    pub own_gids: Vec<Mapping>,
    /// What `/etc/subuid` gives the user.
    pub subuids: Vec<IdRange>,
    /// What `/etc/subgid` gives the user.
    pub subgids: Vec<IdRange>,
}

impl Caller {
    /// Looks at this process and at `/etc`.
    pub fn read() -> Result<Self, EnterError> {
        let uid = geteuid().as_raw();
        let passwd = read_if_there("/etc/passwd")?;
        let name = passwd.lines().find_map(|line| user_name(line, uid)).map(str::to_owned);
        Ok(Self {
            uid,
            gid: getegid().as_raw(),
            capabilities: capabilities(None).map_err(errno("read the capabilities"))?.effective,
            no_new_privileges: no_new_privs().map_err(errno("read no_new_privs"))?,
            own_uids: Mapping::parse(&read_if_there("/proc/self/uid_map")?),
            own_gids: Mapping::parse(&read_if_there("/proc/self/gid_map")?),
            subuids: subid::ranges(&read_if_there("/etc/subuid")?, uid, name.as_deref()),
            subgids: subid::ranges(&read_if_there("/etc/subgid")?, uid, name.as_deref()),
            name,
        })
    }

    /// Returns how to name the user in a message and in `/etc/subuid`.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

fn user_name(passwd_line: &str, uid: u32) -> Option<&str> {
    let mut fields = passwd_line.split(':');
    let name = fields.next()?;
    (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
}

/// Returns a file's text; a file that is missing is empty, and bytes that are no text match nothing.
fn read_if_there(path: &str) -> Result<String, EnterError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(EnterError::Read {
            path: Path::new(path).to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_from_the_line_with_the_uid() {
        assert_eq!(user_name("alice:x:1000:1000::/home/alice:/bin/sh", 1000), Some("alice"));
        assert_eq!(user_name("alice:x:1000:1000::/home/alice:/bin/sh", 1001), None);
        assert_eq!(user_name("", 0), None);
    }
}
