//! The lane of plain packets: those whose flow is in the table, stands, and asks for nothing but a rewrite, which is nearly all of them;
//! and those of packet mode whose route leads straight out.
//!
//! Its steps are those of [`Worker::forward`](super::Worker), each a loop over the burst: classify ([`gate`](super::gate)), lookup, count,
//! rewrite. The lane forwards a run of packets and stops before the first that it does not take, which goes the slower way untouched: so
//! no packet passes another one.

use flowtable::{Counter, FlowTable, Kernel, Key, Packet, Section, Sought, Standing, at_level};

use super::gate::{Gate, Ground, Modes, Reader};
use super::headers::{self, Inner};
use super::lifetime::LABELLED;
use super::packet_mode::Routes;
use super::table::Decided;
use crate::ids::Tick;
use crate::packet::ether;
use crate::packet::ip;
use crate::packet::plain::IP4;
use crate::port::{BURST, Frame};
use crate::tables::{NextHop, Rewrite, Snapshot, Stripes};

/// What is known of the frames of one burst.
pub(super) struct Lane {
    cells: Box<[Cell; BURST]>,
    modes: Modes,
}

/// One frame.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub family: Family,
    /// Where its L3 packet begins in the frame.
    pub l3: u8,
    pub protocol: u8,
    /// TOS and TTL of its packet; `remarked`: that TOS is not the one in the frame.
    pub tos: u8,
    pub ttl: u8,
    pub remarked: bool,
    /// State bits that it sets.
    pub set: u16,
    /// Bytes of its L3 packet.
    pub length: u16,
    /// Place of the entry that is probably its, if there is one; in packet mode its next hop, if the lane takes it there.
    pub candidate: Option<u32>,
    /// The next hop that its label names, or [`Cell::ROUTED`].
    pub fixed: u32,
    pub ground: Ground,
    /// In packet mode known only of what leaves by a tunnel.
    pub sought: Sought,
    /// Words of its key: with IPv4 the first two.
    pub words: [u64; 5],
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// No plain packet.
    Other,
    V4,
    V6,
    /// The same in packet mode.
    Routed4,
    Routed6,
}

impl Family {
    /// Those of plain packets where there are flows, and where there are none.
    pub fn by(flows: bool) -> [Family; 2] {
        if flows { [Family::V4, Family::V6] } else { [Family::Routed4, Family::Routed6] }
    }

    #[inline(always)]
    pub fn is_routed(self) -> bool {
        matches!(self, Family::Routed4 | Family::Routed6)
    }

    #[inline(always)]
    fn is_v4(self) -> bool {
        matches!(self, Family::V4 | Family::Routed4)
    }
}

impl Lane {
    pub fn new() -> Lane {
        Lane { cells: Box::new([Cell::OTHER; BURST]), modes: Modes::NONE }
    }

    /// Classify and lookup: reads the frames, at most a burst, and asks for their entries, or finds their routes.
    pub fn see(&mut self, snapshot: &Snapshot, gate: &mut Gate, flows: &FlowTable, frames: &[Frame]) {
        let cells = &mut self.cells[..frames.len()];
        self.modes = match gate {
            Gate::Closed => {
                cells.iter_mut().for_each(|cell| (cell.family, cell.candidate) = (Family::Other, None));
                Modes::NONE
            }
            Gate::Tenant(gate) => at_level(Read { gate, flows, frames, cells }),
            Gate::Fabric(gate) => at_level(Read { gate, flows, frames, cells }),
        };
        if self.modes.flows {
            at_level(Meet { flows, cells });
        }
        if self.modes.striped {
            at_level(Ask { stripes: &snapshot.stripes, cells });
        }
        if self.modes.routes {
            at_level(Routes { snapshot, flows, cells });
        }
    }

    /// Counts and rewrites frames, of which the first is that of cell `at`, up to the first that the lane does not take. Returns how many
    /// there are, and in `rewrites` where each leaves.
    pub fn go<'a>(
        &self,
        snapshot: &'a Snapshot,
        (flows, counter): (&FlowTable, &mut Counter),
        now: Tick,
        at: usize,
        frames: &mut [Frame],
        rewrites: &mut [Option<&'a Rewrite>; BURST],
    ) -> usize {
        let cells = &self.cells[at..];
        let section = &mut counter.section();
        let taken = at_level(Count { snapshot, flows, section, now, cells: &cells[..frames.len()], rewrites });
        at_level(Write { cells, frames: &mut frames[..taken], rewrites });
        taken
    }

