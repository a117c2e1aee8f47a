//! in-toto statements: a predicate about subjects (in-toto attestation framework, Statement v1).

use serde::Serialize;
use serde_json::Value;

use super::DigestSet;

/// The type of every statement that is written.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// Something that is attested of a result, before it is known what exactly the result is.
#[derive(Clone, PartialEq, Debug)]
pub struct Attestation {
    /// What it is called where it is a file.
    pub file_name: String,
    /// What kind of predicate it is, as a URI.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Value,
    /// What it is about; the whole result if nothing is named.
    pub subjects: Vec<Subject>,
    /// Whether it is left out where it would be a file.
    pub inline_only: bool,
}

/// What a statement is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Subject {
    /// A name for people: a package URL or a path.
    pub name: String,
    /// What identifies it.
    pub digest: DigestSet,
}

impl Subject {
    /// The name of something that has none.
    pub const UNNAMED: &str = "_";
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    predicate_type: &'a str,
    subject: &'a [Subject],
    predicate: &'a Value,
}

impl Attestation {
    /// Returns the statement about a result on one line, as images hold it.
    ///
    /// # Errors
    /// Only if a value cannot be written as JSON.
    pub fn statement(&self, result: &[Subject]) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.about(result))
    }

    /// Returns the statement about a result on many lines, as files hold it.
    ///
    /// # Errors
    /// Only if a value cannot be written as JSON.
    pub fn readable_statement(&self, result: &[Subject]) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(&self.about(result))
    }

    fn about<'a>(&'a self, result: &'a [Subject]) -> Statement<'a> {
        Statement {
            kind: STATEMENT,
            predicate_type: &self.predicate_type,
            subject: if self.subjects.is_empty() {
                result
            } else {
                &self.subjects
            },
            predicate: &self.predicate,
        }
    }
}
