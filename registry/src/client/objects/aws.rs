//! Who one is to AWS: keys of the environment, a web identity (EKS, OIDC), a container's role (ECS, EKS), an instance's.
//!
//! The order is that of AWS's own clients. Roles are asked for over TLS, or at the literal addresses of the link at which
//! AWS tells a machine who it is; never through a proxy there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use rusty_s3::Credentials;
use serde::Deserialize;

use super::{Ask, Http, no_answer, service};
use crate::auth::Secret;
use crate::client::body::Payload;
use crate::client::error::ClientError;

/// Where containers ask who they are, if they are told a path alone.
const CONTAINERS: &str = "http://169.254.170.2";
/// Where instances ask who they are.
const INSTANCES: &str = "http://169.254.169.254";
/// How long a machine that is no instance of AWS's waits to find that out.
const PATIENCE: Duration = Duration::from_secs(2);
/// What to do when a role is refused.
const CHECK: &str = "check the role that `AWS_ROLE_ARN`, the container or the instance names";

/// Keys that requests are signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwsCredentials {
    /// `access_key_id`.
    pub access_key_id: String,
    /// `secret_access_key`.
    pub secret_access_key: Secret,
    /// `session_token`, of temporary keys.
    pub session_token: Option<Secret>,
}

/// What the environment says of who one is to AWS.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AwsEnvironment(BTreeMap<&'static str, String>);

/// A role's keys, as all services tell them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleKeys {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
}

impl AwsEnvironment {
    /// The variables that are looked at.
    pub const VARIABLES: [&'static str; 13] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_ENDPOINT_URL_STS",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ];

    /// Reads [`VARIABLES`](Self::VARIABLES).
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let values = Self::VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?)));
        Self(values.collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The names only: some of the values are secret.
impl fmt::Debug for AwsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl AwsCredentials {
    pub(super) fn into_rusty(self) -> Credentials {
        let (key, secret) = (self.access_key_id, self.secret_access_key.expose());
        match self.session_token {
            Some(token) => Credentials::new_with_token(key, secret, token.expose()),
            None => Credentials::new(key, secret),
        }
    }
}

impl From<RoleKeys> for AwsCredentials {
    fn from(keys: RoleKeys) -> Self {
        Self {
            access_key_id: keys.access_key_id,
            secret_access_key: Secret::new(keys.secret_access_key),
            session_token: keys.token.map(Secret::new),
        }
    }
}

/// Finds credentials where AWS's own clients do.
pub(super) async fn find(
    http: &Http,
    environment: &AwsEnvironment,
    region: &str,
) -> Result<AwsCredentials, ClientError> {
    if let (Some(key), Some(secret)) = (
        environment.get("AWS_ACCESS_KEY_ID"),
        environment.get("AWS_SECRET_ACCESS_KEY"),
    ) {
        return Ok(AwsCredentials {
            access_key_id: key.to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: environment.get("AWS_SESSION_TOKEN").map(Secret::new),
        });
    }
    if let (Some(file), Some(role)) = (
        environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"),
        environment.get("AWS_ROLE_ARN"),
    ) {
        return of_web_identity(http, environment, region, file, role).await;
    }
    if let Some(address) = container_address(environment)? {
        return of_container(http, environment, address).await;
    }
    if environment.get("AWS_EC2_METADATA_DISABLED") != Some("true") {
        let base = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let asking = of_instance(http, base.unwrap_or(INSTANCES));
        if let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, asking).await {
            return Ok(found);
        }
    }
    Err(ClientError::Setup {
        registry: "S3".to_owned(),
        source: "no credentials: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or give `access_key_id` and \
                 `secret_access_key`"
            .into(),
    })
}

