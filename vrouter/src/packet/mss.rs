//! The maximum segment size that TCP announces (RFC 9293, section 3.7.1).

use super::{be16, checksum};

/// Of a TCP header without options.
const HEADER: usize = 20;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;

/// The largest segment whose packet has at most `mtu` bytes, options of IP and TCP not counted (RFC 6691).
pub fn within(mtu: u16, v6: bool) -> u16 {
    mtu.saturating_sub(if v6 { 40 } else { 20 } + HEADER as u16)
}

/// Lowers what a segment announces to `most`; its checksum follows. `segment` begins with the TCP header. What is behind a malformed option
/// stays as it is.
pub fn clamp(segment: &mut [u8], most: u16) {
    let header = segment.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    let Some(header) = segment.get_mut(..header).filter(|header| header.len() > HEADER) else { return };
    let mut at = HEADER;
    while let Some(&kind) = header.get(at) {
        let length = match (kind, header.get(at + 1)) {
            (END, _) => return,
            (NO_OPERATION, _) => 1,
            (_, Some(&length)) if length >= 2 => usize::from(length),
            _ => return,
        };
        if kind == MSS && length == 4 && at + length <= header.len() {
            lower(header, at + 2, most);
        }
        at += length;
    }
}

/// Lowers the word at `at` to `most`, and changes the checksum accordingly (RFC 1624).
fn lower(header: &mut [u8], at: usize, most: u16) {
    const SUM: usize = 16;
    let old = be16(header, at);
    if old <= most {
        return;
    }
    header[at..at + 2].copy_from_slice(&most.to_be_bytes());
    // at an odd place its bytes are added to the other halves of words
    let added = |word: u16| if at.is_multiple_of(2) { word } else { word.swap_bytes() };
    let sum = checksum::updated(be16(header, SUM), added(old), added(most));
    header[SUM..SUM + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A SYN with these options, and a checksum that makes header and pseudo header (as if that summed to `pseudo`) right.
    fn syn(options: &[u8], pseudo: u32) -> Vec<u8> {
        let mut bytes = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0];
        bytes.extend(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = (bytes.len() as u8 / 4) << 4;
        let sum = !checksum::fold(checksum::sum(&bytes, pseudo));
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn what_fits_an_mtu() {
        assert_eq!((within(1450, false), within(1450, true), within(39, false)), (1410, 1390, 0));
    }

    #[test]
    fn an_announcement_is_lowered_wherever_it_stands_and_never_raised() {
        for before in [&[][..], &[1], &[1, 1], &[3, 3, 7], &[8, 10, 0, 0, 0, 1, 0, 0, 0, 0], &[0xfe, 5, 1, 2, 3]] {
            let options = |mss: u16| [before, &[2, 4], &mss.to_be_bytes(), &[4, 2]].concat();
            for (given, wanted) in [(1460, 1410), (1411, 1410), (1410, 1410), (1409, 1409), (0, 0), (0xffff, 1410)] {
                let mut segment = syn(&options(given), 0x1_2345);
                clamp(&mut segment, 1410);
                assert_eq!(segment, syn(&options(wanted), 0x1_2345), "{before:?} {given}");
            }
        }
        // two of them
        let twice = |one: u16, other: u16| {
            syn(&[&[2, 4][..], &one.to_be_bytes(), &[1, 2, 4], &other.to_be_bytes()].concat(), 7)
        };
        let mut segment = twice(9000, 1460);
        clamp(&mut segment, 1410);
        assert_eq!(segment, twice(1410, 1410));
    }

    #[test]
    fn what_is_malformed_stays() {
        for options in [
            // cut off by the end of the header
            &[1, 2, 4, 0x05][..],
            &[1, 1, 2, 4],
            &[1, 1, 1, 2],
            // of another length
            &[2, 3, 0x05, 0xb4],
            &[2, 6, 0x05, 0xb4, 0, 0],
            // behind what has no length, too much of it, or the end
            &[3, 0, 2, 4, 0x05, 0xb4],
            &[3, 1, 2, 4, 0x05, 0xb4],
            &[3, 40, 2, 4, 0x05, 0xb4],
            &[0, 2, 4, 0x05, 0xb4],
        ] {
            let given = [syn(options, 0), vec![0xb4; 8]].concat();
            let mut segment = given.clone();
            clamp(&mut segment, 1000);
            assert_eq!(segment, given, "{options:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_and_sums_stay_right(options in prop::collection::vec(0_u8..12, 0..40), most: u16, pseudo: u16) {
            let before = syn(&options, pseudo.into());
            let mut after = before.clone();
            clamp(&mut after, most);
            prop_assert_eq!(after.len(), before.len());
            prop_assert_eq!(checksum::fold(checksum::sum(&after, pseudo.into())), 0xffff);
            let mut again = after.clone();
            clamp(&mut again, most);
            prop_assert_eq!(again, after);
        }

        #[test]
        fn any_segment_is_taken(mut segment in prop::collection::vec(any::<u8>(), 0..70), most: u16) {
            let length = segment.len();
            clamp(&mut segment, most);
            prop_assert_eq!(segment.len(), length);
        }
    }
}
