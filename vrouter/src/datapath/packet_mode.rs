//! Packet mode in the lane: plain packets that enter a VRF without flows go by its FIB alone. The destinations of a burst are looked up
//! side by side. What a route leads to other than a tunnel or a VIF without flows is left to [`fate`], which decides the same of what is taken
//! here.

use std::net::IpAddr;

use flowtable::{FlowTable, Kernel, Sought};

use super::Fate;
use super::classify::Classified;
use super::decide::{Question, lost};
use super::lane::{Cell, Family};
use super::named::Named;
use super::punt::Why;
use super::route_hits::RouteHits;
use super::table::FlowKey;
use super::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{Context, NextHopId, Place};
use crate::packet::ip::is_link_local;
use crate::port::BURST;
use crate::tables::fib::{Bits, Fib};
use crate::tables::{Group, NextHopKind, Resolved, Snapshot, Vrf};

/// The fate of a frame that no flow applies to: none of the VRFs that it passes, nor the one it is delivered into, has flows.
/// Of several ways a packet has the one of its flow's hash.
pub(super) fn fate(snapshot: &Snapshot, found: &Classified, key: Option<&FlowKey>) -> Option<Fate> {
    let vrf = snapshot.vrfs.row(found.vrf.index()).filter(|vrf| !vrf.flows)?;
    let mut flows = false;
    let resolved = match found.fixed {
        Some(next_hop) => Ok(Resolved::without_route(vrf.id, next_hop)),
        None => {
            let tuple = || key.map(|key| key.parts().0).unwrap_or_else(|| found.packet.ends());
            let choose = |group: &Group| snapshot.choose(group, &tuple());
            snapshot.resolve(vrf.id, found.packet.destination, choose, |vrf, _| flows |= vrf.flows)
        }
    };
    if flows {
        return None;
    }
    let next_hop = match resolved.map_err(lost) {
        Ok(resolved) => resolved.next_hop,
        Err((DropReason::NoRoute, vrf)) => {
            return Some(Fate::DropAndTell(DropReason::NoRoute, Culprit::Vrf(vrf), Why::NoRoute(found.vrf)));
        }
        Err((reason, vrf)) => return Some(Fate::Drop(reason, Culprit::Vrf(vrf))),
    };
    match snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
        None => Some(Fate::Drop(DropReason::NextHopGone, Culprit::NextHop(next_hop))),
        Some(NextHopKind::Drop) => Some(Fate::Drop(DropReason::RouteDrop, Culprit::NextHop(next_hop))),
        Some(NextHopKind::Receive) => Some(Fate::Punt(Why::ForUs(found.vrf))),
        Some(NextHopKind::Fabric(_)) => Some(Fate::Drop(DropReason::NoRoute, Culprit::NextHop(next_hop))),
        Some(NextHopKind::Vrf(_) | NextHopKind::Group(_)) => {
            Some(Fate::Drop(DropReason::NextHopGone, Culprit::NextHop(next_hop)))
        }
        // link-local addresses are for us only (RFC 4291, section 2.5.6), and for stations of one bridge
        Some(kind) if kind.takes_frames() => Some(Fate::Forward(next_hop)),
        Some(_) if is_link_local(found.packet.source) || is_link_local(found.packet.destination) => {
            Some(Fate::Drop(DropReason::SourceSpoofed, Culprit::Frame))
        }
        Some(NextHopKind::Tunnel(_) | NextHopKind::Bridged { .. }) => Some(Fate::Forward(next_hop)),
        Some(NextHopKind::Vif { vif, .. }) => {
            let other = snapshot.vifs.row(vif.index()).and_then(|vif| snapshot.vrfs.row(vif.vrf.index()));
            other.is_some_and(|other| !other.flows).then_some(Fate::Forward(next_hop))
        }
    }
}

