//! `--attest`, `--provenance` and `--sbom` as typed, turned into what is meant.

use std::collections::BTreeMap;

use registry::oci::{Reference, ReferenceError};

use crate::attributes::{AttributeError, Attributes, truth};
use crate::diagnostic::nearest;

/// The SBOM generator where none is named: BuildKit's.
const DEFAULT_GENERATOR: &str = "docker/buildkit-syft-scanner:stable-1";
/// The file that provenance is written to where files are exported.
const DEFAULT_FILE: &str = "provenance.json";

/// The types of attestations.
const TYPES: [&str; 2] = ["provenance", "sbom"];

/// What is to be attested; nothing unless it is asked for.
#[derive(Clone, Debug, Default)]
pub struct AttestOptions {
    /// How the result was made.
    pub provenance: Option<ProvenanceOptions>,
    /// What is in it.
    pub sbom: Option<SbomOptions>,
    /// The types that were spoken of, switched off ones too.
    given: Vec<&'static str>,
}

/// Choices about provenance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvenanceOptions {
    /// `mode`: how much is told.
    pub mode: Mode,
    /// `version`: the form of the predicate.
    pub version: SlsaVersion,
    /// `builder-id`: who built, as an address.
    pub builder_id: String,
    /// `filename`: the file that it is written to beside exported files.
    pub file_name: String,
    /// `reproducible`: whether the same build always gives the same bytes; then nothing of this run is told.
    pub reproducible: bool,
    /// `inline-only`: whether it is left out where it would be a file.
    pub inline_only: bool,
}

/// How much provenance tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Where the result comes from.
    Min,
    /// Also the build arguments, the ids of secrets, the Dockerfile, the steps and their layers.
    Max,
}

/// Forms of the provenance predicate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlsaVersion {
    /// SLSA 0.2.
    V02,
    /// SLSA 1.
    V1,
}

/// Choices about the SBOM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SbomOptions {
    /// `generator`: the image that scans.
    pub generator: Reference,
    /// Everything else, which the generator sees as variables `BUILDKIT_SCAN_<NAME>`.
    pub parameters: BTreeMap<String, String>,
}

