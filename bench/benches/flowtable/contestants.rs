//! Who is asked.

use std::ops::Range;

use bench::random::Random;
use flowtable::{
    Config, ELSEWHERE, Entry, FlowTable, Handle, Kernel, Line, NOWHERE, Narrow, Pairs, Region, Sought, at_level,
    prefetch,
};
use parking_lot::RwLock;

use crate::BURST;
use crate::keys::{Keys, flow, half};

pub trait Contestant {
    fn name(&self) -> &'static str;

    /// What it lies on.
    fn memory(&self) -> String;

    /// Looks these up in bursts, and tells how many it found.
    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64;
}

/// Our table, full.
pub struct Ours(pub FlowTable);

impl Ours {
    pub fn filled(pairs: u32) -> Ours {
        let config = Config { narrow_pairs: pairs, wide_pairs: 0, seed: 42, time_base: 0 };
        let region = Region::huge(config.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &config).expect("laid out");
        for n in 0..u64::from(pairs) {
            let [forward, reverse] = flow(n);
            table.narrow().insert((&forward, half(n, 0)), (&reverse, half(n, 0)), 0, 0).expect("room");
        }
        Ours(table)
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "flowtable"
    }

    fn memory(&self) -> String {
        self.0.region().pages().to_string()
    }

    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
        let mut count = 0;
        each(self.0.narrow(), &keys.list[which], |_, found| {
            if let Some((_, entry)) = found {
                std::hint::black_box((entry.next_hop, entry.stamp));
                count += 1;
            }
        });
        count
    }
}

/// Looks keys up in bursts, as the datapath does, by the instructions that there are, and shows what each finds. Who finds nothing is told
/// apart at the bucket: so that is guessed once a key, and not again at the entry. Who must look elsewhere comes last.
pub fn each(pairs: &Pairs<2>, keys: &[Narrow], see: impl FnMut(&Narrow, Option<(Handle, Entry)>)) {
    at_level(Each { pairs, keys, see });
}

struct Each<'a, F> {
    pairs: &'a Pairs<2>,
    keys: &'a [Narrow],
    see: F,
}

impl<F: FnMut(&Narrow, Option<(Handle, Entry)>)> Kernel for Each<'_, F> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Each { pairs, keys, mut see } = self;
        let view = pairs.view();
        let (mut sought, mut found) = ([Sought::NOTHING; BURST], [(0_u32, NOWHERE); BURST]);
        for keys in keys.chunks(BURST) {
            for (sought, key) in sought.iter_mut().zip(keys) {
                *sought = view.seek(key);
            }
            let (mut count, mut elsewhere) = (0, 0u64);
            for (at, (key, &sought)) in keys.iter().zip(&sought).enumerate() {
                match view.candidate(sought) {
                    NOWHERE => see(key, None),
                    ELSEWHERE => elsewhere |= 1 << at,
                    candidate => {
                        found[count] = (at as u32, candidate);
                        count += 1;
                    }
                }
            }
            for &(at, candidate) in &found[..count] {
                let at = at as usize;
                see(&keys[at], view.find_at(&keys[at], sought[at].hash(), candidate));
            }
            // their second buckets have come meanwhile
            while elsewhere != 0 {
                let at = elsewhere.trailing_zeros() as usize;
                elsewhere &= elsewhere - 1;
                let candidate = pairs.candidate_elsewhere(sought[at]);
                see(&keys[at], view.find_at(&keys[at], sought[at].hash(), candidate));
            }
        }
    }
}

/// Two dependent random lines a lookup; the key only says which. As many lines as the table's.
pub struct Probe {
    region: Region,
    buckets: usize,
}

/// The first of the two lines alone: what a lookup that finds nothing must read.
pub struct FirstLine<'a>(pub &'a Probe);

impl Probe {
    pub fn like(pairs: u32) -> Probe {
        let (buckets, entries) = (pairs as usize * 4 / 7, pairs as usize * 2);
        let mut region = Region::huge((buckets + entries) * 64).expect("memory");
        let mut random = Random(9);
        region.fill((0..(buckets + entries) * 8).map(|_| random.below(entries as u64)));
        Probe { region, buckets }
    }
}

impl Contestant for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn memory(&self) -> String {
        self.region.pages().to_string()
    }

    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
        let (buckets, entries) = self.region.lines().split_at(self.buckets);
        let entry = |bucket: &Line| &entries[bucket.word(3) as usize];
        let mut sum = 0;
        for keys in keys.list[which].chunks(BURST) {
            let first = first_lines(buckets, keys);
            first[..keys.len()].iter().for_each(|bucket| prefetch(entry(bucket)));
            sum += first[..keys.len()].iter().map(|bucket| entry(bucket).word(4)).sum::<u64>();
        }
        sum
    }
}

impl Contestant for FirstLine<'_> {
    fn name(&self) -> &'static str {
        "one line"
    }

    fn memory(&self) -> String {
        self.0.memory()
    }

    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
        let buckets = &self.0.region.lines()[..self.0.buckets];
        let mut sum = 0;
        for keys in keys.list[which].chunks(BURST) {
            sum += first_lines(buckets, keys)[..keys.len()].iter().map(|bucket| bucket.word(3)).sum::<u64>();
        }
        sum
    }
}

