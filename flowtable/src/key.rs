//! Keys of flows and their hash.

/// One direction of a flow: `K` words and a tag, all of which are compared. What they mean is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<const K: usize> {
    /// Addresses, ports, context.
    pub words: [u64; K],
    /// Protocol and kind bits.
    pub tag: u16,
}

/// An IPv4 flow: source and destination; ports and context.
pub type Narrow = Key<2>;
/// An IPv6 flow: source (2), destination (2), ports and context.
pub type Wide = Key<5>;

/// Secrets drawn from the region's seed; whoever does not know them cannot choose keys that meet in one bucket.
#[derive(Clone, Copy)]
pub(crate) struct Secrets([u64; 4]);

impl Secrets {
    pub(crate) fn new(seed: u64) -> Secrets {
        let mut state = seed;
        Secrets(std::array::from_fn(|_| {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    /// Two words of the key a step, by folded 128-bit products (as in wyhash); an odd word goes with the tag. Of two words, with which the
    /// tag is mixed before, both halves of the one product go on.
    #[inline(always)]
    pub(crate) fn hash<const K: usize>(&self, key: &Key<K>) -> u64 {
        let Secrets([start, left, right, last]) = *self;
        if K == 2 {
            let start = start.wrapping_add(last.wrapping_mul(key.tag.into()));
            let product = u128::from(key.words[0] ^ left) * u128::from(key.words[1] ^ start);
            return fold(product as u64 ^ last, (product >> 64) as u64 ^ right);
        }
        let mut hash = start;
        for pair in key.words.chunks_exact(2) {
            hash = fold(pair[0] ^ left, pair[1] ^ hash.wrapping_add(right));
        }
        let odd = if K % 2 == 1 { key.words[K - 1] } else { 0 };
        hash = fold(odd ^ last, u64::from(key.tag) ^ hash);
        fold(hash ^ left, right | 1)
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Flips every bit of a key: each bit of the hash must change in about half of the cases.
    fn avalanche<const K: usize>(bits: u32) {
        let secrets = Secrets::new(42);
        let rounds = 64;
        for bit in 0..bits {
            let mut changed = [0u32; 64];
            for round in 0..rounds {
                let key: Key<K> = Key { words: std::array::from_fn(|i| (round * 31 + i as u64) << 8), tag: 6 };
                let mut other = key;
                match bit as usize / 64 {
                    word if word < K => other.words[word] ^= 1 << (bit % 64),
                    _ => other.tag ^= 1 << (bit % 64),
                }
                let difference = secrets.hash(&key) ^ secrets.hash(&other);
                (0..64).for_each(|i| changed[i] += (difference >> i & 1) as u32);
            }
            for (i, &count) in changed.iter().enumerate() {
                assert!((8..=56).contains(&count), "key bit {bit}, hash bit {i}: {count} of {rounds}");
            }
        }
    }

    #[test]
    fn every_bit_of_a_key_moves_every_bit_of_the_hash() {
        avalanche::<2>(2 * 64 + 16);
        avalanche::<5>(5 * 64 + 16);
    }

    #[test]
    fn seeds_give_different_hashes() {
        let key = Narrow { words: [1, 2], tag: 17 };
        assert_ne!(Secrets::new(1).hash(&key), Secrets::new(2).hash(&key));
    }
}
