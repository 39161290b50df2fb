//! Sizes: what a configuration needs, where the parts lie, the header.

use std::fmt;
use std::ops::Range;

use crate::bucket::SLOTS;
use crate::entry::Slot;
use crate::free::STRIPES;
use crate::region::{LINE, Region};
use crate::sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::fence;

/// What a table is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Pairs with narrow keys (IPv4). May be 0.
    pub narrow_pairs: u32,
    /// Pairs with wide keys (IPv6). May be 0.
    pub wide_pairs: u32,
    /// Secret and random: keys the hash.
    pub seed: u64,
    /// What the caller's clock counts from; kept for a process that adopts the region.
    pub time_base: u64,
}

impl Config {
    /// Most pairs of one kind: entries are numbered with 32 bits, two a pair.
    pub const MOST_PAIRS: u32 = 1 << 30;

    /// Bytes that a region for this configuration must have.
    ///
    /// Errors: [`LayoutError::TooManyPairs`].
    pub fn bytes(&self) -> Result<usize, LayoutError> {
        for (field, pairs) in [("narrow_pairs", self.narrow_pairs), ("wide_pairs", self.wide_pairs)] {
            if pairs > Config::MOST_PAIRS {
                return Err(LayoutError::TooManyPairs { field, pairs, most: Config::MOST_PAIRS });
            }
        }
        Ok(self.wide().end() * LINE)
    }

    pub(crate) fn narrow(&self) -> Parts {
        Parts::new::<2>(1, self.narrow_pairs)
    }

    pub(crate) fn wide(&self) -> Parts {
        Parts::new::<5>(self.narrow().end(), self.wide_pairs)
    }
}

/// Where the parts of one kind's table lie, in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) pairs: u32,
    pub(crate) stripes: Range<usize>,
    pub(crate) cold: Range<usize>,
    pub(crate) buckets: Range<usize>,
    pub(crate) entries: Range<usize>,
}

impl Parts {
    pub(crate) fn new<const K: usize>(first: usize, pairs: u32) -> Parts {
        let count = pairs as usize;
        let after = |start: usize, lines: usize| start..start + lines;
        let stripes = after(first, STRIPES as usize);
        let cold = after(stripes.end, count.div_ceil(8));
        // 3.5 of ten slots are used when all pairs are: by simulation of as many removals and insertions no insertion in 10^9 then finds
        // both buckets full, one entry in 150 lives in its second bucket, and one bucket in 55 has such entries: who finds nothing there
        // waits for a second line. (With 4.5 slots, and 8 filled before the second bucket is thought of: one in 17, and one in 6.)
        let buckets = after(cold.end, (count * 2 * 20).div_ceil(7 * SLOTS as usize).max(1));
        let entries = after(buckets.end, count * 2 * Slot::<K>::LINES);
        Parts { pairs, stripes, cold, buckets, entries }
    }

    pub(crate) fn end(&self) -> usize {
        self.entries.end
    }
}

/// Why a table cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// A number of pairs that entries cannot be numbered for.
    TooManyPairs {
        /// The field of [`Config`].
        field: &'static str,
        /// What it says.
        pairs: u32,
        /// What it may say.
        most: u32,
    },
    /// The region is smaller than [`Config::bytes`].
    RegionTooSmall {
        /// Bytes needed.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// The system has not that much memory.
    NoMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::TooManyPairs { field, pairs, most } => write!(f, "{field}: {pairs} is more than {most}"),
            LayoutError::RegionTooSmall { needed, given } => write!(f, "region: {given} bytes, {needed} are needed"),
            LayoutError::NoMemory { bytes } => write!(f, "region: no memory for {bytes} bytes"),
        }
    }
}

impl std::error::Error for LayoutError {}

/// Why a region cannot be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptError {
    /// There is no flow table in it.
    NoTable,
    /// A process was ended while it adopted it.
    Unfinished,
    /// It was written by another version of this crate.
    Version {
        /// Layout version in the header.
        found: u64,
        /// Layout version of this crate.
        ours: u64,
    },
    /// The header is not as it was written.
    Header,
    /// The header's sizes are impossible, or more than the region has.
    Sizes(LayoutError),
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdoptError::NoTable => f.write_str("region: holds no flow table"),
            AdoptError::Unfinished => f.write_str("region: its last adoption was not finished"),
            AdoptError::Version { found, ours } => write!(f, "layout version: {found} in the region, ours is {ours}"),
            AdoptError::Header => f.write_str("header: damaged"),
            AdoptError::Sizes(error) => write!(f, "header: {error}"),
        }
    }
}

impl std::error::Error for AdoptError {}

