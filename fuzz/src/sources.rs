//! Where a build's sources are, which may be used, and what describes them.

use builder::devices::DeviceRegistry;
use builder::image::LayoutImage;
use builder::policy::{Place, Policy};
use builder::remote::{Remote, masked};
use builder::{fetch, remote_cache};

use crate::scratch;

/// An address of a repository or of a file.
pub(crate) fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for remote in [Remote::of_add(&text), Remote::of_context(&text)] {
        match remote {
            // git and ssh would take what begins like this for an option.
            Some(Ok(Remote::Git(repository))) => {
                assert!(!repository.url.starts_with('-'), "{text:?}");
                let subdir = repository.subdir.split('/');
                assert!(subdir.clone().all(|name| name != ".."), "{text:?}");
                assert!(
                    repository.reference.as_ref().is_none_or(|name| !name.starts_with('-')),
                    "{text:?}"
                );
            }
            Some(Ok(Remote::Web(file))) => {
                let name = file.file_name();
                assert!(!name.contains('/') && name != ".." && name != ".", "{text:?}: {name:?}");
            }
            Some(Err(_)) | None => {}
        }
    }
    assert_eq!(masked(&masked(&text)), masked(&text), "{text:?}");
}

/// A ref, and below what a server lists.
pub(crate) fn references(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (reference, listed) = text.split_once('\n').unwrap_or((&text, ""));
    fetch::foreign::references(reference, listed);
}

/// A manifest, and the config after an empty line.
pub(crate) fn cache_entry(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (manifest, config) = bytes.split_at(end);
    remote_cache::foreign::entry(manifest, config);
}

/// A policy, which decides or refuses, and comes to an end.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(policy) = Policy::parse(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let image = "registry.example/a/b:1".parse().map(Place::Image).ok();
    for place in image.into_iter().chain([Place::Local("context".to_owned())]) {
        let _decision = policy.decide(&place);
    }
}

/// A specification of devices, as JSON and as YAML.
pub(crate) fn devices(bytes: &[u8]) {
    scratch::with("devices", |directory| {
        for (form, name) in [("json", "a.json"), ("yaml", "a.yaml")] {
            let directory = directory.join(form);
            scratch::write(&directory, name, bytes);
            let registry = DeviceRegistry::load(&[directory]);
            for name in ["vendor.com/class=*", "vendor.com/class=one", "class"] {
                if let Ok(found) = registry.find(name) {
                    let _edits = registry.edits(&found);
                }
            }
        }
    });
}

/// The index of a layout.
pub(crate) fn layout(bytes: &[u8]) {
    scratch::with("layout", |directory| {
        scratch::write(directory, "index.json", bytes);
        if let Ok(image) = LayoutImage::find(directory, "latest", None) {
            for name in ["base", "Base image", "..", "-"] {
                if let Ok(reference) = image.reference(name) {
                    assert!(LayoutImage::is_named_by(&reference));
                }
            }
        }
    });
}
