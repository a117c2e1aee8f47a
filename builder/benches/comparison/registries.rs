//! Registries that fail, drip, lie, or ask for credentials that are not theirs.

use std::time::Instant;

use axum::http::Method;
use base64::Engine as _;

use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::faults::Fault;
use crate::harness::{Lab, sh};
use crate::rig::{LIMIT, Observation, Row, builds, is_whole, lab_on, observed, pushed, reason, registry, run, worse};
use crate::tool::{Ask, Tool};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "R1 one request in ten fails, pull and push, 5 times",
        script: one_in_ten,
    },
    Row {
        name: "R2 a layer is refused with 429 and `Retry-After: 1`, twice",
        script: too_many,
    },
    Row {
        name: "R3 a manifest is answered with 503, three times",
        script: unavailable,
    },
    Row {
        name: "R4 the connection breaks in the middle of a layer, twice",
        script: broken,
    },
    Row {
        name: "R5 a layer has other bytes than its digest says, or fewer",
        script: lied_about,
    },
    Row {
        name: "R6 a token expires early, after three requests of a push",
        script: expiring,
    },
    Row {
        name: "R7 a layer stops coming, once",
        script: silent,
    },
    Row {
        name: "R8 HEAD of a manifest is refused",
        script: no_head,
    },
    Row {
        name: "R9 the upload session is lost, once",
        script: lost_session,
    },
    Row {
        name: "R10 a layer is redirected to another host: is it told the credentials?",
        script: redirected,
    },
    Row {
        name: "R11 the challenge names a token service elsewhere: is it told the credentials?",
        script: foreign_realm,
    },
];

/// A step whose layer takes some requests to push.
const STEP: &str = "RUN head -c 300000 /dev/urandom > /noise\n";

/// Builds and pushes through a registry that fails as it was told, which must not be noticed.
fn survives(tool: &dyn Tool, registry: &FaultRegistry) -> Observation {
    let lab = lab_on(registry, STEP);
    let began = Instant::now();
    let Some(outcome) = run(&mut tool.command(&lab, &pushed(registry))) else {
        return observed(false, format!("still waits after {} s", LIMIT.as_secs()));
    };
    if outcome.code != 0 {
        return observed(false, format!("fails: `{}`", reason(&outcome)));
    }
    let whole = is_whole(&lab, registry);
    let said = if whole {
        "survives"
    } else {
        "says that it worked, and the image is broken"
    };
    observed(whole, format!("{said} ({} s)", began.elapsed().as_secs()))
}

fn one_in_ten(tool: &dyn Tool) -> Observation {
    let mut failed = Vec::new();
    for seed in 0..5 {
        let registry = registry();
        registry.fail_one_in(10, seed);
        let lab = lab_on(&registry, STEP);
        let outcome = run(&mut tool.command(&lab, &pushed(&registry)));
        match outcome {
            None => failed.push("hangs".to_owned()),
            Some(outcome) if outcome.code != 0 => failed.push(reason(&outcome)),
            Some(_) if !is_whole(&lab, &registry) => failed.push("a broken image".to_owned()),
            Some(_) => {}
        }
    }
    match failed.first() {
        None => observed(true, "5 of 5 work"),
        Some(first) => observed(false, format!("{} of 5 fail: `{first}`", failed.len())),
    }
}

fn too_many(tool: &dyn Tool) -> Observation {
    let registry = registry();
    let fault = Fault::with_header(429, "retry-after", "1");
    registry.fail(Method::GET, "/blobs/", 2, fault);
    survives(tool, &registry)
}

fn unavailable(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.fail(Method::GET, "/manifests/", 3, Fault::status(503));
    survives(tool, &registry)
}

fn broken(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.fail(Method::GET, "/blobs/", 2, Fault::BreakAfter(500));
    survives(tool, &registry)
}

/// Builds from a registry that lies about layers, which must fail, and afterwards from one that does not.
fn refuses(tool: &dyn Tool, fault: Fault) -> Observation {
    let registry = registry();
    // The config must be right, so that it comes to the layer.
    registry.fail(Method::GET, "/blobs/", usize::MAX, fault);
    let lab = lab_on(&registry, STEP);
    let outcome = run(&mut tool.command(&lab, &pushed(&registry)));
    let honest = self::registry();
    lab.write("Dockerfile", &format!("FROM {}/busybox\n{STEP}", honest.address));
    let works = builds(tool, &lab, &pushed(&honest));
    match outcome {
        None => observed(false, "hangs"),
        Some(outcome) if outcome.code == 0 => observed(false, "builds on it"),
        Some(_) if !works => observed(false, "refuses it, and the next build fails too"),
        Some(_) => observed(true, "refuses it; the next build works"),
    }
}

