//! Challenges, tokens and what is said when they are not enough.

use axum::http::Method;
use futures_util::future::try_join_all;
use registry::auth::{Credential, Credentials, Secret};
use registry::client::{BlobSource, Client, ClientError, ClientOptions, ErrorKind, Pushed};
use registry::oci::MediaType;

use crate::fault_registry::{FaultRegistry, TokenRules};
use crate::faults::Fault;
use crate::fixtures::{Image, chain, client, layer, noise, options};

/// Basic of `me:hunter2`.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

async fn with_manifest(rules: TokenRules) -> FaultRegistry {
    let registry = FaultRegistry::start().await;
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Image::new("amd64").manifest);
    registry.demand_tokens(rules);
    registry
}

fn with(credentials: Credentials) -> Client {
    Client::new(ClientOptions {
        credentials,
        ..options()
    })
}

fn me(registry: &FaultRegistry) -> Credentials {
    Credentials::anonymous().with_given(&registry.address, Credential::password("me", "hunter2"))
}

#[tokio::test]
async fn an_anonymous_token_is_fetched_once_and_used_for_all() {
    let registry = with_manifest(TokenRules::default()).await;
    let (client, reference) = (client(), registry.reference("app:1"));
    client.manifest(&reference).await.unwrap();
    try_join_all((0..8).map(|_| client.manifest(&reference))).await.unwrap();
    let seen = registry.seen();
    assert_eq!(seen.len(), 11, "one refusal, one token, nine answers");
    assert_eq!(seen[1].query, "service=test&scope=repository%3Aapp%3Apull");
    assert!(!seen[1].headers.contains_key("authorization"));
}

#[tokio::test]
async fn tasks_that_need_the_same_token_share_one() {
    let registry = with_manifest(TokenRules::default()).await;
    let (client, reference) = (client(), registry.reference("app:1"));
    try_join_all((0..10).map(|_| client.manifest(&reference)))
        .await
        .unwrap();
    assert_eq!(registry.count(Method::GET, "/token"), 1);
}

#[tokio::test]
async fn a_token_that_runs_out_or_is_refused_is_replaced() {
    let short_lived = TokenRules {
        expires_in: Some(1),
        ..TokenRules::default()
    };
    let registry = with_manifest(short_lived).await;
    let (client, reference) = (client(), registry.reference("app:1"));
    client.manifest(&reference).await.unwrap();
    client.manifest(&reference).await.unwrap();
    assert_eq!(registry.count(Method::GET, "/token"), 1);
    tokio::time::sleep(std::time::Duration::from_millis(850)).await;
    client.manifest(&reference).await.unwrap();
    assert_eq!(registry.count(Method::GET, "/token"), 2);
    assert_eq!(
        registry.count(Method::GET, "/manifests/"),
        4,
        "the new token was fetched before it was demanded"
    );

    let registry = with_manifest(TokenRules {
        uses: Some(2),
        ..TokenRules::default()
    })
    .await;
    for _ in 0..6 {
        client.manifest(&registry.reference("app:1")).await.unwrap();
    }
    assert_eq!(registry.count(Method::GET, "/token"), 3);
}

#[tokio::test]
async fn a_push_survives_tokens_that_are_good_for_one_request() {
    let rules = TokenRules {
        uses: Some(1),
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    };
    let registry = with_manifest(rules).await;
    let client = with(me(&registry));
    let (to, bytes) = (registry.reference("app:2"), noise(100_000, 1));
    let pushed = client
        .push_blob(&to, &layer(&bytes), BlobSource::Bytes(bytes.clone()), &[], &|_| {})
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    client
        .push_manifest(&to, &MediaType::MANIFEST.into(), Image::new("amd64").manifest)
        .await
        .unwrap();
    assert!(registry.blob("app", layer(&bytes).digest).unwrap() == bytes);
}

