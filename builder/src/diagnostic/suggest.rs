//! "Did you mean …?": the candidate nearest to what was written.

/// Returns the candidate that needs the fewest single-character edits, if two are enough.
///
/// An exact match gives nothing: then the word was not what was wrong. The first of equally near candidates wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut limit = 3;
    for candidate in candidates {
        match distance(word, candidate) {
            0 => return None,
            distance if distance < limit => {
                limit = distance;
                best = Some(candidate);
            }
            _ => {}
        }
    }
    best
}

/// Returns ` (did you mean X?)` or nothing, to be appended to a message.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!(" (did you mean {candidate}?)"),
        None => String::new(),
    }
}

/// Returns the Levenshtein distance in characters.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_candidate_is_suggested_if_it_is_near_enough() {
        assert_eq!(nearest("FNTRYPOINT", ["ENV", "ENTRYPOINT"]), Some("ENTRYPOINT"));
        assert_eq!(nearest("mont", ["network", "mount"]), Some("mount"));
        assert_eq!(nearest("RSYNC", ["RUN", "FROM"]), None);
        assert_eq!(nearest("RUN", ["RUNN", "RUN"]), None);
        assert_eq!(did_you_mean("bulid", ["build"]), " (did you mean build?)");
        assert_eq!(did_you_mean("x", ["build"]), "");
    }

    #[test]
    fn distances_are_symmetric_counts_of_edits() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("añb", "anb", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), edits);
            assert_eq!(distance(b, a), edits);
        }
    }
}
