//! Golden digests per kind, and for every field whether it enters.

use std::collections::HashMap;

use super::sources;
use crate::dockerfile::Sharing;
use crate::op::key::Define;
use crate::op::{
    Chmod, CopyOp, CopySource, ImageOp, InlineFile, LocalOp, Mount, MountSource, Network, Op, RunOp, Security,
    WorkdirOp,
};

fn image() -> ImageOp {
    ImageOp {
        reference: "debian:12".parse().unwrap(),
        platform: "linux/arm/v7".parse().unwrap(),
    }
}

fn mounts() -> Vec<Mount> {
    let sources = [
        MountSource::Bind {
            input: Some(1),
            path: "/src".to_owned(),
            writable: false,
        },
        MountSource::Cache {
            id: "apt".to_owned(),
            sharing: Sharing::Shared,
            input: Some(2),
            path: "/".to_owned(),
            readonly: false,
            mode: 0o755,
            uid: 1,
            gid: 2,
        },
        MountSource::Tmpfs { size: Some(1 << 20) },
        MountSource::Secret {
            id: "token".to_owned(),
            required: false,
            mode: 0o400,
            uid: 0,
            gid: 3,
            env: Some("TOKEN".to_owned()),
        },
        MountSource::Ssh {
            id: "default".to_owned(),
            required: true,
            mode: 0o600,
            uid: 4,
            gid: 5,
        },
    ];
    let mount = |(number, source)| Mount {
        target: format!("/mnt/{number}"),
        source,
    };
    sources.into_iter().enumerate().map(mount).collect()
}

fn run() -> RunOp {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    RunOp {
        scratch: false,
        args: ["/bin/sh", "-c", "make"].map(str::to_owned).to_vec(),
        env: vec![pair("PATH", "/bin"), pair("A", "b")],
        proxy_env: vec![pair("http_proxy", "http://proxy")],
        cwd: "/work".to_owned(),
        user: "builder".to_owned(),
        mounts: mounts(),
        script: Some(pair("EOF", "echo hello\n")),
        devices: vec!["vendor.example/gpu=0".to_owned()],
        security: Security::Sandbox,
        network: Network::Default,
        hostname: "buildkitsandbox".to_owned(),
        extra_hosts: vec![pair("10.0.0.1", "registry")],
        no_cache: false,
    }
}

fn copy() -> CopyOp {
    CopyOp {
        scratch: false,
        sources: vec![
            CopySource::Path {
                input: 1,
                path: "/*.txt".to_owned(),
                keep_owner: false,
                unpack: false,
            },
            CopySource::Inline(InlineFile {
                name: "motd".to_owned(),
                content: "hello\n".to_owned(),
            }),
        ],
        destination: "/app/".to_owned(),
        chown: Some("app:app".to_owned()),
        names_from: Some(0),
        chmod: Some(Chmod::Octal(0o755)),
        parents: false,
        exclude: vec!["*.md".to_owned()],
        mtime: None,
    }
}

fn workdir() -> WorkdirOp {
    WorkdirOp {
        path: "/app".to_owned(),
        user: "app".to_owned(),
        mtime: None,
        scratch: false,
    }
}

/// Whoever changes one of these changes what caches everywhere hold: raise the version of the kind, and the
/// table in the module's documentation.
#[test]
fn the_digest_of_each_kind_is_what_it_always_was() {
    let local = LocalOp {
        name: "context".to_owned(),
    };
    let golden = [
        (
            Op::Image(image()),
            "image/1 f3058709e1ee77662f4de5c301b425f2dbda34bfaabf66bb261678d6437f9d24",
        ),
        (
            Op::Local(local),
            "local/1 f5603614f0fd841c44151acaa4bb56eb5c236355c77326da92139640b1f91885",
        ),
        (
            Op::Http(sources::http()),
            "http/1 bda9c8cebef81ea19e6f0c6f67a92870da9011ffffd950d73322f106b23bc8c6",
        ),
        (
            Op::Git(sources::git()),
            "git/1 d5a67266edc36fc4e612f3f67be1b48891fdc97535a87608cf18b7160f599222",
        ),
        (
            Op::Run(run()),
            "run/2 f4ceac00063484bba186f8854c71095273783cc715e707a5c60d13fa9b5c061c",
        ),
        (
            Op::Copy(copy()),
            "copy/3 47acde2dcb5742e822698516d7997d636ae1f2582ca4504a2359928f70dc01c7",
        ),
        (
            Op::Workdir(workdir()),
            "workdir/2 0cde860d60bc4e12d4a0faeb9c3958e6078f65f1c7d0a56b8e0bc4d36f1726bc",
        ),
        (
            Op::Merge,
            "merge/1 78c08eed5856aaf5ae517637f738d890564b6ae3204014ac7220c869e8834dd9",
        ),
    ];
    let actual = golden
        .each_ref()
        .map(|(op, _)| format!("{} {}", op.kind(), op.operation().hex()));
    assert_eq!(actual, golden.map(|(_, expected)| expected));
}