#[tokio::test]
async fn a_password_goes_to_the_token_service_and_the_token_to_the_registry() {
    let registry = with_manifest(TokenRules {
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    })
    .await;
    with(me(&registry))
        .manifest(&registry.reference("app:1"))
        .await
        .unwrap();
    let said: Vec<(String, String)> = registry
        .seen()
        .into_iter()
        .map(|seen| {
            let said = seen
                .headers
                .get("authorization")
                .map(|value| value.to_str().unwrap().to_owned());
            (seen.path, said.unwrap_or_default())
        })
        .collect();
    let manifest = || "/v2/app/manifests/1".to_owned();
    let expected = [
        (manifest(), String::new()),
        ("/token".to_owned(), BASIC.to_owned()),
        (manifest(), "Bearer t0".to_owned()),
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let registry = with_manifest(TokenRules {
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    })
    .await;
    let bytes = noise(1000, 2);
    let blob = registry.put_blob("base", &bytes);
    let (to, from) = (registry.reference("app:1"), registry.reference("base:1"));
    let client = with(me(&registry));
    let pushed = client
        .push_blob(&to, &blob, BlobSource::Bytes(bytes), &[from], &|_| {})
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Mounted);
    let queries: Vec<String> = registry
        .seen()
        .into_iter()
        .filter(|seen| seen.path == "/token")
        .map(|s| s.query)
        .collect();
    let both = "scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull";
    assert!(queries.iter().any(|query| query.contains(both)), "{queries:?}");
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let registry = with_manifest(TokenRules::default()).await;
    let token = Credential::IdentityToken(Secret::new("refresh"));
    with(Credentials::anonymous().with_given(&registry.address, token))
        .manifest(&registry.reference("app:1"))
        .await
        .unwrap();
    assert_eq!(registry.count(Method::POST, "/token"), 1);
    let seen = registry.seen();
    assert_eq!(seen[1].headers["content-type"], "application/x-www-form-urlencoded");
    assert!(seen[1].query.is_empty(), "{}", seen[1].query);
}

#[tokio::test]
async fn a_registry_token_goes_to_the_registry_as_it_is() {
    let registry = with_manifest(TokenRules::default()).await;
    registry.fail(Method::GET, "/token", 9, Fault::status(500));
    let token = Credential::RegistryToken(Secret::new("given"));
    let client = with(Credentials::anonymous().with_given(&registry.address, token));
    let error = client.manifest(&registry.reference("app:1")).await.unwrap_err();
    assert_eq!(
        (error.kind(), registry.count(Method::GET, "/token")),
        (ErrorKind::Auth, 0),
        "{error}"
    );
    assert_eq!(registry.seen()[1].headers["authorization"], "Bearer given");
}

#[tokio::test]
async fn a_wrong_password_is_reported_with_its_source_and_the_services_words() {
    let registry = with_manifest(TokenRules {
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    })
    .await;
    let json = format!(
        r#"{{"auths":{{"{}":{{"username":"me","password":"wrong-secret"}}}}}}"#,
        registry.address
    );
    let credentials = Credentials::anonymous().with_inline("DOCKER_AUTH_CONFIG", Secret::new(json));
    let error = with(credentials)
        .manifest(&registry.reference("app:1"))
        .await
        .unwrap_err();
    let expected = format!(
        "`GET http://{0}/token` was answered with 401 Unauthorized: incorrect username or password (sent with the \
         credentials from `DOCKER_AUTH_CONFIG`); needed on `{0}`: `repository:app:pull`",
        registry.address
    );
    assert_eq!((error.to_string(), error.kind()), (expected, ErrorKind::Auth));
    assert!(
        error.hint().unwrap().contains("`DOCKER_AUTH_CONFIG`"),
        "{:?}",
        error.hint()
    );
    assert!(
        !format!("{error:?} {}", chain(&error)).contains("wrong-secret"),
        "{error:?}"
    );
}

#[tokio::test]
async fn missing_rights_are_reported_with_the_scope_that_is_missing() {
    let registry = with_manifest(TokenRules {
        basic: Some(BASIC.to_owned()),
        ..TokenRules::default()
    })
    .await;
    let to = registry.reference("app:2");
    let error = client()
        .push_manifest(&to, &MediaType::MANIFEST.into(), Image::new("amd64").manifest)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("(sent without credentials)") && text.contains("`repository:app:pull,push`"),
        "{text}"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains(&format!("croze login {}", registry.address)),
        "{:?}",
        error.hint()
    );
    assert_eq!(registry.count(Method::PUT, "/manifests/"), 2, "one replay, no more");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_matters_only_when_the_registry_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    std::fs::write(&config, "{\"auths\": secret-text").unwrap();
    let registry = with_manifest(TokenRules::default()).await;
    let client = with(Credentials::anonymous().with_file(&config));
    client.manifest(&registry.reference("app:1")).await.unwrap();

    registry.fail(Method::GET, "/token", 1, Fault::status(401));
    let error = client.manifest(&registry.reference("other:1")).await.unwrap_err();
    let expected = format!(
        "`{}` is not a credential file: malformed JSON at line 1, column 11",
        config.display()
    );
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(!format!("{error:?}").contains("secret-text"), "{error:?}");
}