/// Why an `--attest` is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttestError {
    /// An attribute is wrong or unknown.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// No such type.
    #[error(
        "`{given}` is no attestation{}; there are `provenance` and `sbom`",
        near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
    )]
    Type {
        /// What was given.
        given: String,
        /// A type like it.
        near: Option<&'static str>,
    },
    /// The same type twice, also by its own option.
    #[error("`type={0}` is given twice")]
    Twice(&'static str),
    /// The generator is no reference.
    #[error(transparent)]
    Generator(#[from] ReferenceError),
}

impl AttestOptions {
    /// Returns the words of `--attest` for the value of `--provenance` or `--sbom`, which may be a truth value.
    pub fn long_form(kind: &str, value: &str) -> String {
        match truth(value) {
            Some(wanted) => format!("type={kind},disabled={}", !wanted),
            None => format!("type={kind},{value}"),
        }
    }

    /// Reads the value of one `--attest`.
    ///
    /// # Errors
    /// If it says what cannot be done, or says something again.
    pub fn add(&mut self, text: &str) -> Result<(), AttestError> {
        let mut attributes = Attributes::parse(text)?;
        let given = attributes.require("type")?;
        let Some(kind) = TYPES.into_iter().find(|kind| *kind == given) else {
            return Err(AttestError::Type {
                near: nearest(&given, TYPES).and_then(|near| TYPES.into_iter().find(|kind| *kind == near)),
                given,
            });
        };
        if self.given.contains(&kind) {
            return Err(AttestError::Twice(kind));
        }
        self.given.push(kind);
        let disabled = attributes.take_flag("disabled")?.unwrap_or(false);
        match kind {
            "sbom" => self.sbom = Some(SbomOptions::take(attributes)?).filter(|_| !disabled),
            _ => self.provenance = Some(ProvenanceOptions::take(attributes)?).filter(|_| !disabled),
        }
        Ok(())
    }

    /// Returns whether an image bears attestations.
    pub fn any(&self) -> bool {
        self.provenance.is_some() || self.sbom.is_some()
    }
}

impl Default for ProvenanceOptions {
    /// Returns BuildKit's choices for provenance that is asked for and not described.
    fn default() -> Self {
        Self {
            mode: Mode::Max,
            version: SlsaVersion::V1,
            builder_id: String::new(),
            file_name: DEFAULT_FILE.to_owned(),
            reproducible: false,
            inline_only: false,
        }
    }
}

impl ProvenanceOptions {
    fn take(mut attributes: Attributes) -> Result<Self, AttestError> {
        let default = Self::default();
        let mode = attributes.take_as("mode", "`min` or `max`", |text| match text {
            "min" => Some(Mode::Min),
            "max" | "full" => Some(Mode::Max),
            _ => None,
        })?;
        let version = attributes.take_as("version", "`v0.2` or `v1`", |text| match text {
            "v0.2" => Some(SlsaVersion::V02),
            "v1" => Some(SlsaVersion::V1),
            _ => None,
        })?;
        let file_name = attributes.take_as("filename", "the name of a file", |text| {
            let is_name = !matches!(text, "" | "." | "..") && !text.contains(['/', '\0']);
            is_name.then(|| text.to_owned())
        })?;
        let options = Self {
            mode: mode.unwrap_or(default.mode),
            version: version.unwrap_or(default.version),
            builder_id: attributes.take("builder-id")?.unwrap_or_default(),
            file_name: file_name.unwrap_or(default.file_name),
            reproducible: attributes.take_flag("reproducible")?.unwrap_or(false),
            inline_only: attributes.take_flag("inline-only")?.unwrap_or(false),
        };
        attributes.finish()?;
        Ok(options)
    }
}

impl SbomOptions {
    fn take(mut attributes: Attributes) -> Result<Self, AttestError> {
        let generator = attributes.take("generator")?;
        Ok(Self {
            generator: generator.as_deref().unwrap_or(DEFAULT_GENERATOR).parse()?,
            parameters: attributes.take_prefixed("")?.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<AttestOptions, AttestError> {
        let mut options = AttestOptions::default();
        for text in texts {
            options.add(text)?;
        }
        Ok(options)
    }

    #[test]
    fn what_is_not_said_is_as_in_buildkit() {
        let options = read(&["type=provenance", "type=sbom"]).unwrap();
        assert_eq!(options.provenance, Some(ProvenanceOptions::default()));
        assert_eq!(
            options.sbom.unwrap().generator.familiar(),
            "docker/buildkit-syft-scanner:stable-1"
        );
        assert!(!read(&[]).unwrap().any());
    }

    #[test]
    fn every_choice_is_read() {
        let text = "type=provenance,mode=min,version=v0.2,builder-id=https://ci/1,filename=p.json,reproducible=true,\
                    inline-only=1";
        let provenance = read(&[text]).unwrap().provenance.unwrap();
        assert_eq!(
            provenance,
            ProvenanceOptions {
                mode: Mode::Min,
                version: SlsaVersion::V02,
                builder_id: "https://ci/1".to_owned(),
                file_name: "p.json".to_owned(),
                reproducible: true,
                inline_only: true,
            }
        );
        let sbom = read(&["type=sbom,generator=example.com/scan:1,Format=cdx"])
            .unwrap()
            .sbom
            .unwrap();
        assert_eq!(sbom.generator.familiar(), "example.com/scan:1");
        assert_eq!(sbom.parameters, [("Format".to_owned(), "cdx".to_owned())].into());
    }

    #[test]
    fn the_short_options_take_truth_values_too() {
        for (value, long) in [
            ("true", "type=sbom,disabled=false"),
            ("0", "type=sbom,disabled=true"),
            ("generator=x", "type=sbom,generator=x"),
        ] {
            assert_eq!(AttestOptions::long_form("sbom", value), long);
        }
        assert!(!read(&["type=sbom,disabled=true"]).unwrap().any());
    }

    #[test]
    fn what_means_nothing_is_refused() {
        assert_eq!(
            read(&["type=sbom", "type=sbom,disabled=true"]).unwrap_err(),
            AttestError::Twice("sbom")
        );
        assert_eq!(
            read(&["type=provenence"]).unwrap_err().to_string(),
            "`provenence` is no attestation (did you mean `provenance`?); there are `provenance` and `sbom`"
        );
        for bad in [
            "mode=min",
            "type=provenance,mode=mid",
            "type=provenance,version=1",
            "type=provenance,x=y",
        ] {
            assert!(matches!(read(&[bad]), Err(AttestError::Attribute(_))), "{bad}");
        }
        for name in ["", "..", "a/b"] {
            assert!(read(&[&format!("type=provenance,filename={name}")]).is_err(), "{name}");
        }
        assert!(matches!(
            read(&["type=sbom,generator=A B"]),
            Err(AttestError::Generator(_))
        ));
    }
}
