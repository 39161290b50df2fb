//! Addresses as numbers.

/// An address as an unsigned number in host order: `u32` or `u128`.
pub trait Bits: Copy + Eq + Ord + Send + Sync + 'static {
    /// 32 or 128.
    const WIDTH: u8;
    /// All bits zero.
    const ZERO: Self;
    /// So many routes stand in a list; where they are more, a trie has a node. Measured: IPv4 tables are dense, and a node is faster
    /// than a list; those of IPv6 are sparse, and nodes would take memory.
    const LISTED: usize;
    /// The number, aligned to no more than eight bytes.
    type Stored: Copy + Send + Sync + 'static;
    /// To keep it in rows.
    fn stored(self) -> Self::Stored;
    /// From a row.
    fn loaded(stored: Self::Stored) -> Self;
    /// The first `length` bits, the others zero.
    fn masked(self, length: u8) -> Self;
    /// The eight bits after the first `from`, which are at most `WIDTH` - 8.
    fn octet(self, from: u8) -> u8;
    /// How many leading bits both have in common.
    fn common(self, other: Self) -> u8;
    /// Its bits and the octet at `from`, where its own are zero.
    fn joined(self, from: u8, octet: u8) -> Self;
}

macro_rules! bits {
    ($type:ty, $width:literal, $listed:literal, $stored:ty, |$number:ident| $store:expr, |$row:ident| $load:expr) => {
        impl Bits for $type {
            const WIDTH: u8 = $width;
            const ZERO: $type = 0;
            const LISTED: usize = $listed;
            type Stored = $stored;

            #[inline(always)]
            fn stored(self) -> $stored {
                let $number = self;
                $store
            }

            #[inline(always)]
            fn loaded($row: $stored) -> $type {
                $load
            }

            #[inline]
            fn masked(self, length: u8) -> $type {
                self & <$type>::MAX.checked_shl($width - u32::from(length)).unwrap_or(0)
            }

            #[inline(always)]
            fn octet(self, from: u8) -> u8 {
                (self >> ($width - 8 - from)) as u8
            }

            #[inline(always)]
            fn common(self, other: $type) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn joined(self, from: u8, octet: u8) -> $type {
                self | <$type>::from(octet) << ($width - 8 - from)
            }
        }
    };
}

bits!(u32, 32, 8, u32, |number| number, |row| row);
bits!(u128, 128, 32, [u64; 2], |number| [(number >> 64) as u64, number as u64], |row| u128::from(row[0]) << 64
    | u128::from(row[1]));
