//! The build context and the Dockerfile: from what was typed to a directory and a text.
//!
//! | context | Dockerfile | what `-f` means |
//! |---|---|---|
//! | a directory | beside its files | a file of this machine, `-`, or a URL |
//! | a git repository, an archive by URL or from `-` | in it | a file in it; a file of this machine if absolute; `-`; a URL |
//! | a text by URL or from `-` | itself; the context is empty | nothing |
//!
//! Ignore files apply to directories only.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::args::BuildArgs;
use super::build_failure::fetch_failure;
use super::config_source::config_source;
use super::environment::absolute;
use super::failure::{Failure, Kind};
use crate::attest::ConfigSource;
use crate::attributes::truth;
use crate::build::Services;
use crate::diagnostic::{Diagnostic, SourceFile, nearest};
use crate::fetch::{ContextFile, Fetched, Fetcher};
use crate::op::GitOp;
use crate::ops::LocalDirectory;
use crate::remote::{GitAddress, MtimeOf, Remote, WebAddress};
use snapshotter::Root;

/// The longest Dockerfile or ignore file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Where the context is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A directory of this machine.
    Directory(PathBuf),
    /// Standard input: an archive, or a Dockerfile.
    Stdin,
    /// The network.
    Remote(Remote),
}

/// A context and a Dockerfile at hand.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// The files.
    pub(super) directory: LocalDirectory,
    /// The Dockerfile.
    pub(super) dockerfile: Arc<SourceFile>,
    /// The context's own time in seconds since 1970, if it has one.
    pub(super) time: Option<i64>,
    /// Where both come from.
    pub(super) source: ConfigSource,
}

/// Finds out where the context is.
///
/// # Errors
/// If it is nowhere.
pub(super) fn place(args: &BuildArgs) -> Result<Place, Failure> {
    if args.context == "-" {
        if args.file.as_deref() == Some("-") {
            let message = Diagnostic::error("context and Dockerfile cannot both come from standard input");
            return Err(Failure::new(Kind::Usage, message));
        }
        return Ok(Place::Stdin);
    }
    // What is there is meant, whatever it looks like.
    match Remote::of_context(&args.context).filter(|_| !Path::new(&args.context).exists()) {
        Some(Ok(remote)) => Ok(Place::Remote(remote)),
        Some(Err(error)) => {
            let message = format!("the build context `{}` cannot be fetched", args.context);
            Err(Failure::new(Kind::Usage, Diagnostic::error(message).because(&error)))
        }
        None => context_directory(&args.context).map(Place::Directory),
    }
}

/// Reads what needs neither network nor store; `None` if something does.
///
/// # Errors
/// If the Dockerfile or the ignore file cannot be read.
pub(super) fn at_hand(args: &BuildArgs, place: &Place) -> Result<Option<Located>, Failure> {
    let Place::Directory(path) = place else { return Ok(None) };
    if dockerfile_url(args).is_some() {
        return Ok(None);
    }
    let dockerfile = dockerfile(args.file.as_deref(), path)?;
    Ok(Some(Located {
        source: config_source(place, &dockerfile, None, false),
        dockerfile,
        directory: LocalDirectory {
            ignore: ignore_file(args, path)?,
            path: path.clone(),
        },
        time: None,
    }))
}

