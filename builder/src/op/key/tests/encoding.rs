//! The encoding is injective: no two sequences of values share a key.

use std::collections::HashSet;

use proptest::prelude::*;
use registry::oci::Digest;

use crate::op::key::KeyHasher;

/// A value as the hasher's methods take it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Value {
    Text(String),
    Choice(String),
    Number(u64),
    Flag(bool),
    Digest(bool),
    Optional(Option<Box<Value>>),
    List(Vec<Value>),
}

fn feed(hasher: &mut KeyHasher, value: &Value) {
    match value {
        Value::Text(text) => hasher.text(text),
        Value::Choice(text) => hasher.choice(text),
        Value::Number(number) => hasher.number(*number),
        Value::Flag(flag) => hasher.flag(*flag),
        Value::Digest(which) => hasher.digest(Digest::of(if *which { b"a" } else { b"b" })),
        Value::Optional(value) => hasher.optional(value.as_deref(), feed),
        Value::List(values) => hasher.list(values, feed),
    };
}

/// Small values, so that any two of them are nearly alike.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ab]{0,2}".prop_map(Value::Text),
        "[ab]{0,1}".prop_map(Value::Choice),
        (0..3_u64).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Flag),
        any::<bool>().prop_map(Value::Digest),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::option::of(inner.clone().prop_map(Box::new)).prop_map(Value::Optional),
            proptest::collection::vec(inner, 0..3).prop_map(Value::List),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn different_values_never_encode_alike(
        sequences in proptest::collection::vec(proptest::collection::vec(value(), 0..4), 200)
    ) {
        let sequences: HashSet<_> = sequences.into_iter().collect();
        let keys: HashSet<_> = sequences
            .iter()
            .map(|values| {
                let mut hasher = KeyHasher::new("test/1");
                for value in values {
                    feed(&mut hasher, value);
                }
                hasher.finish()
            })
            .collect();
        prop_assert_eq!(keys.len(), sequences.len());
    }
}

#[test]
fn neighbours_that_concatenate_alike_have_different_keys() {
    let key = |kind: &str, parts: &[&str]| {
        let mut hasher = KeyHasher::new(kind);
        for part in parts {
            hasher.text(part);
        }
        hasher.finish()
    };
    assert_ne!(key("k", &["a", "bc"]), key("k", &["ab", "c"]));
    assert_ne!(key("k", &["a", ""]), key("k", &["a"]));
    assert_ne!(key("k", &["", "a"]), key("k", &["a", ""]));
    assert_ne!(key("ka", &["b"]), key("k", &["ab"]));
}
