//! Options of the form `type=oci,dest=app.tar,"annotation.note=a, b"`, as `--output`, `--cache-to` and
//! `--secret` take them.
//!
//! The text is one line of CSV: a field that holds a comma or a quote is quoted as a whole, a quote in it is
//! doubled. Whoever reads the options takes each one that it can honour and calls
//! [`finish`](Attributes::finish), which refuses what nobody took: no option is ever accepted and ignored.

mod csv;

use crate::diagnostic::nearest;

/// The options that are not yet taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attributes {
    left: Vec<Attribute>,
    /// The keys that were asked for, which are those that the reader knows.
    known: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Attribute {
    key: String,
    value: Option<String>,
}

/// Why options are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttributeError {
    /// A quote that is not around a whole field.
    #[error("`{0}` has a misplaced quote: write \"key=value\" around a whole field")]
    Quote(String),
    /// Two commas in a row, or nothing at all.
    #[error("`{0}` has an empty field")]
    Empty(String),
    /// The same key twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A key alone that says nothing without a value.
    #[error("`{0}` needs a value, as in `{0}=…`")]
    NoValue(String),
    /// A key that must be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that the key cannot have.
    #[error("`{key}` must be {expected}, not `{value}`")]
    Value {
        /// The key.
        key: String,
        /// What it was given.
        value: String,
        /// What it may be, as a noun phrase.
        expected: &'static str,
    },
    /// A key that nothing understands.
    #[error("`{key}` is not known here{}", near.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// A known key like it.
        near: Option<String>,
    },
}

/// Reads a truth value as Go's `ParseBool` does; `None` if it is none.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads bytes with an optional unit, a power of 1024 as Docker takes it (`64m`, `1g`, `4096`); `None` if they are none.
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl Attributes {
    /// Reads options; their order is kept, keys are compared without regard to case.
    pub fn parse(text: &str) -> Result<Self, AttributeError> {
        let mut left: Vec<Attribute> = Vec::new();
        for field in csv::fields(text).ok_or_else(|| AttributeError::Quote(text.to_owned()))? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.trim(), Some(value.to_owned())),
                None => (field.trim(), None),
            };
            if key.is_empty() {
                return Err(AttributeError::Empty(text.to_owned()));
            }
            if left.iter().any(|earlier| earlier.is(key)) {
                return Err(AttributeError::Twice(key.to_owned()));
            }
            left.push(Attribute {
                key: key.to_owned(),
                value,
            });
        }
        Ok(Self {
            left,
            known: Vec::new(),
        })
    }

    /// Takes a value.
    pub fn take(&mut self, key: &str) -> Result<Option<String>, AttributeError> {
        match self.take_attribute(key) {
            Some(Attribute { key, value: None }) => Err(AttributeError::NoValue(key)),
            Some(Attribute { value, .. }) => Ok(value),
            None => Ok(None),
        }
    }

    /// Takes a value that must be there.
    pub fn require(&mut self, key: &'static str) -> Result<String, AttributeError> {
        self.take(key)?.ok_or(AttributeError::Missing(key))
    }

    /// Takes a value and reads it; `expected` says what it may be, as a noun phrase.
    pub fn take_as<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, AttributeError> {
        let Some(value) = self.take(key)? else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(AttributeError::Value {
                key: key.to_owned(),
                value,
                expected,
            }),
        }
    }

    /// Takes a switch: the key alone is `true`; values are those of Go's `ParseBool`.
    pub fn take_flag(&mut self, key: &str) -> Result<Option<bool>, AttributeError> {
        match self.take_attribute(key) {
            None => Ok(None),
            Some(Attribute { value: None, .. }) => Ok(Some(true)),
            Some(Attribute {
                key,
                value: Some(value),
            }) => match truth(&value) {
                Some(truth) => Ok(Some(truth)),
                None => Err(AttributeError::Value {
                    key,
                    value,
                    expected: "`true` or `false`",
                }),
            },
        }
    }

    /// Takes every option whose key starts with `prefix`, as what follows the prefix and the value.
    pub fn take_prefixed(&mut self, prefix: &str) -> Result<Vec<(String, String)>, AttributeError> {
        self.known.push(prefix.to_owned());
        let (taken, left) = std::mem::take(&mut self.left)
            .into_iter()
            .partition(|attribute: &Attribute| attribute.rest_after(prefix).is_some());
        self.left = left;
        let with_value = |attribute: Attribute| {
            let rest = attribute.rest_after(prefix).unwrap_or_default().to_owned();
            let value = attribute.value.ok_or(AttributeError::NoValue(attribute.key))?;
            Ok((rest, value))
        };
        taken.into_iter().map(with_value).collect()
    }

    /// Ends: whatever was not taken is an error.
    pub fn finish(self) -> Result<(), AttributeError> {
        match self.left.into_iter().next() {
            None => Ok(()),
            Some(Attribute { key, .. }) => Err(AttributeError::Unknown {
                near: nearest(&key.to_lowercase(), self.known.iter().map(String::as_str)).map(str::to_owned),
                key,
            }),
        }
    }

    fn take_attribute(&mut self, key: &str) -> Option<Attribute> {
        self.known.push(key.to_owned());
        let at = self.left.iter().position(|attribute| attribute.is(key))?;
        Some(self.left.remove(at))
    }
}

