//! `RUN --mount=type=cache,target=/x`: reading the options, and checking them once variables are replaced.

mod resolve;
mod size;
#[cfg(test)]
mod tests;

use super::{
    csv,
    instruction::{MountKey, MountKind, MountOption, RunMount},
    mapped::{Mapped, Part},
    words::{self, Unset},
};
use crate::diagnostic::did_you_mean;
use crate::diagnostic::{Diagnostic, Span};

pub use resolve::{Expander, Mount};

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

/// Options by the names that they may be written with; the first name of each is its own.
const KEYS: [(&str, MountKey); 19] = [
    ("type", MountKey::Type),
    ("from", MountKey::From),
    ("source", MountKey::Source),
    ("src", MountKey::Source),
    ("target", MountKey::Target),
    ("dst", MountKey::Target),
    ("destination", MountKey::Target),
    ("readonly", MountKey::Readonly),
    ("ro", MountKey::Readonly),
    ("readwrite", MountKey::Readwrite),
    ("rw", MountKey::Readwrite),
    ("id", MountKey::Id),
    ("sharing", MountKey::Sharing),
    ("required", MountKey::Required),
    ("size", MountKey::Size),
    ("mode", MountKey::Mode),
    ("uid", MountKey::Uid),
    ("gid", MountKey::Gid),
    ("env", MountKey::Env),
];

impl MountKind {
    /// Returns the word after `type=`.
    pub fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }

    fn allows(self, key: MountKey) -> bool {
        match key {
            MountKey::Type | MountKey::Target | MountKey::Readonly | MountKey::Readwrite => true,
            MountKey::From => matches!(self, Self::Bind | Self::Cache),
            MountKey::Source => matches!(self, Self::Bind | Self::Cache | Self::Secret),
            MountKey::Id => matches!(self, Self::Cache | Self::Secret | Self::Ssh),
            MountKey::Sharing => self == Self::Cache,
            MountKey::Required => matches!(self, Self::Secret | Self::Ssh),
            MountKey::Size => self == Self::Tmpfs,
            MountKey::Mode | MountKey::Uid | MountKey::Gid => {
                matches!(self, Self::Cache | Self::Secret | Self::Ssh)
            }
            MountKey::Env => self == Self::Secret,
        }
    }
}

impl MountKey {
    /// Returns the option's own name.
    pub fn name(self) -> &'static str {
        let found = KEYS.iter().find(|(_, key)| *key == self);
        found.map_or("", |(name, _)| name)
    }
}

impl RunMount {
    /// Returns the type, if it is written without variables.
    pub fn literal_kind(&self) -> Option<MountKind> {
        let given = self.options.iter().rev().find(|option| option.key == MountKey::Type);
        match given.and_then(|option| option.value.as_ref()) {
            Some(value) => kind_of(value),
            None => Some(MountKind::Bind),
        }
    }

    fn is_literal(&self) -> bool {
        let mut values = self.options.iter().filter_map(|option| option.value.as_ref());
        values.all(|value| !value.contains('$'))
    }
}

fn kind_of(word: &str) -> Option<MountKind> {
    let found = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, kind)| *kind)
}

/// Reads the value of a `--mount` flag. What holds no variable is checked at once.
pub(super) fn parse(value: Part<'_>, span: Span) -> Result<RunMount, Diagnostic> {
    let fields = csv::fields(value)?;
    let options = fields.iter().map(option).collect::<Result<Vec<_>, _>>()?;
    let mount = RunMount { span, options };
    if mount.is_literal() {
        mount.resolve(&mut |value| {
            words::expand(value, '\\', &Unset)
                .map(|expanded| expanded.text)
                .map_err(|error| Diagnostic::error(error.to_string()).at(value.span, ""))
        })?;
    } else if let Some(kind) = mount.literal_kind() {
        mount.options.iter().try_for_each(|option| check_key(kind, option))?;
    }
    Ok(mount)
}

fn option(field: &Mapped) -> Result<MountOption, Diagnostic> {
    let whole = field.whole();
    let (written, value) = match whole.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (whole, None),
    };
    let word = written.text().to_lowercase();
    let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == word) else {
        let suggestion = did_you_mean(&word, KEYS.iter().map(|(name, _)| *name));
        return Err(
            Diagnostic::error(format!("unexpected key '{word}' in '{}'{suggestion}", whole.text()))
                .at(written.span(), ""),
        );
    };
    let bare_allowed = matches!(key, MountKey::Readonly | MountKey::Readwrite | MountKey::Required);
    match value {
        None if !bare_allowed => Err(Diagnostic::error(format!(
            "invalid field '{}' must be a key=value pair",
            whole.text()
        ))
        .at(whole.span(), format!("write `{word}=…`"))),
        Some(value) if *key == MountKey::From && has_variable(value.text()) => Err(Diagnostic::error(
            "'from' doesn't support variable expansion, define alias stage instead",
        )
        .at(value.span(), "")
        .help("add `FROM … AS name` with the variable, and write `from=name`")),
        value => Ok(MountOption {
            key: *key,
            value: value.map(Part::spanned),
            span: whole.span(),
        }),
    }
}

fn has_variable(text: &str) -> bool {
    text.find('$').is_some_and(|at| at + 1 < text.len())
}

fn check_key(kind: MountKind, option: &MountOption) -> Result<(), Diagnostic> {
    if kind.allows(option.key) {
        return Ok(());
    }
    let (key, kind) = (option.key, kind.name());
    let message = match key {
        MountKey::Mode | MountKey::Uid | MountKey::Gid => {
            format!("{} not allowed for \"{kind}\" type mounts", key.name())
        }
        MountKey::Sharing => format!("invalid cache sharing set for {kind} mount"),
        MountKey::From if kind == "secret" => "secret mount should not have a from".to_owned(),
        MountKey::Source if kind == "ssh" => "ssh does not support source".to_owned(),
        _ => format!("unexpected key '{}' for mount type '{kind}'", key.name()),
    };
    let fitting: Vec<&str> = KINDS
        .iter()
        .filter(|(_, kind)| kind.allows(key))
        .map(|(name, _)| *name)
        .collect();
    Err(Diagnostic::error(message).at(option.span, "").help(format!(
        "`{}` is an option of `type={}`",
        key.name(),
        fitting.join("`, `type=")
    )))
}
