//! Cache mounts that travel: which ones (`mounts` of `--cache-to`), and the entries that they are kept in.
//!
//! The content of a cache mount is one layer, and the entry is found by what makes the mount this one and no other: its id
//! and what a new one would look like. An entry says what a mount held when somebody last exported it, and only a machine
//! that has no such mount believes it.

use std::collections::BTreeSet;

use registry::oci::Digest;

use super::entry::{Entry, EntryLayer};
use crate::attributes::{self, AttributeError, Attributes, truth};
use crate::cache::Lineage;
use crate::op::key::CacheKey;

/// The largest cache mount that travels unless something else is said, in bytes of its files.
const MAX_SIZE: u64 = 4 << 30;

/// Which cache mounts are exported.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mounts {
    chosen: Chosen,
    max_size: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Chosen {
    #[default]
    None,
    All,
    Of(BTreeSet<String>),
}

impl Mounts {
    /// Takes `mounts`, a truth value or ids with semicolons between them, and `mounts-max-size`.
    pub(super) fn take(attributes: &mut Attributes) -> Result<Self, AttributeError> {
        let read = |text: &str| match truth(text) {
            Some(true) => Some(Chosen::All),
            Some(false) => Some(Chosen::None),
            None => {
                let ids: BTreeSet<String> = text.split(';').map(str::to_owned).collect();
                (!ids.contains("")).then_some(Chosen::Of(ids))
            }
        };
        let expected = "`true`, `false`, or ids with semicolons between them";
        let max_size = attributes.take_as("mounts-max-size", "bytes, as in `4g`", attributes::bytes)?;
        let chosen = attributes.take_as("mounts", expected, read)?;
        if max_size.is_some() && chosen.is_none() {
            return Err(AttributeError::Missing("mounts"));
        }
        Ok(Self {
            chosen: chosen.unwrap_or_default(),
            max_size,
        })
    }

    /// Returns whether none is exported, whatever there is.
    pub fn is_empty(&self) -> bool {
        self.chosen == Chosen::None
    }

    /// Returns whether the mount of an id is exported.
    pub fn has(&self, id: &str) -> bool {
        match &self.chosen {
            Chosen::None => false,
            Chosen::All => true,
            Chosen::Of(ids) => ids.contains(id),
        }
    }

    /// Returns the ids that were asked for by name.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let named = match &self.chosen {
            Chosen::Of(ids) => Some(ids),
            Chosen::None | Chosen::All => None,
        };
        named.into_iter().flatten().map(String::as_str)
    }

    /// Returns the size above which a mount stays where it is, in bytes of its files.
    pub fn max_size(&self) -> u64 {
        self.max_size.unwrap_or(MAX_SIZE)
    }
}

/// Makes the entry of a cache mount: one layer, in a format of this label.
pub fn entry_of_mount(id: &str, key: CacheKey, format: String) -> Entry {
    let created = jiff::Timestamp::now().to_string();
    Entry {
        name: format!("cache mount `{id}`"),
        keys: vec![key],
        key,
        lineage: Lineage {
            operation: Digest::of(b"cache mount"),
            inputs: Vec::new(),
        },
        base: None,
        layers: Some(vec![EntryLayer {
            position: 0,
            created: created.clone(),
            format,
        }]),
        created,
    }
}
