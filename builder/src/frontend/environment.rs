//! Variables in order, and the two places where they live: the environment of steps and the config.

use registry::oci::ImageConfig;

/// The search path that an image without one gets.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables by name; the order is that of the last definition, which is how a step sees them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Environment {
    entries: Vec<(String, String)>,
}

impl Environment {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|(key, _)| key == name)?;
        Some(&entry.1)
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.entries.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.entries.retain(|(key, _)| key != name);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// Takes over the variables of a config, over those that are there already.
    pub(super) fn add_config(&mut self, config: &ImageConfig) {
        for entry in &config.config.env {
            let (name, value) = split(entry);
            self.set(name, value);
        }
    }
}

/// Sets a variable in a config; one that is there keeps its place.
pub(super) fn set_in_config(config: &mut ImageConfig, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match config.config.env.iter_mut().find(|entry| split(entry).0 == name) {
        Some(old) => *old = entry,
        None => config.config.env.push(entry),
    }
}

/// Gives a config without `PATH` the usual one; Windows finds its own.
pub(super) fn ensure_path(config: &mut ImageConfig) {
    if config.os != "windows" && !config.config.env.iter().any(|entry| split(entry).0 == "PATH") {
        config.config.env.push(format!("PATH={DEFAULT_PATH}"));
    }
}

fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}
