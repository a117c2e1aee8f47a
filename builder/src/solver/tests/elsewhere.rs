//! Records of other machines: what is asked for, and what an answer changes.

use super::toy::Cache;
use super::toy::Toy::{Add, Again, Copy, Image, Random};
use super::workshop::{Sketch, Workshop};
use crate::cache::{CacheStore as _, Record};
use crate::op::key::CacheKey;
use crate::solver::{Decision, MissReason};

const NONE: [&str; 0] = [];

fn chain() -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Random(Cache::On), &["base"]),
        ("two", Add(2), &["one"]),
        ("three", Add(3), &["two"]),
    ])
}

#[tokio::test]
async fn what_another_machine_has_made_is_asked_for_at_once_and_not_made_again() {
    let one = Workshop::new(&[("base", 10)]);
    let made = one.build(&chain(), &["three"]).await;
    let mut other = one.other();
    assert!(other.plan(&chain(), &["three"]).await.is_complete());
    assert_eq!(other.elsewhere.as_ref().unwrap().rounds(), [3]);
    assert_eq!(other.cache.counts(), (0, 0), "a plan writes nothing");
    assert_eq!(other.rebuild(&chain(), &["three"]).await, NONE);
    assert_eq!(other.build(&chain(), &["three"]).await, made);
    // What was found is kept: the other machine need not be there any more.
    other.elsewhere = Some(Workshop::new(&[]).as_elsewhere());
    assert_eq!(other.rebuild(&chain(), &["three"]).await, NONE);
    // But only for who believes it.
    other.elsewhere = None;
    assert_eq!(other.rebuild(&chain(), &["three"]).await, ["one", "three", "two"]);
    assert_eq!(other.rebuild(&chain(), &["three"]).await, NONE);
}

/// Lets `one` answer for `name` of a sketch with the value of another vertex under the key of a third.
async fn lie(one: &Workshop, (sketch, name): (&Sketch, &str), value: (&Sketch, &str), claimed: CacheKey) {
    let record = one.cache.lookup(one.key(value.0, value.1).await).unwrap();
    let asked = one.plan(sketch, &[name]).await.get(sketch.id(name)).unwrap().definition;
    let record = Record { key: claimed, ..record };
    one.cache.adopt(asked, &record).unwrap();
}

#[tokio::test]
async fn a_lie_about_a_result_or_its_key_ends_with_the_import() {
    let with = |first| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("one", first, &["base"]),
            ("two", Add(2), &["one"]),
            ("three", Add(3), &["two"]),
        ])
    };
    let (asked, wrong, own) = (with(Add(1)), with(Add(100)), with(Add(5)));
    let one = Workshop::new(&[("base", 10)]);
    let mut other = one.other();
    let elsewhere = other.elsewhere.take();
    // The liar knows, or guesses, what else this machine builds.
    let claimed = one.key(&own, "one").await;
    lie(&one, (&asked, "one"), (&wrong, "one"), claimed).await;
    let theirs = Workshop::new(&[]);
    let definition = one
        .plan(&asked, &["one"])
        .await
        .get(asked.id("one"))
        .unwrap()
        .definition;
    theirs
        .cache
        .adopt(definition, &one.cache.lookup(definition).unwrap())
        .unwrap();
    drop(elsewhere);
    other.elsewhere = Some(theirs.as_elsewhere());
    assert_eq!(other.build(&asked, &["three"]).await, [115], "the import is believed");
    assert_eq!(other.rebuild(&asked, &["three"]).await, NONE);
    other.elsewhere = None;
    assert_eq!(
        other.build(&own, &["three"]).await,
        [20],
        "steps on top of what it claimed to be"
    );
    assert_eq!(
        other.build(&asked, &["three"]).await,
        [16],
        "the step itself, and what is on top"
    );
}

