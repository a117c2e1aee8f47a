//! Whether a token service may be told a registry's password.
//!
//! The registry names its token service itself, in a header that anyone who answers for it can write; sending
//! the password wherever it points has cost other clients their users' passwords (CVE-2020-15157 and its
//! kin). So a realm is trusted only if it belongs to the registry by name. A realm that is only unknown may
//! still be asked anonymously; one that could reach into the local network is not asked at all.

use std::collections::BTreeSet;

use reqwest::Url;

/// How far a token service is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// It is the registry's own.
    Full,
    /// It may be asked, but gets no credential.
    Anonymous,
    /// It is not asked.
    None,
}

/// Suffixes below which strangers live side by side, beyond what the rule of [`registrable`] finds.
const SHARED_SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "amazonaws.com.cn",
    "appspot.com",
    "aliyuncs.com",
    "azure.com",
    "azurecr.cn",
    "azurecr.io",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudfront.net",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "googleusercontent.com",
    "herokuapp.com",
    "jfrog.io",
    "ngrok.io",
    "netlify.app",
    "nip.io",
    "ocir.io",
    "on.aws",
    "pages.dev",
    "pkg.dev",
    "run.app",
    "scw.cloud",
    "sslip.io",
    "vercel.app",
    "web.app",
    "windows.net",
    "workers.dev",
];

/// Judges `realm` for the registry at `registry` (its base URL); `trusted` are hosts that the user named.
pub(crate) fn judge(registry: &Url, realm: &Url, trusted: &BTreeSet<String>) -> Trust {
    let (Some(registry_host), Some(realm_host)) = (registry.host_str(), realm.host_str()) else {
        return Trust::None;
    };
    let same_host = registry_host == realm_host;
    let has_userinfo = !realm.username().is_empty() || realm.password().is_some();
    let secure_enough = match realm.scheme() {
        "https" => true,
        // A registry without TLS is loopback or one that the user called insecure.
        "http" => registry.scheme() == "http" && same_host,
        _ => false,
    };
    if has_userinfo || !secure_enough {
        return Trust::None;
    }
    let hub = registry_host == "registry-1.docker.io" && realm_host == "auth.docker.io";
    let named = realm.port_or_known_default() == Some(443) && trusted.contains(realm_host);
    if same_host || hub || named {
        return Trust::Full;
    }
    if is_address(realm) || is_local_name(realm_host) {
        return Trust::None;
    }
    match (registrable(registry_host), registrable(realm_host)) {
        (Some(a), Some(b)) if a == b && !is_address(registry) => Trust::Full,
        _ => Trust::Anonymous,
    }
}

fn is_address(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Names that a resolver answers from the local machine or network.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    !host.contains('.')
        || [".localhost", ".local", ".internal"]
            .iter()
            .any(|suffix| host.ends_with(suffix))
}

/// Returns the part of a host name that one owner registered, as well as that can be told without the Public
/// Suffix List: two labels, or three below a shared suffix or a country's `co`, `com`, `org`, ….
fn registrable(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    let tail = |count: usize| {
        labels
            .get(labels.len().checked_sub(count)?..)
            .map(|tail| tail.join("."))
    };
    if let Some(suffix) = SHARED_SUFFIXES.iter().find(|suffix| is_below(host, suffix)) {
        // Regions may stand between the owner and the suffix: only the whole name is surely one owner's.
        return (host != *suffix).then(|| host.to_owned());
    }
    let country = labels.last().is_some_and(|label| label.len() == 2);
    let second_is_short = labels.len() >= 2 && labels[labels.len() - 2].len() <= 3;
    tail(if country && second_is_short { 3 } else { 2 })
}

fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_password_goes_to_the_registrys_own_token_service_only() {
        let trusted = BTreeSet::from(["sso.corp.net".to_owned()]);
        for (registry, realm, trust) in [
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io/token",
                Trust::Full,
            ),
            ("https://ghcr.io", "https://ghcr.io/token", Trust::Full),
            (
                "https://registry.gitlab.com",
                "https://gitlab.com/jwt/auth",
                Trust::Full,
            ),
            (
                "https://registry.example.com:5000",
                "https://auth.example.com:8443/t",
                Trust::Full,
            ),
            (
                "https://registry.example.co.uk",
                "https://auth.example.co.uk/t",
                Trust::Full,
            ),
            (
                "https://registry.example.co.uk",
                "https://evil.co.uk/t",
                Trust::Anonymous,
            ),
            (
                "https://me.azurecr.io",
                "https://me.azurecr.io/oauth2/token",
                Trust::Full,
            ),
            (
                "https://me.azurecr.io",
                "https://evil.azurecr.io/oauth2/token",
                Trust::Anonymous,
            ),
            (
                "https://1.dkr.ecr.eu-west-1.amazonaws.com",
                "https://x.s3.eu-west-1.amazonaws.com/",
                Trust::Anonymous,
            ),
            ("https://ghcr.io", "https://ghcr.io.evil.net/token", Trust::Anonymous),
            ("https://ghcr.io", "https://evilghcr.io/token", Trust::Anonymous),
            ("https://ghcr.io", "https://sso.corp.net/token", Trust::Full),
            ("https://ghcr.io", "https://sso.corp.net:444/token", Trust::Anonymous),
            ("https://ghcr.io", "http://ghcr.io/token", Trust::None),
            ("https://ghcr.io", "http://sso.corp.net/token", Trust::None),
            ("https://ghcr.io", "https://user@ghcr.io/token", Trust::None),
            ("https://ghcr.io", "https://u:p@ghcr.io/token", Trust::None),
            ("https://ghcr.io", "file:///etc/passwd", Trust::None),
            ("https://ghcr.io", "https://127.0.0.1/token", Trust::None),
            ("https://ghcr.io", "https://[::1]/token", Trust::None),
            ("https://ghcr.io", "https://0x7f.1/token", Trust::None),
            ("https://ghcr.io", "https://169.254.169.254/latest", Trust::None),
            ("https://ghcr.io", "https://10.0.0.1/token", Trust::None),
            ("https://ghcr.io", "https://localhost/token", Trust::None),
            ("https://ghcr.io", "https://metadata.google.internal/token", Trust::None),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", Trust::Full),
            ("http://127.0.0.1:5000", "http://127.0.0.2:5001/token", Trust::None),
            ("http://127.0.0.1:5000", "https://1.0.0.1/token", Trust::None),
            ("https://10.1.2.3:5000", "https://10.1.2.3/token", Trust::Full),
            (
                "http://registry.lan:5000",
                "http://registry.lan:5001/token",
                Trust::Full,
            ),
        ] {
            let (registry, realm) = (Url::parse(registry).unwrap(), Url::parse(realm).unwrap());
            assert_eq!(judge(&registry, &realm, &trusted), trust, "{registry} {realm}");
        }
    }
}
