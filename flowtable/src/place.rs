//! Where the entries of a hash are.

/// A key that is looked for: its hash and bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    pub(crate) hash: u64,
    pub(crate) first: u32,
}

impl Sought {
    /// No key's.
    pub const NOTHING: Sought = Sought { hash: 0, first: 0 };

    /// A key of this hash that is in no bucket.
    #[inline(always)]
    pub fn nowhere(hash: u64) -> Sought {
        Sought { hash, ..Sought::NOTHING }
    }

    /// As [`Pairs::hash`](crate::Pairs::hash).
    #[inline(always)]
    pub fn hash(self) -> u64 {
        self.hash
    }
}

/// The buckets take the upper bits of both halves: the lowest bits say nothing of the first bucket, and of the second one little, and only where
/// there are more than 65,536. 0 is nobody's.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u16 {
    (hash as u16).max(1)
}

/// The first bucket, of so many.
#[inline(always)]
pub(crate) fn first_of(hash: u64, buckets: usize) -> u32 {
    (((hash >> 32) * buckets as u64) >> 32) as u32
}

/// Where entries of a hash are: two buckets, and the tag in them.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) first: u32,
    pub(crate) second: u32,
    pub(crate) tag: u16,
}

/// What a pair's cold word tells of its keys and its incarnation: halves that do not belong together have another one.
#[inline]
pub(crate) fn mark_of([forward, reverse]: [u64; 2], version: u32) -> u32 {
    let both = forward ^ reverse.rotate_left(23);
    (both >> 32) as u32 ^ both as u32 ^ version.wrapping_mul(0x9e37_79b9)
}
