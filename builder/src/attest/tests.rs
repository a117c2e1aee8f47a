//! Provenance as a whole: a Dockerfile with one of everything, in both forms, as it is written out.

use std::collections::{BTreeMap, HashMap};

use registry::oci::{Descriptor, Digest, MediaType};
use serde_json::Value;

use super::predicate::{predicate, summary};
use super::*;
use crate::diagnostic::SourceFile;
use crate::fetch::Revision;
use crate::frontend::NoCache;
use crate::frontend::tests::{Built, build};
use crate::image::ImagePin;
use crate::op::{Network, Op};

const DOCKERFILE: &str = r#"FROM alpine AS tools
RUN apk add git

FROM busybox
ENV MIRROR=https://me:canary@mirror.invalid
ADD https://me:canary@example.com/archive.tgz /
ADD https://example.com/x.git#v1 /src
COPY --link --chown=1:2 a b /c/
COPY --from=tools --chmod=0750 /usr/bin/git /usr/bin/
COPY <<EOF /etc/motd
hello
EOF
WORKDIR /work
RUN --network=none \
    --mount=type=cache,target=/cache,id=c,sharing=locked \
    --mount=type=tmpfs,target=/tmp,size=1m \
    --mount=type=secret,id=token,env=TOKEN,required=true \
    --mount=type=ssh \
    make
"#;

/// How wide a line of a golden may be, in bytes.
const WIDTH: usize = 160;

/// A build of the Dockerfile, as far as provenance is about it.
struct Made {
    built: Built,
    pins: Vec<ImagePin>,
    fetched: BTreeMap<crate::graph::VertexId, Revision>,
}

impl Made {
    fn new() -> Self {
        let built = build(DOCKERFILE, &[]);
        let (mut pins, mut fetched) = (Vec::new(), BTreeMap::new());
        for vertex in built.graph.iter() {
            match &vertex.op {
                Op::Image(op) => pins.push(ImagePin {
                    named: op.reference.familiar().split('@').next().unwrap().parse().unwrap(),
                    platform: op.platform.clone(),
                    digest: Digest::of(b"index"),
                    manifest: op.reference.digest().unwrap(),
                }),
                Op::Http(_) => drop(fetched.insert(vertex.id, Revision::Bytes(Digest::of(b"archive")))),
                Op::Git(_) => drop(fetched.insert(vertex.id, Revision::Commit("a".repeat(40)))),
                _ => {}
            }
        }
        Self { built, pins, fetched }
    }

    /// Returns the provenance, with the layers that each step of the target has left.
    fn provenance(&self, mode: Mode) -> Provenance {
        let Built { graph, lowered } = &self.built;
        let steps = Steps::new(graph, lowered.rootfs);
        let layer = |name: &str| Descriptor::of(MediaType::LAYER_GZIP, name.as_bytes());
        let made = lowered.history.iter().filter_map(|entry| entry.layer);
        let made: HashMap<_, _> = made.map(|id| (id, layer(&id.to_string()))).collect();
        let layers = LayersOf {
            image: &|op| Some(vec![layer(op.reference.repository())]),
            step: &made,
        };
        let build_args = [("A", "1"), ("https_proxy", "http://me:canary@proxy.invalid")];
        let request = RequestArgs {
            build_args: &build_args.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            labels: &BTreeMap::new(),
            target: Some("stage-1"),
            contexts: &BTreeMap::new(),
            no_cache: &NoCache::All,
            network: Network::None,
            add_hosts: &[("10.0.0.1".to_owned(), "db".to_owned())],
        };
        let locals = ["dockerfile", "context", "context"].map(str::to_owned);
        let mut parameters = Parameters::of(request, &steps, locals.to_vec());
        let file = SourceFile::new("Dockerfile", DOCKERFILE);
        let detail = match mode {
            Mode::Min => None,
            Mode::Max => Some(Detail {
                build_config: steps.build_config(),
                source: source_map(&steps, &file, "Dockerfile"),
                layers: chains(&steps, &layers).unwrap(),
            }),
        };
        Provenance {
            builder_id: String::new(),
            builder_platform: "linux/amd64".to_owned(),
            source: ConfigSource {
                context: None,
                local_dockerfile: true,
                path: "Dockerfile".to_owned(),
            },
            all_parameters: mode == Mode::Max || parameters.reduce(),
            parameters,
            materials: materials(
                &steps,
                Sources {
                    images: &self.pins,
                    fetched: &self.fetched,
                },
            ),
            offline: false,
            reproducible: false,
            invocation: Some(Invocation {
                id: "1-2-3".to_owned(),
                started: "2026-01-01T00:00:00Z".to_owned(),
                finished: "2026-01-01T00:00:01Z".to_owned(),
            }),
            vcs: [("source", "https://example.com/app.git".to_owned())].into(),
            detail,
        }
    }
}

/// Prints a predicate, each value on one line if it fits there; croze's own version is none of the test's business.
fn printed(predicate: &Value) -> String {
    let mut text = String::new();
    print(predicate, 0, &mut text);
    text.replace(
        concat!("\"croze\":\"", env!("CARGO_PKG_VERSION")),
        "\"croze\":\"VERSION",
    )
}

fn print(value: &Value, depth: usize, out: &mut String) {
    let line = value.to_string();
    let entries: Vec<(String, &Value)> = match value {
        _ if line.len() + 2 * depth <= WIDTH => Vec::new(),
        Value::Object(map) => map.iter().map(|(key, value)| (format!("\"{key}\": "), value)).collect(),
        Value::Array(list) => list.iter().map(|value| (String::new(), value)).collect(),
        _ => Vec::new(),
    };
    if entries.is_empty() {
        return out.push_str(&line);
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (key, value) in entries {
        out.push_str(&format!("\n{}{key}", "  ".repeat(depth + 1)));
        print(value, depth + 1, out);
        out.push(',');
    }
    out.pop();
    out.push_str(&format!("\n{}{close}", "  ".repeat(depth)));
}

#[test]
fn detailed_provenance_tells_every_step_and_no_secret() {
    let told = printed(&predicate(&Made::new().provenance(Mode::Max), SlsaVersion::V1).unwrap());
    assert!(!told.contains("canary"), "{told}");
    insta::assert_snapshot!("v1-max", told);
}

#[test]
fn short_provenance_tells_origins_alone() {
    let provenance = Made::new().provenance(Mode::Min);
    insta::assert_snapshot!("v02-min", printed(&predicate(&provenance, SlsaVersion::V02).unwrap()));
}

#[test]
fn metadata_has_neither_steps_nor_the_run() {
    let provenance = Made::new().provenance(Mode::Max);
    let told = summary(&predicate(&provenance, SlsaVersion::V02).unwrap());
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["buildType", "materials", "invocation"]);
    let told = summary(&predicate(&provenance, SlsaVersion::V1).unwrap());
    assert_eq!(told["runDetails"].as_object().unwrap().len(), 1);
    assert_eq!(
        told["buildDefinition"]["internalParameters"].as_object().unwrap().len(),
        1
    );
}
