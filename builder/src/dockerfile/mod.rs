//! The Dockerfile language: text to a syntax tree in which every node knows where it stands. Pure.
//!
//! The grammar is BuildKit 0.32's, trap for trap. The way of a file: [`lines`](self) join what is continued and take
//! out comments and directives; a statement is a line taken apart into keyword, flags and arguments; each
//! instruction has its own rules; heredoc bodies are read from the lines that follow. Variables are replaced much
//! later, by [`words`].

mod suggest;
mod keyword;
mod instruction;
mod mapped;
mod directive;
mod lines;
mod split;
mod json_form;
mod flags;
mod duration;
pub mod words;
mod heredoc;
mod mount;
mod parse;

pub use directive::{is_own_syntax, syntax};
pub use instruction::{
    AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc, Instruction,
    InstructionKind, KeyValue, MountKey, MountKind, MountOption, RunMount, Sharing, Stage,
};
pub use keyword::Keyword;
pub use mount::{Expander, Mount};
pub use parse::{parse, parse_trigger};
pub use suggest::{did_you_mean, nearest};
