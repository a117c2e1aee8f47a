//! The text of a `USER` or `--chown`: `user[:group]`.

use super::IdentityError;

/// The highest id there is.
pub(super) const MAX_ID: u32 = i32::MAX as u32;

/// A user and perhaps a group, not yet looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spec {
    pub(super) user: Id,
    pub(super) group: Option<Id>,
}

/// A number, or a name to look up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Id {
    Number(u32),
    Name(String),
}

impl Spec {
    /// Parses `user`, `user:group`, `user:` (no group) and `:group` (root with that group); empty is root.
    pub(super) fn parse(text: &str) -> Result<Self, IdentityError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (text, None),
        };
        let parse = |id: &str| {
            let malformed =
                id.contains(':') || id.starts_with('-') || id.chars().any(|c| c.is_whitespace() || c.is_control());
            if malformed {
                Err(IdentityError::Malformed(text.to_owned()))
            } else {
                Id::parse(id)
            }
        };
        let user = if user.is_empty() { Id::Number(0) } else { parse(user)? };
        Ok(Self {
            user,
            group: group.map(parse).transpose()?,
        })
    }
}

impl Id {
    fn parse(text: &str) -> Result<Self, IdentityError> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Name(text.to_owned()));
        }
        let number = text.parse().ok().filter(|number| *number <= MAX_ID);
        number
            .map(Self::Number)
            .ok_or_else(|| IdentityError::OutOfRange(text.to_owned()))
    }
}
