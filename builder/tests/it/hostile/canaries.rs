//! The hunt for canaries: words that are nowhere else, in all forms in which they may have been written down, in files, in what
//! was printed, and in what every user of the machine can see of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;
use registry::compress::decoder;

use crate::harness::Outcome;

/// Bytes of a file that are looked at, unpacked.
const LARGEST: u64 = 256 << 20;

/// A secret.
pub(super) struct Canary {
    pub(super) name: &'static str,
    forms: Regex,
}

impl Canary {
    /// Makes a word that is nowhere else, and of which no form is; returns it too.
    pub(super) fn new(name: &'static str) -> (String, Self) {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let word = format!("cnry{name}{}", random.trim().replace('-', ""));
        let canary = Self::of(name, word.as_bytes());
        (word, canary)
    }

    /// Makes a canary of bytes that are secret.
    pub(super) fn of(name: &'static str, bytes: &[u8]) -> Self {
        let forms = forms(bytes).into_iter().map(|form| {
            let bytes = form.iter().map(|byte| format!("\\x{byte:02x}"));
            bytes.collect::<String>()
        });
        let pattern = forms.collect::<Vec<_>>().join("|");
        Self {
            name,
            forms: Regex::new(&format!("(?-u){pattern}")).unwrap(),
        }
    }

    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.is_match(bytes)
    }
}

/// The forms in which bytes may have been written down.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let each = |form: fn(u8) -> String| bytes.iter().map(|byte| form(*byte)).collect::<String>().into_bytes();
    let mut forms = vec![
        bytes.to_owned(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("%{byte:02X}")),
    ];
    // What comes before decides how the word is packed; its ends depend on what is beside it.
    for before in 0..3 {
        let text = [&vec![b'x'; before], bytes].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let packed = engine.encode(&text);
            forms.push(packed.as_bytes()[4..packed.len() - 4].to_owned());
        }
    }
    forms
}

/// Fails if a canary is in what was printed.
pub(super) fn assert_not_printed(canaries: &[Canary], printed: &[&Outcome]) {
    for outcome in printed {
        for canary in canaries {
            let is_in = canary.is_in(outcome.stdout.as_bytes()) || canary.is_in(outcome.stderr.as_bytes());
            assert!(
                !is_in,
                "{} was printed:\n{}{}",
                canary.name, outcome.stdout, outcome.stderr
            );
        }
    }
}

/// Fails if a canary is in the name or the content, packed or not, of a file below these directories, but those that were
/// `given`.
pub(super) fn assert_not_kept(canaries: &[Canary], directories: &[&Path], given: &[PathBuf]) {
    let mut found = Vec::new();
    let mut seen = 0;
    for directory in directories {
        walk(directory, &mut |path| {
            if given.iter().any(|given| path.starts_with(given)) {
                return;
            }
            seen += 1;
            let contents = contents(path);
            for canary in canaries {
                let in_name = canary.is_in(path.as_os_str().as_encoded_bytes());
                if in_name || contents.iter().any(|content| canary.is_in(content)) {
                    found.push(format!("{} in {}", canary.name, path.display()));
                }
            }
        });
    }
    assert!(seen > 20, "only {seen} files were looked at");
    assert_eq!(found, Vec::<String>::new(), "a secret was written down");
}

fn walk(directory: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), look),
            Ok(_) => look(&entry.path()),
            Err(_gone) => {}
        }
    }
}

/// Returns what a file holds, or where a link leads; and what that unpacks to, if it is packed.
pub(super) fn contents(path: &Path) -> Vec<Vec<u8>> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Vec::new();
    };
    if metadata.is_symlink() {
        let target = fs::read_link(path).map(|target| target.into_os_string().into_encoded_bytes());
        return target.into_iter().collect();
    }
    if !metadata.is_file() {
        return Vec::new();
    }
    let read = || {
        let mut unpacked = Vec::new();
        // What breaks off holds what came before.
        let _broken = decoder(File::open(path).ok()?)
            .ok()?
            .take(LARGEST)
            .read_to_end(&mut unpacked);
        Some(unpacked)
    };
    fs::read(path).into_iter().chain(read()).collect()
}

/// What was seen of a process that held a canary.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Sighting {
    /// The canary.
    pub(super) canary: &'static str,
    /// `cmdline` or `environ`.
    pub(super) file: &'static str,
    /// The name of the process's program.
    pub(super) program: String,
    /// Its command line.
    pub(super) command: String,
    /// Its variables.
    pub(super) environment: String,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} of {}: {}",
            self.canary, self.file, self.program, self.command
        )
    }
}

/// Looks at all processes that are new on the machine, a hundred times a second.
pub(super) struct Watch {
    ended: Arc<AtomicBool>,
    watching: JoinHandle<(BTreeSet<Sighting>, u32)>,
}

impl Watch {
    /// Begins.
    pub(super) fn start(canaries: Arc<Vec<Canary>>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        let mut known = processes().map(|process| (process, None)).collect();
        let watching = thread::spawn(move || {
            let (mut seen, mut looks) = (BTreeSet::new(), 0);
            while !is_over.load(Ordering::Relaxed) {
                look(&canaries, &mut known, &mut seen);
                looks += 1;
                thread::sleep(Duration::from_millis(8));
            }
            (seen, looks)
        });
        Self { ended, watching }
    }

    /// Ends, and returns all that was seen.
    pub(super) fn end(self) -> BTreeSet<Sighting> {
        self.ended.store(true, Ordering::Relaxed);
        let (seen, looks) = self.watching.join().unwrap();
        assert!(looks > 20, "there were only {looks} looks");
        seen
    }
}

fn processes() -> impl Iterator<Item = OsString> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.as_encoded_bytes()[0].is_ascii_digit())
}

/// Looks at those that are new, or have become another program: `known` has the command line of each, or none of what was there
/// before.
fn look(canaries: &[Canary], known: &mut BTreeMap<OsString, Option<Vec<u8>>>, seen: &mut BTreeSet<Sighting>) {
    for name in processes() {
        if matches!(known.get(&name), Some(None)) {
            continue;
        }
        let process = Path::new("/proc").join(&name);
        let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
        let command = read("cmdline");
        if matches!(known.get(&name), Some(Some(before)) if *before == command) {
            continue;
        }
        known.insert(name, Some(command.clone()));
        let environment = read("environ");
        for (file, content) in [("cmdline", &command), ("environ", &environment)] {
            for canary in canaries.iter().filter(|canary| canary.is_in(content)) {
                let program = fs::read_link(process.join("exe"));
                // What has ended or become another program meanwhile is seen by the next look, or was too short for anybody.
                let Some(program) = program.ok().filter(|_| read("cmdline") == command) else {
                    continue;
                };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', " ");
                seen.insert(Sighting {
                    canary: canary.name,
                    file,
                    program: program.file_name().unwrap_or_default().display().to_string(),
                    command: text(&command),
                    environment: text(&environment),
                });
            }
        }
    }
}
