//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// A device's word about a received IPv4 header checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpChecksum {
    /// The device did not look: verify in software.
    #[default]
    Unknown,
    /// Verified.
    Good,
    /// Wrong.
    Bad,
}

/// The checksum of `bytes`, as it goes into the header's field.
pub fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes, 0))
}

/// Whether a header with its checksum in place sums to all ones.
pub fn holds(bytes: &[u8]) -> bool {
    fold(sum(bytes, 0)) == 0xffff
}

/// Adds `bytes` as big-endian 16-bit words, an odd last byte padded with zero.
pub fn sum(bytes: &[u8], start: u32) -> u32 {
    let (words, odd) = bytes.as_chunks::<2>();
    let total = words.iter().fold(u64::from(start), |total, &word| total + u64::from(u16::from_be_bytes(word)));
    let total = total + odd.first().map_or(0, |&byte| u64::from(byte) << 8);
    u32::from(fold64(total))
}

/// The checksum after one 16-bit word under it changed from `old` to `new` (RFC 1624, equation 3).
#[inline]
pub fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

/// Folds carries into 16 bits.
#[inline(always)]
pub fn fold(sum: u32) -> u16 {
    // upper half: both halves and the carry from the lower half, which is both halves too
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

fn fold64(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0)), 0xddf2);
    }

    #[test]
    fn carries_are_folded_as_by_two_additions() {
        let slow = |sum: u32| {
            let once = (sum & 0xffff) + (sum >> 16);
            ((once & 0xffff) + (once >> 16)) as u16
        };
        for upper in [0, 1, 2, 0x7fff, 0xfffe, 0xffff] {
            (0..=0xffff).for_each(|lower: u32| assert_eq!(fold(upper << 16 | lower), slow(upper << 16 | lower)));
        }
    }

    proptest! {
        #[test]
        fn incremental_is_recomputed(mut header in prop::collection::vec(any::<u8>(), 20), word in 0_usize..10, new: u16) {
            prop_assume!(word != 5);
            header[10..12].fill(0);
            let before = of(&header);
            let old = u16::from_be_bytes([header[word * 2], header[word * 2 + 1]]);
            header[word * 2..word * 2 + 2].copy_from_slice(&new.to_be_bytes());
            prop_assume!(header.iter().any(|&byte| byte != 0));
            let (fast, slow) = (updated(before, old, new), of(&header));
            header[10..12].copy_from_slice(&fast.to_be_bytes());
            prop_assert!(holds(&header), "{fast:04x} {slow:04x}");
        }
    }
}
