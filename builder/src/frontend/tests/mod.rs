//! Tests of lowering as a whole: golden cases in `testdata/dockerfile`, rules that two requests show better than
//! one, and a table of errors.

mod errors;
mod golden;
mod images;
mod print;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use registry::oci::Platform;

use super::{Entitlement, LowerError, Lowered, NamedContext, NoCache, Request, TargetPlatform, lower};
use crate::diagnostic::SourceFile;
use crate::dockerfile;
use crate::graph::{Graph, GraphBuilder};
use crate::op::{Network, Op};
use images::Images;

/// What a Dockerfile was lowered to.
pub(crate) struct Built {
    pub(crate) graph: Graph<Op>,
    pub(crate) lowered: Lowered,
}

/// Makes a request of a Dockerfile and flags as on the command line, one each.
fn request(text: &str, flags: &[&str]) -> Request {
    let source = Arc::new(SourceFile::new("Dockerfile", text));
    let dockerfile = dockerfile::parse(source).unwrap();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let mut request = Request::new(dockerfile, platform);
    for flag in flags {
        apply(flag, &mut request);
    }
    request
}

fn apply(flag: &str, request: &mut Request) {
    let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
    let pair = || {
        let (key, value) = value.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    };
    match name {
        "--build-arg" => request.build_args.extend([pair()]),
        "--label" => request.labels.extend([pair()]),
        "--target" => request.target = Some(value.to_owned()),
        "--platform" => request.platform = TargetPlatform::Chosen(value.parse().unwrap()),
        "--multi-platform" => request.multi_platform = true,
        "--no-cache" => request.no_cache = NoCache::All,
        "--no-cache-filter" => {
            request.no_cache = NoCache::Stages(value.split(',').map(str::to_owned).collect::<BTreeSet<_>>());
        }
        "--network" => {
            request.network = match value {
                "host" => Network::Host,
                "none" => Network::None,
                _ => Network::Default,
            }
        }
        "--allow" => drop(request.allow.insert(match value {
            "network.host" => Entitlement::NetworkHost,
            _ => Entitlement::SecurityInsecure,
        })),
        "--hostname" => request.hostname = Some(value.to_owned()),
        "--shm-size" => request.shm_size = Some(value.parse().unwrap()),
        "--add-host" => {
            let (host, address) = pair();
            request.add_hosts.push((address, host));
        }
        "--build-context" => {
            let (name, value) = pair();
            let context = match value.strip_prefix("docker-image://") {
                Some("scratch") => NamedContext::Scratch,
                Some(image) => NamedContext::Image(image.parse().unwrap()),
                None => NamedContext::Local { name: name.clone() },
            };
            request.contexts.insert(name, context);
        }
        _ => panic!("unknown flag {name}"),
    }
}

fn try_build(text: &str, flags: &[&str]) -> Result<Built, LowerError> {
    let mut graph = GraphBuilder::new();
    let lowered = lower(&request(text, flags), &Images, &mut (), &mut graph)?;
    Ok(Built {
        graph: graph.finish(),
        lowered,
    })
}

pub(crate) fn build(text: &str, flags: &[&str]) -> Built {
    try_build(text, flags).unwrap()
}
