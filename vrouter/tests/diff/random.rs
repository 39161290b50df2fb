//! Numbers that a seed decides: splitmix64.

/// A sequence of numbers.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    /// One of these, each as often as its weight says.
    pub fn weighted<T: Clone>(&mut self, among: &[(usize, T)]) -> T {
        let mut at = self.below(among.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in among {
            match at.checked_sub(*weight) {
                Some(left) => at = left,
                None => return value.clone(),
            }
        }
        among[0].1.clone()
    }
}
