//! From `croze build` as typed to a build as meant: every option checked, every path absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::oci::{Platform, Reference};

use super::args::{BuildArgs, NetworkArg};
use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind};
use super::values::{self, ValueError};
use crate::build::{Annotations, BuildRequest};
use crate::diagnostic::{Diagnostic, SourceFile, nearest};
use crate::executor::DEFAULT_SHM_SIZE;
use crate::export::OutputSpec;
use crate::frontend::{Entitlement, NamedContext, NoCache};
use crate::op::Network;
use crate::ops::{LocalDirectory, Secrets};

/// The longest Dockerfile or ignore file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Reads what the options name and checks what they say.
///
/// # Errors
/// Usage for options that contradict themselves, missing input for files that are not there.
pub(super) fn build_request(args: &BuildArgs, environment: &Environment) -> Result<BuildRequest, Failure> {
    let context = context_directory(&args.context)?;
    let dockerfile = dockerfile(args, &context)?;
    let ignore = ignore_file(args, &context)?;
    let mut directories = BTreeMap::from([("context".to_owned(), LocalDirectory { path: context, ignore })]);
    let contexts = named_contexts(&args.build_contexts, &mut directories)?;
    let tags = parse_all("--tag", &args.tags, |text| {
        text.parse::<Reference>().map_err(|e| e.to_string())
    })?;
    if let Some(pinned) = tags.iter().find(|tag| tag.tag().is_none()) {
        return Err(usage(ValueError::new(
            "--tag",
            &pinned.familiar(),
            "a digest cannot be chosen: name a tag",
        )));
    }
    let outputs = outputs(args, &tags)?;
    let shm_size = args
        .shm_size
        .as_deref()
        .map(|text| values::size("--shm-size", text))
        .transpose();
    Ok(BuildRequest {
        dockerfile,
        directories,
        contexts,
        target: args.target.clone(),
        build_args: build_args(args, environment)?,
        labels: args
            .labels
            .iter()
            .map(|text| values::pair("--label", text))
            .collect::<Result<_, _>>()
            .map_err(usage)?,
        annotations: annotations(&args.annotations)?,
        platforms: parse_all("--platform", &args.platforms, |text| {
            text.parse::<Platform>().map_err(|e| e.to_string())
        })?,
        tags,
        outputs,
        compression: values::compression(&args.compression).map_err(usage)?,
        no_cache: if args.no_cache {
            NoCache::All
        } else if args.no_cache_filter.is_empty() {
            NoCache::None
        } else {
            NoCache::Stages(args.no_cache_filter.iter().cloned().collect())
        },
        pull: args.pull,
        network: match args.network {
            NetworkArg::Default => Network::Default,
            NetworkArg::None => Network::None,
            NetworkArg::Host => Network::Host,
        },
        allow: entitlements(args)?,
        add_hosts: args
            .add_hosts
            .iter()
            .map(|text| values::host(text))
            .collect::<Result<_, _>>()
            .map_err(usage)?,
        shm_size: shm_size.map_err(usage)?.unwrap_or(DEFAULT_SHM_SIZE),
        secrets: secrets(args, environment)?,
        jobs: args.jobs,
        resolv_conf: fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    })
}

fn usage(error: ValueError) -> Failure {
    Failure::because(Kind::Usage, &error)
}

fn parse_all<T>(
    option: &'static str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Failure> {
    let parse = |text: &String| parse(text).map_err(|problem| usage(ValueError::new(option, text, problem)));
    texts.iter().map(parse).collect()
}

