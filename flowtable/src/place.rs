//! Where the entries of a hash are.

/// A key that is looked for: its hash, bucket and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    pub(crate) hash: u64,
    pub(crate) first: u32,
    pub(crate) tag: u16,
}

impl Sought {
    /// No key's.
    pub const NOTHING: Sought = Sought { hash: 0, first: 0, tag: 0 };

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

/// The buckets eat the upper bits of both halves; the product's top depends on all bits. 0 is nobody's.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u16 {
    ((hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16).max(1)
}

/// Where entries of a hash are: two buckets, and the tag in them.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) first: u32,
    pub(crate) second: u32,
    pub(crate) tag: u16,
}
