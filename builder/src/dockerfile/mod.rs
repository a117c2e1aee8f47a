//! The Dockerfile language: text to a syntax tree in which every node knows where it stands. Pure.
//!
//! The grammar is BuildKit 0.32's, trap for trap; `testdata/` holds what that means.

mod instruction;
mod suggest;

pub use instruction::{
    AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc, Instruction,
    InstructionKind, KeyValue, MountKind, MountOption, RunMount, Sharing, Stage,
};
pub use suggest::nearest;