fn lied_about(tool: &dyn Tool) -> Observation {
    let fewer = Fault::Answer {
        status: 200,
        headers: Vec::new(),
        body: "short".to_owned(),
    };
    worse(refuses(tool, Fault::FlipBit), refuses(tool, fewer))
}

fn expiring(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.demand_tokens(TokenRules {
        uses: Some(3),
        ..TokenRules::default()
    });
    survives(tool, &registry)
}

fn silent(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.fail(Method::GET, "/blobs/", 1, Fault::StallAfter(100));
    survives(tool, &registry)
}

fn no_head(tool: &dyn Tool) -> Observation {
    let registry = registry();
    registry.fail(Method::HEAD, "/manifests/", usize::MAX, Fault::status(405));
    survives(tool, &registry)
}

fn lost_session(tool: &dyn Tool) -> Observation {
    let registry = registry();
    let gone = || Fault::error(404, "BLOB_UPLOAD_UNKNOWN", "gone");
    // Whichever way the bytes are sent.
    registry.fail_any("/blobs/uploads/", 1..2, gone());
    survives(tool, &registry)
}

/// Returns a variable that names a file with credentials for a registry.
fn credentials(lab: &Lab, registry: &FaultRegistry) -> String {
    let auth = base64::engine::general_purpose::STANDARD.encode("me:password");
    let file = lab.path().join("home/auth.json");
    let json = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address);
    std::fs::write(&file, json).unwrap();
    format!("REGISTRY_AUTH_FILE={}", file.display())
}

fn redirected(tool: &dyn Tool) -> Observation {
    let (registry, other) = (registry(), registry());
    let digests = blobs(&registry);
    registry.demand_tokens(TokenRules {
        basic: Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode("me:password")
        )),
        ..TokenRules::default()
    });
    let lab = lab_on(&registry, STEP);
    // Another host to a client: its name is not the registry's.
    let elsewhere = other.address.replace("127.0.0.1", "localhost");
    for digest in digests {
        let location = format!("http://{elsewhere}/v2/busybox/blobs/{digest}");
        let fault = Fault::with_header(307, "location", location);
        registry.fail(Method::GET, &format!("/busybox/blobs/{digest}"), usize::MAX, fault);
    }
    let ask = Ask {
        variables: vec![credentials(&lab, &registry)],
        ..Ask::default()
    };
    let outcome = run(&mut tool.command(&lab, &ask));
    let told = other.was_told_anything();
    let asked = !other.seen().is_empty();
    match outcome {
        _ if told => observed(false, "yes"),
        Some(outcome) if outcome.code == 0 && asked => observed(true, "no; the build works"),
        Some(outcome) => observed(false, format!("no, but it fails: `{}`", reason(&outcome))),
        None => observed(false, "hangs"),
    }
}

/// Returns the digests of what `busybox` is made of.
fn blobs(registry: &FaultRegistry) -> Vec<String> {
    let listed = sh(&format!(
        "skopeo inspect --raw --tls-verify=false docker://{}/busybox | jq -r '.config.digest, .layers[].digest'",
        registry.address
    ));
    listed.lines().map(str::to_owned).collect()
}

fn foreign_realm(tool: &dyn Tool) -> Observation {
    let (registry, other) = (registry(), registry());
    registry.demand_tokens(TokenRules {
        realm: format!("http://{}/token", other.address.replace("127.0.0.1", "localhost")),
        ..TokenRules::default()
    });
    let lab = lab_on(&registry, STEP);
    let ask = Ask {
        variables: vec![credentials(&lab, &registry)],
        ..Ask::default()
    };
    let outcome = run(&mut tool.command(&lab, &ask));
    let failed = outcome.as_ref().is_none_or(|outcome| outcome.code != 0);
    match other.was_told_anything() {
        true => observed(false, "yes, the password"),
        false if failed => observed(true, "no: it fails, and names the realm to allow"),
        false => observed(true, "no; it is asked anonymously"),
    }
}
