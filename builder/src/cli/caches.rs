//! `--cache-to` and `--cache-from`, and `croze cache`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use registry::client::Client;
use registry::oci::Digest;
use serde_json::json;

use super::args::{BuildArgs, CacheArgs, CacheCommand, Format};
use super::environment::{Environment, absolute};
use super::failure::{Failure, Kind, resource_or};
use super::registries;
use super::request::usage;
use super::values::{self, ValueError};
use crate::attributes::truth;
use crate::progress::{Bytes, clean};
use crate::remote_cache::{
    CacheFrom, CacheSpecError, CacheTo, Inventory, Listed, RemoteCacheError, Surroundings, Which,
};

/// The build argument with which buildx has asked for an inline cache before there was an option for it.
const INLINE_ARGUMENT: &str = "BUILDKIT_INLINE_CACHE";

/// Reads `--cache-from`s.
pub(super) fn sources(args: &BuildArgs, environment: &Environment) -> Result<Vec<CacheFrom>, Failure> {
    let parse = |text: &String| with_surroundings(environment, "--cache-from", text, CacheFrom::parse);
    args.cache_from
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(usage)
}

/// Reads `--cache-to`s, and what build arguments say about them.
pub(super) fn targets(
    args: &BuildArgs,
    environment: &Environment,
    build_args: &BTreeMap<String, String>,
) -> Result<Vec<CacheTo>, Failure> {
    let mut targets = named_targets(args, environment)?;
    let asked = build_args.get(INLINE_ARGUMENT).and_then(|value| truth(value));
    if asked == Some(true) && !targets.contains(&CacheTo::Inline) {
        targets.push(CacheTo::Inline);
    }
    Ok(targets)
}

fn named_targets(args: &BuildArgs, environment: &Environment) -> Result<Vec<CacheTo>, Failure> {
    let parse = |text: &String| with_surroundings(environment, "--cache-to", text, CacheTo::parse);
    args.cache_to.iter().map(parse).collect::<Result<_, _>>().map_err(usage)
}

/// Reads a value of `option` where this process is.
fn with_surroundings<T>(
    environment: &Environment,
    option: &'static str,
    text: &str,
    parse: impl Fn(&str, &Surroundings<'_>) -> Result<T, CacheSpecError>,
) -> Result<T, ValueError> {
    let surroundings = Surroundings {
        absolute: &|path: &Path| absolute(path),
        variable: &|name: &str| environment.text(name),
    };
    parse(text, &surroundings).map_err(|error| ValueError::new(option, &without_secrets(text), error.to_string()))
}

/// Returns a value as it may be shown: without what was given of credentials.
fn without_secrets(text: &str) -> String {
    const SECRET: [&str; 3] = ["secret_access_key", "session_token", "token"];
    let shown = text.split(',').map(|field| match field.split_once('=') {
        Some((key, _)) if SECRET.contains(&key.trim().to_ascii_lowercase().as_str()) => format!("{key}=…"),
        _ => field.to_owned(),
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Returns the registries that caches with `registry.insecure=true` are in.
pub(super) fn insecure_registries(args: &BuildArgs, environment: &Environment) -> Result<Vec<String>, Failure> {
    let from = sources(args, environment)?.into_iter().filter_map(|from| match from {
        CacheFrom::Registry {
            reference,
            insecure: true,
        } => Some(reference),
        _ => None,
    });
    let to = named_targets(args, environment)?.into_iter().filter_map(|to| match to {
        CacheTo::Registry {
            reference,
            insecure: true,
            ..
        } => Some(reference),
        _ => None,
    });
    Ok(from
        .chain(to)
        .map(|reference| reference.registry().to_owned())
        .collect())
}

/// Lists or removes entries of a cache; returns what to print.
pub(super) async fn run(command: &CacheCommand, environment: &Environment) -> Result<String, Failure> {
    match command {
        CacheCommand::Ls(args) => {
            let inventory = inventory(args, environment).await?;
            Ok(table(&inventory, args.format, "in all"))
        }
        CacheCommand::Prune(prune) => {
            let age = prune.older_than.as_deref();
            let age = age.map(|text| values::age("--older-than", text)).transpose();
            let before = age.map_err(usage)?.map(|age| {
                let before = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
                Timestamp::try_from(before).unwrap_or(Timestamp::MIN)
            });
            let mut inventory = inventory(&prune.cache, environment).await?;
            inventory.retain_removable(before);
            if prune.dry_run {
                return Ok(table(&inventory, prune.cache.format, "would be freed"));
            }
            inventory.remove().await.map_err(|error| failure(&error))?;
            Ok(table(&inventory, prune.cache.format, "freed"))
        }
    }
}

async fn inventory(args: &CacheArgs, environment: &Environment) -> Result<Inventory, Failure> {
    let is_path = args.cache.starts_with(['/', '.']);
    let of = if is_path {
        CacheFrom::Directory {
            directory: absolute(Path::new(&args.cache)),
            which: Which::Tag("latest".to_owned()),
        }
    } else {
        with_surroundings(environment, "cache", &args.cache, CacheFrom::parse).map_err(usage)?
    };
    let insecure = match &of {
        CacheFrom::Registry {
            reference,
            insecure: true,
        } => Some(reference.registry().to_owned()),
        _ => None,
    };
    let mut options = registries::client_options(&args.registry, environment)?;
    options.insecure.extend(insecure);
    let client = Client::new(options);
    Inventory::take(&of, &client).await.map_err(|error| failure(&error))
}

fn failure(error: &RemoteCacheError) -> Failure {
    match error {
        RemoteCacheError::Client(error) => Failure::of_client(error),
        RemoteCacheError::Absent(_) => Failure::because(Kind::Input, error),
        RemoteCacheError::Foreign { .. } | RemoteCacheError::Untagged(_) | RemoteCacheError::Unlisted(_) => {
            Failure::because(Kind::Usage, error)
        }
        _ => Failure::because(resource_or(error, Kind::Integrity), error),
    }
}

fn table(inventory: &Inventory, format: Format, total: &str) -> String {
    // Entries of one stage have layers in common.
    let layers = inventory.entries().filter_map(|entry| entry.content.as_ref());
    let layers: BTreeMap<Digest, u64> = layers.flat_map(|content| content.layers.clone()).collect();
    let bytes: u64 = layers.values().sum();
    match format {
        Format::Json => {
            let entries: Vec<_> = inventory.entries().map(as_json).collect();
            format!("{:#}\n", json!({ "entries": entries, "bytes": bytes }))
        }
        Format::Text => {
            let lines: String = inventory.entries().map(line).collect();
            let count = inventory.entries().count();
            format!("{lines}{:>10}  {total}, {count} entries\n", Bytes(bytes).to_string())
        }
    }
}

fn line(entry: &Listed) -> String {
    match &entry.content {
        Some(content) => {
            let bytes = content.layers.values().sum();
            let (created, name) = (content.created.strftime("%F %T"), clean(content.name.as_bytes()));
            format!("{:>10}  {created}  {name}\n", Bytes(bytes).to_string())
        }
        None => format!("{:>10}  {} is damaged\n", "-", entry.digest),
    }
}

fn as_json(entry: &Listed) -> serde_json::Value {
    let content = entry.content.as_ref();
    json!({
        "digest": entry.digest,
        "keys": entry.keys,
        "name": content.map(|content| &content.name),
        "created": content.map(|content| content.created.to_string()),
        "layers": content.map(|content| content.layers.iter().map(|(digest, size)| json!({ "digest": digest, "size": size })).collect::<Vec<_>>()),
    })
}
