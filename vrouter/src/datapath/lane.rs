//! The lane of plain packets: those whose flow is in the table, stands, and asks for nothing but a rewrite, which is nearly all of them;
//! and those of packet mode whose route leads straight out.
//!
//! Its steps are those of [`Worker::forward`](super::Worker), each a loop over the burst: classify ([`gate`](super::gate)), lookup, count,
//! rewrite. The lane forwards a run of packets and stops before the first that it does not take, which goes the slower way untouched: so
//! no packet passes another one.

use flowtable::{Counter, ELSEWHERE, FlowTable, Kernel, Key, NOWHERE, Packet, Section, Sought, Standing, at_level};

use super::gate::{Entrance, Gate, Modes, Reader};
use super::grace::{Overlook, View};
use super::headers::{self, Inner};
use super::lifetime::LABELLED;
use super::packet_mode::Routes;
use super::route_hits::RouteHits;
use super::table::Decided;
use crate::ids::{Generation, PortIndex, Tick};
use crate::packet::ether;
use crate::packet::ip;
use crate::packet::plain::IP4;
use crate::port::{BURST, Frame};
use crate::tables::{NextHop, Rewrite, Snapshot};

/// What is known of the frames of one burst.
pub(super) struct Lane {
    cells: Box<[Cell; BURST]>,
    modes: Modes,
    /// What all of them are, if they are alike.
    only: Option<Family>,
}

/// One frame.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub entrance: Entrance,
    pub family: Family,
    pub protocol: u8,
    /// The TOS that its packet is to have, if that is not the one in the frame.
    pub tos: u8,
    /// State bits that it sets.
    pub set: u16,
    /// Bytes of its L3 packet.
    pub length: u16,
    /// Place of the entry that is probably its; in packet mode its next hop, if the lane takes it there; or [`Cell::NOTHING`].
    pub candidate: u32,
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

    /// As one of a set.
    #[inline(always)]
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The one that a set holds, if it is one.
    fn only(set: u8) -> Option<Family> {
        [Family::V4, Family::V6, Family::Routed4, Family::Routed6].into_iter().find(|family| family.bit() == set)
    }
}

/// A step over frames that are all of one kind, so that what differs between kinds need not be asked of each.
struct Only<const NUMBER: u8, K>(K);

/// The kinds: IPv4 (for rewriting also that of packet mode), IPv6 (likewise), packet mode (for counting), and any.
const V4: u8 = 4;
const V6: u8 = 6;
const ROUTED: u8 = 1;
const MIXED: u8 = 0;

impl Lane {
    pub fn new() -> Lane {
        Lane { cells: Box::new([Cell::OTHER; BURST]), modes: Modes::NONE, only: None }
    }

    /// Classify and lookup: reads the frames, at most a burst, and asks for their entries, or finds their routes.
    pub fn see(
        &mut self,
        snapshot: &Snapshot,
        gate: &mut Gate,
        (flows, hits): (&FlowTable, &RouteHits),
        frames: &[Frame],
    ) {
        let cells = &mut self.cells[..frames.len()];
        let (modes, families) = match gate {
            Gate::Closed => {
                cells.iter_mut().for_each(|cell| (cell.family, cell.candidate) = (Family::Other, Cell::NOTHING));
                (Modes::NONE, Family::Other.bit())
            }
            Gate::Tenant(gate) => at_level(Read { gate, flows, frames, cells }),
            Gate::Fabric(gate) => at_level(Read { gate, flows, frames, cells }),
        };
        (self.modes, self.only) = (modes, Family::only(families));
        if self.modes.flows {
            let meet = Meet { flows, cells };
            match self.only {
                Some(Family::V4) => at_level(Only::<V4, _>(meet)),
                Some(Family::V6) => at_level(Only::<V6, _>(meet)),
                _ => at_level(Only::<MIXED, _>(meet)),
            }
        }
        if self.modes.routes {
            at_level(Routes { snapshot, flows, cells, only: self.only, hits });
        }
    }

