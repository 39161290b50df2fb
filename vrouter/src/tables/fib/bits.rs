//! Addresses as numbers.

/// An address as an unsigned number in host order: `u32` or `u128`.
pub trait Bits: Copy + Eq + Ord + Send + Sync + 'static {
    /// 32 or 128.
    const WIDTH: u8;
    /// Where the bases of a trie's nodes begin anew; between, they are six bits apart. Chosen so that the lengths of most routes
    /// (hosts, IPv4 /24, IPv6 /48 and /64) end a node, which then has many of them, and do not begin one each.
    const ANEW: &'static [u8];
    /// All bits zero.
    const ZERO: Self;
    /// The first `length` bits, the others zero.
    fn masked(self, length: u8) -> Self;
    /// The first bit.
    fn first_bit(self) -> usize;
    /// The six bits after the first `from` (< `WIDTH`); bits beyond the last are zero.
    fn six(self, from: u8) -> usize;
    /// How many leading bits both have in common.
    fn common(self, other: Self) -> u8;
    /// Whether the first `length` bits (1 to `WIDTH`) are those of `other`.
    fn agrees(self, other: Self, length: u8) -> bool;
    /// Its bits and the `count` lowest of `bits` at `from`, where its own are zero.
    fn joined(self, from: u8, count: u8, bits: usize) -> Self;
}

macro_rules! bits {
    ($type:ty, $width:literal, $anew:expr) => {
        impl Bits for $type {
            const WIDTH: u8 = $width;
            const ANEW: &'static [u8] = &$anew;
            const ZERO: $type = 0;

            #[inline]
            fn masked(self, length: u8) -> $type {
                self & <$type>::MAX.checked_shl($width - u32::from(length)).unwrap_or(0)
            }

            #[inline]
            fn first_bit(self) -> usize {
                (self >> ($width - 1)) as usize
            }

            #[inline]
            fn six(self, from: u8) -> usize {
                ((self << from) >> ($width - 6)) as usize
            }

            #[inline]
            fn common(self, other: $type) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn agrees(self, other: $type, length: u8) -> bool {
                (self ^ other) >> ($width - length) == 0
            }

            #[inline]
            fn joined(self, from: u8, count: u8, bits: usize) -> $type {
                self | (bits as $type).checked_shl(u32::from($width - from - count)).unwrap_or(0)
            }
        }
    };
}

bits!(u32, 32, [1, 25, 27]);
bits!(u128, 128, [1, 49, 53, 65, 69]);
