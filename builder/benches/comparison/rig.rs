//! What scripts stand on: rows, the ends of commands, and registries that fail as they are told.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::fault_registry::{FaultRegistry, Manners, TokenRules};
use crate::harness::{Lab, Outcome, base_images, sh};
use crate::tool::{Ask, Tool};

/// How long a builder may take for anything: more than the longest silence that croze waits through.
pub(crate) const LIMIT: Duration = Duration::from_secs(80);

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// What happens.
    pub(crate) name: &'static str,
    /// Lets it happen to a builder.
    pub(crate) script: fn(&dyn Tool) -> Observation,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    /// Whether that is as it should be.
    pub(crate) is_right: bool,
    /// What it is, in a phrase.
    pub(crate) said: String,
}

/// Returns an observation.
pub(crate) fn observed(is_right: bool, said: impl Into<String>) -> Observation {
    Observation {
        is_right,
        said: said.into(),
    }
}

/// Returns the one of two that is not right, or both in one if they say different things.
pub(crate) fn worse(one: Observation, other: Observation) -> Observation {
    match (one.is_right, other.is_right) {
        (true, false) => other,
        (false, true) => one,
        (is_right, _) if one.said == other.said => observed(is_right, one.said),
        (is_right, _) => observed(is_right, format!("{}; {}", one.said, other.said)),
    }
}

/// Runs a command to its end, but not for ever: `None` if it was still running then.
pub(crate) fn run(command: &mut Command) -> Option<Outcome> {
    let child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let group = child.id();
    // Its output is read meanwhile: a full pipe would hold it up.
    let waiter = std::thread::spawn(move || child.wait_with_output().unwrap());
    let began = Instant::now();
    while !waiter.is_finished() {
        if began.elapsed() > LIMIT {
            signal("KILL", &format!("-{group}"));
            let _killed = waiter.join();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Outcome::of(waiter.join().unwrap()))
}

/// Starts a command in a process group of its own.
pub(crate) fn start(command: &mut Command) -> Child {
    command.process_group(0).stdin(Stdio::null()).spawn().unwrap()
}

/// Sends a signal to a process, or with a dash before its number to its group.
pub(crate) fn signal(name: &str, whom: &str) {
    sh(&format!("kill -{name} -- {whom} 2>/dev/null || true"));
}

/// Builds once more, without faults: whether that works.
pub(crate) fn builds(tool: &dyn Tool, lab: &Lab, ask: &Ask) -> bool {
    run(&mut tool.command(lab, ask)).is_some_and(|outcome| outcome.code == 0)
}

/// Where registries run.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Starts a registry that has `busybox:latest` and nothing else.
pub(crate) fn registry() -> FaultRegistry {
    let registry = RUNTIME.block_on(FaultRegistry::start());
    registry.behave(Manners {
        streams: true,
        ..Manners::default()
    });
    let layout = base_images();
    let read = |path: &str| Bytes::from(fs::read(layout.join(path)).unwrap());
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        read(&format!("blobs/{}", digest.replace(':', "/")))
    };
    let index: Value = serde_json::from_slice(&read("index.json")).unwrap();
    let name = "org.opencontainers.image.ref.name";
    let manifests = index["manifests"].as_array().unwrap();
    let found = manifests
        .iter()
        .find(|manifest| manifest["annotations"][name] == "busybox")
        .unwrap();
    let bytes = blob(found);
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for descriptor in manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&manifest["config"]])
    {
        registry.put_blob("busybox", &blob(descriptor));
    }
    registry.put_manifest("busybox", "latest", found["mediaType"].as_str().unwrap(), &bytes);
    registry
}

/// Returns a lab whose image is made from a registry's `busybox`.
pub(crate) fn lab_on(registry: &FaultRegistry, rest: &str) -> Lab {
    Lab::new(&format!("FROM {}/busybox\n{rest}", registry.address))
}

/// Returns the name that is pushed in a registry.
pub(crate) fn pushed(registry: &FaultRegistry) -> Ask {
    Ask {
        push: Some(format!("{}/app:1", registry.address)),
        ..Ask::default()
    }
}

/// Tells whether an image in a registry is whole: another tool can copy it.
pub(crate) fn is_whole(lab: &Lab, registry: &FaultRegistry) -> bool {
    // That tool is not the one that is tried.
    registry.fail_one_in(u64::MAX, 1);
    registry.demand_tokens(TokenRules::default());
    let copy = lab.path().join("copy");
    let _none_yet = fs::remove_dir_all(&copy);
    let (from, to) = (&registry.address, copy.display());
    let script =
        format!("skopeo copy -q --src-tls-verify=false docker://{from}/app:1 oci:{to}:app && echo yes || true");
    sh(&format!("{script} 2>/dev/null")).trim() == "yes"
}

/// Returns why something failed: the end of the last line that speaks of an error.
pub(crate) fn reason(outcome: &Outcome) -> String {
    let mut lines = outcome.stderr.lines().rev();
    let line = lines
        .find(|line| line.to_lowercase().contains("error"))
        .unwrap_or_default();
    let mut causes: Vec<&str> = line.rsplit(": ").take(2).collect();
    causes.reverse();
    let text = causes.join(": ").replace(['|', '`'], "'");
    text.chars().take(90).collect()
}
