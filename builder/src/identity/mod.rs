//! Whose: `USER` and `--chown`, resolved against the accounts of a root file system.
//!
//! One rule tells numbers from names: what consists of digits is a number, everything else is a name. An account
//! that is *called* `1000` is therefore never found (CVE-2026-46680). Numbers end at 2147483647, where runc's do: a
//! larger one would wrap to another account in a program that keeps ids in an `int` (CVE-2024-40635). An unknown
//! name is an error everywhere, while BuildKit makes it root in `--chown`.

mod accounts;
mod spec;
#[cfg(test)]
mod tests;

use snapshotter::{FsError, Root};

use crate::dockerfile::nearest;
use accounts::{Group, User};
use spec::{Id, Spec};

/// Who a process runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups for `setgroups`: the primary one first, then those that list the user, in the order of
    /// `/etc/group`. Only the primary one when the group was given.
    pub groups: Vec<u32>,
    /// Home directory; `/` when the account has none.
    pub home: String,
    /// Name of the account; `None` for a number that has none.
    pub name: Option<String>,
}

/// Who files belong to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why nobody is meant by a `USER` or `--chown`.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not of the form `user[:group]`.
    #[error("`{0}` is not a user: expected `user` or `user:group`, names or numbers")]
    Malformed(String),
    /// A number that no account can have.
    #[error("id `{0}` is out of range: ids go from 0 to 2147483647")]
    OutOfRange(String),
    /// A name that `/etc/passwd` does not have.
    #[error("there is no user `{name}` in `/etc/passwd` of the image")]
    UnknownUser {
        /// The name.
        name: String,
        /// The most similar one there.
        near: Option<String>,
    },
    /// A name that `/etc/group` does not have.
    #[error("there is no group `{name}` in `/etc/group` of the image")]
    UnknownGroup {
        /// The name.
        name: String,
        /// The most similar one there.
        near: Option<String>,
    },
    /// The account files cannot be read, or are something other than files.
    #[error("cannot look up `{spec}` in the image")]
    Unreadable {
        /// What was looked up.
        spec: String,
        /// Why not.
        #[source]
        source: FsError,
    },
}

impl IdentityError {
    /// Returns what to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownUser { near: Some(near), .. } | Self::UnknownGroup { near: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            Self::UnknownUser { .. } => Some("use a number, or create the user in an earlier step".to_owned()),
            Self::UnknownGroup { .. } => Some("use a number, or create the group in an earlier step".to_owned()),
            _ => None,
        }
    }
}

/// Resolves a `USER`; empty is root.
///
/// A user without an explicit group has the primary group of the account and all groups that list it; a number
/// without an account has group 0.
pub fn resolve(root: &Root, spec: &str) -> Result<Identity, IdentityError> {
    let lookup = Lookup { root, text: spec };
    let spec = Spec::parse(spec)?;
    let users = lookup.users()?;
    let user = lookup.find_user(&users, &spec.user)?;
    let uid = match (&spec.user, user) {
        (Id::Number(uid), _) => *uid,
        (Id::Name(_), user) => user.map_or(0, |user| user.uid),
    };
    let groups = match &spec.group {
        Some(group) => vec![lookup.gid(group)?],
        None => {
            let primary = user.map_or(0, |user| user.gid);
            let listed = match user {
                Some(user) => lookup
                    .groups()?
                    .into_iter()
                    .filter(|group| group.members.contains(&user.name))
                    .collect(),
                None => Vec::new(),
            };
            let mut groups = vec![primary];
            for group in listed {
                if !groups.contains(&group.gid) {
                    groups.push(group.gid);
                }
            }
            groups
        }
    };
    let home = user.map(|user| user.home.clone()).filter(|home| !home.is_empty());
    Ok(Identity {
        uid,
        gid: groups[0],
        groups,
        home: home.unwrap_or_else(|| "/".to_owned()),
        name: user.map(|user| user.name.clone()),
    })
}

/// Resolves a `--chown`.
///
/// A number alone is user and group; a name alone brings the primary group of its account.
pub fn resolve_owner(root: &Root, spec: &str) -> Result<Owner, IdentityError> {
    let lookup = Lookup { root, text: spec };
    let spec = Spec::parse(spec)?;
    let (uid, own_gid) = match &spec.user {
        Id::Number(uid) => (*uid, *uid),
        Id::Name(_) => {
            let users = lookup.users()?;
            lookup
                .find_user(&users, &spec.user)?
                .map_or((0, 0), |user| (user.uid, user.gid))
        }
    };
    let gid = spec.group.as_ref().map_or(Ok(own_gid), |group| lookup.gid(group))?;
    Ok(Owner { uid, gid })
}

/// One look-up in the account files.
struct Lookup<'a> {
    root: &'a Root,
    /// What is looked up, for messages.
    text: &'a str,
}

impl Lookup<'_> {
    fn users(&self) -> Result<Vec<User>, IdentityError> {
        accounts::users(self.root).map_err(|source| self.unreadable(source))
    }

    fn groups(&self) -> Result<Vec<Group>, IdentityError> {
        accounts::groups(self.root).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: FsError) -> IdentityError {
        IdentityError::Unreadable {
            spec: self.text.to_owned(),
            source,
        }
    }

    /// Returns the account; `None` only for a number without one.
    fn find_user<'u>(&self, users: &'u [User], id: &Id) -> Result<Option<&'u User>, IdentityError> {
        match id {
            Id::Number(uid) => Ok(users.iter().find(|user| user.uid == *uid)),
            Id::Name(name) => match users.iter().find(|user| user.name == *name) {
                Some(user) => Ok(Some(user)),
                None => Err(IdentityError::UnknownUser {
                    name: name.clone(),
                    near: nearest(name, users.iter().map(|user| user.name.as_str())).map(str::to_owned),
                }),
            },
        }
    }

    fn gid(&self, id: &Id) -> Result<u32, IdentityError> {
        let name = match id {
            Id::Number(gid) => return Ok(*gid),
            Id::Name(name) => name,
        };
        let groups = self.groups()?;
        groups
            .iter()
            .find(|group| group.name == *name)
            .map(|group| group.gid)
            .ok_or_else(|| IdentityError::UnknownGroup {
                name: name.clone(),
                near: nearest(name, groups.iter().map(|group| group.name.as_str())).map(str::to_owned),
            })
    }
}