/// Fetches the context, and the Dockerfile if it is elsewhere; some of `build_args` say how.
///
/// # Errors
/// If they cannot be had.
pub(super) async fn fetch(
    args: &BuildArgs,
    build_args: &BTreeMap<String, String>,
    place: &Place,
    services: &Services,
    fetcher: &Fetcher,
) -> Result<Located, Failure> {
    let tree = |fetched: Fetched| (services.snapshots.fs_dir(&fetched.snapshot), fetched.time);
    let file = match place {
        Place::Directory(path) => {
            let dockerfile = elsewhere(args, fetcher).await?;
            let dockerfile = dockerfile.map_or_else(|| self::dockerfile(None, path), Ok)?;
            return Ok(Located {
                source: config_source(place, &dockerfile, None, false),
                dockerfile,
                directory: LocalDirectory {
                    ignore: ignore_file(args, path)?,
                    path: path.clone(),
                },
                time: None,
            });
        }
        Place::Remote(Remote::Git(address)) => {
            let op = commit(address, build_args);
            ContextFile::Tree(fetcher.git(&op).await.map_err(|error| fetch_failure(&error))?)
        }
        Place::Remote(Remote::Web(address)) => fetcher
            .web_context(address, MAX_FILE)
            .await
            .map_err(|error| fetch_failure(&error))?,
        Place::Stdin => fetcher
            .stream_context(io::stdin(), MAX_FILE)
            .await
            .map_err(|error| fetch_failure(&error))?,
    };
    match file {
        ContextFile::Tree(fetched) => {
            let revision = fetched.revision.clone();
            let (path, time) = tree(fetched);
            let (dockerfile, is_within) = match elsewhere(args, fetcher).await? {
                Some(dockerfile) => (dockerfile, false),
                None => (dockerfile_within(args.file.as_deref(), &path)?, true),
            };
            Ok(Located {
                source: config_source(place, &dockerfile, Some(&revision), is_within),
                directory: LocalDirectory { path, ignore: None },
                dockerfile,
                time,
            })
        }
        ContextFile::Text { text, empty, time } => {
            if args.file.is_some() && matches!(place, Place::Stdin) {
                let message = Diagnostic::error("two Dockerfiles are given: `-f` and standard input");
                return Err(Failure::new(Kind::Usage, message));
            }
            let revision = empty.revision.clone();
            let (path, _) = tree(empty);
            let dockerfile = Arc::new(SourceFile::new("Dockerfile", text));
            let is_within = !matches!(place, Place::Stdin);
            Ok(Located {
                source: config_source(place, &dockerfile, Some(&revision), is_within),
                directory: LocalDirectory { path, ignore: None },
                dockerfile,
                time,
            })
        }
    }
}

/// Returns what fetches a context from a repository. Whoever asks for a certain time wants files that bear one: that
/// of the commit, unless the address says otherwise.
fn commit(address: &GitAddress, build_args: &BTreeMap<String, String>) -> GitOp {
    let given = |name: &str| build_args.get(name).map(String::as_str).unwrap_or_default();
    let keep = truth(given("BUILDKIT_CONTEXT_KEEP_GIT_DIR")) == Some(true);
    let commit = Some(MtimeOf::Commit).filter(|_| !given("SOURCE_DATE_EPOCH").is_empty());
    GitOp {
        keep_git_dir: address.keep_git_dir.unwrap_or(keep),
        address: GitAddress {
            mtime: address.mtime.or(commit),
            ..address.clone()
        },
    }
}

/// Reads a Dockerfile that is not in the context: by URL, from standard input, or from an absolute path.
async fn elsewhere(args: &BuildArgs, fetcher: &Fetcher) -> Result<Option<Arc<SourceFile>>, Failure> {
    if let Some(address) = dockerfile_url(args) {
        let fetched = fetcher.web_text(&address, MAX_FILE).await;
        let text = fetched.map_err(|error| fetch_failure(&error))?;
        return Ok(Some(Arc::new(SourceFile::new(address.to_string(), text))));
    }
    match args.file.as_deref() {
        Some("-") => dockerfile_from_stdin().map(Some),
        Some(file) if Path::new(file).is_absolute() => dockerfile(Some(file), Path::new("/")).map(Some),
        _ => Ok(None),
    }
}

fn dockerfile_url(args: &BuildArgs) -> Option<WebAddress> {
    match Remote::of_add(args.file.as_deref()?)? {
        Ok(Remote::Web(address)) => Some(address),
        _ => None,
    }
}

/// Reads the Dockerfile of a fetched context; no link of it leads out.
fn dockerfile_within(file: Option<&str>, context: &Path) -> Result<Arc<SourceFile>, Failure> {
    let names: &[&str] = match &file {
        Some(file) => &[*file],
        None => &["Dockerfile", "dockerfile"],
    };
    let root = Root::open(context).map_err(|error| Failure::because(Kind::Environment, &error))?;
    for name in names {
        let read = root.read_file(Path::new(name), MAX_FILE);
        let read = read.map_err(|error| Failure::because(Kind::Input, &error))?;
        if let Some(bytes) = read {
            let text = String::from_utf8(bytes).map_err(|_| missing(&format!("`{name}` is not text"), None))?;
            return Ok(Arc::new(SourceFile::new(*name, text)));
        }
    }
    let message = format!("cannot read the Dockerfile `{}`", names[0]);
    Err(missing(&message, Some(&io::ErrorKind::NotFound.into())).help("name it with `-f`, as a path in the context"))
}

