//! The builders that are compared, and how each is asked for the same build.

use std::path::Path;
use std::process::Command;

use crate::harness::{Lab, sh};

/// A builder that keeps all its state in a lab.
pub(crate) trait Tool: Sync {
    /// Returns its name and version.
    fn version(&self) -> String;

    /// Returns the command that builds the lab's context.
    fn command(&self, lab: &Lab, ask: &Ask) -> Command;

    /// Returns the script that prints, a line each, what is left in its state of steps that have not ended.
    fn leftovers(&self, lab: &Lab) -> String;
}

/// A build as any of them can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Where to push; nowhere if none.
    pub(crate) push: Option<String>,
    /// Options that both have.
    pub(crate) options: Vec<String>,
    /// Variables of the environment, `NAME=VALUE`.
    pub(crate) variables: Vec<String>,
}

/// The binary of this workspace.
pub(crate) struct Croze;

/// Debian's buildah.
pub(crate) struct Buildah;

impl Tool for Croze {
    fn version(&self) -> String {
        format!("croze {}", env!("CARGO_PKG_VERSION"))
    }

    fn command(&self, lab: &Lab, ask: &Ask) -> Command {
        let mut words = vec!["build", "--progress=plain", "context"];
        words.extend(ask.options.iter().map(String::as_str));
        if let Some(name) = &ask.push {
            words.extend(["--push", "--tag", name]);
        }
        lab.command_with(&variables(lab, ask), &words)
    }

    fn leftovers(&self, lab: &Lab) -> String {
        let state = lab.path().join("state/v1");
        format!("ls -A {0}/snap/_active 2>/dev/null || true", state.display())
    }
}

impl Buildah {
    fn itself(lab: &Lab) -> String {
        let state = lab.path().join("state");
        format!(
            "buildah --root {0}/root --runroot {0}/runroot --storage-driver overlay",
            state.display()
        )
    }
}

impl Tool for Buildah {
    fn version(&self) -> String {
        let version = sh("buildah --version");
        version
            .split(' ')
            .filter(|word| *word != "version")
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// It has no build that pushes: a shell runs one after the other.
    fn command(&self, lab: &Lab, ask: &Ask) -> Command {
        let itself = Self::itself(lab);
        let (name, options) = (
            ask.push.as_deref().unwrap_or("localhost/comparison"),
            ask.options.join(" "),
        );
        let build =
            format!("{itself} build --isolation chroot --layers --tls-verify=false --tag {name} {options} context");
        let script = match &ask.push {
            Some(name) => format!("{build} && {itself} push --tls-verify=false {name}"),
            None => format!("exec {build}"),
        };
        lab.command_of(Path::new("sh"), &variables(lab, ask), &["-c", &script])
    }

    fn leftovers(&self, lab: &Lab) -> String {
        let itself = Self::itself(lab);
        format!(
            "cd {0} && setpriv --reuid croze-ci --regid croze-ci --init-groups env -i PATH=$PATH HOME={0}/home \
             {itself} containers --format '{{{{.ContainerName}}}}' --noheading",
            lab.path().display()
        )
    }
}

/// Both keep their temporary files in the lab, where they are looked at too.
fn variables<'a>(lab: &Lab, ask: &'a Ask) -> Vec<&'a str> {
    let tmp = lab.path().join("home/tmp");
    sh(&format!("install -d -o croze-ci {}", tmp.display()));
    let tmp: &'static str = Box::leak(format!("TMPDIR={}", tmp.display()).into_boxed_str());
    ask.variables.iter().map(String::as_str).chain([tmp]).collect()
}
