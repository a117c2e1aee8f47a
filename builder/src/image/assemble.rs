//! Config and manifest of a finished image, from its base, its own layers and what the Dockerfile says.
//!
//! Pure, and a function of its inputs alone: a build in which every step was a hit gives the same bytes,
//! because each layer brings the time at which it was first made.

use std::collections::BTreeMap;
use std::iter;

use registry::oci::{Descriptor, DiffId, History, ImageConfig, Manifest, RootFs};

use super::MediaTypes;

/// What BuildKit says of a layer whose base has no history for it.
const UNTOLD: &str = "buildkit.exporter.image.v0";

/// A layer that the build made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLayer {
    /// The compressed blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// When its step first ran, RFC 3339.
    pub created: String,
}

/// A line of history, with the layer that it made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewHistory {
    /// The instruction, in BuildKit's words.
    pub created_by: String,
    /// Who wrote the entry.
    pub comment: &'static str,
    /// The layer; `None` for instructions that change only the config.
    pub layer: Option<NewLayer>,
}

/// The image that the build starts from.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    /// Its layers, lowest first.
    pub layers: &'a [Descriptor],
    /// Its config.
    pub config: &'a ImageConfig,
}

/// The bytes of an image for one platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assembled {
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The config's descriptor.
    pub config_descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's descriptor, without a platform.
    pub manifest_descriptor: Descriptor,
    /// All layers, the base's first.
    pub layers: Vec<Descriptor>,
}

/// What is for the user to choose.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Whose media types.
    pub media_types: MediaTypes,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The time of everything, RFC 3339: `SOURCE_DATE_EPOCH`; the layers' own times if `None`.
    pub epoch: Option<String>,
}

/// Puts an image together.
///
/// # Errors
/// Only if a value cannot be written as JSON, which maps with string keys always can.
pub fn assemble(
    base: Option<Base<'_>>,
    config: ImageConfig,
    history: &[NewHistory],
    choices: &Choices,
) -> Result<Assembled, serde_json::Error> {
    let (mut layers, mut diff_ids, mut entries, mut latest) = match base {
        None => (Vec::new(), Vec::new(), Vec::new(), None),
        Some(base) => (
            base.layers.to_vec(),
            base.config.rootfs.diff_ids.clone(),
            history_of(&base),
            base.config.created.clone(),
        ),
    };
    for entry in history {
        if let Some(layer) = &entry.layer {
            layers.push(layer.descriptor.clone());
            diff_ids.push(layer.diff_id);
            latest = Some(layer.created.clone());
        }
        entries.push(History {
            created: choices.epoch.clone().or_else(|| latest.clone()),
            created_by: Some(entry.created_by.clone()),
            comment: Some(entry.comment.to_owned()),
            empty_layer: entry.layer.is_none(),
            ..History::default()
        });
    }
    let config = ImageConfig {
        created: choices.epoch.clone().or(latest),
        rootfs: RootFs {
            diff_ids,
            ..RootFs::default()
        },
        history: entries,
        ..config
    };
    let config = serde_json::to_vec(&config)?;
    let config_descriptor = Descriptor::of(choices.media_types.config(), &config);
    let layers: Vec<Descriptor> = layers.iter().map(|layer| choices.media_types.layer(layer)).collect();
    let manifest = Manifest {
        media_type: Some(choices.media_types.manifest().into()),
        annotations: choices.annotations.clone(),
        ..Manifest::new(config_descriptor.clone(), layers.clone())
    };
    let manifest = serde_json::to_vec(&manifest)?;
    let manifest_descriptor = Descriptor::of(choices.media_types.manifest(), &manifest);
    Ok(Assembled {
        config,
        config_descriptor,
        manifest,
        manifest_descriptor,
        layers,
    })
}

/// Returns the history of a base, with an entry for each layer: tools count those that made one.
fn history_of(base: &Base<'_>) -> Vec<History> {
    let mut history = base.config.history.clone();
    let told = history.iter().filter(|entry| !entry.empty_layer).count();
    let untold = History {
        created: base.config.created.clone(),
        comment: Some(UNTOLD.to_owned()),
        ..History::default()
    };
    history.extend(iter::repeat_n(untold, base.layers.len().saturating_sub(told)));
    history
}

#[cfg(test)]
mod tests {
    use registry::oci::{Digest, MediaType};

    use super::*;

