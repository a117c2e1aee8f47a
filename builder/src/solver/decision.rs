//! What the plan decides for a vertex, and the reasons in words for people.

use std::fmt;

/// What is to be done about a vertex.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A source, pinned.
    Source,
    /// Its value is in the cache and at hand.
    Hit,
    /// It must run, unless the reason says that it may turn out to be a hit.
    Run(MissReason),
    /// Nobody needs its value; `cached` says whether a record of it exists.
    Unneeded {
        /// Whether it is unneeded because it, too, was built before.
        cached: bool,
    },
}

/// Why a vertex has to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MissReason {
    /// The cache was not asked: `--no-cache`.
    Forced,
    /// Nothing is known of an earlier build of the vertex in this place.
    NeverBuilt,
    /// The operation itself is another than when it was last built in this place.
    DefinitionChanged,
    /// Its files come from another base: an input that is a pinned source is not the same any more.
    BaseChanged(Input),
    /// The files that it reads of an input have changed.
    ContentChanged(Input),
    /// An input that is in the cache is not the one that the vertex was last built with.
    InputChanged(Input),
    /// An input has to run, and the vertex builds on all of it.
    InputRuns(Input),
    /// An input has to run; should the files that are read of it stay the same, the vertex is a hit after all.
    AwaitsContent(Input),
    /// There is a record, but what it names is gone from the store.
    Evicted,
}

/// An input that is the reason for a miss.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Its position among the vertex's inputs.
    pub position: usize,
    /// Its name.
    pub name: String,
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => write!(f, "the cache is off for it"),
            Self::NeverBuilt => write!(f, "no earlier build of it is in the cache"),
            Self::DefinitionChanged => write!(f, "the instruction, or a value in it, is new since the last build"),
            Self::BaseChanged(input) => write!(f, "its base `{}` has changed since the last build", input.name),
            Self::ContentChanged(input) => write!(f, "files that it reads from `{}` have changed", input.name),
            Self::InputChanged(input) => {
                write!(f, "`{}`, on which it builds, is not that of the last build", input.name)
            }
            Self::InputRuns(input) => write!(f, "`{}`, on which it builds, runs again", input.name),
            Self::AwaitsContent(input) => write!(
                f,
                "`{}` runs again; it need not if the files that it reads from there stay the same",
                input.name
            ),
            Self::Evicted => write!(f, "its result is gone from the store"),
        }
    }
}
