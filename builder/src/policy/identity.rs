//! Places that files come from, and what policies call them: BuildKit's identifiers and attributes.

use std::collections::BTreeMap;

use registry::oci::Reference;

use super::error::ConversionError;
use crate::image::LayoutImage;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::remote::{GitAddress, WebAddress, masked};

const CHECKSUM_OF_FILE: &str = "http.checksum";
const COMMIT: &str = "git.checksum";
pub(super) const FULL_URL: &str = "git.fullurl";
const KEEP_GIT_DIR: &str = "git.keepgitdir";

/// The attributes that a rule can change.
pub(super) const ATTRIBUTES: [&str; 4] = [CHECKSUM_OF_FILE, COMMIT, FULL_URL, KEEP_GIT_DIR];

/// A place that files come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An image of a registry, or of a layout on disk.
    Image(Reference),
    /// A directory, by the name of its context.
    Local(String),
    /// A file or a repository on the network: what fetches it.
    Remote(Box<Op>),
}

impl Place {
    fn op(&self) -> Option<&Op> {
        match self {
            Self::Remote(op) => Some(op),
            Self::Image(_) | Self::Local(_) => None,
        }
    }
}

/// What a policy sees of a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) identifier: String,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Identity {
    pub(super) fn of(place: &Place) -> Self {
        let mut attributes = BTreeMap::new();
        let mut set = |key: &str, value: String| drop(attributes.insert(key.to_owned(), value));
        let identifier = match place {
            Place::Image(reference) if LayoutImage::is_named_by(reference) => {
                let digest = reference.digest().map(|digest| format!("@{digest}"));
                format!("oci-layout://{}{}", reference.repository(), digest.unwrap_or_default())
            }
            Place::Image(reference) => format!("docker-image://{reference}"),
            Place::Local(name) => format!("local://{name}"),
            Place::Remote(op) => match &**op {
                Op::Http(op) => {
                    if let Some(checksum) = op.checksum {
                        set(CHECKSUM_OF_FILE, checksum.to_string());
                    }
                    op.address.url.clone()
                }
                Op::Git(op) => {
                    set(FULL_URL, op.address.url.clone());
                    if op.keep_git_dir {
                        set(KEEP_GIT_DIR, "true".to_owned());
                    }
                    if let Some(commit) = &op.address.checksum {
                        set(COMMIT, commit.clone());
                    }
                    format!("git://{}{}", repository(&op.address.url), fragment(&op.address))
                }
                // Nothing else fetches anything.
                _ => String::new(),
            },
        };
        Self { identifier, attributes }
    }

    /// Returns the identifier for people, without a user.
    pub(super) fn shown(&self) -> String {
        masked(&self.identifier)
    }

    /// Returns the place that this names, which is to stand in for `original`; or what is wrong with it.
    pub(super) fn place(&self, original: &Place) -> Result<Place, ConversionError> {
        let (scheme, rest) = self.identifier.split_once("://").unwrap_or(("", &self.identifier));
        match scheme {
            "docker-image" => Ok(Place::Image(rest.parse()?)),
            "local" => Ok(Place::Local(rest.to_owned())),
            "http" | "https" => self.file(original),
            "git" => self.commit(rest, original),
            _ => Err(ConversionError::NoSuchPlace),
        }
    }

    fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn file(&self, original: &Place) -> Result<Place, ConversionError> {
        let address = WebAddress {
            url: self.identifier.clone(),
        };
        let checksum = self.attribute(CHECKSUM_OF_FILE).map(str::parse).transpose()?;
        let form = match original.op() {
            Some(Op::Http(op)) => op.form.clone(),
            _ => HttpForm::Archive,
        };
        Ok(Place::Remote(Box::new(Op::Http(HttpOp {
            address,
            form,
            checksum,
        }))))
    }

    fn commit(&self, rest: &str, original: &Place) -> Result<Place, ConversionError> {
        let original = match original.op() {
            Some(Op::Git(op)) => Some(op),
            _ => None,
        };
        let known = original.map(|op| op.address.url.as_str());
        let (path, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let url = match (self.attribute(FULL_URL), known) {
            (Some(url), _) if Some(url) != known => url,
            (_, Some(url)) if repository(url) == path => url,
            _ => return Err(ConversionError::NoUrl),
        };
        let address = GitAddress::of_repository(&format!("{url}#{fragment}"))?;
        let address = GitAddress {
            submodules: original.and_then(|op| op.address.submodules),
            mtime: original.and_then(|op| op.address.mtime),
            ..address
        };
        let address = match self.attribute(COMMIT) {
            Some(commit) => address.with_checksum(commit)?,
            None => address,
        };
        Ok(Place::Remote(Box::new(Op::Git(GitOp {
            keep_git_dir: self.attribute(KEEP_GIT_DIR) == Some("true"),
            address,
        }))))
    }
}

/// Returns host and path of a repository, without scheme and user.
fn repository(url: &str) -> String {
    let (authority, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => url.split_once(':').unwrap_or((url, "")),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{host}/{}", path.trim_start_matches('/'))
}

/// Returns what follows the repository in its identifier.
fn fragment(address: &GitAddress) -> String {
    match (&address.reference, address.subdir.as_str()) {
        (None, "") => String::new(),
        (Some(reference), "") => format!("#{reference}"),
        (reference, subdir) => format!("#{}:{subdir}", reference.as_deref().unwrap_or_default()),
    }
}