impl Attribute {
    fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }

    /// Returns the key without `prefix`; the rest keeps its case, because annotations do.
    fn rest_after(&self, prefix: &str) -> Option<&str> {
        let (start, rest) = self.key.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_by_key_and_the_rest_is_refused() {
        let mut options =
            Attributes::parse("type=oci, Dest=a=b.tar,push,tar=false,\"note=a, \"\"b\"\"\",x.K=1,x.l=2").unwrap();
        assert_eq!(options.require("type").unwrap(), "oci");
        assert_eq!(options.take("dest").unwrap().as_deref(), Some("a=b.tar"));
        assert_eq!(options.take_flag("push").unwrap(), Some(true));
        assert_eq!(options.take_flag("tar").unwrap(), Some(false));
        assert_eq!(options.take("note").unwrap().as_deref(), Some("a, \"b\""));
        assert_eq!(options.take("absent").unwrap(), None);
        assert_eq!(options.require("name"), Err(AttributeError::Missing("name")));
        let prefixed = options.take_prefixed("x.").unwrap();
        assert_eq!(prefixed, [("K".into(), "1".into()), ("l".into(), "2".into())]);
        options.finish().unwrap();
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest_known_one() {
        let mut options = Attributes::parse("type=oci,compresion=zstd").unwrap();
        options.take("type").unwrap();
        options.take("compression").unwrap();
        let error = options.finish().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`compresion` is not known here (did you mean `compression`?)"
        );
    }

    #[test]
    fn every_malformed_text_is_refused_with_its_reason() {
        let parse = |text: &str| Attributes::parse(text).unwrap_err();
        assert!(matches!(parse("a=\"b"), AttributeError::Quote(_)));
        assert!(matches!(parse("\"a=b\"c"), AttributeError::Quote(_)));
        assert!(matches!(parse("a=b,,c=d"), AttributeError::Empty(_)));
        assert!(matches!(parse(""), AttributeError::Empty(_)));
        assert!(matches!(parse("=x"), AttributeError::Empty(_)));
        assert_eq!(parse("a=1,A=2"), AttributeError::Twice("A".to_owned()));
        let mut options = Attributes::parse("dest,tar=maybe,level=high").unwrap();
        assert_eq!(options.take("dest"), Err(AttributeError::NoValue("dest".to_owned())));
        assert!(matches!(options.take_flag("tar"), Err(AttributeError::Value { .. })));
        let level = options.take_as("level", "a number", |text| text.parse::<u8>().ok());
        assert_eq!(level.unwrap_err().to_string(), "`level` must be a number, not `high`");
    }
}
