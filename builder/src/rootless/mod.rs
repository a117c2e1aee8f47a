//! Entering a user namespace, in which an unprivileged caller is root over ids of its own.
//!
//! [`Caller`] is what this process is and may do, [`id_map::plan`] decides which ids it can have and who has to write
//! the map, [`enter`] does it. All three are also what `croze doctor` asks, so that it cannot disagree with a build.

mod caller;
mod enter;
mod error;
pub mod id_map;
mod subid;

pub use caller::Caller;
pub use enter::{enter, find_helper};
pub use error::{EnterError, IdKind};
