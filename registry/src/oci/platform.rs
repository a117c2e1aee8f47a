//! Platforms: operating system, architecture and variant, with Docker's normal forms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The platform of an image, in containerd's normal form (`linux/arm64`, `linux/arm/v7`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, … (Go's GOARCH).
    pub architecture: String,
    /// `linux`, … (Go's GOOS).
    pub os: String,
    /// Version of the operating system; only Windows images have it.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a string is not a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlatformError {
    /// It has too many components, or a version in the wrong place.
    #[error("`{0}` is not a platform: expected `os/arch` or `os/arch/variant`, as in `linux/arm64`")]
    Form(String),
    /// A component is empty, or not made of letters, digits, `_`, `-` and `.`.
    #[error("{component:?} is an invalid component of {text:?}: expected `os/arch`, as in `linux/arm64`")]
    Component {
        /// The component.
        component: String,
        /// The whole string.
        text: String,
    },
}

impl Platform {
    /// Returns the platform on which this program runs.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            os_version: None,
            variant: None,
        }
        .normalized()
    }

    /// Applies containerd's normal form: aliases of architectures, and variants that go without saying.
    pub fn normalized(mut self) -> Self {
        let (architecture, variant) = (
            self.architecture.to_lowercase(),
            self.variant.take().map(|v| v.to_lowercase()),
        );
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("i386" | "i686", _) => ("386", None),
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            (a, v) => (a, v),
        };
        Self {
            architecture: architecture.to_owned(),
            os: match self.os.to_lowercase().as_str() {
                "macos" => "darwin".to_owned(),
                os => os.to_owned(),
            },
            os_version: self.os_version,
            variant: variant.map(str::to_owned),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError::Form(text.to_owned());
        let plain = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        // `windows(10.0.17763)/amd64`, as containerd writes the version of the operating system.
        let (text, os_version) = match text
            .split_once('(')
            .and_then(|(os, rest)| Some((os, rest.split_once(')')?)))
        {
            Some((os, (version, rest))) if plain(version) => (format!("{os}{rest}"), Some(version.to_owned())),
            Some(_) => return Err(error()),
            None => (text.to_owned(), None),
        };
        let parts: Vec<&str> = text.split('/').collect();
        if let Some(component) = parts.iter().find(|part| !plain(part)) {
            return Err(PlatformError::Component {
                component: (*component).to_owned(),
                text: text.clone(),
            });
        }
        let (os, architecture, variant) = match parts[..] {
            ["local"] => return Ok(Self::host()),
            [only] if matches!(only.to_lowercase().as_str(), "linux" | "windows" | "darwin") => {
                return Ok(Self {
                    os: only.to_lowercase(),
                    ..Self::host()
                });
            }
            [only] => ("linux", only, None),
            [os, arch] => (os, arch, None),
            [os, arch, variant] => (os, arch, Some(variant)),
            _ => return Err(error()),
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version,
            variant: variant.map(str::to_owned),
        }
        .normalized())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u14_platforms_are_read_in_every_usual_form_and_printed_in_one() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/ARM64", "linux/arm64"),
            ("windows(1.2.3)/amd64", "windows(1.2.3)/amd64"),
        ] {
            assert_eq!(
                text.parse::<Platform>().map(|p| p.to_string()),
                Ok(normal.to_owned()),
                "{text}"
            );
        }
        for bad in [
            "",
            "/",
            "linux/",
            "a/b/c/d",
            "../../x",
            "linux/../x ",
            "linux(/amd64",
            "linux(../x)/amd64",
        ] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