/// Whether packets like these, without a flow, go by routes alone.
pub fn takes(snapshot: &Snapshot, question: &Question) -> bool {
    let Some(vrf) = snapshot.vrfs.row(question.vrf.index()).filter(|vrf| !vrf.flows) else { return false };
    let mut flows = false;
    let choose = |group: &Group| snapshot.choose(group, &question.tuple);
    let to = question.tuple.destination;
    let next_hop = match question.forward {
        Named::Label(next_hop) | Named::Bridged(Some(next_hop)) => Some(next_hop),
        Named::Bridged(None) => None,
        Named::Routed => snapshot.resolve(vrf.id, to, choose, |vrf, _| flows |= vrf.flows).ok().map(|way| way.next_hop),
    };
    let kind = next_hop.and_then(|next_hop| snapshot.next_hops.row(next_hop.index())).map(|row| &row.kind);
    let into = if let Some(NextHopKind::Vif { vif, .. }) = kind { snapshot.vifs.row(vif.index()) } else { None };
    let into = into.and_then(|vif| snapshot.vrfs.row(vif.vrf.index()));
    !flows && into.is_none_or(|vrf| !vrf.flows)
}

/// Lookup of what goes by routes alone: finds each packet's next hop, if the lane takes it there, and hashes what leaves by a tunnel.
pub(super) struct Routes<'a> {
    pub snapshot: &'a Snapshot,
    pub flows: &'a FlowTable,
    /// At most a burst.
    pub cells: &'a mut [Cell],
    /// What all of them are, if they are alike.
    pub only: Option<Family>,
    pub hits: &'a RouteHits,
}

impl Kernel for Routes<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Routes { snapshot, flows, cells, only, hits } = self;
        let mut exits = Exits { snapshot, flows, hits, last: (u32::MAX, Exit::Other) };
        match only {
            Some(Family::Routed4) => return look_up::<u32, true>(&mut exits, cells),
            Some(Family::Routed6) => return look_up::<u128, true>(&mut exits, cells),
            _ => {}
        }
        look_up::<u32, false>(&mut exits, cells);
        look_up::<u128, false>(&mut exits, cells);
        cells.iter_mut().filter(|cell| cell.family == Family::Other).for_each(|cell| cell.candidate = Cell::NOTHING);
    }
}

/// Finds the next hops of one family's packets, at once of those that enter where the first one does. `ALL`: there are no others.
#[inline(always)]
fn look_up<A: Destination, const ALL: bool>(exits: &mut Exits, cells: &mut [Cell]) {
    let mut destinations = [A::ZERO; BURST];
    for (cell, destination) in cells.iter().zip(&mut destinations) {
        // others are not worth the branch
        *destination = if ALL || cell.family == A::FAMILY { A::of(cell) } else { A::ZERO };
    }
    let Some(first) = cells.iter().find(|cell| ALL || cell.family == A::FAMILY) else { return };
    let context = first.words[A::CONTEXT] as u32;
    let is_together = |cell: &Cell| cell.words[A::CONTEXT] as u32 == context && cell.entrance.fixed == Cell::ROUTED;
    let mut routes = [None; BURST];
    if let Some(vrf) = exits.vrf(context) {
        A::fib(vrf).lookup_batch(&destinations[..cells.len()], &mut routes[..cells.len()]);
        // one of them, in turn, for all: so that it costs each next to nothing
        let at = exits.hits.turn(cells.len());
        let cell = &cells[at];
        if let Some((length, _)) = routes[at]
            && (ALL || cell.family == A::FAMILY)
            && is_together(cell)
        {
            exits.hits.add(exits.snapshot, (vrf.id, destinations[at].address(), length), cells.len() as i64);
        }
    }
    for (cell, route) in cells.iter_mut().zip(&routes) {
        if !ALL && cell.family != A::FAMILY {
            continue;
        }
        let next_hop =
            if is_together(cell) { route.map(|(_, next_hop)| next_hop) } else { next_hop_of::<A>(exits, cell) };
        exits.give::<A>(cell, next_hop);
    }
}

/// The next hop of a packet that enters elsewhere, or has a label that names it.
#[cold]
fn next_hop_of<A: Destination>(exits: &Exits, cell: &Cell) -> Option<NextHopId> {
    if cell.entrance.fixed != Cell::ROUTED {
        return Some(NextHopId(cell.entrance.fixed));
    }
    let vrf = exits.vrf(cell.words[A::CONTEXT] as u32)?;
    Some(A::fib(vrf).lookup(A::of(cell))?.1)
}

