//! Which lines of the Dockerfile each step comes from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Steps;
use crate::diagnostic::SourceFile;

/// Returns the Dockerfile, and for each step the lines of its instruction: `source`. What no instruction asks for by
/// itself, as the context, has none.
pub fn source_map(steps: &Steps<'_>, dockerfile: &SourceFile, path: &str) -> Value {
    let mut locations = Map::new();
    for vertex in steps.vertices() {
        let location = match vertex.meta.origin {
            None => json!({}),
            Some(origin) => {
                let (first, last) = dockerfile.lines(origin);
                json!({"locations": [{"ranges": [{"start": {"line": first}, "end": {"line": last}}]}]})
            }
        };
        locations.insert(steps.id(vertex.id), location);
    }
    json!({
        "locations": locations,
        "infos": [{
            "filename": path,
            "language": "Dockerfile",
            "data": STANDARD.encode(dockerfile.text()),
        }],
    })
}
