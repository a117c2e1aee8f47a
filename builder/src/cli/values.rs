//! Values of single options: `KEY=VALUE`, sizes, ages, hosts, secrets.

use std::path::PathBuf;
use std::time::Duration;

use registry::compress::Compression;

use crate::attributes::{self, Attributes};
use crate::ops::SecretSource;

/// A value that does not say what its option needs; the text is the whole message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{option} {value}`: {problem}")]
pub(super) struct ValueError {
    option: &'static str,
    value: String,
    problem: String,
}

impl ValueError {
    /// Says what is wrong with the value of an option.
    pub(super) fn new(option: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self {
            option,
            value: value.to_owned(),
            problem: problem.into(),
        }
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn pair(option: &'static str, text: &str) -> Result<(String, String), ValueError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(ValueError::new(option, text, "expected `KEY=VALUE`")),
    }
}

/// Reads bytes with an optional unit, a power of 1024 as Docker takes it: `64m`, `1g`, `4096`.
pub(super) fn size(option: &'static str, text: &str) -> Result<u64, ValueError> {
    let problem = "expected bytes, or a number with the unit b, k, m, g or t";
    attributes::bytes(text).ok_or_else(|| ValueError::new(option, text, problem))
}

/// Reads an age: a number with the unit s, m, h, d or w.
pub(super) fn age(option: &'static str, text: &str) -> Result<Duration, ValueError> {
    let error = || {
        ValueError::new(
            option,
            text,
            "expected a number with the unit s, m, h, d or w, as in `36h`",
        )
    };
    let unit = text.chars().last().ok_or_else(error)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(error()),
    };
    let count = text[..text.len() - unit.len_utf8()]
        .parse::<u64>()
        .map_err(|_| error())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(error)
}

/// Reads `HOST:IP`, `HOST=IP` or `HOST:[IP]` and returns address and name.
pub(super) fn host(text: &str) -> Result<(String, String), ValueError> {
    const OPTION: &str = "--add-host";
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(|| ValueError::new(OPTION, text, "expected `HOST:IP`"))?;
    let address = address
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(address);
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ValueError::new(OPTION, text, "the host name is not one"));
    }
    if address.parse::<std::net::IpAddr>().is_err() {
        return Err(ValueError::new(
            OPTION,
            text,
            format!("`{address}` is not an IP address"),
        ));
    }
    Ok((address.to_owned(), name.to_owned()))
}

/// Reads `ALGORITHM[:LEVEL]`.
pub(super) fn compression(text: &str) -> Result<Compression, ValueError> {
    const OPTION: &str = "--compression";
    let (algorithm, level) = text
        .split_once(':')
        .map_or((text, None), |(algorithm, level)| (algorithm, Some(level)));
    let number = |default: i32, range: std::ops::RangeInclusive<i32>| match level {
        None => Ok(default),
        Some(level) => level.parse().ok().filter(|level| range.contains(level)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            ValueError::new(OPTION, text, format!("the level of {algorithm} is {least} to {most}"))
        }),
    };
    match algorithm {
        "gzip" => Ok(Compression::Gzip {
            level: number(6, 0..=9)?.unsigned_abs(),
        }),
        "zstd" => Ok(Compression::Zstd {
            level: number(3, 1..=22)?,
        }),
        "none" | "uncompressed" if level.is_none() => Ok(Compression::None),
        _ => Err(ValueError::new(
            OPTION,
            text,
            "expected `gzip`, `zstd` or `none`, with a level as in `zstd:9`",
        )),
    }
}

