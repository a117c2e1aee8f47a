//! `WWW-Authenticate`: what a registry demands (RFC 9110, section 11.6.1). Pure.
//!
//! One header may hold several challenges, separated by the same commas as their parameters. Values without
//! quotes may hold more than the grammar allows: registries send bare URLs.

/// One challenge that this client can meet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Challenge {
    /// User name and password in every request.
    Basic,
    /// A token from a token service.
    Bearer(BearerChallenge),
}

/// Where a token is to be had, and for what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct BearerChallenge {
    /// The token service's URL.
    pub(crate) realm: String,
    /// The registry's name at the token service.
    pub(crate) service: Option<String>,
    /// What the refused request needed, scopes separated by spaces.
    pub(crate) scope: String,
}

/// Returns the challenges of one header that can be met, in order.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header;
    let mut current: Option<(String, BearerChallenge)> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word_end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match value {
            Some(value) if current.is_some() && !word.is_empty() => {
                let (value, after) = parameter(value.trim_start_matches([' ', '\t']));
                if let Some((_, bearer)) = &mut current {
                    bearer.set(word, value);
                }
                rest = after;
            }
            // Stray text before any scheme, or padding of a token68: not ours to understand.
            Some(value) => rest = value,
            None => {
                challenges.extend(current.take().and_then(finish));
                if word.is_empty() {
                    return challenges;
                }
                current = Some((word.to_ascii_lowercase(), BearerChallenge::default()));
                rest = after;
            }
        }
    }
}

impl BearerChallenge {
    fn set(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => self.realm = value,
            "service" => self.service = Some(value),
            "scope" => self.scope = value,
            _ => {}
        }
    }
}

fn finish((scheme, bearer): (String, BearerChallenge)) -> Option<Challenge> {
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" if !bearer.realm.is_empty() => Some(Challenge::Bearer(bearer)),
        _ => None,
    }
}

/// Splits a parameter's value, quoted or not, from what follows.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>, scope: &str) -> Challenge {
        Challenge::Bearer(BearerChallenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.to_owned(),
        })
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let (realm, service) = ("https://auth.docker.io/token", Some("registry.docker.io"));
        for (header, challenges) in [
            (hub, vec![bearer(realm, service, "repository:a/b:pull,push")]),
            (r#"Basic realm="x""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            ("bAsIc realm=x", vec![Challenge::Basic]),
            (
                "Bearer realm=https://r/t?a=b,service=s",
                vec![bearer("https://r/t?a=b", Some("s"), "")],
            ),
            (
                r#"Bearer  realm = "https://r/t" , service = "s""#,
                vec![bearer("https://r/t", Some("s"), "")],
            ),
            (
                r#"Basic realm="a, Bearer realm=evil", Bearer realm="https://r""#,
                vec![Challenge::Basic, bearer("https://r", None, "")],
            ),
            (
                r#"Bearer realm="https://r/\"q\"", Basic realm="x""#,
                vec![bearer("https://r/\"q\"", None, ""), Challenge::Basic],
            ),
            (
                r#"Negotiate abcd==, Bearer realm="https://r""#,
                vec![bearer("https://r", None, "")],
            ),
            ("Negotiate, Basic realm=x", vec![Challenge::Basic]),
            (r#"Bearer service="s""#, vec![]),
            (
                r#"Bearer realm="https://unfinished"#,
                vec![bearer("https://unfinished", None, "")],
            ),
            ("", vec![]),
            (" , ,", vec![]),
            ("=", vec![]),
        ] {
            assert_eq!(parse(header), challenges, "{header}");
        }
        let refused = parse(r#"Bearer realm="https://r",error="insufficient_scope""#);
        assert_eq!(refused, [bearer("https://r", None, "")]);
    }

    proptest! {
        #[test]
        fn any_header_comes_to_an_end(header in "\\PC{0,200}") {
            parse(&header);
        }

        #[test]
        fn any_mess_of_separators_comes_to_an_end(header in "[ ,=\"\\\\a-c]{0,60}") {
            parse(&header);
        }
    }
}