/// A destination of one family.
trait Destination: Bits {
    const FAMILY: Family;
    /// Which word of a cell holds the context.
    const CONTEXT: usize;
    fn of(cell: &Cell) -> Self;
    fn address(self) -> IpAddr;
    fn fib(vrf: &Vrf) -> &Fib<Self>;
    fn hash(flows: &FlowTable, cell: &Cell) -> u64;
}

impl Destination for u32 {
    const FAMILY: Family = Family::Routed4;
    const CONTEXT: usize = 1;

    #[inline(always)]
    fn of(cell: &Cell) -> u32 {
        cell.words[0] as u32
    }

    #[inline(always)]
    fn address(self) -> IpAddr {
        IpAddr::V4(self.into())
    }

    #[inline(always)]
    fn fib(vrf: &Vrf) -> &Fib<u32> {
        &vrf.v4
    }

    #[inline(always)]
    fn hash(flows: &FlowTable, cell: &Cell) -> u64 {
        flows.narrow().hash(&cell.narrow())
    }
}

impl Destination for u128 {
    const FAMILY: Family = Family::Routed6;
    const CONTEXT: usize = 4;

    #[inline(always)]
    fn of(cell: &Cell) -> u128 {
        u128::from(cell.words[2]) << 64 | u128::from(cell.words[3])
    }

    #[inline(always)]
    fn address(self) -> IpAddr {
        IpAddr::V6(self.into())
    }

    #[inline(always)]
    fn fib(vrf: &Vrf) -> &Fib<u128> {
        &vrf.v6
    }

    #[inline(always)]
    fn hash(flows: &FlowTable, cell: &Cell) -> u64 {
        flows.wide().hash(&cell.wide())
    }
}

/// Where next hops lead.
struct Exits<'a> {
    snapshot: &'a Snapshot,
    flows: &'a FlowTable,
    hits: &'a RouteHits,
    /// The next hop asked last: packets that follow each other often have the same one.
    last: (u32, Exit),
}

#[derive(Clone, Copy)]
enum Exit {
    /// To a VIF without flows.
    Vif,
    Tunnel,
    /// To something that the lane does not do.
    Other,
}

impl<'a> Exits<'a> {
    /// The VRF that packets of this context enter.
    fn vrf(&self, context: u32) -> Option<&'a Vrf> {
        let vrf = match Place::from(Context(context)) {
            Place::Vif(vif) => self.snapshot.vifs.row(vif.index())?.vrf,
            Place::Tunnel(vrf) => vrf,
        };
        self.snapshot.vrfs.row(vrf.index())
    }

    /// Gives a packet its next hop, if the lane takes it there, and its hash if that is a tunnel.
    #[inline(always)]
    fn give<A: Destination>(&mut self, cell: &mut Cell, next_hop: Option<NextHopId>) {
        cell.candidate = Cell::NOTHING;
        let Some(next_hop) = next_hop else { return };
        if next_hop.0 != self.last.0 {
            self.last = (next_hop.0, self.exit(next_hop));
        }
        match self.last.1 {
            Exit::Vif => {}
            Exit::Tunnel => cell.sought = Sought::nowhere(A::hash(self.flows, cell)),
            Exit::Other => return,
        }
        cell.candidate = next_hop.0;
    }

    fn exit(&self, next_hop: NextHopId) -> Exit {
        match self.snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
            Some(NextHopKind::Tunnel(_)) => Exit::Tunnel,
            Some(NextHopKind::Vif { vif, .. }) => {
                let vrf = self.snapshot.vifs.row(vif.index()).and_then(|vif| self.snapshot.vrfs.row(vif.vrf.index()));
                if vrf.is_some_and(|vrf| !vrf.flows) { Exit::Vif } else { Exit::Other }
            }
            _ => Exit::Other,
        }
    }
}
