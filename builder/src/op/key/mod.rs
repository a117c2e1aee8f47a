//! What identifies an operation in the cache: [`Define`], and for each [`Op`](super::Op) the table below.
//!
//! A key is the SHA-256 of a framed encoding ([`KeyHasher`]): every value carries its type and its length, so
//! that two different definitions never encode alike. The kind of the operation comes first and has a version
//! of its own: whoever changes what enters the key of `RUN` makes `run/2` into `run/3`, and every `COPY` in
//! every cache stays valid. `tests/operations.rs` holds a golden digest per kind, and for every field whether it
//! enters. The code names every field of every operation, so a new one does not compile until it is decided.
//!
//! # What enters
//!
//! | kind | enters | does not enter, because |
//! |---|---|---|
//! | `image/1` | platform; the *pin* (by the solver) | reference: two names of the same image are the same image |
//! | `local/1` | nothing; a context is known by the content that is read of it | name: it is for people |
//! | `http/1` | the file's name, or that it is an archive; the *pin*: the digest of the content | address: the same bytes are the same file; checksum: a wish, not a fact |
//! | `git/1` | directory, whether submodules are there, which time files bear, and the repository's address if `.git` stays; the *pin*: the commit | ref and checksum, and otherwise the address: they are ways to the commit |
//! | `run/2` | arguments, environment in order, working directory, user, host name, network, security, names of devices, the heredoc script's name and text, mounts in order | proxy variables, extra hosts: they say how to reach the world, not what to build; `no_cache`: it says whether to look, not what for |
//! | – bind mount | target, input, path, whether it is writable | – |
//! | – cache mount | target, id, input that fills it, path, whether it is read-only, mode, owner, group of a new one | sharing: it orders builds, it does not change one; the cache's content: it must not matter |
//! | – tmpfs mount | target | size: a resource limit |
//! | – secret, ssh mount | target, id, whether required, mode, owner, group, variable | the value: it must not leave a trace, not even a digest |
//! | `copy/3` | sources in order: input, path or wildcard, whether owners are kept and archives unpacked, or an inline file's name and text; destination, chown, which input resolves its names, chmod, parents, excludes, the time of what the copy itself makes | times of the files: a clone has new ones; everything of the input that is not selected |
//! | `workdir/2` | path, user, the time of new directories | – |
//! | `merge/1` | nothing but the inputs | – |
//!
//! All of `run/2`, `copy/3` and `workdir/2` also say whether there is a root file system below (`scratch`).
//!
//! # How inputs enter
//!
//! The root file system that an operation changes enters by its *key*: everything below it in the stage. What
//! an operation only reads ([`Define::reads_by_content`]: sources of `COPY` and `ADD`, bind mounts, what fills
//! a cache mount, the files that resolve `--chown` names) enters the *content key* by the digest of the files
//! that it selects, and the *definition key* by its key. [`crate::solver`] combines them.

mod define;
mod hasher;
#[cfg(test)]
mod tests;

pub use hasher::{CacheKey, KeyHasher};

use registry::oci::Digest;

/// Gives an operation its identity.
///
/// Implemented by [`Op`](super::Op), and by toys in the tests of the graph and of the solver.
pub trait Define {
    /// Returns the name of this kind of operation and the version of its key, as in `run/2`.
    fn kind(&self) -> &'static str;

    /// Feeds what affects the result, and nothing else; not the inputs, not the kind.
    fn define(&self, hasher: &mut KeyHasher);

    /// Returns whether the operation has no inputs but stands for something outside that must be pinned.
    fn is_source(&self) -> bool {
        false
    }

    /// Returns whether only some files of an input are read, so that their digest can stand for all of it.
    fn reads_by_content(&self, _input: usize) -> bool {
        false
    }

    /// Returns whether records must not be asked, only written.
    fn ignores_cache(&self) -> bool {
        false
    }

    /// Returns the digest of the operation alone, without its inputs.
    fn operation(&self) -> Digest {
        let mut hasher = KeyHasher::new(self.kind());
        self.define(&mut hasher);
        hasher.finish().digest()
    }
}
