//! The client and Debian's docker-registry: what real software makes of our requests.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use registry::auth::{Credential, Credentials};
use registry::client::{BlobSource, Client, ClientError, ClientOptions, ErrorKind, Pushed};
use registry::oci::{Descriptor, MediaType, Reference};

use crate::docker_registry::{DockerRegistry, TLS};
use crate::fault_registry::FaultRegistry;
use crate::faults::Fault;
use crate::fixtures::{Image, chain, client, index, layer, noise, options, platform};

/// Pushes a whole image, the manifest last.
pub(crate) async fn push_image(client: &Client, to: &Reference, image: &Image) -> Result<(), ClientError> {
    for (media_type, bytes) in [
        (MediaType::CONFIG, &image.config),
        (MediaType::LAYER_GZIP, &image.layer),
    ] {
        let (blob, source) = (Descriptor::of(media_type, bytes), BlobSource::Bytes(bytes.clone()));
        client.push_blob(to, &blob, source, &[], &|_| {}).await?;
    }
    client
        .push_manifest(to, &MediaType::MANIFEST.into(), image.manifest.clone())
        .await
        .map(drop)
}

fn with(credential: Credential, registry: &DockerRegistry) -> Client {
    let credentials = Credentials::anonymous().with_given(&registry.address, credential);
    Client::new(ClientOptions {
        credentials,
        ..options()
    })
}

#[tokio::test]
async fn an_image_comes_back_as_it_was_pushed() {
    let (registry, client) = (DockerRegistry::open(), client());
    let images = [Image::new("amd64"), Image::new("arm64")];
    for image in &images {
        push_image(
            &client,
            &registry.reference(&format!("a/b:{}", image.layer.len())),
            image,
        )
        .await
        .unwrap();
    }
    let descriptors = images
        .iter()
        .zip(["linux/amd64", "linux/arm64"])
        .map(|(image, text)| image.descriptor(text));
    let to = registry.reference("a/b:both");
    let pushed = client
        .push_manifest(&to, &MediaType::INDEX.into(), index(descriptors.collect()))
        .await
        .unwrap();
    assert_eq!(client.head(&to).await.unwrap().unwrap().digest, pushed);

    let image = client.image(&to, &platform("linux/arm64")).await.unwrap();
    assert_eq!(
        (image.manifest_bytes, image.config_bytes),
        (images[1].manifest.clone(), images[1].config.clone())
    );
    let mut layer = Vec::new();
    client
        .fetch_blob(&image.reference, &image.manifest.layers[0], &mut layer, &|_| {})
        .await
        .unwrap();
    assert!(layer == images[1].layer);
    assert_eq!(client.head(&registry.reference("a/b:none")).await.unwrap(), None);
}

#[tokio::test]
async fn a_layer_is_mounted_from_another_repository() {
    let (registry, client, bytes) = (DockerRegistry::open(), client(), noise(100_000, 1));
    let (base, app) = (registry.reference("base:1"), registry.reference("app:1"));
    let source = BlobSource::Bytes(bytes.clone());
    let push = |to, from| {
        client.push_blob(
            to,
            LAYER.get_or_init(|| layer(&noise(100_000, 1))),
            source.clone(),
            from,
            &|_| {},
        )
    };
    static LAYER: std::sync::OnceLock<Descriptor> = std::sync::OnceLock::new();
    assert_eq!(push(&base, &[]).await.unwrap(), Pushed::Uploaded);
    assert_eq!(push(&app, std::slice::from_ref(&base)).await.unwrap(), Pushed::Mounted);
    assert_eq!(push(&app, &[]).await.unwrap(), Pushed::Existed);
    let never_pushed = [registry.reference("never:1")];
    assert_eq!(
        push(&registry.reference("third:1"), &never_pushed).await.unwrap(),
        Pushed::Uploaded
    );
}

#[tokio::test]
async fn a_manifest_before_its_blobs_is_refused() {
    let (registry, image) = (DockerRegistry::open(), Image::new("amd64"));
    let to = registry.reference("app:1");
    let error = client()
        .push_manifest(&to, &MediaType::MANIFEST.into(), image.manifest)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::BlobUnknown(_)), "{error}");
}

