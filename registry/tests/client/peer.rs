//! oci-client as an independent peer: it pulls what we pushed, and we pull what it pushed.

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use registry::oci::MediaType;

use crate::against_docker_registry::push_image;
use crate::docker_registry::DockerRegistry;
use crate::fixtures::{Image, client, platform};

fn peer() -> oci_client::Client {
    let _first = rustls::crypto::ring::default_provider().install_default();
    oci_client::Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    })
}

#[tokio::test]
async fn a_peer_pulls_what_we_pushed() {
    let (registry, image) = (DockerRegistry::open(), Image::new("amd64"));
    push_image(&client(), &registry.reference("app:1"), &image)
        .await
        .unwrap();
    let reference: oci_client::Reference = format!("{}/app:1", registry.address).parse().unwrap();
    let accepted = vec![MediaType::LAYER_GZIP];
    let pulled = peer()
        .pull(&reference, &RegistryAuth::Anonymous, accepted)
        .await
        .unwrap();
    assert!(pulled.layers[0].data == image.layer && pulled.config.data == image.config);
    let digest = registry::oci::Digest::of(&image.manifest).to_string();
    assert_eq!(pulled.digest, Some(digest));
}

#[tokio::test]
async fn we_pull_what_a_peer_pushed() {
    let (registry, image) = (DockerRegistry::open(), Image::new("amd64"));
    let reference: oci_client::Reference = format!("{}/app:1", registry.address).parse().unwrap();
    let layers = [ImageLayer::oci_v1_gzip(image.layer.clone(), None)];
    let config = Config::oci_v1(image.config.clone(), None);
    peer()
        .push(&reference, &layers, config, &RegistryAuth::Anonymous, None)
        .await
        .unwrap();
    let pulled = client()
        .image(&registry.reference("app:1"), &platform("linux/amd64"))
        .await
        .unwrap();
    assert_eq!(pulled.config_bytes, image.config);
    let mut layer = Vec::new();
    client()
        .fetch_blob(&pulled.reference, &pulled.manifest.layers[0], &mut layer, &|_| {})
        .await
        .unwrap();
    assert!(layer == image.layer);
}
