//! Repeatable random numbers.

/// SplitMix64: the same numbers each run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// One of them, with odds as given beside it.
    pub fn pick<T: Copy>(&mut self, odds: &[(T, u64)]) -> T {
        let mut at = self.below(odds.iter().map(|(_, odds)| odds).sum());
        for &(item, odds) in odds {
            match at.checked_sub(odds) {
                Some(rest) => at = rest,
                None => return item,
            }
        }
        odds[0].0
    }
}
