//! Where else the images of a registry may be: mirrors, other locations, and what is blocked. Pure.
//!
//! The rules are those of containers-registries.conf(5), version 2: of all prefixes that fit an image the longest
//! decides; its mirrors are asked in their order, then its location. They hold for pulling alone: what is pushed goes
//! where it is named.

mod config;

use std::collections::BTreeSet;

use super::error::ClientError;
use crate::oci::Reference;

pub use config::MirrorsError;

/// The rules for all registries.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Mirrors {
    rules: Vec<Rule>,
}

/// What holds for images whose name begins in one way.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct Rule {
    /// `HOST[:PORT][/PATH…][:TAG|@DIGEST]`, or `*.DOMAIN`.
    prefix: String,
    /// What stands in place of the prefix; the same if empty.
    location: String,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

/// One mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    location: String,
    insecure: bool,
    serves: Serves,
    /// Whether it was given by itself, not in a file.
    given: bool,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
enum Serves {
    #[default]
    All,
    Digests,
    Tags,
}

impl Mirrors {
    /// Adds a mirror that is asked before those that are known, as in `docker.io=mirror.example/hub`.
    ///
    /// # Errors
    /// If `rule` is not of this form.
    pub fn add_mirror(&mut self, rule: &str) -> Result<(), MirrorsError> {
        let (prefix, location) = config::pair(rule)?;
        let mirror = Mirror {
            location,
            insecure: false,
            serves: Serves::All,
            given: true,
        };
        let mirrors = &mut self.rule(prefix).mirrors;
        // Those that were given before it are asked before it.
        let at = mirrors.iter().take_while(|known| known.given).count();
        mirrors.insert(at, mirror);
        Ok(())
    }

    /// Adds a location that takes the place of a registry or a part of it, as in `docker.io=mirror.example/hub`.
    ///
    /// # Errors
    /// If `rule` is not of this form.
    pub fn add_location(&mut self, rule: &str) -> Result<(), MirrorsError> {
        let (prefix, location) = config::pair(rule)?;
        self.rule(prefix).location = location;
        Ok(())
    }

    /// Adds the rules of another file; where both have one for a prefix, the other's counts.
    pub fn extend(&mut self, other: Self) {
        self.rules
            .retain(|rule| other.rules.iter().all(|new| new.prefix != rule.prefix));
        self.rules.extend(other.rules);
    }

    /// Returns the registries that the rules call insecure.
    pub(super) fn insecure(&self) -> BTreeSet<String> {
        let host = |place: &str| place.split('/').next().unwrap_or(place).to_owned();
        let own = self.rules.iter().filter(|rule| rule.insecure);
        let own = own.map(|rule| {
            host(if rule.location.is_empty() {
                &rule.prefix
            } else {
                &rule.location
            })
        });
        let mirrors = self.rules.iter().flat_map(|rule| &rule.mirrors);
        own.chain(
            mirrors
                .filter(|mirror| mirror.insecure)
                .map(|mirror| host(&mirror.location)),
        )
        .collect()
    }

    /// Returns where an image is asked for, in order.
    pub(super) fn places(&self, reference: &Reference) -> Result<Vec<Reference>, ClientError> {
        let name = reference.to_string();
        let fitting = self
            .rules
            .iter()
            .filter_map(|rule| Some((fits(&rule.prefix, &name)?, rule)));
        let Some((length, rule)) = fitting.max_by_key(|(length, _)| *length) else {
            return Ok(vec![reference.clone()]);
        };
        let blocked = || ClientError::Blocked {
            reference: reference.familiar(),
            prefix: rule.prefix.clone(),
        };
        let by_digest = reference.digest().is_some();
        let serves = |mirror: &&Mirror| match mirror.serves {
            Serves::All => true,
            Serves::Digests => by_digest,
            Serves::Tags => !by_digest,
        };
        // A place that is no image's name, because its path is too long for one, has no images either.
        let at = |location: &str| format!("{location}{}", &name[length..]).parse::<Reference>().ok();
        let mirrors = rule.mirrors.iter().filter(serves);
        let mut places: Vec<Reference> = mirrors.filter_map(|mirror| at(&mirror.location)).collect();
        let last = match rule.location.as_str() {
            "" => Some(reference.clone()),
            location => at(location),
        };
        places.extend(last.filter(|_| !rule.blocked));
        if places.is_empty() { Err(blocked()) } else { Ok(places) }
    }

