//! Listing tags and deleting what they name.

use registry::oci::MediaType;

use crate::against_docker_registry::push_image;
use crate::docker_registry::DockerRegistry;
use crate::fault_registry::FaultRegistry;
use crate::fixtures::{Image, client};

#[tokio::test]
async fn r7_a_list_is_read_page_by_page_and_never_from_elsewhere() {
    let (registry, client) = (FaultRegistry::start().await, client());
    let manifest = Image::new("amd64").manifest;
    for repository in ["app", "abroad"] {
        for tag in ["a", "b", "c", "d", "e"] {
            registry.put_manifest(repository, tag, MediaType::MANIFEST, &manifest);
        }
    }
    let tags = async |name: &str| client.tags(&registry.reference(name)).await.unwrap();
    assert_eq!(tags("app").await, ["a", "b", "c", "d", "e"]);
    assert_eq!(tags("abroad").await, ["a", "b"]);
    assert!(tags("none").await.is_empty());
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_along() {
    let (registry, client) = (DockerRegistry::open(), client());
    let to = |tag: &str| registry.reference(&format!("some/tags:{tag}"));
    assert!(client.tags(&to("any")).await.unwrap().is_empty());
    for (tag, architecture) in [("one", "amd64"), ("same", "amd64"), ("other", "arm64")] {
        push_image(&client, &to(tag), &Image::new(architecture)).await.unwrap();
    }
    let mut tags = client.tags(&to("any")).await.unwrap();
    tags.sort();
    assert_eq!(tags, ["one", "other", "same"]);
    let digest = client.head(&to("one")).await.unwrap().unwrap().digest;
    assert!(client.delete_manifest(&to("any"), digest).await.unwrap());
    assert!(!client.delete_manifest(&to("any"), digest).await.unwrap());
    assert_eq!(client.tags(&to("any")).await.unwrap(), ["other"]);
}
