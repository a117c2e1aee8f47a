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
use crate::progress::{Bytes, clean};
use crate::remote_cache::{CacheFrom, CacheSpecError, CacheTo, Inventory, Listed, RemoteCacheError, Which};

/// The build argument with which buildx has asked for an inline cache before there was an option for it.
const INLINE_ARGUMENT: &str = "BUILDKIT_INLINE_CACHE=1";

/// Reads `--cache-from`s.
pub(super) fn sources(args: &BuildArgs) -> Result<Vec<CacheFrom>, Failure> {
    let parse = |text: &String| {
        let wrong = |error: CacheSpecError| ValueError::new("--cache-from", text, error.to_string());
        CacheFrom::parse(text, |path: &Path| absolute(path)).map_err(wrong)
    };
    args.cache_from
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(usage)
}

/// Reads `--cache-to`s.
pub(super) fn targets(args: &BuildArgs) -> Result<Vec<CacheTo>, Failure> {
    let parse = |text: &String| {
        let wrong = |error: CacheSpecError| ValueError::new("--cache-to", text, error.to_string());
        CacheTo::parse(text, |path: &Path| absolute(path)).map_err(wrong)
    };
    let mut targets = args
        .cache_to
        .iter()
        .map(parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(usage)?;
    let asked_by_argument = args.build_args.iter().any(|argument| argument == INLINE_ARGUMENT);
    if asked_by_argument && !targets.contains(&CacheTo::Inline) {
        targets.push(CacheTo::Inline);
    }
    Ok(targets)
}

/// Returns the registries that caches with `registry.insecure=true` are in.
pub(super) fn insecure_registries(args: &BuildArgs) -> Result<Vec<String>, Failure> {
    let from = sources(args)?.into_iter().filter_map(|from| match from {
        CacheFrom::Registry {
            reference,
            insecure: true,
        } => Some(reference),
        _ => None,
    });
    let to = targets(args)?.into_iter().filter_map(|to| match to {
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
        let wrong = |error: CacheSpecError| usage(ValueError::new("cache", &args.cache, error.to_string()));
        CacheFrom::parse(&args.cache, |path: &Path| absolute(path)).map_err(wrong)?
    };
    let client = Client::new(registries::client_options(&args.registry, environment)?);
    Inventory::take(&of, &client).await.map_err(|error| failure(&error))
}

fn failure(error: &RemoteCacheError) -> Failure {
    match error {
        RemoteCacheError::Client(error) => Failure::of_client(error),
        RemoteCacheError::Absent(_) => Failure::because(Kind::Input, error),
        RemoteCacheError::Foreign { .. } | RemoteCacheError::Untagged(_) => Failure::because(Kind::Usage, error),
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
