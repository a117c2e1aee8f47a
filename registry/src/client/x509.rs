//! The two names in a certificate, for messages: just enough DER for that (RFC 5280, section 4.1). Pure.

/// The object identifiers of the parts of names that people know, and what they are called.
const PARTS: [([u8; 3], &str); 4] = [
    ([0x55, 4, 3], "CN"),
    ([0x55, 4, 11], "OU"),
    ([0x55, 4, 10], "O"),
    ([0x55, 4, 6], "C"),
];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Returns issuer and subject of a certificate, as in `O=Corp, CN=Corp Root`.
pub(super) fn names(certificate: &[u8]) -> Option<(String, String)> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, rest)) = expect(fields, VERSION) {
        fields = rest;
    }
    let mut next = || {
        let (_, value, rest) = element(fields)?;
        fields = rest;
        Some(value)
    };
    let (_serial, _algorithm) = (next()?, next()?);
    let issuer = next()?;
    let _validity = next()?;
    Some((name(issuer), name(next()?)))
}

/// Returns the parts of a name in their order; what cannot be read is left out.
fn name(mut sets: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((set, rest)) = expect(sets, SET) {
        sets = rest;
        let Some((pair, _)) = expect(set, SEQUENCE) else {
            continue;
        };
        let Some((_, kind, value)) = element(pair) else {
            continue;
        };
        let Some((_, text, _)) = element(value) else { continue };
        if let Some((_, label)) = PARTS.iter().find(|(known, _)| known == kind) {
            parts.push(format!("{label}={}", String::from_utf8_lossy(text)));
        }
    }
    parts.join(", ")
}

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = element(bytes)?;
    (found == tag).then_some((value, rest))
}

/// Takes one element apart: its tag, its value, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
            (length, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::names;

    #[test]
    fn a_certificate_says_whose_it_is_and_who_issued_it() {
        let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/tls/server.pem");
        let certificate = CertificateDer::from_pem_file(pem).unwrap();
        let (issuer, subject) = names(&certificate).unwrap();
        assert_eq!(
            (issuer.as_str(), subject.as_str()),
            ("CN=croze test authority", "CN=localhost")
        );
    }

    #[test]
    fn what_is_cut_or_changed_is_no_certificate_or_another() {
        let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client/tls/server.pem");
        let whole = CertificateDer::from_pem_file(pem).unwrap();
        for end in 0..whole.len() {
            assert_eq!(names(&whole[..end]), None, "{end}");
        }
        // Must end, whatever the bytes are.
        for at in 0..whole.len() {
            for value in [0, 0x30, 0x7f, 0x84, 0xff] {
                let mut changed = whole.to_vec();
                changed[at] = value;
                let _other_names = names(&changed);
            }
        }
    }
}