#[tokio::test]
async fn a_password_opens_the_registry_and_its_lack_is_explained() {
    let (registry, image) = (DockerRegistry::with_password(), Image::new("amd64"));
    let me = with(Credential::password("me", "hunter2"), &registry);
    me.ping(&registry.address).await.unwrap();
    let to = registry.reference("app:1");
    push_image(&me, &to, &image).await.unwrap();
    assert_eq!(
        me.image(&to, &platform("linux/amd64")).await.unwrap().config_bytes,
        image.config
    );

    let wrong = with(Credential::password("me", "guess"), &registry);
    let error = wrong.ping(&registry.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert!(
        error
            .to_string()
            .contains("(sent with the credentials from what was given)"),
        "{error}"
    );

    let error = client().manifest(&to).await.unwrap_err();
    assert!(
        error.to_string().contains("(sent without credentials); needed on"),
        "{error}"
    );
    let error = push_image(&client(), &to, &Image::new("arm64")).await.unwrap_err();
    assert!(error.to_string().contains("`repository:app:pull,push`"), "{error}");
}

#[tokio::test]
async fn an_insecure_registry_is_spoken_to_over_tls_or_without() {
    for registry in [DockerRegistry::with_tls(), DockerRegistry::open()] {
        let insecure = [registry.address.clone()].into();
        let client = Client::new(ClientOptions { insecure, ..options() });
        push_image(&client, &registry.reference("app:1"), &Image::new("amd64"))
            .await
            .unwrap();
        client
            .image(&registry.reference("app:1"), &platform("linux/amd64"))
            .await
            .unwrap();
    }
}

/// The test authority's certificate names loopback, which is plain HTTP by itself: a redirect leads to TLS.
#[tokio::test]
async fn r10_only_known_authorities_are_believed() {
    let (tls, registry, bytes) = (
        DockerRegistry::with_tls(),
        FaultRegistry::start().await,
        noise(100_000, 2),
    );
    let insecure = Client::new(ClientOptions {
        insecure: [tls.address.clone()].into(),
        ..options()
    });
    let blob = layer(&bytes);
    let source = BlobSource::Bytes(bytes.clone());
    insecure
        .push_blob(&tls.reference("app:1"), &blob, source, &[], &|_| {})
        .await
        .unwrap();

    let from = registry.reference("app:1");
    let location = format!("https://{}/v2/app/blobs/{}", tls.address, blob.digest);
    registry.fail(Method::GET, "/blobs/", 9, Fault::with_header(307, "location", location));
    let extra_ca = vec![format!("{TLS}/authority.pem").into()];
    let believing = Client::new(ClientOptions { extra_ca, ..options() });
    let mut sink = Vec::new();
    believing.fetch_blob(&from, &blob, &mut sink, &|_| {}).await.unwrap();
    assert!(sink == bytes);

    let error = client()
        .fetch_blob(&from, &blob, &mut Vec::new(), &|_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    assert!(
        chain(&error).contains("issued by `CN=croze test authority`: that authority is not trusted here"),
        "{}",
        chain(&error)
    );
    assert!(error.hint().unwrap().contains("--registry-ca"), "{:?}", error.hint());
    assert_eq!(
        registry.count(Method::GET, "/blobs/"),
        2,
        "an unknown certificate stays unknown"
    );

    for (file, words) in [
        ("/nonexistent.pem", "No such file"),
        ("/etc/hostname", "it holds no PEM certificate"),
    ] {
        let careless = Client::new(ClientOptions {
            extra_ca: vec![file.into()],
            ..options()
        });
        let error = careless
            .fetch_blob(&from, &blob, &mut Vec::new(), &|_| {})
            .await
            .unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}

/// A proxy with a limit on bodies, as many stand before registries.
async fn behind_narrow_proxy(registry: &DockerRegistry, limit: usize) -> String {
    async fn forward(State((upstream, limit)): State<(String, usize)>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        if body.len() > limit {
            return Response::builder()
                .status(StatusCode::PAYLOAD_TOO_LARGE)
                .body(Body::empty())
                .unwrap();
        }
        let _first = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{upstream}{}", parts.uri);
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let answer = http
            .request(parts.method, url)
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .unwrap();
        let mut response = Response::builder().status(answer.status());
        *response.headers_mut().unwrap() = answer.headers().clone();
        response
            .body(Body::from(answer.bytes().await.unwrap_or_else(|_| Bytes::new())))
            .unwrap()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = Router::new()
        .fallback(forward)
        .with_state((registry.address.clone(), limit));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_long_layer_passes_a_narrow_proxy_in_chunks() {
    let registry = DockerRegistry::open();
    let proxy = behind_narrow_proxy(&registry, 5 << 20).await;
    let bytes: Bytes = noise(1 << 20, 3).repeat(20).into();
    let to = crate::fixtures::reference(&format!("{proxy}/app:1"));
    let client = client();
    let pushed = client
        .push_blob(&to, &layer(&bytes), BlobSource::Bytes(bytes.clone()), &[], &|_| {})
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    let mut sink = Vec::new();
    client
        .fetch_blob(&registry.reference("app:1"), &layer(&bytes), &mut sink, &|_| {})
        .await
        .unwrap();
    assert!(sink == bytes);
}
