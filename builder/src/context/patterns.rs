//! Path patterns in the language of `.dockerignore`, as selections use them.

/// An ordered list of patterns, where a later one overrides an earlier one.
///
/// A directory that matches takes along everything below it, unless a later `!` pattern spares it.
pub trait PathPatterns: Send + Sync {
    /// Returns the line (or place in the list), counted from 1, of the pattern by which a path matches; `None` if it
    /// does not. The path is relative to the top, with `/` between its names.
    fn matched_by(&self, path: &str) -> Option<usize>;

    /// Returns whether a `!` pattern may spare something below a directory that matches.
    fn may_spare_below(&self, dir: &str) -> bool;
}

use super::error::SelectError;

/// STAND-IN until dockerfile::ignore is there.
pub(super) fn compile(patterns: &[String]) -> Result<Box<dyn PathPatterns>, SelectError> {
    let mut compiled = Vec::new();
    for p in patterns {
        let (neg, p) = match p.strip_prefix('!') {
            Some(p) => (true, p),
            None => (false, p.as_str()),
        };
        let p = p.trim().trim_matches('/');
        let mut re = String::from("(?s)^");
        let cs: Vec<char> = p.chars().collect();
        let mut i = 0;
        while i < cs.len() {
            match cs[i] {
                '*' if cs.get(i + 1) == Some(&'*') => {
                    i += 1;
                    if cs.get(i + 1) == Some(&'/') {
                        i += 1;
                    }
                    re.push_str(if i + 1 == cs.len() { ".*" } else { "(.*/)?" });
                }
                '*' => re.push_str("[^/]*"),
                '?' => re.push_str("[^/]"),
                c => re.push_str(&regex::escape(&c.to_string())),
            }
            i += 1;
        }
        re.push('$');
        let re = regex::Regex::new(&re).map_err(|_| SelectError::BadPattern { pattern: p.to_owned() })?;
        compiled.push((neg, re));
    }
    Ok(Box::new(StandIn(compiled)))
}

struct StandIn(Vec<(bool, regex::Regex)>);

impl PathPatterns for StandIn {
    fn matched_by(&self, path: &str) -> Option<usize> {
        let mut hit = None;
        for (i, (neg, re)) in self.0.iter().enumerate() {
            let m = re.is_match(path) || path.match_indices('/').any(|(at, _)| re.is_match(&path[..at]));
            if m {
                hit = if *neg { None } else { Some(i + 1) };
            }
        }
        hit
    }
    fn may_spare_below(&self, _dir: &str) -> bool {
        self.0.iter().any(|(neg, _)| *neg)
    }
}
