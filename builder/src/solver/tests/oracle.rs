//! Never a wrong hit: any history of builds, on two machines that know each other's records, gives the numbers that a
//! first build would have given.
//!
//! Histories are random: edited operations, changed sources, results and records that get lost, other targets,
//! other numbers of jobs. The oracle adds up the same graph without solver and cache.

use proptest::prelude::*;

use super::toy::Toy::{self, Add, Again, Context, Copy, Image};
use super::workshop::{Sketch, Workshop, jobs};
use crate::op::key::CacheKey;

const SOURCES: [&str; 3] = ["image", "other", "context"];
const STEPS: [&str; 9] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

/// A step: which operation, with which constant, on which two of the vertices before it.
type Step = (u8, i64, usize, usize);

/// Something that happens before a build.
#[derive(Clone, Debug)]
enum Event {
    Edit(usize, u8, i64),
    Rewire(usize, usize, usize),
    Set(usize, i64),
    MakeRemote(usize),
    Evict(usize),
    Forget(usize),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    let step = 0..STEPS.len();
    prop_oneof![
        3 => (step.clone(), 0..3_u8, 0..3_i64).prop_map(|(step, op, number)| Event::Edit(step, op, number)),
        1 => (step, any::<usize>(), any::<usize>()).prop_map(|(step, a, b)| Event::Rewire(step, a, b)),
        3 => (0..SOURCES.len(), 0..4_i64).prop_map(|(source, number)| Event::Set(source, number * 5)),
        1 => (0..SOURCES.len()).prop_map(Event::MakeRemote),
        3 => any::<usize>().prop_map(Event::Evict),
        3 => any::<usize>().prop_map(Event::Forget),
        1 => Just(Event::Nothing),
    ]
}

fn name(vertex: usize) -> &'static str {
    SOURCES.iter().chain(&STEPS).nth(vertex).unwrap()
}

/// The vertices before a step that it uses: one for what adds, three for what copies.
fn inputs(number: usize, (op, _, a, b): Step) -> Vec<usize> {
    let before = SOURCES.len() + number;
    let copied = [b, a.wrapping_add(b)].map(|input| input % before);
    let copied = copied.into_iter().filter(|_| op == 1);
    std::iter::once(a % before).chain(copied).collect()
}

fn sketch(steps: &[Step]) -> Sketch {
    let mut vertices: Vec<(&str, Toy, Vec<&str>)> = vec![
        (SOURCES[0], Image(SOURCES[0]), vec![]),
        (SOURCES[1], Image(SOURCES[1]), vec![]),
        (SOURCES[2], Context(SOURCES[2]), vec![]),
    ];
    for (number, &step) in steps.iter().enumerate() {
        let op = match step.0 {
            0 => Add(step.1),
            1 => Copy,
            _ => Again(step.1),
        };
        let inputs = inputs(number, step).into_iter().map(name).collect();
        vertices.push((STEPS[number], op, inputs));
    }
    let vertices: Vec<_> = vertices
        .iter()
        .map(|(name, op, inputs)| (*name, op.clone(), &inputs[..]))
        .collect();
    Sketch::new(&vertices)
}

fn oracle(steps: &[Step], sources: &[i64]) -> Vec<i64> {
    let mut numbers = sources.to_vec();
    for (number, &step) in steps.iter().enumerate() {
        let inputs = inputs(number, step);
        numbers.push(match step.0 {
            1 => numbers[inputs[0]] + (numbers[inputs[1]] / 10 + numbers[inputs[2]] / 10) * 10,
            _ => numbers[inputs[0]] + step.1,
        });
    }
    numbers
}

fn history(mut steps: Vec<Step>, builds: Vec<(Vec<Event>, usize, usize, bool)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut sources = [10, 20, 15];
    let mut one = Workshop::new(&[(SOURCES[0], 10), (SOURCES[1], 20), (SOURCES[2], 15)]);
    let other = one.other();
    one.elsewhere = Some(other.as_elsewhere());
    let mut keys: Vec<CacheKey> = Vec::new();
    for (events, target, limit, is_elsewhere) in builds {
        let workshop = if is_elsewhere { &other } else { &one };
        let any_key = |number: usize| keys.get(number % keys.len().max(1)).copied();
        for event in events {
            match event {
                Event::Edit(step, op, number) => (steps[step].0, steps[step].1) = (op, number),
                Event::Rewire(step, a, b) => (steps[step].2, steps[step].3) = (a, b),
                Event::Set(source, number) => {
                    sources[source] = number;
                    workshop.world.set(SOURCES[source], number);
                }
                Event::MakeRemote(source) => workshop.world.set_remote(SOURCES[source]),
                Event::Evict(number) => any_key(number).into_iter().for_each(|key| workshop.evict(key)),
                Event::Forget(number) => any_key(number).into_iter().for_each(|key| workshop.cache.forget(key)),
                Event::Nothing => {}
            }
        }
        let sketch = sketch(&steps);
        let expected = oracle(&steps, &sources);
        let targets = [name(SOURCES.len() + target), name(SOURCES.len() + target / 2)];
        let solved = runtime
            .block_on(workshop.solve_within(&sketch, &targets, jobs(limit), &mut ()))
            .unwrap();
        for (target, vertex) in targets.iter().zip([target, target / 2]) {
            let solved = &solved[&sketch.id(target)];
            assert_eq!(solved.value.number, expected[SOURCES.len() + vertex], "{target}");
            keys.push(solved.key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_history_of_builds_gives_the_numbers_of_a_first_build(
        steps in proptest::collection::vec((0..3_u8, 0..3_i64, any::<usize>(), any::<usize>()), STEPS.len()),
        builds in proptest::collection::vec(
            (proptest::collection::vec(event(), 0..4), 0..STEPS.len(), 1..4_usize, any::<bool>()),
            1..10,
        ),
    ) {
        history(steps, builds);
    }
}
