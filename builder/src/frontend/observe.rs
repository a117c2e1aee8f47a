//! What lowering sees on its way, for those who judge a Dockerfile or list what is in it.
//!
//! The way goes through the needed stages in the order of the file. The triggers of an image are seen where it is
//! named: their text is not in the Dockerfile.

use registry::oci::ImageConfig;

use crate::diagnostic::Span;
use crate::dockerfile::{ArgDefinition, Instruction, Mount, Stage};

/// Watches lowering.
pub trait Observe {
    /// Is told of one thing that was seen.
    fn see(&mut self, seen: Seen<'_>);
}

/// Nobody watches.
impl Observe for () {
    fn see(&mut self, _: Seen<'_>) {}
}

/// Something that lowering saw.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A stage has its base.
    Stage {
        /// Its number.
        index: usize,
        /// As written.
        syntax: &'a Stage,
        /// The stage that it is made from.
        parent: Option<usize>,
        /// The variables that its `FROM` makes use of.
        used: &'a [String],
        /// The image that it is made from.
        base: Option<BaseImage<'a>>,
    },
    /// An instruction is about to be performed; what is seen next belongs to it.
    Instruction {
        /// The number of its stage.
        stage: usize,
        /// As written.
        instruction: &'a Instruction,
        /// The `FROM` whose image brought it as a trigger: then no place in it, nor in what is seen next, is one in the
        /// Dockerfile.
        from: Option<Span>,
        /// Whether `SHELL` has been set, here or in what the stage is made from.
        has_shell: bool,
    },
    /// A variable is used that nothing has set or declared.
    Undefined {
        /// Its name.
        name: &'a str,
        /// The defined variable whose name is most like it.
        near: Option<&'a str>,
        /// The word that uses it.
        span: Span,
    },
    /// `ARG` has a value, or none.
    Argument {
        /// As written.
        definition: &'a ArgDefinition,
        /// Its value.
        value: Option<&'a str>,
        /// Whether the value is that of the global argument of this name.
        inherited: bool,
    },
    /// `COPY` or `ADD` takes a path from the build context.
    ContextPath {
        /// The path, expanded.
        path: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// `EXPOSE` names a port.
    Port {
        /// The words, expanded.
        text: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// `WORKDIR` goes to a directory.
    Workdir {
        /// The path, expanded.
        path: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// `RUN` has a mount.
    Mount(&'a Mount),
}

/// The image that a stage is made from.
#[derive(Clone, Copy, Debug)]
pub struct BaseImage<'a> {
    /// Its name as written, expanded.
    pub name: &'a str,
    /// The platform that it should be for.
    pub platform: &'a registry::oci::Platform,
    /// Its config.
    pub config: &'a ImageConfig,
}