#[tokio::test]
async fn a_lie_about_a_key_leads_to_no_record_of_this_machine_after_the_import() {
    let with = |first: Option<i64>| match first {
        None => Sketch::new(&[
            ("base", Image("base"), &[]),
            ("lib", Image("lib"), &[]),
            ("copy", Copy, &["base", "lib"]),
        ]),
        Some(number) => Sketch::new(&[
            ("base", Image("base"), &[]),
            ("lib", Image("lib"), &[]),
            ("build", Add(number), &["lib"]),
            ("copy", Copy, &["base", "build"]),
        ]),
    };
    let one = Workshop::new(&[("base", 100), ("lib", 41)]);
    let claimed = one.key(&with(Some(50)), "build").await;
    let (asked, wrong) = (with(Some(1)), with(Some(2)));
    lie(&one, (&asked, "build"), (&wrong, "build"), claimed).await;
    let theirs = Workshop::new(&[]);
    let definition = one
        .plan(&asked, &["build"])
        .await
        .get(asked.id("build"))
        .unwrap()
        .definition;
    theirs
        .cache
        .adopt(definition, &one.cache.lookup(definition).unwrap())
        .unwrap();
    let mut other = one.other();
    other.elsewhere = None;
    assert_eq!(other.build(&with(None), &["copy"]).await, [140]);
    // What is copied has the content of what was copied before, and a wrong key.
    other.elsewhere = Some(theirs.as_elsewhere());
    assert_eq!(other.rebuild(&asked, &["copy"]).await, NONE);
    other.elsewhere = None;
    assert_eq!(other.build(&with(Some(50)), &["copy"]).await, [190]);
}

#[tokio::test]
async fn nothing_is_asked_that_is_known_here() {
    let one = Workshop::new(&[("base", 10)]);
    let other = one.other();
    let asked = || other.elsewhere.as_ref().unwrap().rounds();
    other.build(&chain(), &["three"]).await;
    assert_eq!(asked(), [3]);
    other.build(&chain(), &["three"]).await;
    assert_eq!(asked(), [0; 0]);
    // Only what is changed, and what is made from it, is a question.
    let changed = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Random(Cache::On), &["base"]),
        ("two", Add(2), &["one"]),
        ("three", Add(4), &["two"]),
    ]);
    other.build(&changed, &["three"]).await;
    assert_eq!(asked(), [1]);
}

#[tokio::test]
async fn what_is_gone_here_is_asked_for() {
    let one = Workshop::new(&[("base", 10)]);
    let other = one.other();
    other.build(&chain(), &["three"]).await;
    let theirs = one.build(&chain(), &["three"]).await;
    let key = other.key(&chain(), "one").await;
    other.evict(key);
    assert_eq!(other.rebuild(&chain(), &["three"]).await, NONE);
    assert_eq!(other.build(&chain(), &["three"]).await, theirs);
}

#[tokio::test]
async fn a_result_that_was_made_without_the_cache_is_found_with_all_that_is_made_from_it() {
    let forced = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Again(1), &["base"]),
        ("two", Add(2), &["one"]),
        ("three", Add(3), &["two"]),
    ]);
    let plain = Sketch::new(&[
        ("base", Image("base"), &[]),
        ("one", Add(1), &["base"]),
        ("two", Add(2), &["one"]),
        ("three", Add(3), &["two"]),
    ]);
    let one = Workshop::new(&[("base", 10)]);
    one.build(&forced, &["three"]).await;
    let other = one.other();
    assert_eq!(other.rebuild(&plain, &["three"]).await, NONE);
    // The first answer changes the keys of the other two.
    assert_eq!(other.elsewhere.as_ref().unwrap().rounds(), [3, 2]);
}

#[tokio::test]
async fn an_answer_does_not_touch_the_key_that_it_claims() {
    let forced = Sketch::new(&[("base", Image("base"), &[]), ("one", Again(1), &["base"])]);
    let plain = Sketch::new(&[("base", Image("base"), &[]), ("one", Add(1), &["base"])]);
    let one = Workshop::new(&[("base", 10)]);
    let claimed = one.key(&forced, "one").await;
    let other = one.other();
    assert_eq!(other.key(&plain, "one").await, claimed);
    assert_eq!(other.cache.lookup(claimed), None);
}

fn copies() -> Sketch {
    Sketch::new(&[
        ("base", Image("base"), &[]),
        ("lib", Image("lib"), &[]),
        ("copy", Copy, &["base", "lib"]),
        ("run", Add(1), &["copy"]),
    ])
}

#[tokio::test]
async fn a_result_is_found_by_what_it_reads_too() {
    let one = Workshop::new(&[("base", 100), ("lib", 41)]);
    one.build(&copies(), &["run"]).await;
    one.world.set("lib", 42);
    let other = one.other();
    assert!(other.plan(&copies(), &["run"]).await.is_complete());
    assert_eq!(other.rebuild(&copies(), &["run"]).await, NONE);
    // Now it is known by its definition as well.
    other.elsewhere.as_ref().unwrap().rounds();
    assert_eq!(other.rebuild(&copies(), &["run"]).await, NONE);
    assert_eq!(other.elsewhere.as_ref().unwrap().rounds(), [0; 0]);
}

