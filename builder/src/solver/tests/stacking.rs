//! Never a layer on other files than it was made on, though steps give another result each time they run.
//!
//! Histories are random: some steps ignore the cache, results and records get lost, and any subset is built.

use proptest::prelude::*;

use super::toy::Cache;
use super::toy::Toy::{Add, Image, Random};
use super::workshop::{Sketch, Workshop, jobs};
use crate::op::key::CacheKey;

const STEPS: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];

/// What a step is, and on which vertex before it.
type Step = (Kind, usize);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Add,
    Random,
}

/// Something that happens before a build.
#[derive(Clone, Copy, Debug)]
enum Event {
    IgnoreCache(usize),
    Evict(usize),
    Forget(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..STEPS.len()).prop_map(Event::IgnoreCache),
        any::<usize>().prop_map(Event::Evict),
        any::<usize>().prop_map(Event::Forget),
    ]
}

/// The step below; step 0 is on the base.
fn below(number: usize, (_, below): Step) -> Option<usize> {
    number.checked_sub(1).map(|before| below % (before + 1))
}

fn sketch(steps: &[Step], ignores_cache: Option<usize>) -> Sketch {
    let mut vertices = vec![("base", Image("base"), vec![])];
    for (number, &step) in steps.iter().enumerate() {
        let op = match step.0 {
            Kind::Add => Add(1),
            Kind::Random if ignores_cache == Some(number) => Random(Cache::Off),
            Kind::Random => Random(Cache::On),
        };
        let input = below(number, step).map_or("base", |below| STEPS[below]);
        vertices.push((STEPS[number], op, vec![input]));
    }
    let vertices: Vec<_> = vertices
        .iter()
        .map(|(name, op, inputs)| (*name, op.clone(), &inputs[..]))
        .collect();
    Sketch::new(&vertices)
}

fn history(steps: &[Step], builds: Vec<(Vec<Event>, usize)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let workshop = Workshop::new(&[("base", 0)]);
    let mut keys: Vec<CacheKey> = Vec::new();
    for (events, subset) in builds {
        let mut ignores_cache = None;
        let any_key = |number: usize| keys.get(number % keys.len().max(1)).copied();
        for event in events {
            match event {
                Event::IgnoreCache(step) => ignores_cache = Some(step),
                Event::Evict(number) => any_key(number).into_iter().for_each(|key| workshop.evict(key)),
                Event::Forget(number) => any_key(number).into_iter().for_each(|key| workshop.cache.forget(key)),
            }
        }
        let sketch = sketch(steps, ignores_cache);
        let built: Vec<usize> = (0..steps.len()).filter(|step| subset & (1 << step) != 0).collect();
        let targets: Vec<&str> = built.iter().map(|&step| STEPS[step]).collect();
        let solved = runtime
            .block_on(workshop.solve_within(&sketch, &targets, jobs(2), &mut ()))
            .unwrap();
        for &step in built.iter().filter(|&&step| steps[step].0 == Kind::Add) {
            let value = &solved[&sketch.id(STEPS[step])].value;
            assert_eq!(value.number, workshop.world.below(value) + 1, "{}", STEPS[step]);
        }
        keys.extend(targets.iter().map(|target| solved[&sketch.id(target)].key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_stacked_was_made_on_what_is_below(
        steps in proptest::collection::vec(
            (prop_oneof![Just(Kind::Add), Just(Kind::Random)], any::<usize>()),
            STEPS.len(),
        ),
        builds in proptest::collection::vec((proptest::collection::vec(event(), 0..4), 1..64_usize), 1..10),
    ) {
        history(&steps, builds);
    }
}
