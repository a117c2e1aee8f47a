//! GNU tar as a second opinion: it reads what we write as we meant it, and we read what it writes as it meant it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use snapshotter::Root;
use snapshotter::layer::{Limits, PackOptions, TreeForm, UnpackMode, pack, unpack};

use crate::overlay::Stage;
use crate::roundtrip::a_tree;
use crate::tree::{self, Kind, Tree};

fn tar(arguments: &[&str], directory: &Path) {
    let common = [
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--quoting-style=escape",
        "--no-unquote",
    ];
    let output = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(common)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "tar {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Leaves out what GNU tar keeps in another way: names of attributes, which it encodes, and hard links of what is no
/// file, which it copies.
fn comparable(mut tree: Tree) -> Tree {
    let kinds: BTreeMap<_, _> = tree
        .iter()
        .map(|(path, node)| (path.clone(), node.kind.clone()))
        .collect();
    for node in tree.values_mut() {
        node.xattrs.retain(|name, _| !name.to_string_lossy().contains('%'));
        if let Kind::HardLink(first) = &node.kind
            && !matches!(kinds[first], Kind::File(_))
        {
            node.kind = kinds[first].clone();
        }
    }
    tree
}

fn check(cases: u32, strategy: impl Strategy<Value = Tree>, test: impl Fn(&Stage, &Path)) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&strategy, |wanted| {
        let stage = Stage::new();
        let from = stage.dir("from");
        tree::write(&from, &wanted);
        test(&stage, &from);
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn gnu_tar_reads_what_we_pack() {
    check(25, a_tree(30), |stage, from| {
        let (to, file) = (stage.dir("to"), from.with_extension("tar"));
        let mut out = std::fs::File::create(&file).unwrap();
        pack(
            &Root::open(from).unwrap(),
            TreeForm::Plain,
            &PackOptions::default(),
            &mut out,
        )
        .unwrap();
        tar(&["--same-owner", "-xpf", file.to_str().unwrap()], &to);
        assert_eq!(
            comparable(tree::read_as_layer(&to)),
            comparable(tree::read_as_layer(from))
        );
    });
}

#[test]
fn we_unpack_what_gnu_tar_packs() {
    for format in [
        "pax",
        "gnu",
        "gnu-sparse",
        "pax-sparse-0.0",
        "pax-sparse-0.1",
        "pax-sparse-1.0",
    ] {
        let (name, sparse) = format
            .split_once("-sparse")
            .map_or((format, None), |(name, kind)| (name, Some(kind)));
        let mut arguments = vec![format!("--format={name}")];
        if let Some(kind) = sparse {
            arguments.push("--sparse".to_owned());
            arguments.extend(
                kind.strip_prefix('-')
                    .map(|version| format!("--sparse-version={version}")),
            );
        }
        let exact = name == "pax";
        check(8, a_tree(30), |stage, from| {
            let (to, file) = (stage.dir("to"), from.with_extension("tar"));
            let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
            all.extend(["-cf", file.to_str().unwrap(), "."]);
            if !exact {
                all.insert(0, "--no-xattrs");
            }
            tar(&all, from);
            let mut archive = std::fs::File::open(&file).unwrap();
            unpack(
                &mut archive,
                &Root::open(&to).unwrap(),
                UnpackMode::Archive,
                &Limits::default(),
            )
            .unwrap();
            let read = |top: &Path| {
                let mut tree = comparable(tree::read_as_layer(top));
                if !exact {
                    tree.values_mut().for_each(|node| node.xattrs.clear());
                }
                tree
            };
            assert_eq!(read(&to), read(from), "{format}");
        });
    }
}