#[tokio::test]
async fn a_result_is_found_by_what_it_reads_once_that_is_made() {
    let with_compiler = |flag| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("build.compile", Add(flag), &["base"]),
            ("final.copy", Copy, &["base", "build.compile"]),
            ("final.run", Random(Cache::On), &["final.copy"]),
        ])
    };
    let one = Workshop::new(&[("base", 100)]);
    let made = one.build(&with_compiler(1), &["final.run"]).await;
    let other = one.other();
    assert_eq!(
        other.rebuild(&with_compiler(2), &["final.run"]).await,
        ["build.compile"]
    );
    assert_eq!(other.build(&with_compiler(2), &["final.run"]).await, made);
}

#[tokio::test]
async fn a_name_without_content_leads_to_what_is_made_from_it() {
    let one = Workshop::new(&[("base", 10), ("other", 20)]);
    let two_stages = |first| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("build", first, &["base"]),
            ("copy", Copy, &["base", "build"]),
        ])
    };
    one.build(&two_stages(Again(1)), &["copy"]).await;
    let forced = one.cache.lookup(one.key(&two_stages(Add(1)), "build").await).unwrap();
    one.world.evict(&forced);
    let other = one.other();
    let plan = other.plan(&two_stages(Add(1)), &["copy"]).await;
    assert!(
        plan.is_complete(),
        "{}",
        other.plan_text(&two_stages(Add(1)), &["copy"]).await
    );
    // Wanted itself, it has to run, and keeps the name.
    let sketch = two_stages(Add(1));
    let plan = other.plan(&sketch, &["build"]).await;
    assert_eq!(
        plan.get(sketch.id("build")).unwrap().decision,
        Decision::Run(MissReason::Evicted)
    );
    assert_eq!(other.key(&sketch, "build").await, forced.key);
}

#[tokio::test]
async fn what_is_made_in_place_of_an_answer_without_content_does_not_touch_the_key_that_it_claims() {
    let one = Workshop::new(&[("base", 10)]);
    let with = |first| {
        Sketch::new(&[
            ("base", Image("base"), &[]),
            ("one", first, &["base"]),
            ("two", Add(2), &["one"]),
        ])
    };
    one.build(&with(Again(1)), &["two"]).await;
    let claimed = one.cache.lookup(one.key(&with(Add(1)), "one").await).unwrap();
    one.world.evict(&claimed);
    let other = one.other();
    // Something of its own has the claimed key.
    let own = Record {
        payload: serde_json::json!("its own"),
        ..claimed.clone()
    };
    other.cache.save(&own).unwrap();
    assert_eq!(other.key(&with(Add(1)), "one").await, claimed.key, "in this build");
    assert_eq!(other.cache.lookup(claimed.key), Some(own.clone()));
    assert_eq!(other.rebuild(&with(Add(1)), &["one"]).await, NONE, "it is found again");
    // The same when it was adopted by an earlier build, and is gone since.
    let definition = other.plan(&with(Add(1)), &["one"]).await;
    let definition = definition.get(with(Add(1)).id("one")).unwrap().definition;
    other.evict(definition);
    assert_eq!(other.rebuild(&with(Add(1)), &["one"]).await, ["one"]);
    assert_eq!(other.cache.lookup(claimed.key), Some(own));
    assert_eq!(other.rebuild(&with(Add(1)), &["one"]).await, NONE);
}

#[tokio::test]
async fn a_record_that_only_leads_to_others_is_no_result_that_is_gone() {
    let one = Workshop::new(&[("base", 10)]);
    one.build(&chain(), &["three"]).await;
    let record = one.cache.lookup(one.key(&chain(), "one").await).unwrap();
    let bare = Record {
        payload: serde_json::Value::Null,
        ..record
    };
    one.cache.save(&bare).unwrap();
    let other = one.other();
    assert_eq!(other.rebuild(&chain(), &["two"]).await, NONE);
    let plan = other.plan_text(&chain(), &["one"]).await;
    assert!(plan.contains("no earlier build of it is in the cache"), "{plan}");
    assert_eq!(other.rebuild(&chain(), &["one"]).await, ["one"]);
}
