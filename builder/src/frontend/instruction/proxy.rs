//! Proxies: build arguments that need no `ARG`, reach every step, and enter neither key nor history.

use std::collections::BTreeMap;

use crate::frontend::environment::Environment;

const NAMES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Tells whether a build argument of this name is a proxy.
pub fn is_proxy(name: &str) -> bool {
    NAMES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// Returns the proxy variables in either case, whichever was given; those that the Dockerfile declares or sets
/// itself are its own.
pub(super) fn variables(build_args: &BTreeMap<String, String>, env: &Environment) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for name in NAMES {
        let given = build_args.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        let Some((_, value)) = given else { continue };
        for name in [name.to_owned(), name.to_lowercase()] {
            if env.get(&name).is_none() {
                variables.push((name, value.clone()));
            }
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_set_in_both_cases_unless_the_dockerfile_sets_it() {
        let given = BTreeMap::from([
            ("http_proxy".to_owned(), "p".to_owned()),
            ("FOO".to_owned(), "x".to_owned()),
        ]);
        let pair = |name: &str| (name.to_owned(), "p".to_owned());
        let mut env = Environment::default();
        assert_eq!(variables(&given, &env), [pair("HTTP_PROXY"), pair("http_proxy")]);
        env.set("HTTP_PROXY", "mine");
        assert_eq!(variables(&given, &env), [pair("http_proxy")]);
    }
}
