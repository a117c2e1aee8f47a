//! Every input of a build, changed alone: which steps are done again, and which are not (reliability C3).
//!
//! What enters the key of a file tree and of an operation has tables of its own, beside the code that makes the keys;
//! this one is of the whole program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use rustix::fs::{XattrFlags, setxattr};

use crate::harness::{Lab, Page, WebServer, base_registry};

/// Everything that is changed. A new input must be given a line in [`done_again`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    Nothing,
    FileBytes,
    FileMode,
    FileOwner,
    FileTime,
    FileXattr,
    FileName,
    LinkTarget,
    NewFile,
    IgnoredFile,
    OtherFile,
    CopyDestination,
    CopyChmod,
    CopyChown,
    CopyExclude,
    HeredocOfCopy,
    HeredocOfRun,
    ArgUsed,
    ArgUnused,
    ArgUndeclared,
    ArgOfProxy,
    Env,
    Shell,
    User,
    Workdir,
    MountedStage,
    MountTarget,
    SecretId,
    SecretContent,
    RemoteContent,
    RemoteChecksum,
    BaseDigest,
    Platform,
    Label,
    Comment,
    Epoch,
    Ulimit,
    Network,
    HostEntry,
}

const INPUTS: [Input; 39] = [
    Input::Nothing,
    Input::FileBytes,
    Input::FileMode,
    Input::FileOwner,
    Input::FileTime,
    Input::FileXattr,
    Input::FileName,
    Input::LinkTarget,
    Input::NewFile,
    Input::IgnoredFile,
    Input::OtherFile,
    Input::CopyDestination,
    Input::CopyChmod,
    Input::CopyChown,
    Input::CopyExclude,
    Input::HeredocOfCopy,
    Input::HeredocOfRun,
    Input::ArgUsed,
    Input::ArgUnused,
    Input::ArgUndeclared,
    Input::ArgOfProxy,
    Input::Env,
    Input::Shell,
    Input::User,
    Input::Workdir,
    Input::MountedStage,
    Input::MountTarget,
    Input::SecretId,
    Input::SecretContent,
    Input::RemoteContent,
    Input::RemoteChecksum,
    Input::Platform,
    Input::Label,
    Input::Comment,
    Input::Epoch,
    Input::Ulimit,
    Input::Network,
    Input::HostEntry,
    // Cannot be undone.
    Input::BaseDigest,
];

/// The stages with a `RUN`.
const RUNS: [&str; 9] = [
    "heredoc", "argument", "env", "shell", "user", "workdir", "mount", "mounting", "secret",
];

/// The table: the stages that have a step that is done again.
fn done_again(input: Input) -> Vec<&'static str> {
    match input {
        // The owner of a context's file is always root, and its time is nobody's business.
        Input::FileBytes | Input::FileXattr | Input::FileMode => vec!["copy", "mount"],
        Input::FileName | Input::LinkTarget | Input::NewFile => vec!["copy"],
        Input::CopyDestination | Input::CopyChmod | Input::CopyChown | Input::CopyExclude => vec!["copy"],
        Input::HeredocOfCopy => vec!["note"],
        Input::HeredocOfRun => vec!["heredoc"],
        // An argument that is declared is in the environment of each `RUN` below it.
        Input::ArgUsed | Input::ArgUnused => vec!["argument"],
        Input::Env => vec!["env"],
        Input::Shell => vec!["shell"],
        Input::User => vec!["user"],
        Input::Workdir => vec!["workdir"],
        Input::MountedStage => vec!["maker", "mounting"],
        Input::MountTarget => vec!["mount"],
        Input::SecretId => vec!["secret"],
        Input::RemoteContent => vec!["remote"],
        Input::BaseDigest | Input::Platform => vec!["base"],
        Input::Epoch => vec!["copy", "note", "maker", "mounting", "workdir", "base", "remote"],
        Input::Network => RUNS.to_vec(),
        Input::Nothing
        | Input::FileOwner
        | Input::FileTime
        | Input::IgnoredFile
        | Input::OtherFile
        | Input::ArgUndeclared
        | Input::ArgOfProxy
        | Input::SecretContent
        | Input::RemoteChecksum
        | Input::Label
        | Input::Comment
        | Input::HostEntry
        | Input::Ulimit => vec![],
    }
}

/// The project; `BASE/`, `PUSHED` and `WEB` are places that the test makes.
const DOCKERFILE: &str = "\
FROM --platform=$BUILDPLATFORM BASE/busybox AS copy
COPY src /copied

