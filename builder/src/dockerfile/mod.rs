//! The Dockerfile language: text to a syntax tree in which every node knows where it stands. Pure.
//!
//! The grammar is BuildKit 0.32's, trap for trap, and held to BuildKit's own trees of 1,781 files. The way of a file:
//! `lines` joins what is continued and takes out comments and directives; `parse` takes each line apart into keyword,
//! flags and arguments, reads heredoc bodies from the lines that follow, and applies the instruction's own rules.
//! Variables are replaced much later, by [`words`]; [`ignore`] and [`wildcard`] are the two pattern dialects.

mod keyword;
mod instruction;
mod mapped;
mod directive;
mod lines;
mod split;
mod json_form;
mod flags;
mod duration;
pub mod wildcard;
pub mod ignore;
pub mod words;
mod heredoc;
mod csv;
mod mount;
mod device;
mod parse;
mod print;

pub use crate::diagnostic::{did_you_mean, nearest};
pub use directive::{is_own_syntax, syntax};
pub use instruction::{
    AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc, Instruction,
    InstructionKind, KeyValue, MountKey, MountKind, MountOption, RunDevice, RunMount, Sharing, Stage,
};
pub use keyword::Keyword;
pub use mount::{Expander, Mount};
pub use parse::{described, parse, parse_partially, parse_trigger};
pub use print::{Unprintable, print};
