//! Between snapshots and blobs: base images, layers of steps, and the image that is made of them.

pub mod assemble;