FROM --platform=$BUILDPLATFORM BASE/busybox AS note
COPY <<END /note
to whom it may concern
END

FROM --platform=$BUILDPLATFORM BASE/busybox AS heredoc
RUN <<END
echo one
END

FROM --platform=$BUILDPLATFORM BASE/busybox AS argument
ARG USED=one
ARG UNUSED=one
RUN echo $USED

FROM --platform=$BUILDPLATFORM BASE/busybox AS env
ENV GREETING=hello
RUN echo env

FROM --platform=$BUILDPLATFORM BASE/busybox AS shell
SHELL [\"/bin/sh\", \"-c\"]
RUN echo shell

FROM --platform=$BUILDPLATFORM BASE/busybox AS user
USER nobody
RUN echo user

FROM --platform=$BUILDPLATFORM BASE/busybox AS workdir
WORKDIR /work
RUN echo workdir

FROM --platform=$BUILDPLATFORM BASE/busybox AS mount
RUN --mount=type=bind,source=src/file,target=/file cat /file

FROM --platform=$BUILDPLATFORM BASE/busybox AS maker
COPY <<END /made
made
END

FROM --platform=$BUILDPLATFORM BASE/busybox AS mounting
RUN --mount=type=bind,from=maker,source=/made,target=/file cat /file

FROM --platform=$BUILDPLATFORM BASE/busybox AS secret
RUN --mount=type=secret,id=token echo secret

FROM --platform=$BUILDPLATFORM BASE/busybox AS remote
ADD WEB/page /page

FROM PUSHED AS base
COPY other /other

# All of them.
FROM --platform=$BUILDPLATFORM BASE/busybox AS all
LABEL version=1
COPY --from=copy /copied/file /1
COPY --from=note /note /2
COPY --from=heredoc /etc/passwd /3
COPY --from=argument /etc/passwd /4
COPY --from=env /etc/passwd /5
COPY --from=shell /etc/passwd /6
COPY --from=user /etc/passwd /7
COPY --from=workdir /etc/passwd /8
COPY --from=mount /etc/passwd /9
COPY --from=mounting /etc/passwd /10
COPY --from=secret /etc/passwd /11
COPY --from=remote /page /12
COPY --from=base /other /13
";

/// The sha256 of `page`.
const PAGE_SUM: &str = "sha256:3660315a9af3df255d8f19ab077e4797822b41488a0e2a04bc6af71213c23274";

struct Project {
    lab: Lab,
    web: WebServer,
    base: String,
}

impl Project {
    fn new() -> Self {
        let project = Self {
            lab: Lab::new(""),
            web: WebServer::start(),
            base: format!("{}/matrix/base:1", base_registry()),
        };
        project.reset();
        project.push("one");
        project
    }

    /// Writes everything as it is when nothing is changed; only times differ.
    fn reset(&self) {
        let lab = &self.lab;
        fs::remove_dir_all(lab.context("")).unwrap();
        for (path, content) in [
            ("src/file", "bytes"),
            ("src/plain", "plain"),
            ("src/ignored", ""),
            ("other", "other"),
            ("unrelated", ""),
            (".dockerignore", "src/ignored\n"),
            ("token", "one"),
        ] {
            lab.write(path, content);
        }
        symlink("file", lab.context("src/link")).unwrap();
        self.dockerfile("", "");
        self.page("page");
    }

    /// Writes the Dockerfile with a text replaced.
    fn dockerfile(&self, old: &str, new: &str) {
        assert!(DOCKERFILE.contains(old), "`{old}` is in the Dockerfile");
        let web = self.web.url("/");
        let text = match old {
            "" => DOCKERFILE.to_owned(),
            _ => DOCKERFILE.replace(old, new),
        };
        let text = text.replace("PUSHED", &self.base).replace("WEB/", &web);
        self.lab.write("Dockerfile", &self.lab.fill(&text));
    }

    fn page(&self, body: &str) {
        self.web.put(
            "/page",
            Page {
                body: body.into(),
                ..Page::default()
            },
        );
    }

    /// Pushes what one stage starts from, for two platforms. Each time is another digest: [`Self::reset`] does not undo it.
    fn push(&self, content: &str) {
        let dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY layer /\n";
        let base = Lab::new(dockerfile);
        base.write("layer", content);
        base.build(&["--platform=linux/amd64,linux/arm64", "-t", &self.base, "--push"]);
    }

    /// Changes the input, and returns further words for the command line.
    fn change(&self, input: Input) -> Vec<&'static str> {
        let file = self.lab.context("src/file");
        let replace = |old, new| {
            self.dockerfile(old, new);
            vec![]
        };
        match input {
            Input::FileBytes => fs::write(file, "bites").unwrap(),
            Input::FileMode => fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap(),
            Input::FileOwner => chown(file, Some(0), Some(0)).unwrap(),
            Input::FileTime => fs::File::open(file)
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap(),
            Input::FileXattr => setxattr(file, "user.note", b"x", XattrFlags::empty()).unwrap(),
            Input::FileName => fs::rename(self.lab.context("src/plain"), self.lab.context("src/plane")).unwrap(),
            Input::LinkTarget => {
                fs::remove_file(self.lab.context("src/link")).unwrap();
                symlink("plain", self.lab.context("src/link")).unwrap();
            }
            Input::NewFile => drop(self.lab.write("src/new", "")),
            Input::IgnoredFile => drop(self.lab.write("src/ignored", "changed")),
            Input::OtherFile => drop(self.lab.write("unrelated", "changed")),
            Input::CopyDestination => return replace("COPY src /copied\n", "COPY src /copied/\n"),
            Input::CopyChmod => return replace("COPY src /c", "COPY --chmod=755 src /c"),
            Input::CopyChown => return replace("COPY src /c", "COPY --chown=1:1 src /c"),
            Input::CopyExclude => return replace("COPY src /c", "COPY --exclude=nothing src /c"),
            Input::HeredocOfCopy => return replace("to whom", "To whom"),
            Input::HeredocOfRun => return replace("echo one", "echo two"),
            Input::ArgUsed => return vec!["--build-arg", "USED=two"],
            Input::ArgUnused => return vec!["--build-arg", "UNUSED=two"],
            Input::ArgUndeclared => return vec!["--build-arg", "UNDECLARED=two"],
            Input::ArgOfProxy => return vec!["--build-arg", "no_proxy=registry.example"],
            Input::Env => return replace("GREETING=hello", "GREETING=goodbye"),
            Input::Shell => return replace("\"-c\"", "\"-ec\""),
            Input::User => return replace("USER nobody", "USER daemon"),
            Input::Workdir => return replace("WORKDIR /work", "WORKDIR /play"),
            Input::MountedStage => return replace("\nmade\n", "\nremade\n"),
            Input::MountTarget => return replace("source=src/file,target=/file", "source=src/file,target=/there"),
            Input::SecretId => return replace("id=token", "id=other"),
            Input::SecretContent => fs::write(self.lab.context("token"), "two").unwrap(),
            Input::RemoteContent => self.page("another page"),
            Input::RemoteChecksum => {
                self.dockerfile("ADD WEB", &format!("ADD --checksum={PAGE_SUM} WEB"));
            }
            Input::BaseDigest => self.push("two"),
            Input::Platform => return vec!["--platform", "linux/arm64"],
            Input::Label => return replace("version=1", "version=2"),
            Input::Comment => return replace("# All of them.", "# Each of them."),
            Input::Epoch => return vec!["--build-arg", "SOURCE_DATE_EPOCH=1700000000"],
            Input::Ulimit => return vec!["--ulimit", "nofile=100"],
            Input::Network => return vec!["--network", "none"],
            Input::HostEntry => return vec!["--add-host", "registry.example:10.0.0.1"],
            Input::Nothing => {}
        }
        vec![]
    }

    /// Returns the stages with steps that a build with these words would do again.
    fn planned(&self, words: &[&str]) -> BTreeSet<String> {
        let outcome = self.lab.croze(&[&PLAN[..], words].concat());
        assert!([0, 11].contains(&outcome.code), "{}", outcome.stderr);
        let runs = outcome.stdout.lines().filter_map(|line| line.strip_prefix("run "));
        let stages = runs.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0));
        let names = stages.filter_map(|stage| stage.split_whitespace().rev().nth(1));
        names.filter(|name| *name != "all").map(str::to_owned).collect()
    }
}

const SECRETS: [&str; 4] = [
    "--secret",
    "id=token,src=context/token",
    "--secret",
    "id=other,src=context/token",
];
const PLAN: [&str; 7] = [
    "build", "context", "--plan", SECRETS[0], SECRETS[1], SECRETS[2], SECRETS[3],
];

#[test]
fn each_input_does_again_the_steps_that_it_changes_and_no_others() {
    let project = Project::new();
    project.lab.build(&SECRETS);
    for input in INPUTS {
        let words = project.change(input);
        let expected: BTreeSet<_> = done_again(input).into_iter().map(str::to_owned).collect();
        assert_eq!(project.planned(&words), expected, "{input:?}");
        project.reset();
    }
}
