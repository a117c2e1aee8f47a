//! Subordinate ids: subuid(5) and subgid(5).

use serde::Serialize;

/// Consecutive ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IdRange {
    /// The first id.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// Returns the ranges that `text`, a `/etc/subuid` or `/etc/subgid`, gives to a user, in order.
///
/// A line names its user by name or by number, as newuidmap(1) reads it. Lines that do not parse are passed over, as
/// newuidmap does.
pub(super) fn ranges(text: &str, uid: u32, name: Option<&str>) -> Vec<IdRange> {
    text.lines().filter_map(|line| range(line, uid, name)).collect()
}

fn range(line: &str, uid: u32, name: Option<&str>) -> Option<IdRange> {
    let mut fields = line.trim().split(':');
    let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
    let range = IdRange {
        start: start.parse().ok()?,
        count: count.parse().ok()?,
    };
    let ours = Some(owner) == name || owner.parse() == Ok(uid);
    // A range that runs over the end of the id space, or is empty, could not be mapped.
    let sane = range.count > 0 && range.start.checked_add(range.count - 1).is_some();
    (fields.next().is_none() && ours && sane).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\nalice:100000:65536\nbob:165536:65536\n1000:300000:10\nalice:x:1\nalice:5:0\n\
        alice:4294967295:2\nalice:1:2:3\n";

    #[test]
    fn lines_are_found_by_name_and_by_number() {
        let expected = [(100_000, 65536), (300_000, 10)].map(|(start, count)| IdRange { start, count });
        assert_eq!(ranges(TEXT, 1000, Some("alice")), expected);
        assert_eq!(ranges(TEXT, 1000, None), expected[1..]);
    }

    #[test]
    fn lines_that_do_not_parse_give_nothing() {
        assert_eq!(ranges(TEXT, 7, Some("carol")), []);
        assert_eq!(ranges(TEXT, 8, Some("x")), []);
    }
}
