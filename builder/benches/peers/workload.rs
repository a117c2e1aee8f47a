//! What is built: five Dockerfiles with their contexts, from trivial to large.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::harness::sh;

/// A Dockerfile with its context, and what changes in it.
pub(crate) struct Workload {
    /// A short name.
    pub(crate) name: &'static str,
    /// What it is, for a reader of the table.
    pub(crate) description: &'static str,
    /// How often it is measured unless the command line says otherwise.
    pub(crate) rounds: usize,
    /// The Dockerfile; `BASE` stands for the registry with the base images.
    pub(crate) dockerfile: String,
    /// Writes the rest of the context, in which the file `changing` is already.
    pub(crate) fill: fn(&Path),
}

/// The file of every context that differs in a *changed* build.
pub(crate) const CHANGING: &str = "changing";

impl Workload {
    /// Returns all of them.
    pub(crate) fn all() -> [Self; 5] {
        [trivial(), small_runs(), application(), large_layer(), stages()]
    }
}

fn trivial() -> Workload {
    Workload {
        name: "W1",
        description: "busybox and one COPY",
        rounds: 7,
        dockerfile: "FROM BASE/busybox\nCOPY changing /changing\n".into(),
        fill: |_| {},
    }
}

fn small_runs() -> Workload {
    let runs = |from: usize| (from..from + 10).fold(String::new(), |text, n| text + &format!("RUN echo {n} > /{n}\n"));
    Workload {
        name: "W2",
        description: "twenty RUN echo, one COPY in their middle",
        rounds: 5,
        dockerfile: format!("FROM BASE/busybox\n{}COPY changing /changing\n{}", runs(0), runs(10)),
        fill: |_| {},
    }
}

fn application() -> Workload {
    let dockerfile = "\
FROM BASE/debian AS build
COPY tree.tar /
RUN mkdir /tree && tar -xf /tree.tar -C /tree
FROM BASE/debian
COPY --from=build /tree /srv/tree
COPY --chown=33:33 changing /app/changing
RUN find /srv /app -type f > /files
";
    Workload {
        name: "W3",
        description: "10,000 small files, copied from stage to stage",
        rounds: 3,
        dockerfile: dockerfile.into(),
        fill: |context| {
            let mut noise = Noise(1);
            for n in 0..10_000 {
                let directory = context.join(format!("tree/{:02}/{:02}", n / 100 % 10, n % 100));
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join(format!("{n}.txt")), noise.bytes(2_000 + n % 7 * 1_000)).unwrap();
            }
            sh(&format!(
                "cd '{}' && tar -cf tree.tar -C tree . && rm -r tree",
                context.display()
            ));
        },
    }
}

fn large_layer() -> Workload {
    let dockerfile = "\
FROM BASE/busybox
RUN --mount=type=bind,source=block,target=/block for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat /block; done > /large
COPY changing /changing
";
    Workload {
        name: "W4",
        description: "a layer of 1 GB, half compressible",
        rounds: 3,
        dockerfile: dockerfile.into(),
        fill: |context| {
            // Longer than any compressor's window looks back: each repetition is compressed anew.
            let mut noise = Noise(2);
            let mut block = BufWriter::new(File::create(context.join("block")).unwrap());
            for _ in 0..64 {
                block.write_all(&noise.bytes(1 << 20)).unwrap();
            }
            block.flush().unwrap();
        },
    }
}

fn stages() -> Workload {
    let mut dockerfile = String::new();
    for n in 0..10 {
        let _infallible = writeln!(dockerfile, "FROM BASE/busybox AS s{n}\nRUN sleep 1 && echo {n} > /{n}");
    }
    dockerfile += "FROM BASE/busybox\n";
    for n in 0..10 {
        let _infallible = writeln!(dockerfile, "COPY --from=s{n} /{n} /{n}");
    }
    dockerfile += "COPY changing /changing\n";
    Workload {
        name: "W5",
        description: "ten stages of sleep 1, collected",
        rounds: 3,
        dockerfile,
        fill: |_| {},
    }
}

/// Bytes that compress to a bit more than half, the same in every run.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        const WORDS: &[u8; 64] = b"the quick brown fox jumps over the lazy dog, and over its kennel";
        let mut bytes = Vec::with_capacity(length + 128);
        while bytes.len() < length {
            for _ in 0..8 {
                // Marsaglia's xorshift64.
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                bytes.extend_from_slice(&self.0.to_le_bytes());
            }
            bytes.extend_from_slice(WORDS);
        }
        bytes.truncate(length);
        bytes
    }
}
