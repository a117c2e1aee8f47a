//! Sizes as Docker writes them: `64m`, `1.5GiB`, `100`.

/// Reads a size in bytes; units are powers of 1024 whatever they are called.
pub(super) fn parse(text: &str) -> Option<u64> {
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .map_or(0, |at| at + 1);
    let (number, unit) = text.split_at(end);
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    let unit = unit.to_ascii_lowercase();
    let power = match unit.chars().next() {
        None => 0,
        Some('b') if unit == "b" => 0,
        Some(first) => {
            if !matches!(&unit[first.len_utf8()..], "" | "b" | "ib") {
                return None;
            }
            1 + "kmgtp".find(first)?
        }
    };
    let bytes = number * 1024_f64.powi(power as i32);
    (bytes >= 0.0 && bytes < i64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        let cases = [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("128m", 128 << 20),
            ("1.5KiB", 1536),
            ("2 GB", 2 << 30),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1mm", "1kib2", "1e400", "hello"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
