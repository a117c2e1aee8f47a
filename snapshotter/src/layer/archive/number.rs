//! Numbers as archives write them.

use super::ArchiveError;
use crate::attributes::Timestamp;

/// Reads a header field: octal digits among spaces and NULs, or GNU's base-256 form. An empty field is 0.
pub(super) fn field(bytes: &[u8], name: &'static str) -> Result<i64, ArchiveError> {
    let invalid = ArchiveError::Number { field: name };
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return base_256(bytes).ok_or(invalid);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = bytes.iter().position(|byte| !blank(byte)) else {
        return Ok(0);
    };
    let end = bytes
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    let digits = bytes[start..end].split(|&byte| byte == 0).next().unwrap_or_default();
    let mut value: i64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit < 8);
        let Some(digit) = digit else { return Err(invalid) };
        // At most 12 digits of 3 bits: this cannot overflow.
        value = value * 8 + i64::from(digit);
    }
    Ok(value)
}

/// Reads a two's complement number of which the first bit only marks the form.
fn base_256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (index, &byte) in bytes.iter().enumerate() {
        let byte = if index == 0 {
            (byte & 0x7f) | if negative { 0x80 } else { 0 }
        } else {
            byte
        };
        value = value.checked_mul(256)? | i128::from(byte);
    }
    i64::try_from(value).ok()
}

/// Reads a decimal number of a PAX record: digits only.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a PAX time: seconds with sign and fraction; what is below a nanosecond is dropped.
pub(super) fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + u32::from(fraction.get(place).map_or(0, |digit| digit - b'0'));
    }
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp { seconds, nanos },
        (true, 0) => Timestamp {
            seconds: -seconds,
            nanos: 0,
        },
        (true, nanos) => Timestamp {
            seconds: -seconds - 1,
            nanos: 1_000_000_000 - nanos,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{decimal, field, time};

    #[test]
    fn a_field_is_octal_or_base_256() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\0\x05", Some(5)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(field(bytes, "x").ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_time_before_1970_is_rounded_down() {
        let time = |text: &str| time(text.as_bytes()).map(|time| (time.seconds, time.nanos));
        assert_eq!(time("1.5"), Some((1, 500_000_000)));
        assert_eq!(time("1.0000000019"), Some((1, 1)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("-3"), Some((-3, 0)));
        for bad in ["", ".", "1.x", "--1", "+1", "1e3", " 1", "9223372036854775808"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
        assert_eq!(decimal(b"+1"), None);
    }
}
