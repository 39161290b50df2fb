//! Packets of IPv4 that leave in pieces (RFC 791, section 3.2).

use super::config::Hop;
use super::forward::Arrived;
use super::headers::{self, Packet, be16};
use super::{Oracle, emit};

impl Oracle {
    /// Whether a packet may leave in pieces of at most so many bytes.
    pub(super) fn may_be_split(&self, packet: &Packet, mtu: usize) -> bool {
        let bytes = &packet.bytes;
        if !self.config.settings.fragmentation || bytes[0] != 0x45 || mtu < 28 {
            return false;
        }
        // where the last eight bytes are, of as many as a datagram may have
        let end = usize::from(be16(bytes, 6) % 0x2000) * 8 + bytes.len() - 20;
        bytes[6] & 0x40 == 0 && end <= 0x2000 * 8
    }

    /// A packet, its TTL taken down already, as pieces that go on by themselves.
    pub(super) fn split(&mut self, whole: &Arrived, hop: Hop, mtu: usize) {
        let bytes = &whole.packet.bytes;
        let (first, followed) = (usize::from(be16(bytes, 6) % 0x2000), bytes[6] & 0x20 != 0);
        let reserved = bytes[6] & 0x80;
        let each = (mtu - 20) / 8;
        self.feature(if whole.packet.fragment { "fragment_split" } else { "split" });
        let mut sent = 0;
        while 20 + sent * 8 < bytes.len() {
            let from = 20 + sent * 8;
            let to = bytes.len().min(from + each * 8);
            let mut piece = bytes[..20].to_vec();
            piece.extend(&bytes[from..to]);
            let length = piece.len() as u16;
            piece[2..4].copy_from_slice(&length.to_be_bytes());
            let more = if to < bytes.len() || followed { 0x20 } else { 0 };
            let place = (first + sent) as u16;
            piece[6] = reserved | more | (place >> 8) as u8;
            piece[7] = place as u8;
            emit::seal_ipv4(&mut piece);
            let packet = headers::ours(&piece);
            self.leave_by(Arrived { packet, ours: true, ..whole.clone() }, hop);
            sent += each;
        }
    }
}
