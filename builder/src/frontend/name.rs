//! Names of steps for progress output: `[build 2/5] RUN make`.

use registry::oci::Platform;

use super::environment::Environment;

/// Hands out the names of a stage's steps, in order.
#[derive(Clone, Debug)]
pub(super) struct StepNames {
    /// The stage's name; empty if it is the only one.
    label: String,
    /// How many steps there are, the base included.
    total: usize,
    /// How many names have been handed out.
    used: usize,
    /// Whether names start with a platform.
    with_platform: bool,
}

impl StepNames {
    pub(super) fn new(label: &str, total: usize, with_platform: bool) -> Self {
        Self {
            label: label.to_owned(),
            total,
            used: 0,
            with_platform,
        }
    }

    /// Makes room for `ONBUILD` triggers of a base image, which are known only once it is resolved.
    pub(super) fn add_triggers(&mut self, count: usize) {
        self.total += count;
    }

    /// Returns the name of the next step, which does `what` for `platform`.
    pub(super) fn next(&mut self, what: &str, trigger: bool, platform: &Platform, env: &Environment) -> String {
        self.used += 1;
        let platform = if self.with_platform {
            format!("{platform}{} ", crossing(platform, env))
        } else {
            String::new()
        };
        let space = if self.label.is_empty() { "" } else { " " };
        let width = self.total.max(1).ilog10() as usize + 1;
        let onbuild = if trigger { "ONBUILD " } else { "" };
        format!(
            "[{platform}{}{space}{:width$}/{}] {onbuild}{what}",
            self.label, self.used, self.total
        )
    }
}

/// Puts the keyword in capitals, whatever the case it was written in.
pub(super) fn with_capital_keyword(instruction: &str) -> String {
    match instruction.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => instruction.to_uppercase(),
    }
}

/// Returns `->arm64` for a step that runs on one platform and, by its `TARGET…` arguments, builds for another.
fn crossing(platform: &Platform, env: &Environment) -> String {
    let part = |name| env.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let whole = env
        .get("TARGETPLATFORM")
        .and_then(|value| value.parse::<Platform>().ok());
    let parts = || {
        let (os, architecture, variant) = (part("TARGETOS"), part("TARGETARCH"), part("TARGETVARIANT"));
        (os.is_some() || architecture.is_some() || variant.is_some()).then(|| {
            Platform {
                architecture: architecture.unwrap_or_else(|| platform.architecture.clone()),
                os: os.unwrap_or_else(|| platform.os.clone()),
                os_version: None,
                variant,
            }
            .normalized()
        })
    };
    match whole.or_else(parts) {
        Some(target) if target.os != platform.os => format!("->{target}"),
        Some(target) if target.architecture != platform.architecture => {
            let variant = target.variant.map_or(String::new(), |variant| format!("/{variant}"));
            format!("->{}{variant}", target.architecture)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_and_aligned() {
        let platform = Platform::host();
        let env = Environment::default();
        let mut names = StepNames::new("build", 12, false);
        assert_eq!(names.next("RUN a", false, &platform, &env), "[build  1/12] RUN a");
        assert_eq!(
            names.next("RUN b", true, &platform, &env),
            "[build  2/12] ONBUILD RUN b"
        );
        let mut names = StepNames::new("", 1, false);
        assert_eq!(names.next("RUN a", false, &platform, &env), "[1/1] RUN a");
    }

    #[test]
    fn a_step_that_builds_for_another_platform_says_so() {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let mut env = Environment::default();
        let mut names = StepNames::new("b", 3, true);
        assert_eq!(names.next("RUN a", false, &platform, &env), "[linux/amd64 b 1/3] RUN a");
        env.set("TARGETARCH", "arm64");
        assert_eq!(
            names.next("RUN a", false, &platform, &env),
            "[linux/amd64->arm64 b 2/3] RUN a"
        );
        env.set("TARGETPLATFORM", "darwin/arm64");
        assert_eq!(
            names.next("RUN a", false, &platform, &env),
            "[linux/amd64->darwin/arm64 b 3/3] RUN a"
        );
    }
}
