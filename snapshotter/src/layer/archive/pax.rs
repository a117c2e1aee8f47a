//! PAX records: `length key=value\n`, one after the other.

use super::ArchiveError;

/// A key and its value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// Returns the records of an extended header. Values may hold any byte, line breaks too, so only the lengths count.
pub(super) fn records(mut content: &[u8]) -> Result<Vec<Record<'_>>, ArchiveError> {
    let mut records = Vec::new();
    // Some writers pad the content with zeros inside of its declared length.
    while !content.is_empty() && content[0] != 0 {
        let (record, rest) = record(content).ok_or(ArchiveError::PaxRecord)?;
        records.push(record);
        content = rest;
    }
    Ok(records)
}

/// Returns the first record and what follows it.
fn record(content: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = content.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(super::number::decimal(&content[..space])?).ok()?;
    let body = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return None;
    }
    Some(((key, value), &content[length..]))
}

#[cfg(test)]
mod tests {
    use super::records;

    #[test]
    fn values_may_hold_line_breaks_and_equal_signs() {
        let both = records(b"12 a=\n9 b=c\n6 d=e\n").unwrap();
        assert_eq!(both, [(&b"a"[..], &b"\n9 b=c"[..]), (b"d", b"e")]);
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        for bad in [
            "x",
            "6 a=b",
            "7 a=b\n",
            "5 a=b\n",
            "6 \0a=\n",
            "4 =\n",
            "06a=b\n",
            "-6 a=b\n",
            "5 abc\n",
            "99999999999999999999 a=b\n",
        ] {
            assert!(records(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
