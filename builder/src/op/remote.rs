//! Sources on the network: files by HTTP, and git repositories.

use registry::oci::Digest;

use crate::remote::{GitAddress, WebAddress};

/// A file, or the files of an archive, from a web server. A source: no inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpOp {
    /// Where it is.
    pub address: WebAddress,
    /// What it becomes.
    pub form: HttpForm,
    /// The digest that it must have.
    pub checksum: Option<Digest>,
}

/// What a downloaded file becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpForm {
    /// A file of this name in an empty directory.
    File {
        /// Its name.
        name: String,
    },
    /// The files of the archive that it is.
    Archive,
}

/// The files of a commit. A source: no inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitOp {
    /// Where it is, and which commit.
    pub address: GitAddress,
    /// Whether `.git` stays.
    pub keep_git_dir: bool,
}
