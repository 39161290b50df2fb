//! The number line in runs that have one number each, made for searching without branches.

/// Keys of a block: of IPv4 addresses one cache line.
const BLOCK: usize = 16;

/// Which number each key has: runs, each from its first key to before the next one's. Two searches overlap, since neither waits for a
/// guess.
pub(super) struct Runs<A> {
    /// Rising keys in blocks, from the few to the many: each block of a level begins with a key of the level above. Filled up with `MAX`.
    levels: Vec<Level<A>>,
    /// By run.
    numbers: Vec<u32>,
}

struct Level<A> {
    keys: Box<[[A; BLOCK]]>,
    /// Index of the last key that was not filled up.
    last: usize,
}

/// An address as a number.
pub(super) trait Key: Copy + Ord {
    const MAX: Self;
}

impl Key for u32 {
    const MAX: u32 = u32::MAX;
}

impl Key for u128 {
    const MAX: u128 = u128::MAX;
}

impl<A: Key> Runs<A> {
    /// Of first keys, rising, the lowest of all first, and the number of each run.
    pub fn new(firsts: Vec<A>, numbers: Vec<u32>) -> Runs<A> {
        debug_assert!(firsts.len() == numbers.len() && firsts.is_sorted());
        let mut levels = vec![Level::new(firsts)];
        while let [top, ..] = &levels[..]
            && top.keys.len() > 1
        {
            let above = Level::new(top.keys.iter().map(|block| block[0]).collect());
            levels.insert(0, above);
        }
        Runs { levels, numbers }
    }

    /// The number of a key.
    #[inline]
    pub fn number(&self, key: A) -> u32 {
        let mut at = 0;
        for level in &self.levels {
            let block = &level.keys[at];
            let below: u32 = block.iter().map(|&first| u32::from(first <= key)).sum();
            // The first of a block is no higher than the key; a key that is `MAX` also finds what was filled up.
            at = (at * BLOCK + below as usize - 1).min(level.last);
        }
        self.numbers[at]
    }
}

impl<A: Key> Level<A> {
    fn new(keys: Vec<A>) -> Level<A> {
        let block = |some: &[A]| std::array::from_fn(|at| some.get(at).copied().unwrap_or(A::MAX));
        Level { last: keys.len() - 1, keys: keys.chunks(BLOCK).map(block).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_its_run() {
        for count in [1, 2, 15, 16, 17, 255, 256, 257, 4096, 5000_u32] {
            let firsts: Vec<u32> =
                (0..count).map(|at| if at + 1 == count && at > 0 { u32::MAX } else { at * 7 }).collect();
            let runs = Runs::new(firsts.clone(), (0..count).map(|at| at + 100).collect());
            let keys = (0..count * 7 + 9).chain([u32::MAX - 1, u32::MAX]);
            for key in keys {
                let slow = firsts.iter().rposition(|&first| first <= key).unwrap() as u32 + 100;
                assert_eq!(runs.number(key), slow, "{key} of {count}");
            }
        }
    }
}
