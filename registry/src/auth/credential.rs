//! A credential, and where it was found.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::Secret;

/// Docker pads with `=`; other writers of these files do not always.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What proves who we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// A user name and a password, or a personal token in its place.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token, which only a token service takes (`identitytoken`).
    IdentityToken(Secret),
    /// A bearer token, sent to the registry as it is (`registrytoken`).
    RegistryToken(Secret),
}

impl Credential {
    /// Makes a user name and password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password {
            username: username.into(),
            password: Secret::new(password),
        }
    }

    /// Reads the base64 of `username:password`, as it stands in Docker's `auth`.
    pub(super) fn decode(auth: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64.decode(auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        // Docker pads some old passwords with NUL bytes and strips them when reading.
        Some(Self::password(username, password.trim_end_matches('\0')))
    }

    /// Returns the base64 of `username:password`, for `auth` and for the `Authorization` header.
    pub(crate) fn encode(username: &str, password: &Secret) -> Secret {
        Secret::new(BASE64.encode(format!("{username}:{}", password.expose())))
    }
}

/// Where a credential was found; its `Display` form goes into error messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialSource {
    /// An entry of a file.
    File(PathBuf),
    /// An entry of JSON that was passed as text, by the name of its variable.
    Inline(String),
    /// A helper that a file or variable names.
    Helper {
        /// The helper, without `docker-credential-`.
        name: String,
        /// What names it, as in messages.
        origin: String,
    },
    /// The caller.
    Given,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Inline(name) => write!(f, "`{name}`"),
            Self::Helper { name, origin } => write!(f, "the helper `docker-credential-{name}` (named in {origin})"),
            Self::Given => f.write_str("what was given"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons_and_padding_may_be_missing() {
        for auth in ["dTpwOnE=", "dTpwOnE", " dTpwOnE=\n"] {
            assert_eq!(
                Credential::decode(auth),
                Some(Credential::password("u", "p:q")),
                "{auth}"
            );
        }
        assert_eq!(Credential::encode("u", &Secret::new("p:q")).expose(), "dTpwOnE=");
        for bad in ["", "%%%", "dQ=="] {
            assert_eq!(Credential::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_in_the_debug_form() {
        let shown = format!("{:?}", Credential::password("me", "hunter2"));
        assert!(shown.contains("me") && !shown.contains("hunter2"), "{shown}");
    }
}
