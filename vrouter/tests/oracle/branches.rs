//! Sub-interfaces: VIFs that share a port with others. Here each has a port of its own, whose number says which tags its frames have on which port.

use super::headers::be16;
use super::{Oracle, Sent};

/// The own port of what has these tags on a port; the inner one is 0 where there is none.
pub fn own(port: usize, outer: u16, inner: u16) -> usize {
    port | usize::from(outer) << 8 | usize::from(inner) << 20
}

/// The port that its frames come by.
pub fn device(own: usize) -> usize {
    own & 0xff
}

impl Oracle {
    /// The own port of a frame that a port received, and the frame without the tags by which it has it (IEEE 802.1Q, clause 9).
    pub(super) fn inside(&mut self, port: usize, frame: &[u8]) -> (usize, Vec<u8>) {
        let is_tag = |at: usize, kinds: &[u16]| frame.len() >= at + 4 && kinds.contains(&be16(frame, at));
        let vlan = |at: usize| be16(frame, at + 2) & 0xfff;
        let without = |tags: usize| [&frame[..12], &frame[12 + 4 * tags..]].concat();
        if frame.len() >= 18 && is_tag(12, &[0x8100, 0x88a8]) && vlan(12) != 0 {
            if frame.len() >= 22 && is_tag(16, &[0x8100]) && vlan(16) != 0 {
                let both = own(port, vlan(12), vlan(16));
                if self.config.vif_of_port(both).is_some() {
                    self.feature("sub_interface_of_two_tags");
                    return (both, without(2));
                }
            }
            let first = own(port, vlan(12), 0);
            if self.config.vif_of_port(first).is_some() {
                self.feature("sub_interface");
                return (first, without(1));
            }
        }
        (port, frame.to_vec())
    }

    /// The frame as it is on the wire of an own port, and how much longer it is there.
    pub(super) fn on_wire(&self, own: usize, bytes: Vec<u8>) -> (Sent, usize) {
        let tag = |kind: u16, vlan: usize| [kind.to_be_bytes(), (vlan as u16).to_be_bytes()].concat();
        let of_vif = self.config.vif_of_port(own).and_then(|vif| vif.vlan);
        let tags = match (of_vif, own >> 8 & 0xfff, own >> 20) {
            (Some(vlan), ..) => tag(0x8100, vlan.into()),
            (None, 0, _) => vec![],
            (None, outer, 0) => tag(0x8100, outer),
            (None, outer, inner) => [tag(0x88a8, outer), tag(0x8100, inner)].concat(),
        };
        (Sent { port: device(own), bytes: [&bytes[..12], &tags, &bytes[12..]].concat() }, tags.len())
    }
}
