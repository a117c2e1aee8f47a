//! Strangers' bytes, changed at random, into every parser of this crate: none may panic, or take long (row D1 of the threat
//! table). `PROPTEST_CASES=100000 cargo test -p registry d1_` tries for longer.

use proptest::prelude::*;
use reqwest::Url;

use crate::auth::challenge;
use crate::client::Mirrors;
use crate::oci::{Digest, ImageConfig, Index, Manifest, Platform, Reference};

/// What parsers are given when nobody lies.
const HONEST: [&str; 12] = [
    "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:a/b:pull,push\", Basic realm=\"x\\\"y\"",
    "registry.example:5000/a/b-c_d.e/f:v1.2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "[::1]:5000/app:1",
    "windows(10.0.1)/arm64/v8",
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\"a\",\
     \"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"size\":7},\"layers\":[]}",
    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"a\",\"size\":1,\"digest\":\
     \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\"}}]}",
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"A=b\"],\"Healthcheck\":{\"Interval\":5}},\
     \"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"history\":[{\"created\":\"2020-01-01T00:00:00Z\"}]}",
    "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"},\"quay.io/a\":{\"identitytoken\":\"t\"}},\"credsStore\":\"x\"}",
    "{\"token\":\"t\",\"access_token\":null,\"expires_in\":300.5}",
    "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\",\"detail\":{}}]}",
    "[[registry]]\nprefix = \"*.example.com\"\nlocation = \"a.b/c\"\n[[registry.mirror]]\nlocation = \"d.e\"\npull-from-mirror = \"all\"\n",
    "https://user:pass@[fe80::1%25eth0]:99999/..//x?y#z",
];

/// One change of some text.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize, usize),
    Insert(usize, &'static str),
}

fn change() -> impl Strategy<Value = Change> {
    let odd = prop::sample::select(vec![
        "\0", "\u{202e}", "\"", "{", "[[", "=", ",", "@", "..", "/", "1e999", "-", "\\u", "ß",
    ]);
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), 0..40_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<usize>(), 0..40_usize, 2..300_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (any::<usize>(), odd).prop_map(|(at, text)| Change::Insert(at, text)),
    ]
}

fn mutant() -> impl Strategy<Value = Vec<u8>> {
    let honest = prop::sample::select(HONEST.to_vec());
    (honest, prop::collection::vec(change(), 0..6)).prop_map(|(honest, changes)| {
        let mut bytes = honest.as_bytes().to_vec();
        for change in changes {
            let place = |at: usize, bytes: &Vec<u8>| at % (bytes.len() + 1);
            match change {
                Change::Set(at, byte) => {
                    let at = place(at, &bytes);
                    bytes.splice(at..(at + 1).min(bytes.len()), [byte]);
                }
                Change::Cut(at, length) => {
                    let at = place(at, &bytes);
                    bytes.drain(at..(at + length).min(bytes.len()));
                }
                Change::Repeat(at, length, times) => {
                    let at = place(at, &bytes);
                    let part = bytes[at..(at + length).min(bytes.len())].repeat(times);
                    bytes.splice(at..at, part);
                }
                Change::Insert(at, text) => {
                    let at = place(at, &bytes);
                    bytes.splice(at..at, text.bytes());
                }
            }
        }
        bytes
    })
}

/// Gives the bytes to every parser; what they make of them does not matter.
fn parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _challenges = challenge::parse(&text);
    let _mirrors = Mirrors::parse(&text);
    let _platform = text.parse::<Platform>();
    let _digest = text.parse::<Digest>();
    if let Ok(reference) = text.parse::<Reference>() {
        // What is a reference, is one in its full form too.
        assert_eq!(reference.to_string().parse::<Reference>().as_ref(), Ok(&reference));
        let parts = [reference.registry(), reference.repository()];
        assert!(
            parts
                .iter()
                .all(|part| !part.contains("..") && !part.contains(char::is_whitespace)),
            "{text}"
        );
    }
    let _manifest = serde_json::from_slice::<Manifest>(bytes);
    let _index = serde_json::from_slice::<Index>(bytes);
    let _config = serde_json::from_slice::<ImageConfig>(bytes);
    crate::auth::parse_all(bytes);
    crate::client::parse_all(bytes);
    if let (Ok(registry), Ok(realm)) = (Url::parse("https://registry.example"), Url::parse(&text)) {
        let trust = crate::auth::realm::judge(&registry, &realm, &Default::default());
        let full = trust == crate::auth::realm::Trust::Full;
        let host = realm.host_str().unwrap_or_default().trim_end_matches('.');
        assert!(
            !full || host == "registry.example" || host.ends_with(".registry.example"),
            "{text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d1_no_parser_stumbles_over_changed_bytes(bytes in mutant()) {
        let begun = std::time::Instant::now();
        parse(&bytes);
        prop_assert!(begun.elapsed().as_secs() < 2);
    }

    #[test]
    fn d1_no_parser_stumbles_over_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse(&bytes);
    }
}