/// Reads `id=ID[,src=FILE|,env=VAR][,type=file|env]`; `variable` looks into the environment.
///
/// Without a source the id is the name of a variable if there is one, else of a file, as in BuildKit.
pub(super) fn secret(
    text: &str,
    variable: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<(String, SecretSource), ValueError> {
    const OPTION: &str = "--secret";
    let error = |problem: String| ValueError::new(OPTION, text, problem);
    let mut attributes = Attributes::parse(text).map_err(|e| error(e.to_string()))?;
    let mut take = |key: &str| attributes.take(key).map_err(|e| error(e.to_string()));
    let (id, name, kind) = (take("id")?, take("env")?, take("type")?);
    let file = take("src")?.or(take("source")?);
    attributes.finish().map_err(|e| error(e.to_string()))?;
    let id = id
        .or_else(|| file.clone())
        .or_else(|| name.clone())
        .ok_or_else(|| error("`id` is missing".to_owned()))?;
    let from_variable = |name: &str| {
        variable(name)
            .map(SecretSource::Value)
            .ok_or_else(|| error(format!("the environment has no `{name}`")))
    };
    let source = match (kind.as_deref(), file, name) {
        (None | Some("file"), Some(file), None) => SecretSource::File(PathBuf::from(file)),
        (None | Some("env"), None, Some(name)) | (Some("env"), Some(name), None) => from_variable(&name)?,
        (None, None, None) => variable(&id).map_or_else(|| SecretSource::File(PathBuf::from(&id)), SecretSource::Value),
        (Some("env"), None, None) => from_variable(&id)?,
        (Some("file"), None, None) => SecretSource::File(PathBuf::from(&id)),
        (Some(other), _, _) if other != "file" && other != "env" => {
            return Err(error(format!("`type={other}` is neither `file` nor `env`")));
        }
        _ => return Err(error("a secret has one source: `src` or `env`".to_owned())),
    };
    Ok((id, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_read_with_their_units() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64m", 64 << 20),
            ("1G", 1 << 30),
            ("2kb", 2048),
            ("0", 0),
        ] {
            assert_eq!(size("--shm-size", text), Ok(bytes), "{text}");
        }
        for (text, seconds) in [("10s", 10), ("36h", 129_600), ("7d", 604_800)] {
            assert_eq!(age("--older-than", text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "99999999999999999999", "1 m", "9999999999t"] {
            assert!(size("--shm-size", bad).is_err(), "{bad}");
            assert!(age("--older-than", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_has_a_name_and_an_address() {
        for (text, address) in [
            ("a:10.0.0.1", "10.0.0.1"),
            ("a=::1", "::1"),
            ("a:[::1]", "::1"),
            ("a:::1", "::1"),
        ] {
            assert_eq!(host(text), Ok((address.to_owned(), "a".to_owned())), "{text}");
        }
        for bad in ["a", "a:b", ":1.2.3.4", "a b:1.2.3.4", "a\n1.1.1.1 evil:1.2.3.4"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn compression_has_a_level_in_range() {
        assert_eq!(compression("gzip"), Ok(Compression::Gzip { level: 6 }));
        assert_eq!(compression("zstd:19"), Ok(Compression::Zstd { level: 19 }));
        assert_eq!(compression("none"), Ok(Compression::None));
        for bad in ["", "gzip:10", "zstd:0", "none:1", "lz4", "gzip:x"] {
            assert!(compression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_comes_from_one_place() {
        let variable = |name: &str| (name == "TOKEN").then(|| b"value".to_vec());
        let file = |path: &str| SecretSource::File(path.into());
        let value = SecretSource::Value(b"value".to_vec());
        for (text, id, source) in [
            ("id=a,src=/f", "a", file("/f")),
            ("id=a,env=TOKEN", "a", value.clone()),
            ("id=TOKEN", "TOKEN", value.clone()),
            ("id=a", "a", file("a")),
            ("src=/f", "/f", file("/f")),
            ("type=env,id=TOKEN", "TOKEN", value.clone()),
        ] {
            assert_eq!(secret(text, variable), Ok((id.to_owned(), source)), "{text}");
        }
        for bad in [
            "",
            "id=a,env=ABSENT",
            "id=a,src=/f,env=TOKEN",
            "id=a,type=x",
            "id=a,sorce=/f",
        ] {
            assert!(secret(bad, variable).is_err(), "{bad}");
        }
    }
}