    fn layer(text: &str, created: &str) -> NewLayer {
        NewLayer {
            descriptor: Descriptor::of(MediaType::LAYER_GZIP, text.as_bytes()),
            diff_id: DiffId(Digest::of(text.as_bytes())),
            created: created.to_owned(),
        }
    }

    fn entry(created_by: &str, layer: Option<NewLayer>) -> NewHistory {
        NewHistory {
            created_by: created_by.to_owned(),
            comment: "test",
            layer,
        }
    }

    fn config() -> ImageConfig {
        ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            ..ImageConfig::default()
        }
    }

    #[test]
    fn an_entry_without_a_layer_bears_the_time_of_the_layer_below() {
        let history = [
            entry("ENV a=b", None),
            entry("RUN x", Some(layer("x", "T1"))),
            entry("CMD y", None),
        ];
        let image = assemble(None, config(), &history, &Choices::default()).unwrap();
        let written: ImageConfig = serde_json::from_slice(&image.config).unwrap();
        let times: Vec<_> = written.history.iter().map(|h| h.created.as_deref()).collect();
        assert_eq!(times, [None, Some("T1"), Some("T1")]);
        assert_eq!(written.created.as_deref(), Some("T1"));
        assert_eq!(written.rootfs.diff_ids.len(), 1);
        assert_eq!(written.history.iter().filter(|h| !h.empty_layer).count(), 1);
    }

    #[test]
    fn the_layers_of_a_docker_base_keep_their_bytes_under_oci_names() {
        let below = [Descriptor::of(MediaType::DOCKER_LAYER_GZIP, b"base")];
        let base_config = ImageConfig {
            created: Some("T0".to_owned()),
            rootfs: RootFs {
                diff_ids: vec![DiffId(Digest::of(b"base"))],
                ..RootFs::default()
            },
            history: vec![History {
                created_by: Some("ADD".to_owned()),
                ..History::default()
            }],
            ..config()
        };
        let base = Base {
            layers: &below,
            config: &base_config,
        };
        let image = assemble(Some(base), config(), &[entry("CMD", None)], &Choices::default()).unwrap();
        assert_eq!(image.layers[0].media_type, MediaType::LAYER_GZIP.into());
        assert_eq!(image.layers[0].digest, below[0].digest);
        let written: ImageConfig = serde_json::from_slice(&image.config).unwrap();
        assert_eq!(written.history.len(), 2);
        assert_eq!(written.created.as_deref(), Some("T0"));
    }

    #[test]
    fn layers_that_a_base_says_nothing_of_have_an_entry_and_nobody_is_their_author() {
        let below = [b"one", b"two"].map(|layer| Descriptor::of(MediaType::LAYER_GZIP, layer));
        let base_config = ImageConfig {
            history: vec![History {
                created_by: Some("ADD one".to_owned()),
                ..History::default()
            }],
            ..config()
        };
        let base = Base {
            layers: &below,
            config: &base_config,
        };
        let written_by = ImageConfig {
            author: Some("somebody".to_owned()),
            ..config()
        };
        let history = [entry("RUN x", Some(layer("x", "T1")))];
        let image = assemble(Some(base), written_by, &history, &Choices::default()).unwrap();
        let written: ImageConfig = serde_json::from_slice(&image.config).unwrap();
        let made_by: Vec<_> = written
            .history
            .iter()
            .map(|entry| entry.created_by.as_deref())
            .collect();
        assert_eq!(made_by, [Some("ADD one"), None, Some("RUN x")]);
        assert!(
            written
                .history
                .iter()
                .all(|entry| !entry.empty_layer && entry.author.is_none())
        );
        assert_eq!(written.author.as_deref(), Some("somebody"));
    }

    #[test]
    fn equal_inputs_give_equal_bytes_and_a_fixed_time_overrides_all() {
        let history = [entry("RUN x", Some(layer("x", "T1")))];
        let fixed = Choices {
            epoch: Some("E".to_owned()),
            ..Choices::default()
        };
        let first = assemble(None, config(), &history, &fixed).unwrap();
        assert_eq!(first, assemble(None, config(), &history, &fixed).unwrap());
        let written: ImageConfig = serde_json::from_slice(&first.config).unwrap();
        assert_eq!(
            (written.created.as_deref(), written.history[0].created.as_deref()),
            (Some("E"), Some("E"))
        );
    }
}
