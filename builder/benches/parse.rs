//! What it costs to read and to plan a Dockerfile of 1,000 lines: less than 5 ms together.
//!
//! ```text
//! cargo bench -p builder --bench parse                  # 200 rounds
//! cargo bench -p builder --bench parse -- --rounds 20   # quickly
//! ```
//!
//! The plan is that of a first build: nothing is in the cache, and every one of 40 stages is needed. It includes the
//! checks, the graph, all keys, and the digests of the files that are copied.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "processor/mod.rs"]
mod processor;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use builder::build::{self, BuildRequest, Interrupt, Services};
use builder::diagnostic::SourceFile;
use builder::dockerfile;
use builder::ops::LocalDirectory;
use builder::progress::Progress;
use builder::rung::Sandbox;
use registry::client::ClientOptions;

/// Lines of one stage.
const STAGE: &str = r#"# stageN is one of many
FROM BASE AS stageN
ARG VERSION_N=1.N
ENV NAME_N="value of $VERSION_N" PATH=/opt/N/bin:$PATH
LABEL org.example.stage=N \
      org.example.version="${VERSION_N:-none}"
WORKDIR /src/N
COPY --chown=1000:1000 a.txt b.txt ./
COPY <<-"EOF" /etc/conf.d/N.conf
	[section]
	key = value
	EOF
RUN --mount=type=cache,target=/var/cache/N,sharing=locked \
    --mount=type=secret,id=token \
    set -e; \
    # the tools
    ./configure --prefix=/opt/N --with-version="${VERSION_N}" && \
    make -j4 && \
    make install
USER 1000:1000
EXPOSE 80/tcp 443
HEALTHCHECK --interval=30s --retries=3 CMD ["/bin/check", "N"]
ENTRYPOINT ["/opt/N/bin/run"]
CMD ["--serve", "N"]

"#;
/// How many stages, apart from the last.
const STAGES: usize = 39;
/// How many stages are made from each other.
const CHAIN: usize = 5;
/// How long the whole is.
const LINES: usize = 1000;

fn main() {
    let mut words = std::env::args().skip(1).skip_while(|word| word != "--rounds").skip(1);
    let rounds: u32 = words
        .next()
        .map_or(200, |rounds| rounds.parse().expect("a number of rounds"));
    let source = Arc::new(SourceFile::new("Dockerfile", text()));
    println!("{} lines, {} bytes", source.text().lines().count(), source.text().len());

    let parsed = measure("parse", rounds, || {
        dockerfile::parse(Arc::clone(&source)).unwrap();
    });
    let directory = tempfile::tempdir().unwrap();
    let request = request(&source, directory.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let state = directory.path().join("state");
    // A build has its stores open when it comes to its Dockerfile.
    let services: Vec<Services> = (0..rounds).map(|_| open(&state)).collect();
    let interrupt = Interrupt::default();
    let mut services = services.into_iter();
    let planned = measure("parse and plan", rounds, || {
        let (progress, _events) = Progress::channel();
        let plan = build::plan(request.clone(), services.next().unwrap(), progress, &interrupt);
        drop(runtime.block_on(plan).unwrap());
    });
    println!("limit 5 ms: {planned:?} of the processor together, {parsed:?} for parsing");
}

fn open(state: &Path) -> Services {
    Services::open(state, ClientOptions::default(), Sandbox::none(state), &|_| {}).unwrap()
}

/// Makes a Dockerfile of chains of stages; the last one takes files from the end of each.
fn text() -> String {
    let stage = |number: usize| {
        let base = match number % CHAIN {
            0 => "scratch".to_owned(),
            _ => format!("stage{}", number - 1),
        };
        let lines = STAGE.replace("BASE", &base);
        let lines = lines
            .replace("_N", &format!("_{number}"))
            .replace("/N", &format!("/{number}"));
        lines.replace("stageN", &format!("stage{number}"))
    };
    let mut text: String = (0..STAGES).map(stage).collect();
    text.push_str("FROM scratch\n");
    for end in (CHAIN - 1..STAGES).step_by(CHAIN) {
        text.push_str(&format!("COPY --from=stage{end} /opt/{end} /opt/{end}\n"));
    }
    for number in text.lines().count()..LINES {
        text.push_str(&format!("ENV OF_ALL_{number}=\"$PATH\"\n"));
    }
    text
}

fn request(source: &Arc<SourceFile>, directory: &Path) -> BuildRequest {
    let path = directory.join("context");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.txt"), "a").unwrap();
    fs::write(path.join("b.txt"), "b").unwrap();
    BuildRequest::new(Arc::clone(source), LocalDirectory { path, ignore: None })
}

/// Does something again and again; prints how long it took, and returns how long it had the processor on average.
fn measure(what: &str, rounds: u32, mut work: impl FnMut()) -> Duration {
    let before = processor::time();
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        work();
        took.push(start.elapsed());
    }
    let processor = (processor::time() - before) / rounds;
    took.sort();
    let (quickest, median, slowest) = (took[0], took[took.len() / 2], took[took.len() - 1]);
    println!("{what:16} {processor:?} of the processor; median {median:?}, quickest {quickest:?}, slowest {slowest:?}");
    processor
}
