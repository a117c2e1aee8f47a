//! What it costs to read and to plan a Dockerfile of 1,000 lines: less than 5 ms together.
//!
//! ```text
//! cargo bench -p builder --bench parse                  # 200 rounds
//! cargo bench -p builder --bench parse -- --rounds 20   # quickly
//! ```
//!
//! On two cores of an AMD EPYC the median is 3.5 ms, of which reading is 0.5 ms; `chrt --fifo 50` before the program
//! keeps what else the machine does out of that.
//!
//! The plan is that of a first build: nothing is in the cache, and every one of 40 stages is needed. It includes the
//! checks, the graph, all keys, and the digests of the files that are copied. These are older than two seconds, as a
//! user's are: a file that was written just now is read again for every `COPY` that takes it.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "arguments/mod.rs"]
#[allow(dead_code, reason = "shared with benchmarks that have more to ask for")]
mod arguments;
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

use arguments::Arguments;

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
/// How old a file must be for its digest to be remembered.
const SETTLED: Duration = Duration::from_millis(2200);
/// How long the whole is.
const LINES: usize = 1000;

fn main() {
    let rounds = Arguments::of_process().rounds().unwrap_or(200);
    let source = Arc::new(SourceFile::new("Dockerfile", text()));
    println!("{} lines, {} bytes", source.text().lines().count(), source.text().len());

    let parsed = measure("parse", rounds, || dockerfile::parse(Arc::clone(&source)).unwrap());
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
        runtime.block_on(plan).unwrap()
    });
    println!("limit 5 ms: {planned:?} together, {parsed:?} for parsing");
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
    wait_until_settled(&path.join("b.txt"));
    BuildRequest::new(Arc::clone(source), LocalDirectory { path, ignore: None })
}

/// Waits until a file is so old that what is digested of it is remembered.
fn wait_until_settled(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    while modified.elapsed().unwrap_or_default() < SETTLED {
        std::thread::sleep(SETTLED / 10);
    }
}

/// Does something again and again; prints how long it took, and returns the median. What comes of it is dropped after
/// the time was taken.
fn measure<T>(what: &str, rounds: usize, mut work: impl FnMut() -> T) -> Duration {
    let before = processor::time();
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let _made = work();
        took.push(start.elapsed());
    }
    let processor = (processor::time() - before).div_f64(rounds as f64);
    took.sort();
    let (quickest, median, slowest) = (took[0], took[took.len() / 2], took[took.len() - 1]);
    println!("{what:16} median {median:?}, quickest {quickest:?}, slowest {slowest:?}; {processor:?} of the processor");
    median
}
