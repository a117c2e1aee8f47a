//! Which proxy a request goes through, by the variables that curl and all others know. Pure.
//!
//! The variables' values are the caller's to pass: this crate reads no environment. Loopback is never asked through a
//! proxy (see `transport`).

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// A proxy's variable holds something else than the address of a proxy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{variable}` is not the address of an http or https proxy")]
pub struct ProxyError {
    /// The variable. Its value may hold a password and is not shown.
    pub variable: String,
}

/// The proxies for requests to other machines.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    /// A host and all below it, on one port or on all.
    Host {
        name: String,
        port: Option<u16>,
    },
    /// Literal addresses that share so many leading bits.
    Network {
        address: IpAddr,
        bits: u32,
    },
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; in lower case they count more, and other names
    /// are passed over.
    ///
    /// # Errors
    /// If a value is no address of a proxy, or of one that speaks neither http nor https.
    pub fn from_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ProxyError> {
        let given: Vec<(&str, &str)> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let value = |wanted: &str| {
            let of = |name: String| given.iter().find(|(found, _)| *found == name).copied();
            of(wanted.to_owned()).or_else(|| of(wanted.to_uppercase()))
        };
        let address = |name: &str| value(name).or_else(|| value("all_proxy")).map(address).transpose();
        let exceptions = value("no_proxy").map_or("", |(_, list)| list);
        Ok(Self {
            http: address("http_proxy")?,
            https: address("https_proxy")?,
            exceptions: exceptions.split([',', ' ']).filter_map(Exception::parse).collect(),
        })
    }

    /// Returns the proxy for requests to `url`.
    pub(super) fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        proxy
            .as_ref()
            .filter(|_| !self.exceptions.iter().any(|exception| exception.covers(url)))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.as_ref().map(shown))
            .field("https", &self.https.as_ref().map(shown))
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

/// Returns a proxy's address without user and password.
pub(super) fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().unwrap_or_default();
    format!("{}://{host}:{port}", proxy.scheme())
}

fn address((variable, value): (&str, &str)) -> Result<Url, ProxyError> {
    let url = if value.contains("://") {
        Url::parse(value)
    } else {
        Url::parse(&format!("http://{value}"))
    };
    let known = url
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    known.ok_or_else(|| ProxyError {
        variable: variable.to_owned(),
    })
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (literal(address), bits.parse())
        {
            return Some(Self::Network { address, bits });
        }
        if let Ok(address) = literal(text) {
            return Some(Self::Network { address, bits: 128 });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let name = name
            .trim_start_matches('*')
            .trim_start_matches('.')
            .to_ascii_lowercase();
        (!name.is_empty()).then_some(Self::Host { name, port })
    }

    fn covers(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        match self {
            Self::Everything => true,
            Self::Host { name, port } => {
                let is_below = |host: &str| {
                    host.strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                port.is_none_or(|port| url.port_or_known_default() == Some(port))
                    && (is_below(host) || is_below(host.trim_matches(['[', ']'])))
            }
            Self::Network { address, bits } => literal(host).is_ok_and(|host| share_bits(host, *address, *bits)),
        }
    }
}

/// Reads a literal address, as in a URL or bare.
fn literal(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    text.trim_matches(['[', ']']).parse()
}

fn share_bits(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let differing = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    let length = if a.is_ipv4() { 32 } else { 128 };
    differing >= bits.min(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = Proxies::from_variables(variables.iter().copied()).unwrap();
        proxies.of(&Url::parse(url).unwrap()).map(shown)
    }

    #[test]
    fn the_variables_mean_what_they_mean_to_curl() {
        let both = [
            ("HTTP_PROXY", "http://me:hunter2@one:3128"),
            ("https_proxy", "two:3129"),
            ("HTTPS_PROXY", "three"),
        ];
        assert_eq!(of(&both, "http://r.example/"), Some("http://one:3128".to_owned()));
        assert_eq!(of(&both, "https://r.example/"), Some("http://two:3129".to_owned()));
        let all = [("ALL_PROXY", "https://all"), ("HTTP_PROXY", "")];
        assert_eq!(of(&all, "http://r.example/"), Some("https://all:443".to_owned()));
        assert_eq!(of(&[], "http://r.example/"), None);
        for bad in ["socks5://s:1080", "http://", "x://y", "a b"] {
            let error = Proxies::from_variables([("HTTPS_PROXY", bad)]).unwrap_err();
            assert_eq!(
                error.to_string(),
                "`HTTPS_PROXY` is not the address of an http or https proxy"
            );
        }
    }

    #[test]
    fn no_proxy_names_hosts_ports_and_networks() {
        let list = "corp.net, .dot.net,*.star.net,r.example:5000,10.0.0.0/8,192.168.1.7,fd00::/8,[::9]";
        for (url, direct) in [
            ("https://corp.net/", true),
            ("https://a.corp.net/", true),
            ("https://notcorp.net/", false),
            ("https://corp.net.evil.example/", false),
            ("https://dot.net/", true),
            ("https://a.star.net/", true),
            ("https://r.example:5000/", true),
            ("https://r.example/", false),
            ("https://10.255.0.1/", true),
            ("https://11.0.0.1/", false),
            ("https://192.168.1.7:5000/", true),
            ("https://192.168.1.8/", false),
            ("https://[fd12::1]/", true),
            ("https://[fe80::1]/", false),
            ("https://[::9]:5000/", true),
        ] {
            let proxy = of(&[("HTTPS_PROXY", "p"), ("NO_PROXY", list)], url);
            assert_eq!(proxy.is_none(), direct, "{url}");
        }
        assert_eq!(of(&[("HTTPS_PROXY", "p"), ("no_proxy", "*")], "https://x.y/"), None);
    }

    #[test]
    fn a_proxys_password_is_not_in_the_debug_form() {
        let proxies = Proxies::from_variables([("HTTPS_PROXY", "http://me:hunter2@p:1")]).unwrap();
        let shown = format!("{proxies:?}");
        assert!(shown.contains("http://p:1") && !shown.contains("hunter2"), "{shown}");
    }
}
