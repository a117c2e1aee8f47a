//! Sources of `ADD` that are on the network, and the flags that only they have.

use registry::oci::Digest;

use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::remote::{Remote, RemoteError};

/// The flags of an `ADD` that depend on where its sources are, expanded.
#[derive(Clone, Debug)]
pub(super) struct AddFlags {
    /// `--checksum`.
    pub(super) checksum: Option<Spanned<String>>,
    /// `--keep-git-dir`.
    pub(super) keep_git_dir: Option<bool>,
    /// `--unpack`.
    pub(super) unpack: Option<bool>,
    /// The instruction.
    pub(super) span: Span,
}

/// A source on the network: the operation that fetches it, and what of its files is added.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) op: Op,
    pub(super) path: String,
    pub(super) unpack: bool,
    /// What its step is called.
    pub(super) name: String,
}

impl AddFlags {
    /// Tells what is wrong if a source is a file of the context; `count` is the number of sources.
    pub(super) fn refuse_files(&self, count: usize) -> Option<Diagnostic> {
        match (&self.checksum, self.keep_git_dir) {
            (Some(checksum), _) if count > 1 => {
                Some(Diagnostic::error("checksum can't be specified for multiple sources").at(checksum.span, ""))
            }
            (Some(checksum), _) => {
                Some(Diagnostic::error("checksum requires HTTP(S) or Git sources").at(checksum.span, ""))
            }
            (None, Some(_)) => Some(self.needs_git()),
            (None, None) => None,
        }
    }

    fn needs_git(&self) -> Diagnostic {
        Diagnostic::error("--keep-git-dir requires a git source").at(self.span, "")
    }

    /// Returns how a source is fetched.
    pub(super) fn fetched(&self, remote: Remote) -> Result<Fetched, Diagnostic> {
        match remote {
            Remote::Web(address) => {
                if self.keep_git_dir.is_some() {
                    return Err(self.needs_git());
                }
                let (file, name) = (address.file_name(), format!("[internal] load {address}"));
                let op = HttpOp {
                    form: HttpForm::File { name: file.clone() },
                    checksum: self.checksum.as_ref().map(digest).transpose()?,
                    address,
                };
                Ok(Fetched {
                    op: Op::Http(op),
                    path: escaped(&file),
                    unpack: self.unpack.unwrap_or(false),
                    name,
                })
            }
            Remote::Git(mut address) => {
                if let Some(checksum) = &self.checksum {
                    address = address
                        .with_checksum(checksum)
                        .map_err(|error| refused(&error, checksum.span))?;
                }
                let name = format!("[internal] load git source {address}");
                let keep_git_dir = self.keep_git_dir.or(address.keep_git_dir).unwrap_or(false);
                Ok(Fetched {
                    op: Op::Git(GitOp { address, keep_git_dir }),
                    path: "/".to_owned(),
                    unpack: false,
                    name,
                })
            }
        }
    }
}

/// Points at what is wrong with an address.
pub(super) fn refused(error: &RemoteError, span: Span) -> Diagnostic {
    Diagnostic::error(error.to_string()).at(span, "")
}

/// Reads the checksum of a file.
fn digest(text: &Spanned<String>) -> Result<Digest, Diagnostic> {
    let error = match text.split_once(':') {
        None => Diagnostic::error(format!("invalid checksum digest format: `{}`", text.value))
            .help("write it as `sha256:…`, 64 hexadecimal digits"),
        Some((algorithm, _)) if algorithm != "sha256" => {
            Diagnostic::error(format!("unsupported digest algorithm: `{algorithm}`")).help("use `sha256:…`")
        }
        Some(_) => match text.parse() {
            Ok(digest) => return Ok(digest),
            Err(_) => Diagnostic::error(format!("invalid checksum digest format: `{}`", text.value))
                .help("`sha256:` is followed by 64 hexadecimal digits"),
        },
    };
    Err(error.at(text.span, ""))
}

/// Returns a name as a path that no wildcard is in.
fn escaped(name: &str) -> String {
    let mut path = "/".to_owned();
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            path.push('\\');
        }
        path.push(c);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_downloaded_name_is_no_pattern() {
        assert_eq!(escaped("a*b[1]?\\"), "/a\\*b\\[1]\\?\\\\");
    }
}
