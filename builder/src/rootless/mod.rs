//! Entering a user namespace, in which an unprivileged caller is root over ids of its own.
//!
//! [`Caller`] is what this process is and may do, and [`id_map::plan`] decides which ids it can have and who has to
//! write the map. The namespace itself is made by a child process in which it can be tried out
//! ([`rung`](crate::rung)); [`write_maps`] gives it its ids, and [`enter`] follows the child into it.

mod caller;
mod error;
pub mod id_map;
mod maps;
mod refusal;
mod remedy;
mod subid;

pub use caller::Caller;
pub use error::{EnterError, IdKind};
pub use maps::{enter, find_helper, write_maps};
pub use refusal::{why_no_mount, why_no_namespace};
pub(crate) use remedy::MOUNTING_APP_ARMOR;
pub use remedy::{Place, Remedy};
