//! `--chmod`: a mode in octal, or a change of mode as in chmod(1).
//!
//! Symbolic changes behave like GNU chmod's under a umask of zero: an image must not depend on the umask of whoever
//! builds it, so `+x` means `a+x`. The set-id bits of a directory stay unless a change names them, as in GNU chmod.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// `--chmod`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chmod {
    /// Octal, 0 to 07777.
    Octal(u32),
    /// Symbolic, as in chmod(1).
    Symbolic(SymbolicMode),
}

/// Why a string is not a mode.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777, or symbolic like `u=rwX,go=rX`"
)]
pub struct ChmodError(String);

/// A list of symbolic changes that parsed, kept with its text.
#[derive(Clone, PartialEq, Eq)]
pub struct SymbolicMode {
    text: String,
    changes: Vec<Change>,
}

/// One operator of a clause with what it applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Change {
    /// Bits of the classes before the operator; `None` without any, which is everybody.
    affected: Option<u32>,
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    /// Permissions, and whether `X` is among them.
    Bits { bits: u32, execute_if_any: bool },
    /// The permissions of one class, as they are by then.
    CopyOf(u32),
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o1007;
const ALL: u32 = 0o7777;
const SET_IDS: u32 = 0o6000;
const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;

impl Chmod {
    /// Returns the mode (permission bits, without the type) of a file that has `mode` now.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(symbolic) => symbolic
                .changes
                .iter()
                .fold(mode & ALL, |mode, change| change.apply(mode, is_directory)),
        }
    }
}

impl FromStr for Chmod {
    type Err = ChmodError;

    fn from_str(text: &str) -> Result<Self, ChmodError> {
        let error = || ChmodError(text.to_owned());
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let octal = text.bytes().all(|digit| digit.is_ascii_digit());
            let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
            return mode.filter(|mode| *mode <= ALL).map(Self::Octal).ok_or_else(error);
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause, &mut changes).ok_or_else(error)?;
        }
        Ok(Self::Symbolic(SymbolicMode {
            text: text.to_owned(),
            changes,
        }))
    }
}

/// Adds the changes of `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`, or returns `None` if `clause` is not one.
fn parse_clause(clause: &str, changes: &mut Vec<Change>) -> Option<()> {
    let operators_at = clause.find(['+', '-', '='])?;
    let (classes, mut rest) = clause.split_at(operators_at);
    let affected = classes.chars().try_fold(0, |bits, class| {
        Some(bits | if class == 'a' { ALL } else { class_bits(class)? })
    })?;
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let operands_end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        let value = parse_operands(&rest[1..operands_end])?;
        changes.push(Change {
            affected: (affected != 0).then_some(affected),
            operator,
            value,
        });
        rest = &rest[operands_end..];
    }
    Some(())
}

fn parse_operands(operands: &str) -> Option<Value> {
    let mut letters = operands.chars();
    if let (Some(class), None) = (letters.next().and_then(class_bits), letters.next()) {
        return Some(Value::CopyOf(class & 0o777));
    }
    let (mut bits, mut execute_if_any) = (0, false);
    for letter in operands.chars() {
        match letter {
            'r' => bits |= READ,
            'w' => bits |= WRITE,
            'x' => bits |= EXECUTE,
            's' => bits |= SET_IDS,
            't' => bits |= 0o1000,
            'X' => execute_if_any = true,
            _ => return None,
        }
    }
    Some(Value::Bits { bits, execute_if_any })
}

fn class_bits(class: char) -> Option<u32> {
    match class {
        'u' => Some(USER),
        'g' => Some(GROUP),
        'o' => Some(OTHER),
        _ => None,
    }
}

impl Change {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let affected = self.affected.unwrap_or(ALL);
        let (value, named) = match self.value {
            Value::Bits { bits, execute_if_any } => {
                let execute = execute_if_any && (is_directory || mode & EXECUTE != 0);
                (bits | if execute { EXECUTE } else { 0 }, bits & affected)
            }
            Value::CopyOf(class) => {
                let spread = |bits: u32| if mode & class & bits != 0 { bits } else { 0 };
                (spread(READ) | spread(WRITE) | spread(EXECUTE), 0)
            }
        };
        let kept = if is_directory { SET_IDS & !named } else { 0 };
        let value = value & affected & !kept;
        match self.operator {
            Operator::Add => mode | value,
            Operator::Remove => mode & !value,
            Operator::Set => mode & (!affected | kept) | value,
        }
    }
}

impl fmt::Display for Chmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octal(mode) => write!(f, "{mode:o}"),
            Self::Symbolic(symbolic) => f.write_str(&symbolic.text),
        }
    }
}

impl Deref for SymbolicMode {
    type Target = str;

    /// Returns the text as it was written.
    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for SymbolicMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::process::Command;

    use super::*;

    // BK-049, BK-050, BK-089.
    #[test]
    fn what_is_neither_octal_nor_symbolic_is_refused_in_buildkits_words() {
        for bad in [
            "64a", "10000", "8", "", "u", "rwx", "u+q", "z+x", "u+x,", "u+gr", "-1", "0x1", "755,u+x",
        ] {
            let error = bad.parse::<Chmod>().unwrap_err().to_string();
            let words = format!("invalid chmod parameter: '{bad}'. it should be octal string and between 0 and 07777");
            assert!(error.starts_with(&words), "{error}");
        }
        assert_eq!("07777".parse(), Ok(Chmod::Octal(0o7777)));
        assert_eq!("0".parse(), Ok(Chmod::Octal(0)));
    }

    // BK-056: the oracle is the machine's own chmod under umask 0.
    #[test]
    fn symbolic_changes_equal_those_of_the_real_chmod() {
        let dir = tempfile::tempdir().unwrap();
        let (file, directory) = (dir.path().join("file"), dir.path().join("dir"));
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(&directory).unwrap();
        let texts = [
            "go-w",
            "u=rw,g=r,o=r",
            "a+X",
            "u+rw,g+r,o-x,o+w",
            "+x",
            "g=u",
            "u=rwX,go=rX",
            "o=",
            "=",
            "a=rx",
            "+s",
            "u+s",
            "g-s",
            "o+t",
            "+t",
            "u=s",
            "ug=rw-x+X",
            "g+u-w",
            "=X",
            "u=g,o=u",
            "-rwx",
            "a-st",
            "go=u-w",
        ];
        for text in texts {
            let change: Chmod = text.parse().unwrap();
            for (path, is_directory) in [(&file, false), (&directory, true)] {
                for mode in [0o666, 0o124, 0o000, 0o7777, 0o2755, 0o4640, 0o1711] {
                    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
                    let script = format!("umask 0 && chmod -- '{text}' '{}'", path.display());
                    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
                    let expected = std::fs::metadata(path).unwrap().mode() & 0o7777;
                    let got = change.apply(mode, is_directory);
                    assert_eq!(
                        got, expected,
                        "{text} on {mode:o}, directory: {is_directory}: {got:o} {expected:o}"
                    );
                }
            }
        }
    }
}
