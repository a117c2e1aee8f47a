//! `--progress=rawjson`: BuildKit's `client.SolveStatus`, one JSON object a line.

use std::io::{self, Write};
use std::time::SystemTime;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::{Event, StepId, Stream};
use crate::diagnostic::Diagnostic;

/// Writes events as BuildKit's status messages.
pub struct RawJson<W> {
    out: W,
    /// What was declared, by step: every message about a vertex repeats its identity.
    steps: Vec<Vertex>,
}

#[derive(Clone)]
struct Vertex {
    digest: String,
    name: String,
    inputs: Vec<String>,
    started: Option<String>,
    cached: bool,
}

impl<W: Write> RawJson<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, steps: Vec::new() }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn event(&mut self, event: Event) -> io::Result<()> {
        let message = match event {
            Event::Declared {
                name, digest, inputs, ..
            } => {
                let inputs = inputs
                    .iter()
                    .filter_map(|step| self.vertex(*step))
                    .map(|v| v.digest.clone())
                    .collect();
                self.steps.push(Vertex {
                    digest: digest.to_string(),
                    name,
                    inputs,
                    started: None,
                    cached: false,
                });
                self.vertexes(StepId(self.steps.len() as u32 - 1), Map::new())
            }
            Event::Started { step, at } => {
                self.start(step, at);
                self.vertexes(step, Map::new())
            }
            Event::Cached { step, at } => {
                self.start(step, at);
                if let Some(vertex) = self.steps.get_mut(step.0 as usize) {
                    vertex.cached = true;
                }
                self.vertexes(step, Map::from_iter([("completed".to_owned(), json!(timestamp(at)))]))
            }
            Event::Completed { step, at, error } => {
                let mut fields = Map::from_iter([("completed".to_owned(), json!(timestamp(at)))]);
                if let Some(error) = error {
                    fields.insert("error".to_owned(), json!(error));
                }
                self.vertexes(step, fields)
            }
            Event::Log {
                step,
                stream,
                bytes,
                at,
            } => json!({ "logs": [{
                "vertex": self.digest(step),
                "stream": match stream { Stream::Stdout => 1, Stream::Stderr => 2 },
                "data": base64::engine::general_purpose::STANDARD.encode(&bytes),
                "timestamp": timestamp(at),
            }]}),
            Event::Transfer {
                step,
                item,
                current,
                total,
                done,
                at,
            } => {
                let mut status = json!({
                    "id": item,
                    "vertex": self.digest(step),
                    "name": item,
                    "current": current,
                    "timestamp": timestamp(at),
                    "started": self.vertex(step).and_then(|v| v.started.clone()),
                });
                if let Some(total) = total {
                    status["total"] = json!(total);
                }
                if done {
                    status["completed"] = json!(timestamp(at));
                }
                json!({ "statuses": [status] })
            }
            Event::Outcome { step, text, at } => {
                let status = json!({
                    "id": text,
                    "vertex": self.digest(step),
                    "name": text,
                    "timestamp": timestamp(at),
                    "started": timestamp(at),
                    "completed": timestamp(at),
                });
                json!({ "statuses": [status] })
            }
            Event::Warning(warning) => json!({ "warnings": [warning_fields(&warning)] }),
        };
        serde_json::to_writer(&mut self.out, &message)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn vertex(&self, step: StepId) -> Option<&Vertex> {
        self.steps.get(step.0 as usize)
    }

    fn digest(&self, step: StepId) -> &str {
        self.vertex(step).map_or("", |vertex| &vertex.digest)
    }

    fn start(&mut self, step: StepId, at: SystemTime) {
        if let Some(vertex) = self.steps.get_mut(step.0 as usize) {
            vertex.started.get_or_insert_with(|| timestamp(at));
        }
    }

    fn vertexes(&self, step: StepId, more: Map<String, Value>) -> Value {
        let Some(vertex) = self.vertex(step) else {
            return json!({});
        };
        let mut fields = Map::new();
        fields.insert("digest".to_owned(), json!(vertex.digest));
        fields.insert("name".to_owned(), json!(vertex.name));
        if !vertex.inputs.is_empty() {
            fields.insert("inputs".to_owned(), json!(vertex.inputs));
        }
        if let Some(started) = &vertex.started {
            fields.insert("started".to_owned(), json!(started));
        }
        if vertex.cached {
            fields.insert("cached".to_owned(), json!(true));
        }
        fields.extend(more);
        json!({ "vertexes": [fields] })
    }
}

fn warning_fields(warning: &Diagnostic) -> Value {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut fields = json!({
        "level": 1,
        "short": encode(&warning.message),
        "detail": warning.notes.iter().map(|note| encode(note)).collect::<Vec<_>>(),
    });
    if let Some(url) = &warning.url {
        fields["url"] = json!(url);
    }
    if let Some(source) = &warning.source {
        fields["sourceInfo"] = json!({ "filename": source.name(), "data": encode(source.text()) });
        fields["range"] = warning
            .labels
            .iter()
            .map(|label| {
                let (start, start_character) = source.position(label.span.start);
                let (end, end_character) = source.position(label.span.end);
                json!({
                    "start": { "line": start, "character": start_character - 1 },
                    "end": { "line": end, "character": end_character - 1 },
                })
            })
            .collect();
    }
    fields
}

/// RFC 3339 in UTC, as Go prints times.
fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use registry::oci::Digest;

    use super::*;

    fn lines(events: impl IntoIterator<Item = Event>) -> Vec<Value> {
        let mut display = RawJson::new(Vec::new());
        for event in events {
            display.event(event).unwrap();
        }
        display
            .out
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    #[test]
    fn a_log_carries_the_exact_bytes_and_its_vertex() {
        let digest = Digest::of(b"a");
        let step = StepId(0);
        let at = SystemTime::UNIX_EPOCH;
        let written = lines([
            Event::Declared {
                step,
                name: "[1/1] RUN x".to_owned(),
                digest,
                inputs: vec![],
            },
            Event::Started { step, at },
            Event::Log {
                step,
                stream: Stream::Stderr,
                bytes: vec![0x1b, 0xff].into(),
                at,
            },
            Event::Completed {
                step,
                at,
                error: Some("exit code: 1".to_owned()),
            },
        ]);
        assert_eq!(written[0]["vertexes"][0]["name"], "[1/1] RUN x");
        assert_eq!(written[1]["vertexes"][0]["started"], "1970-01-01T00:00:00Z");
        assert_eq!(written[2]["logs"][0]["vertex"], digest.to_string());
        assert_eq!(written[2]["logs"][0]["data"], "G/8=");
        assert_eq!(written[2]["logs"][0]["stream"], 2);
        assert_eq!(written[3]["vertexes"][0]["error"], "exit code: 1");
    }

    #[test]
    fn a_cached_step_is_complete_and_names_its_inputs() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let written = lines([
            Event::Declared {
                step: StepId(0),
                name: "a".to_owned(),
                digest: a,
                inputs: vec![],
            },
            Event::Declared {
                step: StepId(1),
                name: "b".to_owned(),
                digest: b,
                inputs: vec![StepId(0)],
            },
            Event::Cached {
                step: StepId(1),
                at: SystemTime::UNIX_EPOCH,
            },
        ]);
        let vertex = &written[2]["vertexes"][0];
        assert_eq!(
            (&vertex["cached"], &vertex["inputs"][0]),
            (&json!(true), &json!(a.to_string()))
        );
        assert!(vertex["completed"].is_string());
    }
}
