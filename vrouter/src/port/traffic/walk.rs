//! The order in which a source visits its flows: each once a round, scattered, by an addition and a comparison.

/// Rounds whose strides differ, before they repeat: a table that was filled in the order of one round is not read in that order by
/// the next one.
const STRIDES: usize = 16;

/// A walk over the numbers `first..first + count`.
#[derive(Clone, Debug)]
pub struct Walk {
    first: u64,
    count: u64,
    at: u64,
    stride: u64,
    /// Steps until the round is over.
    left: u64,
    round: usize,
    /// Each without a common divisor with `count`.
    strides: [u64; STRIDES],
}

impl Walk {
    /// `count` is at least 1 and at most 2^32. The same numbers give the same order, but for where it begins.
    pub fn new(first: u64, count: u64) -> Walk {
        let mut strides = [0; STRIDES];
        for (k, stride) in (1_u64..).zip(&mut strides) {
            // golden ratio's multiples: evenly spread, so that neither neighbours nor strides are near
            let wanted = ((k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) * count) >> 32;
            *stride = (wanted..wanted + count).find(|&it| divisor(it, count) == 1).map_or(1, |it| it % count);
        }
        Walk { first, count, at: 0, stride: strides[0], left: count, round: 0, strides }
    }

    /// The next number.
    #[inline]
    pub fn step(&mut self) -> u64 {
        let number = self.first + self.at;
        self.at += self.stride;
        if self.at >= self.count {
            self.at -= self.count;
        }
        self.left -= 1;
        if self.left == 0 {
            self.round = (self.round + 1) % STRIDES;
            self.stride = self.strides[self.round];
            self.left = self.count;
        }
        number
    }
}

/// The greatest common divisor.
fn divisor(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { divisor(b % a, a) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_round_visits_each_once(first in 0_u64..1000, count in 1_u64..3000, rounds in 1_usize..20) {
            let mut walk = Walk::new(first, count);
            for _ in 0..rounds {
                let mut seen: Vec<u64> = (0..count).map(|_| walk.step()).collect();
                seen.sort_unstable();
                prop_assert!(seen.iter().copied().eq(first..first + count));
            }
        }
    }

    #[test]
    fn neighbours_are_far_apart_and_rounds_differ() {
        let mut walk = Walk::new(0, 1 << 16);
        let rounds: Vec<Vec<u64>> = (0..STRIDES).map(|_| (0..1 << 16).map(|_| walk.step()).collect()).collect();
        for round in &rounds {
            assert!(round.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 100), "{:?}", &round[..4]);
        }
        assert!(rounds.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn four_billion_flows_are_no_more_work() {
        let mut walk = Walk::new(0, 1 << 32);
        let mut seen: Vec<u64> = (0..100_000).map(|_| walk.step()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100_000);
    }
}