    /// How many of so many frames from `at` on, which the lane has taken, had flows.
    pub fn hits(&self, at: usize, taken: usize) -> usize {
        match self.modes {
            Modes { flows: false, .. } => 0,
            Modes { routes: false, .. } => taken,
            _ => self.cells[at..at + taken].iter().filter(|cell| !cell.family.is_routed()).count(),
        }
    }

    /// How many frames from `at` on the lane will not take: at least one.
    pub fn others(&self, at: usize, frames: usize) -> usize {
        1 + self.cells[at + 1..frames].iter().take_while(|cell| cell.candidate.is_none()).count()
    }
}

/// Classify: reads each frame into its cell, hashes its key and asks for the bucket. Says what there is.
struct Read<'a, R> {
    gate: &'a mut R,
    flows: &'a FlowTable,
    frames: &'a [Frame],
    cells: &'a mut [Cell],
}

impl<R: Reader> Kernel for Read<'_, R> {
    type Out = Modes;

    #[inline(always)]
    fn run(self) -> Modes {
        let (narrow, wide) = (self.flows.narrow(), self.flows.wide());
        for (frame, cell) in self.frames.iter().zip(self.cells) {
            let family = self.gate.read(frame, cell).unwrap_or(Family::Other);
            let roomy = usize::from(frame.start()) + usize::from(cell.l3) >= Rewrite::ROOM;
            cell.family = if roomy { family } else { Family::Other };
            match cell.family {
                Family::V4 => cell.sought = narrow.seek(&cell.narrow()),
                Family::V6 => cell.sought = wide.seek(&cell.wide()),
                _ => {}
            }
        }
        self.gate.modes()
    }
}

/// Lookup: finds each key's tag in its bucket and asks for the entry.
struct Meet<'a> {
    flows: &'a FlowTable,
    cells: &'a mut [Cell],
}

impl Kernel for Meet<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let (narrow, wide) = (self.flows.narrow(), self.flows.wide());
        for cell in self.cells {
            cell.candidate = match cell.family {
                Family::V4 => narrow.candidate(cell.sought),
                Family::V6 => wide.candidate(cell.sought),
                _ => None,
            };
        }
    }
}

/// Lookup, while routes change: asks for the stripes that tell which.
struct Ask<'a> {
    stripes: &'a Stripes,
    cells: &'a [Cell],
}

impl Kernel for Ask<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for cell in self.cells {
            let ([a, _, c, ..], vrf) = (cell.words, cell.ground.vrf);
            match cell.family {
                Family::V4 => [a >> 32, a].into_iter().for_each(|end| self.stripes.prefetch_v4(vrf, end as u32)),
                Family::V6 => [a, c].into_iter().for_each(|end| self.stripes.prefetch_v6(vrf, end)),
                _ => {}
            }
        }
    }
}

/// Count: compares each key with its entry, judges whether it stands, and counts the packet.
struct Count<'a, 'b, 'c> {
    snapshot: &'a Snapshot,
    flows: &'b FlowTable,
    section: &'b mut Section<'c>,
    now: Tick,
    cells: &'b [Cell],
    rewrites: &'b mut [Option<&'a Rewrite>; BURST],
}

impl Kernel for Count<'_, '_, '_> {
    type Out = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let mut taken = 0;
        let mut last = (u32::MAX, None);
        for (cell, rewrite) in self.cells.iter().zip(self.rewrites) {
            *rewrite = if cell.family.is_routed() {
                cell.routed(self.snapshot, &mut last)
            } else {
                cell.count(self.snapshot, self.flows, self.section, self.now)
            };
            if rewrite.is_none() {
                break;
            }
            taken += 1;
        }
        taken
    }
}

/// Rewrite: TTL and headers.
struct Write<'a, 'b> {
    cells: &'b [Cell],
    frames: &'b mut [Frame],
    rewrites: &'b [Option<&'a Rewrite>; BURST],
}

impl Kernel for Write<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for ((cell, frame), rewrite) in self.cells.iter().zip(self.frames).zip(self.rewrites) {
            let written = rewrite.and_then(|rewrite| cell.rewrite(frame, rewrite));
            debug_assert!(written.is_some(), "there is room before the packet");
        }
    }
}

impl Cell {
    /// In place of a label's next hop: there is a route.
    pub const ROUTED: u32 = u32::MAX;
    const OTHER: Cell = Cell {
        family: Family::Other,
        l3: 0,
        protocol: 0,
        tos: 0,
        ttl: 0,
        remarked: false,
        set: 0,
        length: 0,
        candidate: None,
        fixed: Cell::ROUTED,
        ground: Ground::NONE,
        sought: Sought::NOTHING,
        words: [0; 5],
    };

