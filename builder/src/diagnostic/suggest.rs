//! "Did you mean …?": the candidate nearest to what was written.

/// Returns the candidate that needs the fewest edits of characters, if two are enough.
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

/// Returns how many characters must be inserted, removed, replaced or exchanged with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    // Row i holds the distances of the first i characters of `from` to each start of `to`.
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=to.len()).collect()];
    for i in 1..=from.len() {
        rows.rotate_left(1);
        rows[2] = vec![i];
        for j in 1..=to.len() {
            let [before_last, last, row] = &mut rows;
            let differs = usize::from(from[i - 1] != to[j - 1]);
            let mut cheapest = (last[j - 1] + differs).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                cheapest = cheapest.min(before_last[j - 2] + 1);
            }
            row.push(cheapest);
        }
    }
    rows[2][to.len()]
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
            ("ab", "ba", 1),
            ("RNU", "RUN", 1),
            ("", "", 0),
        ] {
            assert_eq!(distance(a, b), edits);
            assert_eq!(distance(b, a), edits);
        }
    }
}