    /// Counts and rewrites frames, of which the first is that of cell `at`, up to the first that the lane does not take. Returns how many
    /// there are, the port that all of them leave by if it is one, and in `rewrites` where each leaves.
    pub fn go<'a>(
        &self,
        (snapshot, overlook): (&'a Snapshot, Option<&Overlook<'a>>),
        (flows, counter): (&FlowTable, &mut Counter),
        now: Tick,
        at: usize,
        frames: &mut [Frame],
        rewrites: &mut [&'a Rewrite; BURST],
    ) -> (usize, Option<PortIndex>) {
        let cells = &self.cells[at..];
        let mut section = counter.section();
        let (whose, to) = (&cells[..frames.len()], &mut *rewrites);
        let taken = match overlook {
            None => self.count(Count { view: snapshot, flows, section: &mut section, now, cells: whose, rewrites: to }),
            Some(overlook) => {
                let view = (snapshot, overlook);
                self.count(Count { view, flows, section: &mut section, now, cells: whose, rewrites: to })
            }
        };
        drop(section);
        let write = Write { cells, frames: &mut frames[..taken.0], rewrites };
        match self.only {
            Some(Family::V4 | Family::Routed4) => at_level(Only::<V4, _>(write)),
            Some(Family::V6 | Family::Routed6) => at_level(Only::<V6, _>(write)),
            _ => at_level(Only::<MIXED, _>(write)),
        }
        taken
    }

    #[inline(always)]
    fn count<'a>(&self, count: Count<'a, '_, '_, impl View<'a>>) -> (usize, Option<PortIndex>) {
        match self.only {
            Some(Family::V4) => at_level(Only::<V4, _>(count)),
            Some(Family::V6) => at_level(Only::<V6, _>(count)),
            Some(Family::Routed4 | Family::Routed6) => at_level(Only::<ROUTED, _>(count)),
            _ => at_level(Only::<MIXED, _>(count)),
        }
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
        1 + self.cells[at + 1..frames].iter().take_while(|cell| cell.candidate == Cell::NOTHING).count()
    }
}

/// Classify: reads each frame into its cell, hashes its key and asks for the bucket. Says what there is, and the families.
struct Read<'a, R> {
    gate: &'a mut R,
    flows: &'a FlowTable,
    frames: &'a [Frame],
    cells: &'a mut [Cell],
}

impl<R: Reader> Kernel for Read<'_, R> {
    type Out = (Modes, u8);

    #[inline(always)]
    fn run(self) -> (Modes, u8) {
        let (narrow, wide) = (self.flows.narrow().view(), self.flows.wide().view());
        let mut families = 0;
        for (frame, cell) in self.frames.iter().zip(self.cells) {
            let family = self.gate.read(frame, cell).unwrap_or(Family::Other);
            let roomy = usize::from(frame.start()) + usize::from(cell.entrance.l3) >= Rewrite::ROOM;
            cell.family = if roomy { family } else { Family::Other };
            families |= cell.family.bit();
            match cell.family {
                Family::V4 => cell.sought = narrow.seek(&cell.narrow()),
                Family::V6 => cell.sought = wide.seek(&cell.wide()),
                _ => {}
            }
        }
        (self.gate.modes(), families)
    }
}

/// Lookup: finds each key's tag in its bucket and asks for the entry.
struct Meet<'a> {
    flows: &'a FlowTable,
    cells: &'a mut [Cell],
}

impl<const NUMBER: u8> Kernel for Only<NUMBER, Meet<'_>> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Meet { flows, cells } = self.0;
        let (narrow, wide) = (flows.narrow().view(), flows.wide().view());
        let mut elsewhere = false;
        for cell in &mut *cells {
            cell.candidate = match cell.family_of::<NUMBER>() {
                Family::V4 => narrow.candidate(cell.sought),
                Family::V6 => wide.candidate(cell.sought),
                _ => Cell::NOTHING,
            };
            elsewhere |= cell.candidate == ELSEWHERE;
        }
        if elsewhere {
            // the second buckets have been asked for meanwhile
            for cell in cells.iter_mut().filter(|cell| cell.candidate == ELSEWHERE) {
                cell.candidate = match cell.family_of::<NUMBER>() {
                    Family::V4 => flows.narrow().candidate_elsewhere(cell.sought),
                    _ => flows.wide().candidate_elsewhere(cell.sought),
                };
            }
        }
    }
}

