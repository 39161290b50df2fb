//! Outer packets that came in fragments, put together again.

use std::net::IpAddr;

use super::config::Vif;
use super::forward::Arrived;
use super::headers::{self, Ether, IPV4, IPV6, Packet, Reason, be16};
use super::{Oracle, emit};

/// Bytes behind the IP header that a whole one has at most, and pieces.
const MOST: usize = 9216;
const PIECES: usize = 16;
/// Of one sender at a time.
const OF_SENDER: usize = 8;
/// Milliseconds until it must be whole.
const PATIENCE: u64 = 2_000;

type Identity = (IpAddr, IpAddr, u8, u32);

/// An outer packet of which something came.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    of: Identity,
    since: u64,
    pieces: Vec<Piece>,
    /// Why it is no more.
    over: Option<Reason>,
}

#[derive(Clone, Debug, PartialEq)]
struct Piece {
    from: usize,
    bytes: Vec<u8>,
    last: bool,
    class: u8,
    entered: u32,
}

impl Piece {
    fn end(&self) -> usize {
        self.from + self.bytes.len()
    }
}

/// Where a fragment is, and whether others follow.
fn place(packet: &Packet) -> (usize, bool) {
    let bytes = &packet.bytes;
    if packet.source().is_ipv4() {
        return (usize::from(be16(bytes, 6) & 0x1fff) * 8, bytes[6] & 0x20 != 0);
    }
    // the fragment header is the last one before the payload: no options follow it in tunnels
    let at = packet.payload - 8;
    (usize::from(be16(bytes, at + 2) >> 3) * 8, bytes[at + 3] & 1 == 1)
}

impl Oracle {
    /// Whether something of this packet came before.
    pub(super) fn is_partial(&self, outer: &Packet) -> bool {
        let of = (outer.source(), outer.destination(), outer.tuple.protocol, outer.id);
        self.partial.iter().any(|partial| partial.of == of)
    }

    /// A fragment of an outer packet; the whole of it once it is the last one missing.
    pub(super) fn assemble(&mut self, vif: &Vif, ether: &Ether, outer: &Packet) -> Result<Option<Arrived>, Reason> {
        let of = (outer.source(), outer.destination(), outer.tuple.protocol, outer.id);
        let (from, more) = place(outer);
        let bytes = outer.bytes[outer.payload..].to_vec();
        let own = self.partial.iter().filter(|partial| partial.of.0 == of.0).count();
        assert!(
            own < OF_SENDER || self.is_partial(outer),
            "unmodelled: more outer packets in fragments than there is room for"
        );
        if bytes.is_empty() || more && !bytes.len().is_multiple_of(8) || from + bytes.len() > 65_535 {
            return Err("outer_fragment");
        }
        let piece = Piece { from, bytes, last: !more, class: outer.class, entered: vif.id };
        let at = self.partial.iter().position(|partial| partial.of == of).unwrap_or_else(|| {
            self.partial.push(Partial { of, since: self.now, pieces: Vec::new(), over: None });
            self.partial.len() - 1
        });
        let partial = &mut self.partial[at];
        if let Some(reason) = partial.over {
            return Err(reason);
        }
        if partial.pieces.iter().any(|other| {
            Piece { class: 0, entered: 0, ..other.clone() } == Piece { class: 0, entered: 0, ..piece.clone() }
        }) {
            self.feature("outer_piece_again");
            return Ok(None);
        }
        let overlaps = |other: &Piece| other.from < piece.end() && piece.from < other.end();
        let contradicts = |other: &Piece| {
            other.last && (piece.last || piece.from >= other.end()) || piece.last && other.from >= piece.end()
        };
        let wrong = match () {
            () if piece.end() > MOST => Some("outer_fragment_too_large"),
            () if partial.pieces.iter().any(|other| overlaps(other) || contradicts(other)) => {
                Some("outer_fragment_overlap")
            }
            () if partial.pieces.len() == PIECES => Some("outer_fragment_too_large"),
            () => None,
        };
        if let Some(reason) = wrong {
            partial.over = Some(reason);
            let lost = std::mem::take(&mut partial.pieces);
            lost.iter().for_each(|piece| self.drop(Some(piece.entered), reason));
            return Err(reason);
        }
        partial.pieces.push(piece);
        self.feature("outer_piece");
        self.if_whole(at, vif, ether)
    }

    fn if_whole(&mut self, at: usize, vif: &Vif, ether: &Ether) -> Result<Option<Arrived>, Reason> {
        let mut pieces = self.partial[at].pieces.clone();
        pieces.sort_by_key(|piece| piece.from);
        let mut payload = Vec::new();
        for piece in &pieces {
            if piece.from != payload.len() {
                return Ok(None);
            }
            payload.extend(&piece.bytes);
        }
        if !pieces.last().is_some_and(|piece| piece.last) {
            return Ok(None);
        }
        let (source, destination, protocol, _) = self.partial.remove(at).of;
        // a mark on any piece is on the whole (RFC 3168, section 5.3)
        let marked = pieces.iter().any(|piece| piece.class & 3 == 3);
        let class = pieces[0].class | if marked { 3 } else { 0 };
        self.feature(if source.is_ipv4() { "outer_whole" } else { "outer_whole6" });
        let (packet, _) = emit::outer(source, destination, protocol, class, &payload);
        let ethertype = if source.is_ipv4() { IPV4 } else { IPV6 };
        let frame = emit::ethernet(ether.destination, ether.source, ethertype, &packet);
        // what waits for its own first fragment is the whole of it
        let tag = vif.vlan.map_or(Vec::new(), |vlan| [[0x81, 0], vlan.to_be_bytes()].concat());
        self.pieces.at_hand.1 = [&frame[..12], &tag, &frame[12..]].concat();
        let ether = headers::ether(&frame)?;
        self.fabric_sent(vif, &ether, &frame)
    }

    /// Those end that are not whole in time.
    pub(super) fn partial_due(&mut self) {
        let now = self.now / 100;
        let late = |partial: &Partial| partial.since / 100 + PATIENCE / 100 <= now;
        let (ended, others): (Vec<Partial>, _) = std::mem::take(&mut self.partial).into_iter().partition(late);
        self.partial = others;
        for piece in ended.iter().flat_map(|partial| &partial.pieces) {
            self.drop(Some(piece.entered), "outer_fragment_timed_out");
        }
    }
}
