//! Sizes for people.

use std::fmt;

/// A number of bytes, printed with a decimal unit as BuildKit does: `3.21MB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
        let mut size = self.0 as f64;
        if size < 1000.0 {
            return write!(f, "{}B", self.0);
        }
        let mut unit = "";
        for next in UNITS {
            if size < 999.5 {
                break;
            }
            size /= 1000.0;
            unit = next;
        }
        let decimals = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
        write!(f, "{size:.decimals$}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.00kB"),
            (12_345, "12.3kB"),
            (999_999, "1.00MB"),
            (3_210_000, "3.21MB"),
            (707_000_000, "707MB"),
            (2_000_000_000, "2.00GB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
