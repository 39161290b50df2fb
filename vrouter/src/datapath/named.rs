//! Named: who says by which next hop a direction of a flow goes: routes, a label, or a bridge. An entry stands only for packets that say the
//! same.

use flowtable::Entry;

use super::classify::Classified;
use super::decide::Question;
use super::lifetime::{BRIDGED, LABELLED};
use super::table::{Decided, FlowKey, FlowPair};
use crate::ids::{NextHopId, Place};
use crate::packet::transport::Upper;
use crate::tables::{Kept, Snapshot};

/// How a direction's next hop is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Routed,
    /// A label names its VIF.
    Label(NextHopId),
    /// By the station that its frames are for, as far as it is known where that is.
    Bridged(Option<NextHopId>),
}

/// The bits of an entry's state that tell of it.
pub const BITS: u16 = LABELLED | BRIDGED;
/// In an entry that never had a next hop.
pub const NO_HOP: NextHopId = NextHopId(u32::MAX);

/// In an entry that another process left: what its next hop was has no number here. It is never a row's.
pub const LOST_HOP: NextHopId = NextHopId(u32::MAX - 1);

impl Named {
    /// What an entry says.
    #[inline]
    pub fn of(entry: &Entry) -> Named {
        let next_hop = NextHopId(entry.next_hop);
        match entry.state & BITS {
            0 => Named::Routed,
            LABELLED => Named::Label(next_hop),
            _ => Named::Bridged(Some(next_hop).filter(|next_hop| *next_hop != NO_HOP)),
        }
    }

    /// The next hop, if it is named and known.
    pub fn next_hop(self) -> Option<NextHopId> {
        match self {
            Named::Routed => None,
            Named::Label(next_hop) => Some(next_hop),
            Named::Bridged(next_hop) => next_hop,
        }
    }

    /// What an entry has of a next hop while its direction is refused, where it had this before: the named one stands.
    pub fn kept(self, before: Kept) -> Kept {
        self.next_hop().map_or(before, |next_hop| Kept { next_hop, ..before })
    }

    /// Bits of an entry's state.
    pub fn bits(self) -> u16 {
        match self {
            Named::Routed => 0,
            Named::Label(_) => LABELLED,
            Named::Bridged(_) => BRIDGED,
        }
    }
}

impl Classified {
    /// What the packet says of its own direction. A label is heard from initiators alone.
    #[inline]
    pub fn named(&self, initiator: bool) -> Named {
        match (self.bridged, self.fixed) {
            (Some(_), fixed) => Named::Bridged(fixed),
            (None, Some(label)) if initiator => Named::Label(label),
            (None, _) => Named::Routed,
        }
    }

    /// What it lets expect of the other direction.
    pub fn answers(&self) -> Named {
        self.bridged.map_or(Named::Routed, |bridged| Named::Bridged(bridged.back))
    }
}

/// What is to be decided about a live pair, whichever direction's packet came: what its initiator sends, and what both directions have.
/// `says`: what this packet says of its own direction (true: the initiator's) and of the other; absent: as both directions' last packets
/// said. `None`: its place is gone.
pub fn question_of(snapshot: &Snapshot, pair: &FlowPair, says: Option<(bool, Named, Named)>) -> Option<Question> {
    let (tuple, context) = pair.forward.0.parts();
    let place = Place::from(context);
    let vrf = match place {
        Place::Vif(vif) => snapshot.vifs.row(vif.index())?.vrf,
        Place::Tunnel(vrf) => snapshot.vrfs.row(vrf.index())?.id,
    };
    let entries = [&pair.forward.1, &pair.reverse.1];
    let mut named = entries.map(Named::of);
    if let Some((initiator, own, other)) = says {
        let [own_at, other_at] = if initiator { [0, 1] } else { [1, 0] };
        named[own_at] = own;
        // nothing leads where the other direction's station was, but this frame comes from it
        let gone = |next_hop: NextHopId| snapshot.next_hops.row(next_hop.index()).is_none();
        if let (Named::Bridged(Some(was)), Named::Bridged(Some(_))) = (named[other_at], other)
            && gone(was)
        {
            named[other_at] = other;
        }
    }
    let [forward, answers] = named;
    Some(Question { place, vrf, tuple, forward, answers, kept: entries.map(|entry| Some(kept(entry))) })
}

/// What an entry has.
pub fn kept(entry: &Entry) -> Kept {
    Kept { member: Decided(entry.stamp).member(), next_hop: NextHopId(entry.next_hop) }
}

/// An ICMP error goes with the flow that it quotes, and is none of its packets.
pub fn is_error(found: &Classified) -> bool {
    matches!(found.packet.upper, Upper::IcmpError { .. })
}

/// The key that a frame is looked up by: its own, or for an ICMP error that of the flow it quotes.
pub fn key_of(found: &Classified) -> Option<FlowKey> {
    let tuple = match found.packet.upper {
        Upper::IcmpError { quoted } if quoted.source == found.packet.destination => quoted.reversed(),
        Upper::IcmpError { .. } => return None,
        _ => found.packet.tuple()?,
    };
    Some(FlowKey::new(&tuple, found.place.into()))
}