    #[inline(always)]
    pub fn narrow(&self) -> Key<2> {
        Key { words: [self.words[0], self.words[1]], tag: self.protocol.into() }
    }

    #[inline(always)]
    pub fn wide(&self) -> Key<5> {
        Key { words: self.words, tag: self.protocol.into() }
    }

    /// Counts the packet to its flow, if that stands and sends it on by a mere rewrite: which one.
    #[inline(always)]
    fn count<'a>(
        &self,
        snapshot: &'a Snapshot,
        flows: &FlowTable,
        section: &mut Section,
        now: Tick,
    ) -> Option<&'a Rewrite> {
        let packet = Packet { bytes: self.length.into(), now: now.0, set: self.set };
        let stands = |standing: &Standing| self.stands(snapshot, standing);
        match self.family {
            Family::V4 => flows.narrow().count_if(self.candidate?, &self.narrow(), packet, section, stands),
            Family::V6 => flows.wide().count_if(self.candidate?, &self.wide(), packet, section, stands),
            _ => None,
        }
    }

    /// As `flows::Lookup::is_valid`: nothing that the decision rests on has changed since it was made. And no snapshot has that is newer
    /// than ours.
    #[inline(always)]
    fn stands<'a>(&self, snapshot: &'a Snapshot, standing: &Standing) -> Option<&'a Rewrite> {
        let half = standing.half;
        let row = snapshot.next_hops.row(half.next_hop as usize)?;
        let decided = Decided(half.stamp).generation();
        let of_now = decided >= row.stamp.0 && decided <= snapshot.generation.0;
        if decided < self.ground.last && !self.routes_stand(snapshot, decided, standing.initiator) {
            return None;
        }
        let labelled = standing.state & LABELLED != 0;
        let same_way = !standing.initiator || self.fixed == if labelled { half.next_hop } else { Cell::ROUTED };
        let fits = self.length <= row.mtu;
        if of_now && same_way && fits { row.ready().way(self.sought.hash()) } else { None }
    }

    /// Whether no route has changed that a decision of this generation rests on, as by `flows::Lookup::routed_since`. Apart, so that what is
    /// asked of every packet stays short.
    #[inline(never)]
    fn routes_stand(&self, snapshot: &Snapshot, decided: u64, initiator: bool) -> bool {
        let ([a, _, c, ..], vrf, stripes) = (self.words, self.ground.vrf, &snapshot.stripes);
        let [source, destination] = match self.family {
            Family::V6 => [a, c].map(|end| stripes.last_v6(vrf, end)),
            _ => [a >> 32, a].map(|end| stripes.last_v4(vrf, end as u32)),
        };
        let since = if initiator { destination } else { destination.max(source) };
        decided >= self.ground.base.max(since)
    }

    /// By which rewrite its next hop sends it on in packet mode. `last`: the next hop of the packet before, and its row.
    #[inline(always)]
    fn routed<'a>(&self, snapshot: &'a Snapshot, last: &mut (u32, Option<&'a NextHop>)) -> Option<&'a Rewrite> {
        let next_hop = self.candidate?;
        if next_hop != last.0 {
            *last = (next_hop, snapshot.next_hops.row(next_hop as usize));
        }
        let row = last.1?;
        if self.length <= row.mtu { row.ready().way(self.sought.hash()) } else { None }
    }

    /// Takes one from the TTL, and puts the headers before the packet. The same bytes as by [`act`](super::act).
    #[inline(always)]
    fn rewrite(&self, frame: &mut Frame, rewrite: &Rewrite) -> Option<()> {
        const ALL: usize = Rewrite::ROOM + IP4;
        let place: &mut [u8; ALL] = frame.around(usize::from(self.l3), Rewrite::ROOM)?;
        let (front, packet) = place.split_first_chunk_mut::<{ Rewrite::ROOM }>()?;
        let packet: &mut [u8; IP4] = packet.first_chunk_mut()?;
        if self.remarked {
            ip::remark(packet, self.tos, self.ttl);
        }
        if self.family.is_v4() {
            headers::decrement_ttl(packet)
        } else {
            packet[7] -= 1
        }
        let class = self.tos & rewrite.class_mask | rewrite.class_bits;
        let ethertype = if self.family.is_v4() { ether::IPV4 } else { ether::IPV6 };
        headers::put(front, rewrite, Inner { ethertype, class, length: self.length, hash: self.sought.hash() });
        frame.set_front(self.l3.into(), rewrite.len.into(), self.length);
        Some(())
    }
}
