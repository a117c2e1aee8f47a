//! Measures how long it takes to select and digest a context directory, and then to copy it.
//!
//! `cargo run --release -p builder --example recheck_context -- CONTEXT CACHE-FILE [DESTINATION]`. The first run fills
//! the cache; from the second on (files must have been left alone for two seconds) unchanged files are not read.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use builder::context::{Query, StatCache, Tree, Use, select};
use builder::copy::Copier;
use builder::dockerfile::ignore::Matcher;
use builder::op::{CopyOp, CopySource};
use snapshotter::Root;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (context, cache) = match arguments.as_slice() {
        [context, cache, ..] => (Path::new(context), Path::new(cache)),
        _ => return Err("expected: CONTEXT CACHE-FILE [DESTINATION]".into()),
    };
    let ignored = std::fs::read_to_string(context.join(".dockerignore")).unwrap_or_default();
    let tree = Tree::context(Root::open(context)?, Matcher::parse(&ignored)?);
    let source = Query::Source {
        path: ".",
        parents: false,
        exclude: &[],
    };

    let clock = Clock::start();
    let cache = StatCache::load(cache);
    clock.report("load the cache");
    let selection = select(&tree, source, Some(&cache))?;
    clock.report("select");
    let digest = selection.digest(Use::Copy {
        chmod: None,
        keep_owner: false,
    });
    clock.report("digest");
    cache.save()?;
    clock.report("save the cache");
    let entries: usize = selection.matches.iter().map(|matched| matched.entries.len()).sum();
    println!("{entries} entries, {digest}");

    if let Some(destination) = arguments.get(2) {
        let op = CopyOp {
            scratch: true,
            sources: vec![CopySource::Path {
                input: 0,
                path: ".".to_owned(),
                keep_owner: false,
                unpack: false,
            }],
            destination: "/".to_owned(),
            chown: None,
            names_from: None,
            chmod: None,
            parents: false,
            exclude: Vec::new(),
            mtime: None,
        };
        let into = Root::open(Path::new(destination))?;
        let clock = Clock::start();
        let mut copier = Copier::new(&op, None, &into);
        copier.add_selection(&tree, &selection, builder::copy::Arrival::default())?;
        clock.report("copy");
        println!("{:?}", copier.finish()?);
    }
    Ok(())
}

/// Real time since a start; `time(1)` tells the processor's.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn report(&self, what: &str) {
        println!("{what:16} until {:?}", self.0.elapsed());
    }
}
