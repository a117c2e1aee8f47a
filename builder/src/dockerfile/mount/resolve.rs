//! The meaning of a mount's options, variables replaced.

use super::{KINDS, check_key, kind_of, size};
use crate::attributes::truth;
use crate::diagnostic::did_you_mean;
use crate::{
    diagnostic::{Diagnostic, Span, Spanned},
    dockerfile::instruction::{MountKey, MountKind, MountOption, RunMount, Sharing},
};

/// A `--mount` with its values read and checked. Defaults that depend on the step are left to the caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// The whole flag.
    pub span: Span,
    /// What kind.
    pub kind: MountKind,
    /// Where to, relative to `WORKDIR`; without it, a directory mount hides `WORKDIR` itself.
    pub target: Option<Spanned<String>>,
    /// Path in `from`; for a secret, another way to give its id.
    pub source: Option<Spanned<String>>,
    /// Stage, context or image.
    pub from: Option<Spanned<String>>,
    /// Whether the step may write. Without a word about it: to caches and memory.
    pub writable: bool,
    /// `id`.
    pub id: Option<Spanned<String>>,
    /// `sharing`.
    pub sharing: Sharing,
    /// Whether a missing secret or agent is an error.
    pub required: bool,
    /// Bytes at most.
    pub size: Option<u64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Variable that holds the secret; an empty name means the secret's id.
    pub env: Option<Spanned<String>>,
}

impl Mount {
    /// Returns the id of a secret: `id`, else the last part of its target.
    pub fn secret_id(&self) -> String {
        let given = self.source.as_ref().or(self.id.as_ref());
        let target = self.target.as_ref().map_or("", |target| target).trim_end_matches('/');
        let name = target.rsplit_once('/').map_or(target, |(_, name)| name);
        given.map_or_else(|| name.to_owned(), |id| id.value.clone())
    }
}

/// Replaces the variables of a value.
pub type Expander<'a> = dyn FnMut(&Spanned<String>) -> Result<String, Diagnostic> + 'a;

impl RunMount {
    /// Replaces variables, then reads and checks all options.
    pub fn resolve(&self, expand: &mut Expander<'_>) -> Result<Mount, Diagnostic> {
        let mut mount = Mount {
            span: self.span,
            kind: MountKind::Bind,
            target: None,
            source: None,
            from: None,
            writable: false,
            id: None,
            sharing: Sharing::Shared,
            required: false,
            size: None,
            mode: None,
            uid: None,
            gid: None,
            env: None,
        };
        let mut writable = None;
        for option in &self.options {
            let value = match &option.value {
                Some(value) => Some(Spanned::new(expand(value)?, value.span)),
                None => None,
            };
            match option.key {
                MountKey::Readonly => writable = Some(!flag(option, value.as_ref())?),
                MountKey::Readwrite => writable = Some(flag(option, value.as_ref())?),
                MountKey::Required => mount.required = flag(option, value.as_ref())?,
                _ => mount.set(option.key, value.unwrap_or_default())?,
            }
        }
        mount.writable = writable.unwrap_or(matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
        self.options
            .iter()
            .try_for_each(|option| check_key(mount.kind, option))?;
        mount.check()?;
        Ok(mount)
    }
}

impl Mount {
    fn set(&mut self, key: MountKey, value: Spanned<String>) -> Result<(), Diagnostic> {
        match key {
            MountKey::Type => self.kind = kind(&value)?,
            MountKey::From => self.from = given(value),
            MountKey::Source => self.source = given(value),
            MountKey::Target => self.target = given(value),
            MountKey::Id => self.id = given(value),
            MountKey::Sharing => self.sharing = sharing(&value)?,
            MountKey::Size => self.size = Some(size::parse(&value).ok_or_else(|| invalid("size", &value))?),
            MountKey::Mode => self.mode = Some(number("mode", &value, 8)?),
            MountKey::Uid => self.uid = Some(number("uid", &value, 10)?),
            MountKey::Gid => self.gid = Some(number("gid", &value, 10)?),
            MountKey::Env => self.env = Some(value),
            // Read by the caller, because they may stand without a value.
            MountKey::Readonly | MountKey::Readwrite | MountKey::Required => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Diagnostic> {
        let error = |message: &str| Err(Diagnostic::error(message).at(self.span, ""));
        match self.kind {
            MountKind::Secret if self.source.is_none() && self.target.is_none() && self.id.is_none() => {
                error("invalid secret mount. one of source, target required")
            }
            MountKind::Secret if self.source.is_some() && self.id.is_some() => error("both source and id can't be set"),
            _ => Ok(()),
        }
    }
}

/// An empty value is none.
fn given(value: Spanned<String>) -> Option<Spanned<String>> {
    (!value.is_empty()).then_some(value)
}

fn kind(value: &Spanned<String>) -> Result<MountKind, Diagnostic> {
    kind_of(value).ok_or_else(|| {
        let suggestion = did_you_mean(value, KINDS.iter().map(|(name, _)| *name));
        Diagnostic::error(format!("unsupported mount type \"{}\"{suggestion}", value.value)).at(value.span, "")
    })
}

fn sharing(value: &Spanned<String>) -> Result<Sharing, Diagnostic> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        other => {
            let suggestion = did_you_mean(other, ["shared", "private", "locked"]);
            Err(
                Diagnostic::error(format!("unsupported sharing value \"{}\"{suggestion}", value.value))
                    .at(value.span, ""),
            )
        }
    }
}

/// Reads a switch in the words that Go knows; without a value it is on.
fn flag(option: &MountOption, value: Option<&Spanned<String>>) -> Result<bool, Diagnostic> {
    let Some(value) = value else { return Ok(true) };
    truth(value).ok_or_else(|| invalid(option.key.name(), value))
}

fn number(name: &str, value: &Spanned<String>, radix: u32) -> Result<u32, Diagnostic> {
    let digits_only = value.chars().all(|c| c.is_digit(radix));
    match u32::from_str_radix(value, radix) {
        Ok(number) if digits_only => Ok(number),
        _ => {
            let kind = if radix == 8 { "an octal number" } else { "a number" };
            Err(Diagnostic::error(format!("invalid value {} for {name}", value.value))
                .at(value.span, format!("not {kind}")))
        }
    }
}

fn invalid(name: &str, value: &Spanned<String>) -> Diagnostic {
    Diagnostic::error(format!("invalid value for {name}: {}", value.value)).at(value.span, "")
}