/// Count: compares each key with its entry, judges whether it stands, and counts the packet.
struct Count<'a, 'b, 'c, V> {
    view: V,
    flows: &'b FlowTable,
    section: &'b mut Section<'c>,
    now: Tick,
    cells: &'b [Cell],
    rewrites: &'b mut [&'a Rewrite; BURST],
}

impl<'a, const NUMBER: u8, V: View<'a>> Kernel for Only<NUMBER, Count<'a, '_, '_, V>> {
    type Out = (usize, Option<PortIndex>);

    #[inline(always)]
    fn run(self) -> Self::Out {
        let Count { view, flows, section, now, cells, rewrites } = self.0;
        let mut taken = 0;
        let mut last = (u32::MAX, None);
        // ports that differ from the one before: their bits
        let (mut port, mut differ) = (None, 0);
        for (cell, place) in cells.iter().zip(rewrites) {
            let family = cell.family_of::<NUMBER>();
            let rewrite = if family.is_routed() {
                cell.routed(view.snapshot(), &mut last)
            } else {
                cell.count(family, view, flows, section, now)
            };
            let Some(rewrite) = rewrite else { break };
            differ |= port.unwrap_or(rewrite.port).0 ^ rewrite.port.0;
            port = Some(rewrite.port);
            *place = rewrite;
            taken += 1;
        }
        (taken, port.filter(|_| differ == 0))
    }
}

/// Rewrite: TTL and headers.
struct Write<'a, 'b> {
    cells: &'b [Cell],
    frames: &'b mut [Frame],
    rewrites: &'b [&'a Rewrite; BURST],
}

impl<const NUMBER: u8> Kernel for Only<NUMBER, Write<'_, '_>> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        let Write { cells, frames, rewrites } = self.0;
        for ((cell, frame), rewrite) in cells.iter().zip(frames).zip(rewrites) {
            let written = cell.rewrite(cell.family_of::<NUMBER>().is_v4(), frame, rewrite);
            debug_assert!(written.is_some(), "there is room before the packet");
        }
    }
}

impl Cell {
    /// In place of a label's next hop: there is a route.
    pub const ROUTED: u32 = u32::MAX;
    /// In place of an entry's place, or a next hop: of neither are there so many.
    pub const NOTHING: u32 = NOWHERE;
    const OTHER: Cell = Cell {
        entrance: Entrance::NONE,
        family: Family::Other,
        protocol: 0,
        tos: 0,
        set: 0,
        length: 0,
        candidate: Cell::NOTHING,
        sought: Sought::NOTHING,
        words: [0; 5],
    };