/// Checks that the context is a directory.
fn context_directory(text: &str) -> Result<PathBuf, Failure> {
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
fn dockerfile(args: &BuildArgs, context: &Path) -> Result<Arc<SourceFile>, Failure> {
    let (name, path) = match args.file.as_deref() {
        Some("-") => {
            let mut text = String::new();
            let read = io::stdin().take(MAX_FILE).read_to_string(&mut text);
            read.map_err(|error| missing("cannot read the Dockerfile from standard input", Some(&error)))?;
            return Ok(Arc::new(SourceFile::new("-", text)));
        }
        Some(file) => (file.to_owned(), absolute(Path::new(file))),
        None => {
            let lower = context.join("dockerfile");
            let path = Some(context.join("Dockerfile"))
                .filter(|path| path.exists() || !lower.exists())
                .unwrap_or(lower);
            (path.file_name().unwrap_or_default().display().to_string(), path)
        }
    };
    match read_text(&path) {
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
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
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

/// Reads `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore` of the context.
fn ignore_file(args: &BuildArgs, context: &Path) -> Result<Option<Arc<SourceFile>>, Failure> {
    let own = match args.file.as_deref() {
        Some("-") => None,
        Some(file) => Some(format!("{file}.dockerignore")).map(|name| (absolute(Path::new(&name)), name)),
        None => Some("Dockerfile.dockerignore".to_owned()).map(|name| (context.join(&name), name)),
    };
    let general = (context.join(".dockerignore"), ".dockerignore".to_owned());
    for (path, name) in own.into_iter().chain([general]) {
        match read_text(&path) {
            Ok(text) => return Ok(Some(Arc::new(SourceFile::new(name, text)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(missing(&format!("cannot read the ignore file `{name}`"), Some(&error))),
        }
    }
    Ok(None)
}

/// Reads `--build-context NAME=VALUE`; directories go to `directories`.
fn named_contexts(
    texts: &[String],
    directories: &mut BTreeMap<String, LocalDirectory>,
) -> Result<BTreeMap<String, NamedContext>, Failure> {
    const OPTION: &str = "--build-context";
    let mut contexts = BTreeMap::new();
    for text in texts {
        let (name, value) = values::pair(OPTION, text).map_err(usage)?;
        let context = match value.split_once("://") {
            Some(("docker-image", "scratch")) => NamedContext::Scratch,
            Some(("docker-image", reference)) => NamedContext::Image(
                reference
                    .parse()
                    .map_err(|e: registry::oci::ReferenceError| usage(ValueError::new(OPTION, text, e.to_string())))?,
            ),
            Some((scheme, _)) => {
                let problem = format!("`{scheme}://` is not supported: give a directory or `docker-image://REF`");
                return Err(usage(ValueError::new(OPTION, text, problem)));
            }
            None => {
                let path = context_directory(&value)?;
                let ignore = path.join(".dockerignore");
                let ignore = read_text(&ignore)
                    .ok()
                    .map(|text| Arc::new(SourceFile::new(format!("{name}: .dockerignore"), text)));
                directories.insert(name.clone(), LocalDirectory { path, ignore });
                NamedContext::Local { name: name.clone() }
            }
        };
        contexts.insert(name, context);
    }
    Ok(contexts)
}

fn outputs(args: &BuildArgs, tags: &[Reference]) -> Result<Vec<OutputSpec>, Failure> {
    let mut outputs = Vec::new();
    for text in &args.outputs {
        let output =
            OutputSpec::parse(text).map_err(|error| usage(ValueError::new("--output", text, error.to_string())))?;
        outputs.push(output);
    }
    if args.push && !outputs.iter().any(OutputSpec::is_push) {
        outputs.push(OutputSpec::registry());
    }
    if tags.is_empty() && outputs.iter().any(OutputSpec::is_push_without_name) {
        let message = Diagnostic::error("a tag is needed to push to a registry");
        return Err(Failure::new(
            Kind::Usage,
            message.help("name the image with `-t REGISTRY/NAME:TAG`"),
        ));
    }
    Ok(outputs)
}

/// Reads `--build-arg`s; those without a value, the proxies and `SOURCE_DATE_EPOCH` come from the environment.
fn build_args(args: &BuildArgs, environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let mut given: BTreeMap<String, String> = environment.proxies().into_iter().collect();
    if let Some(epoch) = environment.text("SOURCE_DATE_EPOCH") {
        given.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for text in &args.build_args {
        match text.split_once('=') {
            Some(("", _)) => return Err(usage(ValueError::new("--build-arg", text, "the name is missing"))),
            Some((key, value)) => drop(given.insert(key.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = environment.text(text) {
                    given.insert(text.clone(), value);
                }
            }
        }
    }
    Ok(given)
}

fn annotations(texts: &[String]) -> Result<Annotations, Failure> {
    let mut annotations = Annotations::default();
    for text in texts {
        let (key, value) = values::pair("--annotation", text).map_err(usage)?;
        let (place, key) = match key.split_once(':') {
            Some((place, key)) if !place.contains(['.', '/']) => (place, key.to_owned()),
            _ => ("manifest", key),
        };
        let place = match place {
            "manifest" => &mut annotations.manifest,
            "index" => &mut annotations.index,
            other => {
                let problem = format!("`{other}` is neither `manifest` nor `index`");
                return Err(usage(ValueError::new("--annotation", text, problem)));
            }
        };
        place.insert(key, value);
    }
    Ok(annotations)
}

fn entitlements(args: &BuildArgs) -> Result<BTreeSet<Entitlement>, Failure> {
    let mut allowed = BTreeSet::new();
    for text in &args.allow {
        match text.as_str() {
            "network.host" => drop(allowed.insert(Entitlement::NetworkHost)),
            other => {
                let problem = "the only entitlement that can be given is `network.host`";
                return Err(usage(ValueError::new("--allow", other, problem)));
            }
        }
    }
    if args.network == NetworkArg::Host && !allowed.contains(&Entitlement::NetworkHost) {
        let message = Diagnostic::error("`--network host` needs consent").help("add `--allow network.host`");
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(allowed)
}

fn secrets(args: &BuildArgs, environment: &Environment) -> Result<Secrets, Failure> {
    let variable = |name: &str| environment.get(name).map(std::os::unix::ffi::OsStringExt::into_vec);
    let secrets = args
        .secrets
        .iter()
        .map(|text| values::secret(text, variable))
        .collect::<Result<_, _>>();
    Ok(Secrets {
        secrets: secrets.map_err(usage)?,
        agents: BTreeMap::new(),
    })
}