/// A random line for each key, asked for.
#[inline(always)]
fn first_lines<'a>(buckets: &'a [Line], keys: &[Narrow]) -> [&'a Line; BURST] {
    let mut first = [&buckets[0]; BURST];
    for (line, key) in first.iter_mut().zip(keys) {
        let hash = (key.words[0] ^ key.words[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *line = &buckets[((hash >> 32) as usize * buckets.len()) >> 32];
        prefetch(*line);
    }
    first
}

/// DashMap.
pub struct Sharded(dashmap::DashMap<Narrow, u64>);

impl Sharded {
    pub fn filled(pairs: u32) -> Sharded {
        let map = dashmap::DashMap::with_capacity(2 * pairs as usize);
        (0..u64::from(pairs)).for_each(|n| flow(n).into_iter().for_each(|key| _ = map.insert(key, n)));
        Sharded(map)
    }
}

impl Contestant for Sharded {
    fn name(&self) -> &'static str {
        "dashmap"
    }

    fn memory(&self) -> String {
        "heap".into()
    }

    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
        keys.list[which].iter().filter(|key| self.0.get(key).map(|n| std::hint::black_box(*n)).is_some()).count() as u64
    }
}

/// hashbrown behind one lock, which is taken once a burst.
pub struct Hashbrown(RwLock<hashbrown::HashMap<Narrow, u64>>);

impl Hashbrown {
    pub fn filled(pairs: u32) -> Hashbrown {
        let mut map = hashbrown::HashMap::with_capacity(2 * pairs as usize);
        (0..u64::from(pairs)).for_each(|n| map.extend(flow(n).map(|key| (key, n))));
        Hashbrown(RwLock::new(map))
    }
}

impl Contestant for Hashbrown {
    fn name(&self) -> &'static str {
        "hashbrown"
    }

    fn memory(&self) -> String {
        "heap".into()
    }

    fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
        let there = |keys: &[Narrow]| {
            let map = self.0.read();
            keys.iter().filter(|key| map.get(*key).map(|n| std::hint::black_box(*n)).is_some()).count() as u64
        };
        keys.list[which].chunks(BURST).map(there).sum()
    }
}

#[cfg(feature = "dpdk")]
pub use rte::Memory;

#[cfg(feature = "dpdk")]
mod rte {
    use std::ops::Range;

    use ffi::{Eal, EalConfig, HASH_BURST, Hash};

    use super::{Contestant, Keys};
    use crate::keys::{flow, packed};

    /// DPDK's memory.
    pub struct Memory {
        eal: Eal,
        pages: &'static str,
    }

    impl Memory {
        /// Enough for a table of so many entries: huge pages if twice of that are free, for the others come after.
        pub fn of(entries: u32) -> Memory {
            let mib = 256 + ((u64::from(entries) * 110) >> 20) as u32;
            let free = free_huge_mib() >= 2 * u64::from(mib);
            let memory = if free { ffi::Memory::Huge { mib: Some(mib) } } else { ffi::Memory::NoHuge { mib } };
            let prefix = format!("vr-bench-hash-{}", std::process::id());
            let config = EalConfig { memory, log_level: Some("error".into()), ..EalConfig::no_huge(&prefix, mib) };
            let eal = Eal::init(&config).unwrap_or_else(|error| panic!("{error}"));
            Memory { eal, pages: if free { "reserved huge pages" } else { "ordinary pages" } }
        }

        /// rte_hash with the same keys, at most six of ten slots used (as ours are).
        pub fn rte_hash(&self, pairs: u32) -> Option<Box<dyn Contestant>> {
            let slots = (pairs * 2 * 10).div_ceil(6).next_power_of_two();
            let mut table = Hash::create(&self.eal, slots).unwrap_or_else(|error| panic!("rte_hash: {error}"));
            for n in 0..u64::from(pairs) {
                flow(n).iter().for_each(|key| assert!(table.insert(&packed(key), n as usize), "rte_hash is full"));
            }
            let load = f64::from(pairs * 2) / f64::from(slots);
            Some(Box::new(Rte { table, memory: format!("{}, {load:.2} of its slots used", self.pages) }))
        }
    }

    /// rte_hash, whose readers take no lock.
    struct Rte {
        table: Hash,
        memory: String,
    }

    impl Contestant for Rte {
        fn name(&self) -> &'static str {
            "rte_hash"
        }

        fn memory(&self) -> String {
            self.memory.clone()
        }

        fn ask(&self, keys: &Keys, which: Range<usize>) -> u64 {
            let mut found = 0;
            for keys in keys.packed[which].chunks(HASH_BURST) {
                let mut numbers = [0; HASH_BURST];
                let hits = self.table.lookup(keys, &mut numbers[..keys.len()]);
                std::hint::black_box(numbers);
                found += u64::from(hits.count_ones());
            }
            found
        }
    }

    fn free_huge_mib() -> u64 {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        (number("HugePages_Free:").unwrap_or(0) * number("Hugepagesize:").unwrap_or(0)) >> 10
    }
}

/// Without DPDK there is no rte_hash.
#[cfg(not(feature = "dpdk"))]
pub struct Memory;

#[cfg(not(feature = "dpdk"))]
impl Memory {
    pub fn of(_: u32) -> Memory {
        Memory
    }

    pub fn rte_hash(&self, _: u32) -> Option<Box<dyn Contestant>> {
        None
    }
}
