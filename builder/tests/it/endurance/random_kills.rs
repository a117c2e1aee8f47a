//! Builds that are killed at any moment, one after the other in the same store.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::rig::Rig;
use super::{Random, length};

/// Contexts that differ.
const CONTENTS: usize = 7;

#[test]
fn a_build_that_is_killed_at_any_moment_leaves_a_store_that_works() {
    let (rig, mut random) = (Rig::new(), Random::new());
    println!("seed {}", random.0);
    let begun = Instant::now();
    let expected: [String; CONTENTS] = std::array::from_fn(|content| {
        rig.content(content);
        rig.digest(&["--no-cache"])
    });
    // About as long as a build takes: of the kills that are spread over it, most come in time.
    let span = begun.elapsed() / CONTENTS as u32;
    let (mut killed, kills) = (0, length(20, 500));
    for number in 0..kills {
        let content = random.below(CONTENTS as u64) as usize;
        rig.content(content);
        // What the step makes is bounded, so that something is collected at the end of most builds.
        let bound = ["--max-size=3m", "--max-size=0", "--max-size=1g"][random.below(3) as usize];
        let more: &[&str] = match random.below(3) {
            0 => &[bound],
            _ => &[bound, "--no-cache"],
        };
        let words = rig.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = rig.lab.command(&words);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut build = command.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.below(span.as_micros() as u64)));
        killed += usize::from(build.try_wait().unwrap().is_none());
        build.kill().unwrap();
        build.wait().unwrap();
        rig.recovers(&expected[content], &[bound], &format!("kill {number}"));
    }
    println!("{killed} of {kills} builds were killed before their end, within {span:?}");
    assert!(killed * 2 > kills, "most builds were faster than their deaths");
}