/// Version of everything that this crate lays out in a region.
pub(crate) const VERSION: u64 = 4;
const MAGIC: u64 = u64::from_le_bytes(*b"flowtabl");
/// In its place while a table is adopted.
const BUSY: u64 = u64::from_le_bytes(*b"flowbusy");

/// The header's words behind the magic number: the last one tells whether the others are whole.
fn header(config: &Config) -> [u64; 5] {
    let sizes = u64::from(config.wide_pairs) << 32 | u64::from(config.narrow_pairs);
    let words = [VERSION, sizes, config.seed, config.time_base];
    let check = words.iter().fold(MAGIC, |sum, &word| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    let [version, sizes, seed, time_base] = words;
    [version, sizes, seed, time_base, check]
}

/// Writes the header. The magic number comes last, with release: a region that has it is whole.
pub(crate) fn write_header(region: &Region, config: &Config) {
    let Some(line) = region.line(0) else { return };
    for (word, value) in (1..).zip(header(config)) {
        line.0[word].store(value, Relaxed);
    }
    line.0[0].store(MAGIC, Release);
}

/// Whose check it is behind the header's words: the region was left whole.
const SEALED: u64 = u64::from_le_bytes(*b"flowseal");
/// The word that says so.
const SEAL: usize = 6;

/// Says that the region is whole.
pub(crate) fn seal_header(region: &Region, config: &Config) {
    if let Some(line) = region.line(0) {
        line.0[SEAL].store(header(config)[4] ^ SEALED, Release);
    }
}

/// Whether the region says that it is whole. Its header was read.
pub(crate) fn is_sealed(region: &Region) -> bool {
    region.line(0).is_some_and(|line| line.0[SEAL].load(Acquire) == line.0[5].load(Relaxed) ^ SEALED)
}

/// The region holds no table until the header is written again; it is sealed no more.
pub(crate) fn unwrite_header(region: &Region) {
    if let Some(line) = region.line(0) {
        line.0[SEAL].store(0, Relaxed);
        line.0[0].store(BUSY, Relaxed);
        // what is changed next is changed after that, also for who reads the memory when we are dead
        fence(SeqCst);
    }
}

/// Reads and checks the header.
pub(crate) fn read_header(region: &Region) -> Result<Config, AdoptError> {
    let line = region.line(0).ok_or(AdoptError::NoTable)?;
    match line.0[0].load(Acquire) {
        MAGIC => {}
        BUSY => return Err(AdoptError::Unfinished),
        _ => return Err(AdoptError::NoTable),
    }
    let there = [1, 2, 3, 4, 5].map(|word: usize| line.0[word].load(Relaxed));
    let [found, sizes, seed, time_base, _] = there;
    if found != VERSION {
        return Err(AdoptError::Version { found, ours: VERSION });
    }
    let config = Config { narrow_pairs: sizes as u32, wide_pairs: (sizes >> 32) as u32, seed, time_base };
    if header(&config) != there {
        return Err(AdoptError::Header);
    }
    let needed = config.bytes().map_err(AdoptError::Sizes)?;
    if region.bytes() < needed {
        return Err(AdoptError::Sizes(LayoutError::RegionTooSmall { needed, given: region.bytes() }));
    }
    Ok(config)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pair_costs_no_more_than_promised() {
        let bytes = |narrow_pairs, wide_pairs| {
            Config { narrow_pairs, wide_pairs, seed: 0, time_base: 0 }.bytes().expect("possible")
        };
        for pairs in [1_000, 65_536, 1_000_000, 10_000_000] {
            let narrow = bytes(pairs, 0) as f64 / f64::from(pairs);
            let wide = bytes(0, pairs) as f64 / f64::from(pairs);
            assert!(narrow <= 192.0 && wide <= 320.0, "{pairs} pairs: {narrow} and {wide} bytes each");
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        let config = Config { narrow_pairs: 1, wide_pairs: u32::MAX, seed: 0, time_base: 0 };
        let error = config.bytes().expect_err("too many");
        assert_eq!(error.to_string(), "wide_pairs: 4294967295 is more than 1073741824");
        let most = Config { narrow_pairs: Config::MOST_PAIRS, wide_pairs: Config::MOST_PAIRS, ..config };
        assert!(most.bytes().is_ok());
    }

    #[test]
    fn parts_follow_each_other() {
        let config = Config { narrow_pairs: 100, wide_pairs: 50, seed: 0, time_base: 0 };
        let (narrow, wide) = (config.narrow(), config.wide());
        assert_eq!(
            (narrow.stripes.start, narrow.cold.start, wide.stripes.start),
            (1, narrow.stripes.end, narrow.end())
        );
        assert_eq!((wide.entries.len(), config.bytes().expect("possible")), (200, wide.end() * 64));
    }
}
