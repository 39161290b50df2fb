//! The number line in runs that have one number each, made for searching without branches.

use flowtable::Kernel;

/// Keys of a block: of IPv4 addresses one cache line.
const BLOCK: usize = 16;

/// Which number each key has: runs, each from its first key to before the next one's. Two searches overlap, since neither waits for a
/// guess.
pub(super) struct Runs<A: Key> {
    /// Rising keys in blocks, from the few to the many: each block of a level begins with a key of the level above. Filled up with `MAX`.
    levels: Vec<Level<A>>,
    /// By run.
    numbers: Vec<u32>,
}

struct Level<A: Key> {
    blocks: Box<[A::Block]>,
    /// Index of the last key that was not filled up.
    last: usize,
}

/// An address as a number.
pub(super) trait Key: Copy + Ord {
    const MAX: Self;
    /// [`BLOCK`] keys, so laid out that a processor compares several at once.
    type Block;

    fn block(keys: [Self; BLOCK]) -> Self::Block;

    /// How many keys of a block are no higher than this one.
    fn below(block: &Self::Block, key: Self) -> usize;
}

#[repr(align(64))]
pub(super) struct Narrow([u32; BLOCK]);

/// Upper and lower halves apart.
#[repr(align(64))]
pub(super) struct Wide([u64; BLOCK], [u64; BLOCK]);

impl Key for u32 {
    const MAX: u32 = u32::MAX;
    type Block = Narrow;

    fn block(keys: [u32; BLOCK]) -> Narrow {
        Narrow(keys)
    }

    #[inline(always)]
    fn below(block: &Narrow, key: u32) -> usize {
        block.0.iter().map(|&first| u32::from(first <= key)).sum::<u32>() as usize
    }
}

impl Key for u128 {
    const MAX: u128 = u128::MAX;
    type Block = Wide;

    fn block(keys: [u128; BLOCK]) -> Wide {
        Wide(keys.map(|key| (key >> 64) as u64), keys.map(|key| key as u64))
    }

    #[inline(always)]
    fn below(block: &Wide, key: u128) -> usize {
        let (upper, lower) = ((key >> 64) as u64, key as u64);
        let is_below = |(&high, &low): (&u64, &u64)| u64::from((high < upper) | (high == upper) & (low <= lower));
        block.0.iter().zip(&block.1).map(is_below).sum::<u64>() as usize
    }
}

impl<A: Key> Runs<A> {
    /// Of first keys, rising, the lowest of all first, and the number of each run.
    pub fn new(firsts: Vec<A>, numbers: Vec<u32>) -> Runs<A> {
        debug_assert!(firsts.len() == numbers.len() && firsts.is_sorted());
        let mut levels = Vec::new();
        let mut keys = firsts;
        loop {
            levels.insert(0, Level::new(&keys));
            if keys.len() <= BLOCK {
                return Runs { levels, numbers };
            }
            keys = keys.into_iter().step_by(BLOCK).collect();
        }
    }

    /// The number of a key.
    #[inline(always)]
    pub fn number(&self, key: A) -> u32 {
        let mut at = 0;
        for level in &self.levels {
            // The first of a block is no higher than the key; a key that is `MAX` also finds what was filled up.
            at = (at * BLOCK + A::below(&level.blocks[at], key) - 1).min(level.last);
        }
        self.numbers[at]
    }
}

impl<A: Key> Level<A> {
    fn new(keys: &[A]) -> Level<A> {
        let block = |some: &[A]| A::block(std::array::from_fn(|at| some.get(at).copied().unwrap_or(A::MAX)));
        Level { last: keys.len() - 1, blocks: keys.chunks(BLOCK).map(block).collect() }
    }
}

/// Two searches side by side: the number of each key among the runs at the same place.
pub(super) struct Searches<'a, A: Key>(pub [(&'a Runs<A>, A); 2]);

impl<A: Key> Kernel for Searches<'_, A> {
    type Out = [u32; 2];

    #[inline(always)]
    fn run(self) -> [u32; 2] {
        // not by `map`, which is compiled apart: for the baseline
        let [(runs, key), (other_runs, other)] = self.0;
        [runs.number(key), other_runs.number(other)]
    }
}

#[cfg(test)]
mod tests {
    use flowtable::at_level;

    use super::*;

    fn every_key_is_in_its_run<A: Key + std::fmt::Debug>(key: impl Fn(u32) -> A) {
        for count in [1, 2, 15, 16, 17, 255, 256, 257, 4096, 5000_u32] {
            let first = |at: u32| if at + 1 == count && at > 0 { A::MAX } else { key(at * 7) };
            let firsts: Vec<A> = (0..count).map(first).collect();
            let runs = Runs::new(firsts.clone(), (0..count).map(|at| at + 100).collect());
            let keys = (0..count * 7 + 9).map(&key).chain([key(u32::MAX), A::MAX]);
            for key in keys {
                let slow = firsts.iter().rposition(|&first| first <= key).unwrap() as u32 + 100;
                assert_eq!(runs.number(key), slow, "{key:?} of {count}");
                assert_eq!(at_level(Searches([(&runs, key), (&runs, A::MAX)])), [slow, runs.number(A::MAX)]);
            }
        }
    }

    #[test]
    fn every_key_of_one_word_is_in_its_run() {
        every_key_is_in_its_run(|n| n);
    }

    #[test]
    fn every_key_of_two_words_is_in_its_run() {
        // both halves count, and both reach into what is negative with a sign
        every_key_is_in_its_run(|n| u128::from(n / 9) << 92 | u128::from(n % 9) << 60);
    }
}
