//! Explicit congestion notification across tunnels (RFC 6040; RFC 9601 extends it to VXLAN and GRE).

use crate::drops::DropReason;

/// The low two bits of TOS and traffic class.
pub const MASK: u8 = 3;
/// Congestion experienced.
pub const CE: u8 = 3;

/// The field that a packet leaves a tunnel with, by its own and by the outer header's (RFC 6040, section 4.2, figure 4). Rows: the inner
/// field Not-ECT, ECT(1), ECT(0), CE; columns: the outer one in the same order, which is that of the bits.
const DECAPSULATED: [[Option<u8>; 4]; 4] = {
    const NOT_ECT: Option<u8> = Some(0);
    const ECT_1: Option<u8> = Some(1);
    const ECT_0: Option<u8> = Some(2);
    const MARKED: Option<u8> = Some(CE);
    [
        [NOT_ECT, NOT_ECT, NOT_ECT, None],
        [ECT_1, ECT_1, ECT_1, MARKED],
        [ECT_0, ECT_1, ECT_0, MARKED],
        [MARKED, MARKED, MARKED, MARKED],
    ]
};

/// The field after decapsulation. `inner`, `outer`: TOS or traffic class, of which the low two bits count.
#[inline]
pub fn decapsulated(inner: u8, outer: u8) -> Result<u8, DropReason> {
    DECAPSULATED[usize::from(inner & MASK)][usize::from(outer & MASK)].ok_or(DropReason::EcnForbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_of_rfc_6040() {
        let (not_ect, ect_1, ect_0) = (0, 1, 2);
        // columns as printed there: Not-ECT, ECT(0), ECT(1), CE
        let printed = [
            (not_ect, [Some(not_ect), Some(not_ect), Some(not_ect), None]),
            (ect_0, [Some(ect_0), Some(ect_0), Some(ect_1), Some(CE)]),
            (ect_1, [Some(ect_1), Some(ect_1), Some(ect_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ];
        for (inner, row) in printed {
            for (outer, wanted) in [not_ect, ect_0, ect_1, CE].into_iter().zip(row) {
                assert_eq!(decapsulated(0xb8 | inner, 0x28 | outer).ok(), wanted, "inner {inner} outer {outer}");
            }
        }
    }
}
