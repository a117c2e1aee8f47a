//! The builders that are compared, and how each is told the same thing.

use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{USER, croze_binary, sh};

/// A builder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// The binary of this workspace.
    Croze,
    /// Debian's buildah.
    Buildah,
}

/// A build as any of them can be asked for.
pub(crate) struct Build<'a> {
    /// Directory of the state, which is all that outlives a build.
    pub(crate) state: &'a Path,
    /// Directory of the context and the Dockerfile.
    pub(crate) context: &'a Path,
    /// Where to push; nowhere if none.
    pub(crate) push: Option<&'a str>,
    /// Whether what is known from earlier builds is ignored.
    pub(crate) no_cache: bool,
}

impl Peer {
    /// Returns the one of that name.
    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Croze, Self::Buildah];
        let found = all.into_iter().find(|peer| peer.to_string() == name);
        found.unwrap_or_else(|| panic!("`{name}` is none of {all:?}"))
    }

    /// Returns the command that builds as the unprivileged user.
    pub(crate) fn command(self, build: &Build<'_>) -> Command {
        let mut command = match self {
            Self::Croze => croze(build),
            Self::Buildah => buildah(build),
        };
        let id = |option: &str| sh(&format!("id {option} {USER}")).trim().parse().expect("an id");
        command.uid(id("-u")).gid(id("-g")).current_dir(build.state);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", build.state);
        command
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Croze => "croze",
            Self::Buildah => "buildah",
        })
    }
}

fn croze(build: &Build<'_>) -> Command {
    let mut command = Command::new(croze_binary());
    command.arg("--root").arg(build.state.join("croze"));
    command.args(["build", "--progress=plain"]);
    if build.no_cache {
        command.arg("--no-cache");
    }
    if let Some(name) = build.push {
        command.args(["--push", "--tag", name]);
    }
    command.arg(build.context);
    command
}

/// buildah has no build that pushes: a shell runs one after the other.
fn buildah(build: &Build<'_>) -> Command {
    let state = build.state.display();
    let buildah = format!("buildah --root {state}/root --runroot {state}/runroot --storage-driver overlay");
    let name = build.push.unwrap_or("localhost/benchmark");
    // As croze does, it runs what is ready at once and keeps the results of all steps.
    let options = "--isolation chroot --layers --jobs 0 --tls-verify=false";
    let cache = if build.no_cache { "--no-cache" } else { "" };
    let mut script = format!(
        "{buildah} build {options} {cache} --tag {name} {}",
        build.context.display()
    );
    if build.push.is_some() {
        script += &format!(" && {buildah} push --tls-verify=false {name}");
    }
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    command
}
