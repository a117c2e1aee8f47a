//! What every [`CacheStore`] must do, for any implementation to run.

use std::collections::BTreeSet;

use registry::oci::Digest;
use serde_json::json;

use super::{Aspects, CacheStore, Lineage, Reading, Record};
use crate::op::key::{CacheKey, KeyHasher};

/// Runs every check, each on a store of its own; `forget` removes what is under a key, as pruning would.
pub(crate) fn suite<S: CacheStore>(make: impl Fn() -> S, forget: impl Fn(&S, CacheKey)) {
    what_is_saved_is_found(&make());
    a_later_record_takes_the_place_of_an_earlier(&make());
    a_link_leads_to_the_record(&make());
    links_of_links_lead_to_the_record(&make());
    a_link_to_a_forgotten_record_is_a_miss(&make(), &forget);
    a_record_replaced_by_a_link_leads_on(&make());
    a_key_linked_to_itself_stays_a_record(&make());
    an_adopted_record_keeps_its_key_and_changes_nothing_under_it(&make());
    many_threads_see_whole_records(&make());
}

/// Makes a key.
pub(crate) fn key(name: &str) -> CacheKey {
    KeyHasher::new(name).finish()
}

/// Makes a record with every kind of field filled.
pub(crate) fn record(name: &str, payload: serde_json::Value) -> Record {
    Record {
        key: key(name),
        payload,
        created: "2026-01-02T03:04:05Z".to_owned(),
        lineage: Lineage {
            operation: Digest::of(name.as_bytes()),
            inputs: vec![
                Reading::Whole { key: key("input") },
                Reading::Files {
                    key: None,
                    content: Digest::of(b"files"),
                },
            ],
        },
        aspects: Aspects::default(),
        relies_on: BTreeSet::from(["cache".to_owned()]),
    }
}

fn what_is_saved_is_found(store: &impl CacheStore) {
    let saved = record(
        "a",
        json!({ "layers": ["x", "y"], "size": 12_345_678_901_u64, "nothing": null }),
    );
    assert_eq!(store.lookup(saved.key), None);
    store.save(&saved).unwrap();
    assert_eq!(store.lookup(saved.key), Some(saved));
    assert_eq!(store.lookup(key("b")), None);
}

fn a_later_record_takes_the_place_of_an_earlier(store: &impl CacheStore) {
    store.save(&record("a", json!(1))).unwrap();
    store.save(&record("a", json!(2))).unwrap();
    assert_eq!(store.lookup(key("a")), Some(record("a", json!(2))));
}

fn a_link_leads_to_the_record(store: &impl CacheStore) {
    store.save(&record("a", json!(1))).unwrap();
    store.link(key("alias"), key("a")).unwrap();
    assert_eq!(store.lookup(key("alias")), Some(record("a", json!(1))));
}

fn links_of_links_lead_to_the_record(store: &impl CacheStore) {
    store.save(&record("a", json!(1))).unwrap();
    store.link(key("b"), key("a")).unwrap();
    store.link(key("c"), key("b")).unwrap();
    assert_eq!(store.lookup(key("c")), Some(record("a", json!(1))));
}

fn a_link_to_a_forgotten_record_is_a_miss<S: CacheStore>(store: &S, forget: impl Fn(&S, CacheKey)) {
    store.save(&record("a", json!(1))).unwrap();
    store.link(key("alias"), key("a")).unwrap();
    forget(store, key("a"));
    assert_eq!(store.lookup(key("a")), None);
    assert_eq!(store.lookup(key("alias")), None);
    store.save(&record("a", json!(2))).unwrap();
    assert_eq!(store.lookup(key("alias")), Some(record("a", json!(2))));
}

fn a_record_replaced_by_a_link_leads_on(store: &impl CacheStore) {
    store.save(&record("old", json!(1))).unwrap();
    store.save(&record("new", json!(2))).unwrap();
    store.link(key("old"), key("new")).unwrap();
    assert_eq!(store.lookup(key("old")), Some(record("new", json!(2))));
}

fn a_key_linked_to_itself_stays_a_record(store: &impl CacheStore) {
    store.save(&record("a", json!(1))).unwrap();
    store.link(key("a"), key("a")).unwrap();
    assert_eq!(store.lookup(key("a")), Some(record("a", json!(1))));
}

fn an_adopted_record_keeps_its_key_and_changes_nothing_under_it(store: &impl CacheStore) {
    store.save(&record("canonical", json!("ours"))).unwrap();
    let theirs = record("canonical", json!("theirs"));
    store.adopt(key("asked"), &theirs).unwrap();
    store.link(key("alias"), key("asked")).unwrap();
    assert_eq!(store.lookup(key("asked")), Some(theirs.clone()));
    assert_eq!(store.lookup(key("alias")), Some(theirs));
    assert_eq!(store.lookup(key("canonical")), Some(record("canonical", json!("ours"))));
}

fn many_threads_see_whole_records(store: &impl CacheStore) {
    let long = |number: usize| record("a", json!({ "number": number, "text": "x".repeat(number * 1000) }));
    store.save(&long(0)).unwrap();
    std::thread::scope(|scope| {
        for number in 1..4 {
            scope.spawn(move || {
                for _ in 0..50 {
                    store.save(&long(number)).unwrap();
                }
            });
        }
        for _ in 0..500 {
            let found = store.lookup(key("a")).unwrap();
            let number = found.payload["number"].as_u64().unwrap() as usize;
            assert_eq!(found, long(number));
        }
    });
}
