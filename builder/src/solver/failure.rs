//! Why a build did not get to its end.

use crate::graph::{Vertex, VertexId};

/// Why planning or executing ended early: the first cause, not what followed from it, unless that outlasts the build.
#[derive(Debug, thiserror::Error)]
pub enum Failure<E: std::error::Error + 'static> {
    /// An operation failed.
    #[error("`{name}` failed")]
    Operation {
        /// The vertex.
        vertex: VertexId,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        error: E,
    },
    /// The code of an operation panicked: a bug in this program.
    #[error("`{name}` panicked: {message}")]
    Panicked {
        /// The vertex.
        vertex: VertexId,
        /// Its name.
        name: String,
        /// What the panic said.
        message: String,
    },
    /// The caller cancelled the build.
    #[error("the build was cancelled")]
    Cancelled,
}

impl<E: std::error::Error + 'static> Failure<E> {
    /// Names the vertex whose operation failed.
    pub(super) fn operation<O>(vertex: &Vertex<O>, error: E) -> Self {
        Self::Operation {
            vertex: vertex.id,
            name: vertex.meta.name.clone(),
            error,
        }
    }

    /// Names the vertex whose code panicked.
    pub(super) fn panicked<O>(vertex: &Vertex<O>, message: String) -> Self {
        Self::Panicked {
            vertex: vertex.id,
            name: vertex.meta.name.clone(),
            message,
        }
    }

    /// Returns the vertex that failed, if one did.
    pub fn vertex(&self) -> Option<VertexId> {
        match self {
            Self::Operation { vertex, .. } | Self::Panicked { vertex, .. } => Some(*vertex),
            Self::Cancelled => None,
        }
    }
}