fn dockerfile_from_stdin() -> Result<Arc<SourceFile>, Failure> {
    let read = bounded_text(io::stdin().lock());
    let text = read.map_err(|error| missing("cannot read the Dockerfile from standard input", Some(&error)))?;
    Ok(Arc::new(SourceFile::new("-", text)))
}

/// Checks that the context is a directory.
pub(super) fn context_directory(text: &str) -> Result<PathBuf, Failure> {
    let path = absolute(Path::new(text));
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(missing(&format!("the build context `{text}` is not a directory"), None)),
        Err(error) => Err(missing(
            &format!("cannot read the build context `{text}`"),
            Some(&error),
        )),
    }
}

fn missing(message: &str, error: Option<&io::Error>) -> Failure {
    let message = Diagnostic::error(message);
    Failure::new(
        Kind::Input,
        match error {
            Some(error) => message.because(error),
            None => message,
        },
    )
}

/// Reads the Dockerfile: `-f`, else `Dockerfile` or `dockerfile` of the context.
fn dockerfile(file: Option<&str>, context: &Path) -> Result<Arc<SourceFile>, Failure> {
    let (name, path) = match file {
        Some("-") => return dockerfile_from_stdin(),
        Some(file) => (file.to_owned(), absolute(Path::new(file))),
        None => {
            let lower = context.join("dockerfile");
            let path = Some(context.join("Dockerfile"))
                .filter(|path| path.exists() || !lower.exists())
                .unwrap_or(lower);
            (path.file_name().unwrap_or_default().display().to_string(), path)
        }
    };
    let is_pipe = file.is_some() && fs::metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let read = match file {
        Some(_) if is_pipe => fs::File::open(&path).and_then(bounded_text),
        Some(_) => read_text(&path),
        None => read_inside(context, &path),
    };
    match read {
        Ok(text) => Ok(Arc::new(SourceFile::new(name, text))),
        Err(error) => {
            let failure = missing(&format!("cannot read the Dockerfile `{name}`"), Some(&error));
            Err(match near(&path) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help("name it with `-f`, or make a file `Dockerfile` in the context"),
            })
        }
    }
}

/// Reads text that a person wrote; refuses what is no regular file, or too long to be that.
fn read_text(path: &Path) -> io::Result<String> {
    // A pipe without a writer is not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    bounded_text(file)
}

/// Reads text to its end; refuses what is too long for a person to have written.
fn bounded_text(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Reads a file that nobody named: a link in the context must not show, in a message about it, what lies elsewhere.
fn read_inside(context: &Path, path: &Path) -> io::Result<String> {
    let real = fs::canonicalize(path)?;
    if real.starts_with(fs::canonicalize(context)?) {
        return read_text(&real);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "a link that leads out of the context",
    ))
}

/// Returns a file beside `path` whose name is like its.
fn near(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty())?;
    let entries = fs::read_dir(beside).ok()?.flatten();
    let names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

/// Reads the ignore file of a named context, which messages call `name`; `None` if there is none.
pub(super) fn ignore_file_in(context: &Path, name: String) -> Result<Option<Arc<SourceFile>>, Failure> {
    ignore_file_of(read_inside(context, &context.join(".dockerignore")), name)
}

fn ignore_file_of(read: io::Result<String>, name: String) -> Result<Option<Arc<SourceFile>>, Failure> {
    match read {
        Ok(text) => Ok(Some(Arc::new(SourceFile::new(name, text)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(missing(&format!("cannot read the ignore file `{name}`"), Some(&error))),
    }
}

/// Reads `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore` of the context.
fn ignore_file(args: &BuildArgs, context: &Path) -> Result<Option<Arc<SourceFile>>, Failure> {
    let own = match args.file.as_deref() {
        Some("-") => None,
        Some(_) if dockerfile_url(args).is_some() => None,
        Some(file) => Some((absolute(Path::new(file)), file)),
        None => Some((context.join("Dockerfile"), "Dockerfile")),
    };
    let own = own.map(|(path, name)| {
        (
            path.with_file_name(format!(
                "{}.dockerignore",
                path.file_name().unwrap_or_default().display()
            )),
            format!("{name}.dockerignore"),
        )
    });
    let general = (context.join(".dockerignore"), ".dockerignore".to_owned());
    for (path, name) in own.into_iter().chain([general]) {
        let read = if path.starts_with(context) {
            read_inside(context, &path)
        } else {
            read_text(&path)
        };
        if let Some(found) = ignore_file_of(read, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
