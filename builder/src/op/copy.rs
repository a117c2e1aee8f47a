//! `COPY` and `ADD`: which files go where, and as whose.

use super::Chmod;

/// Files to put into a root file system.
///
/// Input 0 is the destination, unless [`CopyOp::scratch`]; sources name theirs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyOp {
    /// Whether there is no destination input: the files make a layer of their own (`FROM scratch`, `--link`).
    pub scratch: bool,
    /// Sources in order; at least one.
    pub sources: Vec<CopySource>,
    /// Absolute destination; ends with `/` if it must be a directory.
    pub destination: String,
    /// `user[:group]`, names or numbers; `None` is `0:0` for contexts and unchanged for `--from`.
    pub chown: Option<String>,
    /// Index of the input whose `/etc/passwd` and `/etc/group` resolve the names in `chown`, if it has any.
    pub names_from: Option<usize>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--parents`: keep the source's path below its pivot.
    pub parents: bool,
    /// `--exclude` patterns, in the language of `.dockerignore`.
    pub exclude: Vec<String>,
    /// The time of heredocs and of directories that are made on the way, in seconds since 1970: `SOURCE_DATE_EPOCH`;
    /// the present if `None`.
    pub mtime: Option<i64>,
}

impl CopyOp {
    /// Makes one without flags, into an empty file system.
    pub fn into_scratch(sources: Vec<CopySource>, destination: &str) -> Self {
        Self {
            scratch: true,
            sources,
            destination: destination.to_owned(),
            chown: None,
            names_from: None,
            chmod: None,
            parents: false,
            exclude: Vec::new(),
            mtime: None,
        }
    }
}

/// One source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopySource {
    /// Paths of an input.
    Path {
        /// Index into the vertex's inputs.
        input: usize,
        /// Path or wildcard from the input's root.
        path: String,
        /// Whether owners are kept (`--from`) or become root (contexts).
        keep_owner: bool,
        /// Whether files that are archives are unpacked: `ADD` of files of the context.
        unpack: bool,
    },
    /// A heredoc.
    Inline(InlineFile),
}

/// A file whose content stands in the Dockerfile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InlineFile {
    /// File name.
    pub name: String,
    /// Content, expanded.
    pub content: String,
}
