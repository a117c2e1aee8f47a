//! The injective encoding under every key.
//!
//! Each value is written as one byte of type, then its length where that varies, then its bytes. A sequence of
//! calls can therefore be read back from the encoding, so no two sequences share one; concatenated strings,
//! which let `ab`+`c` pass for `a`+`bc`, cannot happen.

use std::fmt;

use registry::oci::{Digest, Hasher};
use serde::{Deserialize, Serialize};

/// The name of a record in the cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(Digest);

impl CacheKey {
    /// Returns the 64 hex digits, fit for a file name.
    pub fn hex(&self) -> String {
        self.0.hex()
    }

    /// Reads what [`CacheKey::hex`] gives.
    pub fn from_hex(hex: &str) -> Option<Self> {
        format!("sha256:{hex}").parse().ok().map(Self)
    }

    /// Returns the key as a digest.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({})", self.0.short())
    }
}

/// The types of encoded values. The numbers are part of every key: never reuse one.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Text = 1,
    Number = 2,
    Flag = 3,
    Digest = 4,
    Absent = 5,
    Present = 6,
    List = 7,
    Choice = 8,
}

/// Hashes typed, framed values into a [`CacheKey`].
#[derive(Clone)]
pub struct KeyHasher(Hasher);

impl KeyHasher {
    /// Starts a key of the given kind, as in `run/2`; keys of different kinds never meet.
    pub fn new(kind: &str) -> Self {
        let mut hasher = Self(Hasher::new());
        hasher.text(kind);
        hasher
    }

    /// Adds a string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.framed(Tag::Text, text.as_bytes())
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.fixed(Tag::Number, &number.into().to_le_bytes())
    }

    /// Adds the position of an input.
    pub fn input(&mut self, input: usize) -> &mut Self {
        self.number(input as u64)
    }

    /// Adds a truth value.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.fixed(Tag::Flag, &[u8::from(flag)])
    }

    /// Adds a digest.
    pub fn digest(&mut self, digest: Digest) -> &mut Self {
        self.fixed(Tag::Digest, digest.as_bytes())
    }

    /// Adds which variant of an enum follows, by a name that is part of the key.
    pub fn choice(&mut self, variant: &str) -> &mut Self {
        self.framed(Tag::Choice, variant.as_bytes())
    }

    /// Adds a value that may be absent.
    pub fn optional<T>(&mut self, value: Option<T>, add: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.fixed(Tag::Absent, &[]),
            Some(value) => {
                self.fixed(Tag::Present, &[]);
                add(self, value);
                self
            }
        }
    }

    /// Adds a list: its length, then each item.
    pub fn list<T>(&mut self, items: &[T], mut add: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.fixed(Tag::List, &(items.len() as u64).to_le_bytes());
        for item in items {
            add(self, item);
        }
        self
    }

    /// Ends and returns the key.
    pub fn finish(self) -> CacheKey {
        CacheKey(self.0.finish())
    }

    fn framed(&mut self, tag: Tag, bytes: &[u8]) -> &mut Self {
        self.fixed(tag, &(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    fn fixed(&mut self, tag: Tag, bytes: &[u8]) -> &mut Self {
        self.0.update(&[tag as u8]);
        self.0.update(bytes);
        self
    }
}
