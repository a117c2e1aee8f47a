//! What `FROM` lines may use: the platform arguments and the `ARG`s before the first stage.

use std::collections::BTreeSet;

use registry::oci::Platform;

use super::environment::Environment;
use super::epoch::{self, EpochSource};
use super::expand::Expander;
use super::request::Request;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::dockerfile::InstructionKind;
use crate::dockerfile::did_you_mean;
use crate::dockerfile::words::{Expanded, WordError};

/// The global scope, evaluated: what `FROM` lines can use.
#[derive(Clone, Debug)]
pub struct Globals {
    env: Environment,
    /// The names of all `ARG`s, with a value or not.
    declared: BTreeSet<String>,
    expander: Expander,
    epoch: Option<i64>,
}

impl Globals {
    /// Evaluates the global scope; a build argument wins over a default, which is then not looked at.
    pub fn new(request: &Request) -> Result<Self, Diagnostic> {
        let mut globals = Self::without_epoch(request)?;
        globals.epoch = epoch::resolve(request, &globals.env)?;
        if globals.env.get(epoch::NAME).is_some() {
            match globals.epoch {
                Some(seconds) => globals.env.set(epoch::NAME, &seconds.to_string()),
                None => globals.env.remove(epoch::NAME),
            }
        }
        Ok(globals)
    }

    /// Returns the source on the network that the image's time is to be taken from.
    pub(super) fn epoch_source(request: &Request) -> Result<Option<EpochSource>, Diagnostic> {
        epoch::source(request, &Self::without_epoch(request)?.env)
    }

    fn without_epoch(request: &Request) -> Result<Self, Diagnostic> {
        let expander = Expander::new(&request.dockerfile);
        let mut env = platform_arguments(request);
        let definitions = request
            .dockerfile
            .globals
            .iter()
            .filter_map(|instruction| match &instruction.kind {
                InstructionKind::Arg(definitions) => Some(definitions),
                _ => None,
            });
        let mut declared = BTreeSet::new();
        for definition in definitions.flatten() {
            declared.insert(definition.name.value.clone());
            let value = match (request.build_args.get(&definition.name.value), &definition.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => expander.word(default, &env)?.0,
                (None, None) => continue,
            };
            env.set(&definition.name, &value);
        }
        Ok(Self {
            env,
            declared,
            expander,
            epoch: None,
        })
    }

    /// Expands a word of a `FROM` line.
    ///
    /// # Errors
    /// If it is not well formed.
    pub fn expand(&self, word: &str) -> Result<Expanded, WordError> {
        self.expander.global(word, &self.env)
    }

    /// Returns whether a variable has a value, or an `ARG` without one.
    pub fn knows(&self, name: &str) -> bool {
        self.declared.contains(name) || self.env.get(name).is_some()
    }

    /// Returns the names of all variables and `ARG`s.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.env.names().chain(self.declared.iter().map(String::as_str))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.env.get(name)
    }

    /// Returns the time that the image should bear, in seconds since 1970.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.epoch
    }

    /// Returns what the command line gives for an `ARG`. A time that was given by the name of its source is the
    /// time itself.
    pub(super) fn build_arg(&self, name: &str, request: &Request) -> Option<String> {
        let given = request.build_args.get(name)?;
        match name {
            epoch::NAME => self.epoch.map(|seconds| seconds.to_string()),
            _ => Some(given.clone()),
        }
    }

    /// Expands the name of a base image, of which something must be left.
    pub(super) fn base_name(&self, word: &Spanned<String>) -> Result<String, Diagnostic> {
        let (text, unset) = self.expander.word(word, &self.env)?;
        if !text.is_empty() {
            return Ok(text);
        }
        let message = format!("base name ({}) should not be blank", word.value);
        let error = Diagnostic::error(message).at(word.span, "");
        Err(match unset.first() {
            None => error,
            Some(name) if self.declared.contains(name) => error.help(format!("give it with `--build-arg {name}=…`")),
            Some(name) => {
                let suggestion = did_you_mean(name, self.env.names());
                error.help(format!("declare `ARG {name}` before the first FROM{suggestion}"))
            }
        })
    }

    /// Expands and reads `--platform`.
    pub(super) fn platform(&self, word: &Spanned<String>) -> Result<Platform, Diagnostic> {
        let (text, unset) = self.expander.word(word, &self.env)?;
        let suggestion = || {
            let suggestions = unset.iter().map(|name| did_you_mean(name, self.env.names()));
            suggestions
                .into_iter()
                .find(|suggestion| !suggestion.is_empty())
                .unwrap_or_default()
        };
        if text.is_empty() {
            let message = format!("empty platform value from expression {}{}", word.value, suggestion());
            return Err(Diagnostic::error(message).at(word.span, ""));
        }
        text.parse().map_err(|error| {
            let message = format!("failed to parse platform {}{}", word.value, suggestion());
            Diagnostic::error(message).at(word.span, "").note(format!("{error}"))
        })
    }
}

/// Returns `BUILD…`, `TARGET…` and `TARGETSTAGE`; build arguments of these names win.
fn platform_arguments(request: &Request) -> Environment {
    let stage = match &request.target {
        Some(name) => Some(name.as_str()),
        None => request
            .dockerfile
            .stages
            .last()
            .and_then(|stage| stage.name.as_ref())
            .map(|name| name.as_str()),
    };
    let mut env = Environment::default();
    for (prefix, platform) in [("BUILD", &request.build_platform), ("TARGET", &*request.platform)] {
        env.set(&format!("{prefix}PLATFORM"), &platform.to_string());
        env.set(&format!("{prefix}OS"), &platform.os);
        env.set(
            &format!("{prefix}OSVERSION"),
            platform.os_version.as_deref().unwrap_or_default(),
        );
        env.set(&format!("{prefix}ARCH"), &platform.architecture);
        env.set(
            &format!("{prefix}VARIANT"),
            platform.variant.as_deref().unwrap_or_default(),
        );
    }
    env.set("TARGETSTAGE", stage.unwrap_or("default"));
    let overridden: Vec<String> = env
        .names()
        .filter(|name| request.build_args.contains_key(*name))
        .map(str::to_owned)
        .collect();
    for name in overridden {
        env.set(&name, &request.build_args[&name]);
    }
    env
}