    /// Its family, in a step over frames of this kind.
    #[inline(always)]
    fn family_of<const NUMBER: u8>(&self) -> Family {
        match NUMBER {
            V4 => Family::V4,
            V6 => Family::V6,
            // of which does not matter to whoever asks
            ROUTED => Family::Routed4,
            _ => self.family,
        }
    }

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
        family: Family,
        view: impl View<'a>,
        flows: &FlowTable,
        section: &mut Section,
        now: Tick,
    ) -> Option<&'a Rewrite> {
        let stands = |standing: &mut Standing| view.goes(self, standing);
        let own = match family {
            Family::V4 => flows.narrow().try_count(self.candidate, &self.narrow(), self.packet(now), section, stands),
            Family::V6 => flows.wide().try_count(self.candidate, &self.wide(), self.packet(now), section, stands),
            _ => return None,
        };
        own.unwrap_or_else(|| self.count_first(family, view, flows, section, now))
    }

    /// The same of a flow that nobody has counted yet, or that somebody is just changing.
    #[inline(never)]
    fn count_first<'a>(
        &self,
        family: Family,
        view: impl View<'a>,
        flows: &FlowTable,
        section: &mut Section,
        now: Tick,
    ) -> Option<&'a Rewrite> {
        if self.candidate == Cell::NOTHING {
            return None;
        }
        let stands = |standing: &mut Standing| view.goes(self, standing);
        match family {
            Family::V4 => flows.narrow().count(self.candidate, &self.narrow(), self.packet(now), section, stands),
            _ => flows.wide().count(self.candidate, &self.wide(), self.packet(now), section, stands),
        }
    }

    #[inline(always)]
    fn packet(&self, now: Tick) -> Packet {
        Packet { bytes: self.length.into(), now: now.0, set: self.set }
    }

    /// Its flow was decided for packets that name their next hop as this one does: as [`Cell::stands`] asks, where it is asked of few.
    pub fn is_named(&self, standing: &Standing) -> bool {
        let labelled = standing.state & LABELLED != 0;
        !standing.initiator || self.entrance.fixed == if labelled { standing.half.next_hop } else { Cell::ROUTED }
    }

    /// As `flows::Lookup::is_valid`: nothing that the decision rests on has changed since it was made. And no snapshot has that is newer
    /// than ours.
    #[inline(always)]
    pub fn stands<'a>(&self, snapshot: &'a Snapshot, standing: &mut Standing) -> Option<&'a Rewrite> {
        let half = standing.half;
        let row = snapshot.next_hops.row(half.next_hop as usize)?;
        let decided = Decided(half.stamp).generation();
        if decided < row.last() || decided > snapshot.generation.0 || self.length > row.mtu {
            return None;
        }
        // the way of the packet that began the flow
        if standing.initiator {
            let labelled = standing.state & LABELLED != 0;
            if self.entrance.fixed != if labelled { half.next_hop } else { Cell::ROUTED } {
                return None;
            }
        }
        if decided < self.entrance.last {
            if !self.routes_stand(snapshot, decided, standing.initiator) {
                return None;
            }
            // so the stripes are asked once a change, not once a packet
            standing.half.stamp = Decided::new(Generation(self.entrance.last), Decided(half.stamp).member()).0;
        }
        row.ready().way(self.sought.hash())
    }

    /// Whether no route has changed that a decision of this generation rests on, as by `flows::Lookup::routed_since`. Apart, so that what is
    /// asked of every packet stays short.
    #[inline(never)]
    fn routes_stand(&self, snapshot: &Snapshot, decided: u64, initiator: bool) -> bool {
        let ([a, _, c, ..], vrf, stripes) = (self.words, self.entrance.vrf, &snapshot.stripes);
        let [source, destination] = match self.family {
            Family::V6 => [stripes.last_v6(vrf, a), stripes.last_v6(vrf, c)],
            _ => [stripes.last_v4(vrf, (a >> 32) as u32), stripes.last_v4(vrf, a as u32)],
        };
        let since = if initiator { destination } else { destination.max(source) };
        decided >= self.entrance.base.max(since)
    }

    /// By which rewrite its next hop sends it on in packet mode. `last`: the next hop of the packet before, and its row.
    #[inline(always)]
    fn routed<'a>(&self, snapshot: &'a Snapshot, last: &mut (u32, Option<&'a NextHop>)) -> Option<&'a Rewrite> {
        let next_hop = self.candidate;
        if next_hop != last.0 {
            *last = (next_hop, snapshot.next_hops.row(next_hop as usize));
        }
        let row = last.1?;
        if self.length <= row.mtu { row.ready().way(self.sought.hash()) } else { None }
    }

    /// Takes one from the TTL, and puts the headers before the packet. The same bytes as by [`act`](super::act).
    #[inline(always)]
    fn rewrite(&self, v4: bool, frame: &mut Frame, rewrite: &Rewrite) -> Option<()> {
        const ALL: usize = Rewrite::ROOM + IP4;
        let place: &mut [u8; ALL] = frame.around(usize::from(self.entrance.l3), Rewrite::ROOM)?;
        let (front, packet) = place.split_first_chunk_mut::<{ Rewrite::ROOM }>()?;
        let packet: &mut [u8; IP4] = packet.first_chunk_mut()?;
        let ttl = if v4 { packet[8] } else { packet[7] };
        if self.entrance.remarked {
            ip::remark(packet, self.tos, ttl);
        }
        let (tos, ethertype) = if v4 {
            headers::decrement_ttl(packet);
            (packet[1], ether::IPV4)
        } else {
            packet[7] = ttl - 1;
            ((u16::from_be_bytes([packet[0], packet[1]]) >> 4) as u8, ether::IPV6)
        };
        let class = tos & rewrite.class_mask | rewrite.class_bits;
        headers::put(front, rewrite, Inner { ethertype, class, length: self.length, hash: self.sought.hash() });
        frame.set_front(self.entrance.l3.into(), rewrite.len.into(), self.length);
        Some(())
    }
}