/// Exchanges a token of somebody whom AWS trusts for a role's keys.
async fn of_web_identity(
    http: &Http,
    environment: &AwsEnvironment,
    region: &str,
    file: &str,
    role: &str,
) -> Result<AwsCredentials, ClientError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        assume_role_with_web_identity_response: Response,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Response {
        assume_role_with_web_identity_result: Result,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Result {
        credentials: RoleKeys,
    }
    let address = match environment.get("AWS_ENDPOINT_URL_STS") {
        Some(address) => service(address)?,
        None => service(&format!("https://sts.{region}.amazonaws.com/"))?,
    };
    let token = read(file).await?;
    // A URL knows how a form is written.
    let mut form = address.clone();
    form.query_pairs_mut()
        .clear()
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair(
            "RoleSessionName",
            environment.get("AWS_ROLE_SESSION_NAME").unwrap_or("croze"),
        )
        .append_pair("WebIdentityToken", token.expose());
    let ask = Ask {
        headers: HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ),
        ]),
        payload: Payload::Bytes(Bytes::from(form.query().unwrap_or_default().to_owned())),
        ..Ask::new(Method::POST)
    };
    let answer: Answer = json(http, &ask, &address).await?;
    let result = answer.assume_role_with_web_identity_response;
    Ok(result.assume_role_with_web_identity_result.credentials.into())
}

/// Returns where a container asks who it is; a full address must be one that may hear a token.
fn container_address(environment: &AwsEnvironment) -> Result<Option<Url>, ClientError> {
    if let Some(path) = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return link(&format!("{CONTAINERS}{path}")).map(Some);
    }
    let full = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    full.map(|full| link(full).or_else(|_| service(full))).transpose()
}

async fn of_container(http: &Http, environment: &AwsEnvironment, address: Url) -> Result<AwsCredentials, ClientError> {
    let token = match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(read(file).await?),
        None => environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
    };
    let ask = Ask {
        authorization: token.as_ref().and_then(sensitive),
        ..Ask::new(Method::GET)
    };
    let keys: RoleKeys = json(http, &ask, &address).await?;
    Ok(keys.into())
}

/// Asks the instance's metadata service, in its second version.
async fn of_instance(http: &Http, base: &str) -> Result<AwsCredentials, ClientError> {
    const LIFE: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
    const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
    let base = base.trim_end_matches('/');
    let roles = "meta-data/iam/security-credentials/";
    let ask = Ask {
        headers: HeaderMap::from_iter([(LIFE, HeaderValue::from_static("300"))]),
        ..Ask::new(Method::PUT)
    };
    let token = text(http, &ask, &link(&format!("{base}/latest/api/token"))?).await?;
    let ask = Ask {
        headers: sensitive(&Secret::new(token))
            .map(|token| (TOKEN, token))
            .into_iter()
            .collect(),
        ..Ask::new(Method::GET)
    };
    let names = text(http, &ask, &link(&format!("{base}/latest/{roles}"))?).await?;
    let role = names.lines().next().unwrap_or_default();
    let keys: RoleKeys = json(http, &ask, &link(&format!("{base}/latest/{roles}{role}"))?).await?;
    Ok(keys.into())
}

/// Reads an address of the machine's own link, or of the machine itself.
fn link(text: &str) -> Result<Url, ClientError> {
    let is_own = |url: &Url| {
        let address = url.host_str().unwrap_or_default().parse::<std::net::Ipv4Addr>();
        address.is_ok_and(|address| address.is_link_local() || address.is_loopback())
    };
    let url = Url::parse(text).ok().filter(is_own);
    url.ok_or_else(|| ClientError::Setup {
        registry: crate::text::one_line(text),
        source: "it is no address of this machine's link".into(),
    })
}

async fn read(file: &str) -> Result<Secret, ClientError> {
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(Secret::new(text.trim())),
        Err(source) => Err(ClientError::Source {
            path: file.into(),
            source,
        }),
    }
}

fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn text(http: &Http, ask: &Ask<'_>, address: &Url) -> Result<String, ClientError> {
    let (response, bytes) = http.fetch(ask, || address.clone()).await?;
    if response.status().is_success() {
        return String::from_utf8(bytes.to_vec()).map_err(|_| no_answer(response.request()));
    }
    Err(http.refusal(response, CHECK, "a role").await)
}

async fn json<T: serde::de::DeserializeOwned>(http: &Http, ask: &Ask<'_>, address: &Url) -> Result<T, ClientError> {
    let (response, bytes) = http.fetch(ask, || address.clone()).await?;
    if response.status().is_success() {
        return serde_json::from_slice(&bytes).map_err(|_| no_answer(response.request()));
    }
    Err(http.refusal(response, CHECK, "a role").await)
}
