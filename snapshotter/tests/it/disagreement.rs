//! Archives that lie, read by us and by others: what we accept, they must read in the same way (U9).
//!
//! The archives are drawn at random from headers that contradict each other. We may refuse what others accept, as they
//! disagree about it; we may not read anything in a way of our own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use snapshotter::Root;
use snapshotter::layer::{Limits, UnpackMode};

use crate::evil::{GNU, Header, USTAR, V7, long, pax};
use crate::subject::unpack;
use crate::tree::{self, Kind};

/// The other readers, as commands that unpack the file `archive.tar` into the directory that they run in.
const READERS: [(&str, &[&str]); 4] = [
    ("GNU tar", &["tar", "-xf", "../archive.tar"]),
    ("bsdtar", &["bsdtar", "-xf", "../archive.tar"]),
    (
        "Python",
        &[
            "python3",
            "-c",
            "import tarfile\nwith tarfile.open('../archive.tar', 'r:') as t: t.extractall(filter='fully_trusted')",
        ],
    ),
    // umoci reads layers with Go's archive/tar, as containerd and BuildKit do.
    (
        "Go",
        &[
            "sh",
            "-ec",
            "umoci init --layout ../image; umoci new --image ../image:a; \
             umoci raw add-layer --image ../image:a ../archive.tar; umoci raw unpack --image ../image:a .; rm -r ../image",
        ],
    ),
];

/// How many archives are drawn.
const CASES: u32 = 60;

/// What links lead to: a file at the start of every archive.
const TARGET: &str = "target";

/// Names that hardly ever meet: what becomes of a name that comes twice is not the question here.
fn name() -> impl Strategy<Value = String> {
    (any::<u32>(), any::<bool>()).prop_map(|(number, below)| format!("{}{number}", if below { "d/" } else { "" }))
}

/// A header before an entry, which may contradict it or be none at all.
fn extension() -> impl Strategy<Value = Header> {
    let size = prop::sample::select(vec!["0", "3", "512", "600", "-1", "x"]);
    let key = prop::sample::select(vec!["path", "comment", "GNU.sparse.name"]);
    prop_oneof![
        3 => (key.clone(), name()).prop_map(|(key, name)| pax(&[(key, name.as_bytes())])),
        2 => size.prop_map(|size| pax(&[("size", size.as_bytes())])),
        2 => (name(), name()).prop_map(|(one, other)| pax(&[("path", one.as_bytes()), ("path", other.as_bytes())])),
        2 => name().prop_map(|name| long(b'L', name)),
        1 => Just(long(b'K', TARGET)),
        1 => Just(pax(&[("linkpath", TARGET.as_bytes())])),
        1 => (key, name()).prop_map(|(key, name)| Header { flag: b'g', ..pax(&[(key, name.as_bytes())]) }),
        1 => Just(Header { content: b"9 path=a".to_vec(), ..pax(&[]) }),
        1 => Just(pax(&[("path", b"a\0b")])),
        1 => Just(pax(&[("path", b"")])),
    ]
}

/// An entry, true or not.
fn entry() -> impl Strategy<Value = Header> {
    let content = prop::sample::select(vec![0_usize, 3, 512, 600]);
    let flag = prop::sample::select(vec![
        b'0', b'0', b'0', b'0', 0, b'5', b'5', b'2', b'1', b'7', b'S', b'z',
    ]);
    let magic = prop::sample::select(vec![USTAR, GNU, V7]);
    let said = prop::option::weighted(0.05, prop::sample::select(vec![0_u64, 3, 512, 1024]));
    (
        flag,
        name(),
        content,
        magic,
        said,
        prop::bool::weighted(0.03),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(flag, name, length, magic, size, break_checksum, slash)| Header {
            content: if matches!(flag, b'5' | b'2' | b'1') {
                Vec::new()
            } else {
                vec![b'x'; length]
            },
            link: if matches!(flag, b'1' | b'2') {
                TARGET.into()
            } else {
                Vec::new()
            },
            size,
            magic,
            break_checksum,
            ..Header::new(flag, if slash { format!("{name}/") } else { name })
        })
}

