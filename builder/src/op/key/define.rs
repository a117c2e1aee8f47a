//! [`Define`] for the operations: the table of the module's documentation, as code.
//!
//! Every operation is taken apart without `..`, so that a new field must be decided here before it compiles.
//! A field bound to `_` does not enter; the table says why.

use registry::oci::Platform;

use super::{Define, KeyHasher};
use crate::op::{
    Chmod, CopyOp, CopySource, GitOp, HttpForm, HttpOp, ImageOp, InlineFile, LocalOp, Mount, MountSource, Network, Op,
    RunOp, Security, WorkdirOp,
};
use crate::remote::{GitAddress, MtimeOf};

impl Define for Op {
    fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image/1",
            Self::Local(_) => "local/1",
            Self::Http(_) => "http/1",
            Self::Git(_) => "git/1",
            Self::Run(_) => "run/2",
            Self::Copy(_) => "copy/3",
            Self::Workdir(_) => "workdir/2",
            Self::Merge => "merge/1",
        }
    }

    fn define(&self, hasher: &mut KeyHasher) {
        match self {
            Self::Image(op) => image(hasher, op),
            Self::Local(LocalOp { name: _ }) => {}
            Self::Http(op) => http(hasher, op),
            Self::Git(op) => git(hasher, op),
            Self::Run(op) => run(hasher, op),
            Self::Copy(op) => copy(hasher, op),
            Self::Workdir(WorkdirOp {
                path,
                user,
                mtime,
                scratch,
            }) => {
                hasher.flag(*scratch).text(path).text(user);
                optional_text(hasher, &mtime.map(|seconds| seconds.to_string()));
            }
            Self::Merge => {}
        }
    }

    fn is_source(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Local(_) | Self::Http(_) | Self::Git(_))
    }

    fn reads_by_content(&self, input: usize) -> bool {
        // Input 0 is the root file system that the operation changes: all of it matters, even when the
        // operation reads from it as well.
        match self {
            Self::Run(RunOp { scratch, .. }) | Self::Copy(CopyOp { scratch, .. }) => *scratch || input > 0,
            Self::Image(_) | Self::Local(_) | Self::Http(_) | Self::Git(_) | Self::Workdir(_) | Self::Merge => false,
        }
    }

    fn ignores_cache(&self) -> bool {
        matches!(self, Self::Run(RunOp { no_cache: true, .. }))
    }
}

fn image(hasher: &mut KeyHasher, op: &ImageOp) {
    let ImageOp { reference: _, platform } = op;
    let Platform {
        architecture,
        os,
        os_version,
        variant,
    } = platform;
    hasher.text(os).text(architecture);
    for part in [variant, os_version] {
        optional_text(hasher, part);
    }
}

fn http(hasher: &mut KeyHasher, op: &HttpOp) {
    let HttpOp {
        address: _,
        form,
        checksum: _,
    } = op;
    match form {
        HttpForm::File { name } => hasher.choice("file").text(name),
        HttpForm::Archive => hasher.choice("archive"),
    };
}

fn git(hasher: &mut KeyHasher, op: &GitOp) {
    let GitOp { address, keep_git_dir } = op;
    let GitAddress {
        url,
        reference: _,
        subdir,
        checksum: _,
        keep_git_dir: _,
        submodules,
        mtime,
        fetch_by_commit: _,
    } = address;
    hasher.text(subdir).flag(submodules.unwrap_or(true));
    hasher.choice(match mtime.unwrap_or_default() {
        MtimeOf::Checkout => "checkout",
        MtimeOf::Commit => "commit",
    });
    // What stays of the repository says where it came from.
    hasher.optional(keep_git_dir.then_some(url), |hasher, url| {
        hasher.text(url);
    });
}

fn run(hasher: &mut KeyHasher, op: &RunOp) {
    let RunOp {
        scratch,
        args,
        env,
        proxy_env: _,
        cwd,
        user,
        mounts,
        script,
        devices,
        security,
        network,
        hostname,
        extra_hosts: _,
        no_cache: _,
    } = op;
    hasher.flag(*scratch).list(args, |hasher, argument| {
        hasher.text(argument);
    });
    hasher.list(env, |hasher, (name, value)| {
        hasher.text(name).text(value);
    });
    hasher.text(cwd).text(user).list(mounts, mount);
    hasher.optional(script.as_ref(), |hasher, (name, text)| {
        hasher.text(name).text(text);
    });
    hasher.choice(match network {
        Network::Default => "default",
        Network::None => "none",
        Network::Host => "host",
    });
    hasher.choice(match security {
        Security::Sandbox => "sandbox",
        Security::Insecure => "insecure",
    });
    hasher.text(hostname);
    hasher.list(devices, |hasher, device| {
        hasher.text(device);
    });
}

fn mount(hasher: &mut KeyHasher, mount: &Mount) {
    let Mount { target, source } = mount;
    hasher.text(target);
    match source {
        MountSource::Bind { input, path, writable } => {
            hasher.choice("bind");
            optional_input(hasher, *input);
            hasher.text(path).flag(*writable);
        }
        MountSource::Cache {
            id,
            sharing: _,
            input,
            path,
            readonly,
            mode,
            uid,
            gid,
        } => {
            hasher.choice("cache").text(id);
            optional_input(hasher, *input);
            hasher.text(path).flag(*readonly);
            hasher.number(*mode).number(*uid).number(*gid);
        }
        MountSource::Tmpfs { size: _ } => {
            hasher.choice("tmpfs");
        }
        MountSource::Secret {
            id,
            required,
            mode,
            uid,
            gid,
            env,
        } => {
            hasher.choice("secret").text(id).flag(*required);
            hasher.number(*mode).number(*uid).number(*gid);
            optional_text(hasher, env);
        }
        MountSource::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
        } => {
            hasher.choice("ssh").text(id).flag(*required);
            hasher.number(*mode).number(*uid).number(*gid);
        }
    }
}

fn copy(hasher: &mut KeyHasher, op: &CopyOp) {
    let CopyOp {
        scratch,
        sources,
        destination,
        chown,
        names_from,
        chmod,
        parents,
        exclude,
        mtime,
    } = op;
    hasher.flag(*scratch).list(sources, |hasher, source| match source {
        CopySource::Path {
            input,
            path,
            keep_owner,
            unpack,
        } => {
            hasher.choice("path").input(*input).text(path);
            hasher.flag(*keep_owner).flag(*unpack);
        }
        CopySource::Inline(InlineFile { name, content }) => {
            hasher.choice("inline").text(name).text(content);
        }
    });
    hasher.text(destination);
    optional_text(hasher, chown);
    optional_input(hasher, *names_from);
    hasher.optional(chmod.as_ref(), |hasher, chmod| {
        match chmod {
            Chmod::Octal(mode) => hasher.choice("octal").number(*mode),
            Chmod::Symbolic(_) => hasher.choice("symbolic").text(&chmod.to_string()),
        };
    });
    hasher.flag(*parents).list(exclude, |hasher, pattern| {
        hasher.text(pattern);
    });
    optional_text(hasher, &mtime.map(|seconds| seconds.to_string()));
}

fn optional_text(hasher: &mut KeyHasher, text: &Option<String>) {
    hasher.optional(text.as_ref(), |hasher, text| {
        hasher.text(text);
    });
}

fn optional_input(hasher: &mut KeyHasher, input: Option<usize>) {
    hasher.optional(input, |hasher, input| {
        hasher.input(input);
    });
}