    /// Returns the rule for a prefix.
    fn rule(&mut self, prefix: String) -> &mut Rule {
        let at = self.rules.iter().position(|rule| rule.prefix == prefix);
        let at = at.unwrap_or_else(|| {
            self.rules.push(Rule {
                prefix,
                ..Rule::default()
            });
            self.rules.len() - 1
        });
        &mut self.rules[at]
    }
}

/// Returns how many bytes of a name a prefix stands for, if it fits.
fn fits(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = &name[..name.find(['/', ':'])?];
        return (host.ends_with(domain) && host.len() > domain.len()).then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        prefix = "docker.io"
        [[registry.mirror]]
        location = "mirror.lan:5000/hub"
        insecure = true
        [[registry.mirror]]
        location = "digests.lan"
        pull-from-mirror = "digest-only"
        [[registry]]
        location = "quay.io/bad"
        blocked = true
        [[registry]]
        prefix = "quay.io/moved"
        location = "ghcr.io/new"
        [[registry]]
        prefix = "*.corp.net"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "inner.lan:5000"
    "#;

    fn places(mirrors: &Mirrors, image: &str) -> Result<Vec<String>, String> {
        let reference: Reference = image.parse().unwrap();
        match mirrors.places(&reference) {
            Ok(places) => Ok(places.iter().map(Reference::to_string).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn mirrors_come_first_and_the_longest_prefix_decides() {
        let mirrors = Mirrors::parse(CONF).unwrap();
        let digest = crate::oci::Digest::of(b"");
        for (image, expected) in [
            (
                "debian:12",
                vec!["mirror.lan:5000/hub/library/debian:12", "docker.io/library/debian:12"],
            ),
            (
                &format!("debian@{digest}"),
                vec![
                    &format!("mirror.lan:5000/hub/library/debian@{digest}"),
                    &format!("digests.lan/library/debian@{digest}"),
                    &format!("docker.io/library/debian@{digest}"),
                ],
            ),
            ("quay.io/moved/app:1", vec!["ghcr.io/new/app:1"]),
            ("quay.io/movedx/app:1", vec!["quay.io/movedx/app:1"]),
            ("a.corp.net/app:1", vec!["a.corp.net/app:1"]),
            (
                &format!("a.b.corp.net/app@{digest}"),
                vec![
                    &format!("inner.lan:5000/app@{digest}"),
                    &format!("a.b.corp.net/app@{digest}"),
                ],
            ),
            ("corp.net/app:1", vec!["corp.net/app:1"]),
            ("ghcr.io/app:1", vec!["ghcr.io/app:1"]),
        ] {
            assert_eq!(places(&mirrors, image).unwrap(), expected, "{image}");
        }
        assert_eq!(
            places(&mirrors, "quay.io/bad/app:1").unwrap_err(),
            "`quay.io/bad/app:1` may not be pulled: `quay.io/bad` is blocked"
        );
        assert_eq!(mirrors.insecure(), ["mirror.lan:5000".to_owned()].into());
    }

    #[test]
    fn what_is_given_comes_before_what_a_file_says() {
        let mut mirrors = Mirrors::parse(CONF).unwrap();
        mirrors.add_mirror("docker.io=first.lan").unwrap();
        mirrors.add_mirror("docker.io=second.lan/x").unwrap();
        mirrors.add_location("gcr.io=127.0.0.1:5000/gcr").unwrap();
        assert_eq!(
            places(&mirrors, "debian:12").unwrap(),
            [
                "first.lan/library/debian:12",
                "second.lan/x/library/debian:12",
                "mirror.lan:5000/hub/library/debian:12",
                "docker.io/library/debian:12"
            ]
        );
        assert_eq!(places(&mirrors, "gcr.io/a/b:c").unwrap(), ["127.0.0.1:5000/gcr/a/b:c"]);
    }

    #[test]
    fn a_later_file_replaces_what_an_earlier_one_says_of_a_prefix() {
        let mut mirrors = Mirrors::parse(CONF).unwrap();
        mirrors.extend(Mirrors::parse("[[registry]]\nprefix = \"docker.io\"\nblocked = true").unwrap());
        assert!(places(&mirrors, "debian").is_err());
        assert!(places(&mirrors, "quay.io/bad/x").is_err());
    }
}