/// An archive as it is drawn.
#[derive(Clone, Debug)]
struct Drawn {
    members: Vec<(Vec<Header>, Header)>,
    /// Zeros at the end.
    end: usize,
    /// Whether a block of zeros follows the first member.
    gap: bool,
}

impl Drawn {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Header::file(TARGET, "content").blocks();
        for (number, (extensions, entry)) in self.members.iter().enumerate() {
            if self.gap && number == 1 {
                bytes.extend([0; 512]);
            }
            bytes.extend(extensions.iter().chain([entry]).flat_map(Header::blocks));
        }
        bytes.extend(vec![0; self.end]);
        bytes
    }

    /// Says what is in it, for people.
    fn shown(&self) -> String {
        let of = |header: &Header| {
            format!(
                "{:?} `{}` -> `{}` {:?}",
                char::from(header.flag),
                header.name.escape_ascii(),
                header.link.escape_ascii(),
                (
                    header.size,
                    &header.magic[..6],
                    header.content.len(),
                    header.content[..header.content.len().min(30)]
                        .escape_ascii()
                        .to_string()
                )
            )
        };
        let members = self
            .members
            .iter()
            .flat_map(|(extensions, entry)| extensions.iter().chain([entry]));
        let lines: Vec<String> = members.map(of).collect();
        format!("{}\nthen {} zeros, gap: {}", lines.join("\n"), self.end, self.gap)
    }
}

fn an_archive() -> impl Strategy<Value = Drawn> {
    let member = (prop::collection::vec(extension(), 0..2), entry());
    let end = prop::sample::select(vec![0_usize, 512, 1024, 4096]);
    let gap = prop::bool::weighted(0.05);
    (prop::collection::vec(member, 1..4), end, gap).prop_map(|(members, end, gap)| Drawn { members, end, gap })
}

/// What an archive says, as far as all readers keep it.
fn meaning(top: &Path) -> BTreeMap<PathBuf, Kind> {
    let mut tree = tree::read(top);
    tree.remove(Path::new(""));
    tree.into_iter().map(|(path, node)| (path, node.kind)).collect()
}

#[test]
fn u9_what_we_accept_others_read_in_the_same_way() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let (accepted, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let checked = TestRunner::new(config).run(&an_archive(), |drawn| {
        let bytes = drawn.bytes();
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("archive.tar"), &bytes).unwrap();
        let ours = scratch.path().join("ours");
        fs::create_dir(&ours).unwrap();
        let root = Root::open(&ours).unwrap();
        if unpack(&mut bytes.as_slice(), &root, UnpackMode::Archive, &Limits::default()).is_err() {
            refused.set(refused.get() + 1);
            return Ok(());
        }
        accepted.set(accepted.get() + 1);
        let ours = meaning(&ours);
        for (reader, command) in READERS {
            let theirs = scratch.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            let output = Command::new(command[0])
                .args(&command[1..])
                .current_dir(&theirs)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // umoci makes nothing of kinds of files that its reader reads well.
            if said.contains("unknown typeflag") {
                fs::remove_dir_all(&theirs).unwrap();
                fs::remove_dir_all(scratch.path().join("image")).unwrap();
                continue;
            }
            prop_assert!(output.status.success(), "{reader} refuses: {said}\n{}", drawn.shown());
            prop_assert_eq!(
                &meaning(&theirs),
                &ours,
                "{} reads it differently:\n{}",
                reader,
                drawn.shown()
            );
            fs::remove_dir_all(&theirs).unwrap();
        }
        Ok(())
    });
    if let Err(proptest::test_runner::TestError::Fail(reason, _)) = checked {
        panic!("{reason}");
    }
    println!(
        "{} archives accepted and read alike, {} refused",
        accepted.get(),
        refused.get()
    );
    assert!(
        accepted.get() >= CASES / 10,
        "only {} archives were accepted",
        accepted.get()
    );
}
