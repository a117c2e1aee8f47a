//! What a store withstands: kills at every point and at random, disks that are full, many builds beside collections, power
//! cuts.
//!
//! Each test is short as part of all tests; `testdata/endurance.sh` runs the long forms, which differ in their lengths only.

mod crowd;
mod disk_full;
mod injected;
mod leftovers;
mod points;
mod power_cut;
mod random_kills;
mod rig;

/// Returns how much of something is done: so much among all tests, and so much in a long run.
fn length(short: usize, long: usize) -> usize {
    match std::env::var("CROZE_ENDURANCE").as_deref() {
        Ok("long") => long,
        Ok(other) => panic!("`CROZE_ENDURANCE={other}`: it is `long` or not set"),
        Err(_) => short,
    }
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    /// Begins with the time.
    fn new() -> Self {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(time.unwrap().as_nanos() as u64 | 1)
    }

    /// Returns a number below a bound (xorshift64).
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
