//! Packet mode in the lane: plain packets that enter a VRF without flows go by its FIB alone. The destinations of a burst are looked up
//! side by side. What a route leads to other than a tunnel or a VIF without flows is left to [`flows`](super::flows), which decides the same
//! of what is taken here.

use flowtable::{FlowTable, Kernel, Sought};

use super::lane::{Cell, Family};
use crate::ids::{Context, NextHopId, Place};
use crate::port::BURST;
use crate::tables::fib::{Bits, Fib};
use crate::tables::{NextHopKind, Snapshot, Vrf};

/// Lookup of what goes by routes alone: finds each packet's next hop, if the lane takes it there, and hashes what leaves by a tunnel.
pub(super) struct Routes<'a> {
    pub snapshot: &'a Snapshot,
    pub flows: &'a FlowTable,
    /// At most a burst.
    pub cells: &'a mut [Cell],
}

impl Kernel for Routes<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Routes { snapshot, flows, cells } = self;
        let mut exits = Exits { snapshot, flows, last: (u32::MAX, Exit::Other) };
        let (mut v4, mut v6) = (Asked::<u32>::new(), Asked::<u128>::new());
        for (at, cell) in cells.iter_mut().enumerate() {
            match cell.family {
                Family::Routed4 => v4.add(&mut exits, at, cell),
                Family::Routed6 => v6.add(&mut exits, at, cell),
                Family::Other => cell.candidate = None,
                Family::V4 | Family::V6 => {}
            }
        }
        v4.answer(&mut exits, cells);
        v6.answer(&mut exits, cells);
    }
}

/// A destination of one family.
trait Destination: Bits {
    /// Which word of a cell holds the context.
    const CONTEXT: usize;
    fn of(cell: &Cell) -> Self;
    fn fib(vrf: &Vrf) -> &Fib<Self>;
    fn hash(flows: &FlowTable, cell: &Cell) -> u64;
}

impl Destination for u32 {
    const CONTEXT: usize = 1;

    #[inline(always)]
    fn of(cell: &Cell) -> u32 {
        cell.words[0] as u32
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
    const CONTEXT: usize = 4;

    #[inline(always)]
    fn of(cell: &Cell) -> u128 {
        u128::from(cell.words[2]) << 64 | u128::from(cell.words[3])
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

/// Packets of one family that enter where the first one does: their destinations, and their places in the burst.
struct Asked<A> {
    context: u32,
    count: usize,
    destinations: [A; BURST],
    places: [u8; BURST],
}

impl<A: Destination> Asked<A> {
    #[inline(always)]
    fn new() -> Asked<A> {
        Asked { context: 0, count: 0, destinations: [A::ZERO; BURST], places: [0; BURST] }
    }

    /// Takes a packet among them. What enters elsewhere, or has a label that names its next hop, is answered at once.
    #[inline(always)]
    fn add(&mut self, exits: &mut Exits, at: usize, cell: &mut Cell) {
        let context = cell.words[A::CONTEXT] as u32;
        if self.count == 0 {
            self.context = context;
        }
        if context != self.context || cell.fixed != Cell::ROUTED {
            return answer_one::<A>(exits, cell);
        }
        self.destinations[self.count % BURST] = A::of(cell);
        self.places[self.count % BURST] = at as u8;
        self.count += 1;
    }

    /// Finds their next hops.
    #[inline(always)]
    fn answer(&self, exits: &mut Exits, cells: &mut [Cell]) {
        if self.count == 0 {
            return;
        }
        let mut routes = [None; BURST];
        if let Some(vrf) = exits.vrf(self.context) {
            A::fib(vrf).lookup_batch(&self.destinations[..self.count], &mut routes[..self.count]);
        }
        for (at, route) in self.places[..self.count].iter().zip(routes) {
            exits.give::<A>(&mut cells[usize::from(*at)], route.map(|(_, next_hop)| next_hop));
        }
    }
}

fn answer_one<A: Destination>(exits: &mut Exits, cell: &mut Cell) {
    let next_hop = if cell.fixed == Cell::ROUTED {
        let vrf = exits.vrf(cell.words[A::CONTEXT] as u32);
        vrf.and_then(|vrf| Some(A::fib(vrf).lookup(A::of(cell))?.1))
    } else {
        Some(NextHopId(cell.fixed))
    };
    exits.give::<A>(cell, next_hop);
}

/// Where next hops lead.
struct Exits<'a> {
    snapshot: &'a Snapshot,
    flows: &'a FlowTable,
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
        cell.candidate = None;
        let Some(next_hop) = next_hop else { return };
        if next_hop.0 != self.last.0 {
            self.last = (next_hop.0, self.exit(next_hop));
        }
        match self.last.1 {
            Exit::Vif => {}
            Exit::Tunnel => cell.sought = Sought::nowhere(A::hash(self.flows, cell)),
            Exit::Other => return,
        }
        cell.candidate = Some(next_hop.0);
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
