//! Random changes of inputs, the same in every run: what a fuzzer does, without what guides it.

/// What text and bytes may have in the wrong place.
const ODD: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\n\n",
    b"\r",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"=",
    b"/",
    b"..",
    b"@",
    b"-",
    b"1e999",
    b"18446744073709551616",
    b"4294967295",
    b"null",
    b"\\u0000",
    b"\xff\xff\xff\xff",
    b"\x80",
    "\u{202e}".as_bytes(),
];

/// The most changes of one input.
const MOST_CHANGES: usize = 5;

/// Numbers that look random (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins the sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Returns a number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        number as usize % bound.max(1)
    }
}

/// Returns one of the inputs, changed in one to five places; no longer than `longest` bytes.
pub fn change(inputs: &[Vec<u8>], longest: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(MOST_CHANGES) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].repeat(2 + random.below(20));
                bytes.splice(at..at, part);
            }
            2 => drop(bytes.splice(at..at, ODD[random.below(ODD.len())].iter().copied())),
            3 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => {}
        }
    }
    bytes.truncate(longest);
    bytes
}
