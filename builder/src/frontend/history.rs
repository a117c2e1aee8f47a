//! The words of the history, as BuildKit (a Go program) prints its values.

use std::fmt::Write as _;

use registry::oci::Healthcheck;

use super::environment::Environment;

/// Prints a list as Go's `%v` does.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("[{}]", items.join(" "))
}

/// Prints a list of strings as Go's `%q` does.
pub(super) fn quoted_list(items: &[String]) -> String {
    list(&items.iter().map(|item| quoted(item)).collect::<Vec<_>>())
}

/// Prints a string as Go's `%q` does.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _infallible = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\x07' => write!(out, "\\a"),
            '\x08' => write!(out, "\\b"),
            '\x0c' => write!(out, "\\f"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            '\x0b' => write!(out, "\\v"),
            c if is_printable(c) => write!(out, "{c}"),
            c if c <= '\x7f' => write!(out, "\\x{:02x}", u32::from(c)),
            c if c <= '\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out + "\""
}

/// Tells what Go's `unicode.IsPrint` would: `escape_debug` knows, except that it escapes a combining character
/// where it begins a string.
fn is_printable(c: char) -> bool {
    let mut after_a_letter = String::from('a');
    after_a_letter.push(c);
    after_a_letter.escape_debug().eq(after_a_letter.chars()) || c == '\''
}

/// Prints nanoseconds as Go's `time.Duration` does: `1m30s`, `1.5s`, `100ms`, `0s`.
pub(super) fn duration(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    if nanoseconds < SECOND {
        return match nanoseconds {
            0 => "0s".to_owned(),
            n if n < 1_000 => format!("{n}ns"),
            n if n < 1_000_000 => decimal(n, 1_000) + "µs",
            n => decimal(n, 1_000_000) + "ms",
        };
    }
    let (minutes, rest) = (nanoseconds / (60 * SECOND), nanoseconds % (60 * SECOND));
    let seconds = decimal(rest, SECOND) + "s";
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Prints a health check as Go's `%+v` does.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// Prints a command with the `ARG`s in scope: `|2 a=1 b=2 /bin/sh -c make`. A name that was declared twice is
/// listed once, at its first place with its present value.
pub(super) fn run_command(args: &[String], declared: &[DeclaredArg], env: &Environment) -> String {
    let mut listed: Vec<(&str, String)> = Vec::new();
    for arg in declared {
        let value = env.get(&arg.name).or(arg.value.as_deref()).unwrap_or_default();
        let entry = format!("{}={value}", arg.name);
        match listed.iter_mut().find(|(name, _)| *name == arg.name) {
            Some(old) => old.1 = entry,
            None => listed.push((&arg.name, entry)),
        }
    }
    let count = (!listed.is_empty()).then(|| format!("|{}", listed.len()));
    let words = count
        .into_iter()
        .chain(listed.into_iter().map(|(_, entry)| entry))
        .chain(args.iter().cloned());
    words.collect::<Vec<_>>().join(" ")
}

/// An `ARG` of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DeclaredArg {
    /// Its name.
    pub(super) name: String,
    /// Its value at the declaration, if it has one.
    pub(super) value: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_does() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
    }

    #[test]
    fn strings_are_quoted_as_go_does() {
        let words = ["it's \"x\"", "a\\b\n\t", "é e\u{301} \u{200b}", "\u{1}\u{7f}\u{a0}"].map(str::to_owned);
        assert_eq!(
            quoted_list(&words),
            r#"["it's \"x\"" "a\\b\n\t" "é e"#.to_owned() + "\u{301}" + r#" \u200b" "\x01\x7f\u00a0"]"#
        );
    }

    #[test]
    fn arguments_are_listed_once_with_their_present_value() {
        let arg = |name: &str, value: Option<&str>| DeclaredArg {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        let declared = [
            arg("foo", Some("bar")),
            arg("bar", Some("123")),
            arg("foo", Some("bar2")),
            arg("none", None),
        ];
        let mut env = Environment::default();
        env.set("foo", "bar2");
        assert_eq!(
            run_command(&["ls".to_owned()], &declared, &env),
            "|3 foo=bar2 bar=123 none= ls"
        );
        assert_eq!(run_command(&["ls".to_owned()], &[], &env), "ls");
    }
}
