//! Packets in fragments: in order and not, doubled, with two first ones or none.

use super::packets::{SYN, Upper};
use super::random::Random;
use super::traffic::{Sent, Traffic, framing};
use super::world::World;

/// Identifications that packets in fragments share.
const IDS: u16 = 3;

impl Traffic {
    /// The next fragment of what is on its way, if there is something.
    pub(super) fn next_piece(&mut self, world: &World, random: &mut Random) -> Option<(usize, Vec<u8>)> {
        if self.coming.is_empty() && !self.sent.is_empty() && random.chance(6) {
            let whole = self.recent(random);
            self.cut(whole, random);
        }
        let next = if random.chance(80) { self.coming.pop()? } else { return None };
        self.sent.push(next.clone());
        Some(framing(world, &next, random))
    }

    /// A packet like this one, to come in fragments.
    fn cut(&mut self, mut whole: Sent, random: &mut Random) {
        whole.packet.id = 0x2000 + random.below(usize::from(IDS)) as u16;
        whole.packet.ttl = random.weighted(&[(92, 64), (8, 1)]);
        (whole.packet.whole, whole.packet.tcp) = (false, Vec::new());
        if let Upper::Tcp { flags, .. } = &mut whole.packet.upper
            && random.chance(50)
        {
            *flags = SYN;
        }
        let piece = |offset: u16, more: bool, payload: usize| {
            let mut piece = whole.clone();
            piece.packet.fragment = Some((offset, more));
            piece.packet.payload = payload;
            piece
        };
        // one that leaves in pieces itself is longer
        let head = piece(0, true, random.weighted(&[(80, 40), (20, 1400)]));
        let mut pieces = vec![piece(6, true, 24), piece(9, false, 11)];
        pieces.truncate(random.pick(&[1, 2, 2]));
        if random.chance(20) {
            pieces.push(pieces[0].clone());
        }
        match random.weighted(&[(45, 0), (30, 1), (12, 2), (13, 3)]) {
            0 => pieces.insert(0, head),
            1 => pieces.insert(1 + random.below(pieces.len()), head),
            2 => {}
            _ => {
                let mut other = head.clone();
                if let Upper::Tcp { source, .. } | Upper::Ports { source, .. } = &mut other.packet.upper {
                    *source ^= 1;
                }
                pieces.insert(0, head);
                pieces.insert(1, other);
            }
        }
        pieces.reverse();
        self.coming = pieces;
    }
}
