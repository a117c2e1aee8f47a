//! Dockerfiles and ignore files. The tests of the language hold what they draw to the same properties.

pub(crate) mod ignore;
pub(crate) mod meaning;
pub(crate) mod parse;
pub(crate) mod print;
