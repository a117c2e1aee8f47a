//! The store as several processes use it: work that is shared, content that is collected, damage that is found.

mod collection;
mod damage;
mod flights;
mod history;
mod place;
mod slices;