/// A change of one field of an operation.
pub(super) type Change<T> = (&'static str, fn(&mut T));

/// Checks that each of `enter` changes the digest, each to one of its own, and that none of `stay_out` does.
pub(super) fn check<T: Clone>(base: T, wrap: fn(T) -> Op, enter: &[Change<T>], stay_out: &[Change<T>]) {
    let changed = |change: fn(&mut T)| {
        let mut op = base.clone();
        change(&mut op);
        wrap(op)
    };
    let original = wrap(base.clone());
    let mut seen = HashMap::from([(original.operation(), "nothing")]);
    for &(name, change) in enter {
        let other = seen.insert(changed(change).operation(), name);
        assert_eq!(other, None, "changing {name}");
    }
    for &(name, change) in stay_out {
        let op = changed(change);
        assert_ne!(op, original, "{name} is not changed");
        assert_eq!(op.operation(), original.operation(), "changing {name}");
    }
}

#[test]
fn what_enters_the_key_of_an_image() {
    check(
        image(),
        Op::Image,
        &[
            ("os", |op| op.platform.os = "freebsd".to_owned()),
            ("architecture", |op| op.platform.architecture = "arm64".to_owned()),
            ("variant", |op| op.platform.variant = None),
            ("os version", |op| op.platform.os_version = Some("v7".to_owned())),
        ],
        &[("reference", |op| op.reference = "ubuntu".parse().unwrap())],
    );
}

#[test]
fn what_enters_the_key_of_a_run() {
    check(
        run(),
        Op::Run,
        &[
            ("scratch", |op| op.scratch = true),
            ("argument", |op| op.args[2] = "make all".to_owned()),
            ("arguments split", |op| {
                op.args = ["/bin/sh", "-cmake"].map(str::to_owned).to_vec()
            }),
            ("variable's name", |op| op.env[1].0 = "B".to_owned()),
            ("variable's value", |op| op.env[1].1 = "c".to_owned()),
            ("variables' order", |op| op.env.reverse()),
            ("cwd", |op| op.cwd = "/".to_owned()),
            ("user", |op| op.user = String::new()),
            ("mounts' order", |op| op.mounts.reverse()),
            ("fewer mounts", |op| op.mounts.truncate(4)),
            ("no script", |op| op.script = None),
            ("script's name", |op| {
                op.script = Some(("X".to_owned(), "echo hello\n".to_owned()))
            }),
            ("script's text", |op| {
                op.script = Some(("EOF".to_owned(), "echo\n".to_owned()))
            }),
            ("security", |op| op.security = Security::Insecure),
            ("device", |op| op.devices.push("vendor.example/gpu=1".to_owned())),
            ("no device", |op| op.devices.clear()),
            ("network none", |op| op.network = Network::None),
            ("network host", |op| op.network = Network::Host),
            ("host name", |op| op.hostname = "other".to_owned()),
        ],
        &[
            ("proxy", |op| op.proxy_env.clear()),
            ("hosts", |op| op.extra_hosts.clear()),
            ("no-cache", |op| op.no_cache = true),
        ],
    );
}

#[test]
fn what_enters_the_key_of_a_mount() {
    fn set(op: &mut RunOp, number: usize, change: impl Fn(&mut MountSource)) {
        change(&mut op.mounts[number].source);
    }
    macro_rules! field {
        ($number:literal, $variant:ident, $field:ident, $value:expr) => {
            |op: &mut RunOp| {
                set(op, $number, |source| {
                    let MountSource::$variant { $field, .. } = source else {
                        panic!("another kind of mount");
                    };
                    *$field = $value;
                })
            }
        };
    }
    check(
        run(),
        Op::Run,
        &[
            ("target", |op| op.mounts[0].target = "/other".to_owned()),
            ("bind input", field!(0, Bind, input, Some(2))),
            ("no bind input", field!(0, Bind, input, None)),
            ("bind path", field!(0, Bind, path, "/".to_owned())),
            ("bind writable", field!(0, Bind, writable, true)),
            ("cache id", field!(1, Cache, id, "npm".to_owned())),
            ("cache input", field!(1, Cache, input, None)),
            ("cache path", field!(1, Cache, path, "/a".to_owned())),
            ("cache readonly", field!(1, Cache, readonly, true)),
            ("cache mode", field!(1, Cache, mode, 0o700)),
            ("cache uid", field!(1, Cache, uid, 7)),
            ("cache gid", field!(1, Cache, gid, 7)),
            ("secret id", field!(3, Secret, id, "other".to_owned())),
            ("secret required", field!(3, Secret, required, true)),
            ("secret mode", field!(3, Secret, mode, 0o444)),
            ("secret uid", field!(3, Secret, uid, 7)),
            ("secret gid", field!(3, Secret, gid, 7)),
            ("secret env", field!(3, Secret, env, None)),
            ("ssh id", field!(4, Ssh, id, "other".to_owned())),
            ("ssh required", field!(4, Ssh, required, false)),
            ("ssh mode", field!(4, Ssh, mode, 0o666)),
            ("ssh uid", field!(4, Ssh, uid, 7)),
            ("ssh gid", field!(4, Ssh, gid, 7)),
        ],
        &[
            ("cache sharing", field!(1, Cache, sharing, Sharing::Locked)),
            ("tmpfs size", field!(2, Tmpfs, size, None)),
        ],
    );
}

#[test]
fn what_enters_the_key_of_a_copy() {
    fn path(op: &mut CopyOp, input: usize, path: &str, [keep_owner, unpack]: [bool; 2]) {
        op.sources[0] = CopySource::Path {
            input,
            path: path.to_owned(),
            keep_owner,
            unpack,
        };
    }
    fn inline(op: &mut CopyOp, name: &str, content: &str) {
        op.sources[1] = CopySource::Inline(InlineFile {
            name: name.to_owned(),
            content: content.to_owned(),
        });
    }
    check(
        copy(),
        Op::Copy,
        &[
            ("scratch", |op| op.scratch = true),
            ("source's input", |op| path(op, 2, "/*.txt", [false, false])),
            ("source's path", |op| path(op, 1, "/a.txt", [false, false])),
            ("source's owner", |op| path(op, 1, "/*.txt", [true, false])),
            ("source's archives", |op| path(op, 1, "/*.txt", [false, true])),
            ("inline name", |op| inline(op, "issue", "hello\n")),
            ("inline content", |op| inline(op, "motd", "hello")),
            ("sources' order", |op| op.sources.reverse()),
            ("destination", |op| op.destination = "/app".to_owned()),
            ("chown", |op| op.chown = Some("app".to_owned())),
            ("no chown", |op| op.chown = None),
            ("names", |op| op.names_from = None),
            ("chmod", |op| op.chmod = Some(Chmod::Octal(0o644))),
            ("symbolic chmod", |op| {
                op.chmod = Some("u=rwx,go=rx".parse().unwrap());
            }),
            ("no chmod", |op| op.chmod = None),
            ("parents", |op| op.parents = true),
            ("exclude", |op| op.exclude.push("*.txt".to_owned())),
            ("time", |op| op.mtime = Some(0)),
        ],
        &[],
    );
}

#[test]
fn what_enters_the_key_of_a_workdir_and_of_a_context() {
    check(
        workdir(),
        Op::Workdir,
        &[
            ("path", |op| op.path = "/".to_owned()),
            ("user", |op| op.user = String::new()),
            ("time", |op| op.mtime = Some(0)),
            ("scratch", |op| op.scratch = true),
        ],
        &[],
    );
    let local = LocalOp {
        name: "context".to_owned(),
    };
    check(local, Op::Local, &[], &[("name", |op| op.name = "other".to_owned())]);
}

#[test]
fn all_inputs_but_the_root_file_system_are_read_by_content() {
    let on_scratch = Op::Copy(CopyOp {
        scratch: true,
        ..copy()
    });
    for op in [Op::Run(run()), Op::Copy(copy())] {
        assert!(!op.reads_by_content(0));
        assert!(op.reads_by_content(1) && op.reads_by_content(2));
    }
    assert!(on_scratch.reads_by_content(0));
    assert!(!Op::Workdir(workdir()).reads_by_content(0));
    assert!(!Op::Merge.reads_by_content(0) && !Op::Merge.reads_by_content(1));
}

#[test]
fn only_images_and_contexts_are_sources_and_only_no_cache_ignores_the_cache() {
    let fresh = Op::Run(RunOp {
        no_cache: true,
        ..run()
    });
    assert!(fresh.ignores_cache() && !Op::Run(run()).ignores_cache());
    assert!(Op::Image(image()).is_source());
    assert!(![fresh, Op::Copy(copy()), Op::Merge].iter().any(Define::is_source));
}
