//! What it costs to find out that nothing has changed in a context of 100,000 files: less than 0.5 s of the processor,
//! also with ten patterns in the ignore file.
//!
//! ```text
//! cargo bench -p builder --bench recheck                  # 100,000 files, 10 rounds
//! cargo bench -p builder --bench recheck -- 20000 3       # fewer files, fewer rounds
//! ```
//!
//! The first look reads and digests all files; from then on they are known by their attributes. The memory of them is
//! loaded and saved in every round, as in every build.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "processor/mod.rs"]
mod processor;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use builder::context::{Query, StatCache, Tree, Use, select};
use builder::dockerfile::ignore::Matcher;
use snapshotter::Root;

/// Patterns of every kind; they leave out few of the files.
const TEN: &str = "\
.git
node_modules
**/*.pyc
*.log
doc/**
build/*/out
!docs/README.md
**/target
src/[xyz]*/tmp?
!**/keep
";
/// Files in a directory.
const FANOUT: u32 = 100;
/// Files changed more recently are read again.
const SETTLED: Duration = Duration::from_millis(2100);

fn main() {
    // cargo says that it runs benchmarks.
    let mut numbers = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut number = |default| {
        numbers
            .next()
            .map_or(default, |number| number.parse().expect("a number"))
    };
    let (files, rounds) = (number(100_000), number(10));
    let directory = tempfile::tempdir().unwrap();
    let context = directory.path().join("context");
    make(&context, files);
    sleep(SETTLED);
    for (what, patterns) in [("no pattern", ""), ("ten patterns", TEN)] {
        let memory = directory.path().join(what.replace(' ', "-"));
        let first = look(&context, &memory, patterns);
        let (start, before) = (Instant::now(), processor::time());
        for _ in 0..rounds {
            assert_eq!(look(&context, &memory, patterns), first);
        }
        let (wall, processor) = (start.elapsed() / rounds, (processor::time() - before) / rounds);
        println!(
            "{what:13} {} entries: {processor:?} of the processor in {wall:?} (limit 500 ms)",
            first.0
        );
    }
}

/// Makes small files, some in nested directories.
fn make(context: &Path, files: u32) {
    for number in 0..files.div_ceil(FANOUT) {
        let parent = ["src", "docs", "lib/deep/down"][number as usize % 3];
        let directory = context.join(parent).join(format!("package{number}"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..FANOUT.min(files - number * FANOUT) {
            fs::write(directory.join(format!("file{file}.txt")), format!("{number} {file}")).unwrap();
        }
    }
}

/// Looks at the whole context as `COPY . /` does; returns how many entries it found, and the digest of all.
fn look(context: &Path, memory: &Path, patterns: &str) -> (usize, String) {
    let tree = Tree::context(Root::open(context).unwrap(), Matcher::parse(patterns).unwrap());
    let source = Query::Source {
        path: ".",
        parents: false,
        exclude: &[],
    };
    let cache = StatCache::load(memory);
    let selection = select(&tree, source, Some(&cache)).unwrap();
    let digest = selection.digest(Use::Copy {
        chmod: None,
        keep_owner: false,
    });
    cache.save(memory.parent().unwrap()).unwrap();
    let entries = selection.matches.iter().map(|matched| matched.entries.len()).sum();
    (entries, digest.to_string())
}
