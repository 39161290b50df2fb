//! The flows that all contestants hold, and in which order they are asked for.

use bench::random::Random;
use flowtable::{Half, Key, Narrow};

use crate::BURST;

/// Most lookups before a list begins again.
const MOST: usize = 1 << 22;

/// Both keys of flow `n`, as IPv4 flows have them: addresses of a few subnets, ports, context. All are different below 2^24.
pub fn flow(n: u64) -> [Narrow; 2] {
    let (here, there) = (0x0a00_0000 | n & 0xff, 0x0a01_0000 | n >> 8 & 0xffff);
    let (port, other) = (1024 + (n >> 6 & 0x7fff), 443u64);
    let forward = Key { words: [here << 32 | there, port << 48 | other << 32 | (n & 63)], tag: 6 };
    let reverse = Key { words: [there << 32 | here, other << 48 | port << 32 | 1 << 31], tag: 6 };
    [forward, reverse]
}

/// A key in 20 bytes.
#[cfg(feature = "dpdk")]
pub fn packed(key: &Narrow) -> [u32; 5] {
    let [ends, ports] = key.words;
    [ends as u32, (ends >> 32) as u32, ports as u32, (ports >> 32) as u32, key.tag.into()]
}

/// What is decided for flow `n` for the `update`th time: all of it follows from the stamp.
pub fn half(n: u64, update: u64) -> Half {
    let stamp = update << 32 | n;
    Half { stamp, next_hop: Random(stamp).draw() as u32, verdict: stamp as u8 }
}

/// Keys to ask for.
pub struct Keys {
    pub list: Vec<Narrow>,
    /// The same in 20 bytes each, for rte_hash.
    #[cfg(feature = "dpdk")]
    pub packed: Vec<[u32; 5]>,
    hits: Vec<bool>,
}

impl Keys {
    /// Keys of flows `0..pairs` in random order, each at most once; of a hundred, `misses` are of other flows instead. Whole bursts.
    pub fn random(pairs: u32, misses: u64) -> Keys {
        let pairs = u64::from(pairs);
        let mut random = Random(7 + misses);
        let mut numbers: Vec<u32> = (0..2 * pairs as u32).collect();
        let wanted = numbers.len().min(MOST) / BURST * BURST;
        for at in 0..wanted {
            let other = at + random.below((numbers.len() - at) as u64) as usize;
            numbers.swap(at, other);
        }
        numbers.truncate(wanted);
        let ask = |number: u32| {
            let hit = random.below(100) >= misses;
            let n = u64::from(number / 2) + if hit { 0 } else { pairs };
            (flow(n)[number as usize % 2], hit)
        };
        let (list, hits): (Vec<Narrow>, _) = numbers.into_iter().map(ask).unzip();
        Keys {
            #[cfg(feature = "dpdk")]
            packed: list.iter().map(packed).collect(),
            list,
            hits,
        }
    }

    /// Keys of the list that are there.
    pub fn hits(&self) -> u64 {
        self.hits.iter().filter(|hit| **hit).count() as u64
    }
}
