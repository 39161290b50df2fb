//! The slow path: takes workers' punts to [`Local`], and its answers back to a worker.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::bfd::Books;
use super::clock::tick_at;
use crate::datapath::Shared;
use crate::datapath::counters::{Counter, Counters};
use crate::datapath::punt::{self, Inject, Injection, Ring, Rings};
use crate::datapath::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{Mac, NextHopId, Place, Tick, VifId, VrfId};
use crate::local::{Limits, Local, NeighbourState, Outcome, Output, Punt, TunnelId, TunnelSource, Why};
use crate::port::{HEADROOM, LARGE_ROOM};
use crate::tables::{NextHopKind, Sighting, Snapshot, Tunnel, Underlay, Ways};

/// Control thread.
pub struct SlowPath {
    shared: Arc<Shared>,
    local: Local,
    /// Drops made here.
    counters: Counters,
    handled: u64,
    consumed: u64,
    originated: Counter,
    enqueued: Counter,
    now: Tick,
}

/// What was dropped, for people.
struct Dropped<'a> {
    /// Where it entered.
    vif: Option<VifId>,
    /// What its tunnel is for, if it came by one.
    tunnel: Option<VrfId>,
    culprit: Culprit,
    bytes: &'a [u8],
    /// They begin with an Ethernet header.
    framed: bool,
}

/// What the model must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Learn { vif: VifId, address: IpAddr, mac: Mac },
    Forget { vif: VifId, address: std::net::IpAddr },
}

impl SlowPath {
    /// Nothing known, nothing held.
    pub fn new(shared: Arc<Shared>, limits: Limits) -> SlowPath {
        let counters = Counters::new(shared.vif_slots);
        let (originated, enqueued) = (Counter::default(), Counter::default());
        let (local, now) = (Local::new(limits), Tick(0));
        SlowPath { shared, local, counters, handled: 0, consumed: 0, originated, enqueued, now }
    }

    /// Takes what waits: at most `most` punts of the underlay, then as many of tenants, each worker its share. `tell` carries a neighbour to the model, publishes, and gives the
    /// snapshot that is current then. Returns how many were taken.
    pub fn take(
        &mut self,
        snapshot: &mut Arc<Snapshot>,
        now_ms: u64,
        most: usize,
        mut tell: impl FnMut(Told) -> Arc<Snapshot>,
    ) -> usize {
        let shared = self.shared.clone();
        self.now = tick_at(now_ms);
        let mut taken = 0;
        let share = most.div_ceil(shared.workers.len().max(1));
        let classes: [fn(&Rings) -> &Ring; 2] = [|rings| &rings.underlay, |rings| &rings.tenant];
        for class in classes {
            for (worker, end) in shared.workers.iter().enumerate() {
                let ring = class(&end.rings);
                for punt in std::iter::from_fn(|| ring.punts.pop()).take(share) {
                    taken += 1;
                    self.punt(snapshot, punt, worker, now_ms, &mut tell);
                }
            }
        }
        taken
    }

    /// Where workers saw stations of bridges: at most so many from each.
    pub fn sightings(&self, most: usize) -> Vec<Sighting> {
        let rings = self.shared.workers.iter().map(|end| &end.rings.sightings);
        rings.flat_map(|ring| std::iter::from_fn(|| ring.pop()).take(most)).collect()
    }

    /// Does what is due; about ten times a second.
    pub fn tick(&mut self, snapshot: &mut Arc<Snapshot>, now_ms: u64, mut tell: impl FnMut(Told) -> Arc<Snapshot>) {
        let mut out = Vec::new();
        self.now = tick_at(now_ms);
        self.local.tick(snapshot, now_ms, &mut out);
        self.carry_out(snapshot, out, 0, &mut tell);
        self.release(snapshot);
    }

    /// The neighbours that are wanted.
    pub fn local(&mut self) -> &mut Local {
        &mut self.local
    }

    /// The neighbours that are asked whether they are still there, by VIF and address.
    pub fn probing(&self) -> HashSet<(VifId, IpAddr)> {
        let probing = self.local.neighbours().filter(|neighbour| neighbour.state == NeighbourState::Probing);
        probing.map(|neighbour| (neighbour.vif, neighbour.address)).collect()
    }

    /// Takes what became of BFD's packets into the books.
    pub fn enter(&mut self, books: &Books) {
        self.handled += books.handled;
        self.consumed += books.consumed;
        self.originated.add(books.originated);
        self.enqueued.add(books.enqueued);
        for (&(vif, reason), &packets) in &books.drops {
            self.counters.drop(vif.unwrap_or(self.counters.no_vif()), reason, packets);
        }
        for (vif, reason, bytes) in &books.last {
            let it = Dropped { vif: *vif, tunnel: None, culprit: Culprit::Frame, bytes, framed: false };
            self.remember(*reason, &it);
        }
    }

    /// Its counters, for the books.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Frames made here.
    pub fn originated(&self) -> u64 {
        self.originated.count()
    }

    /// Punts that were answered or absorbed.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Frames that are in the rings or held.
    pub fn held(&self) -> u64 {
        let workers = self.shared.workers.iter().map(|end| &end.counters.worker);
        let (mut punted, mut injected) = (0, 0);
        for worker in workers {
            punted += worker.punted.count() + worker.copied.count();
            injected += worker.injected.count();
        }
        let rings = punted.saturating_sub(self.handled) + self.enqueued.count().saturating_sub(injected);
        rings + self.local.held() as u64
    }

    fn punt(
        &mut self,
        snapshot: &mut Arc<Snapshot>,
        punt: punt::Punt,
        worker: usize,
        now_ms: u64,
        tell: &mut impl FnMut(Told) -> Arc<Snapshot>,
    ) {
        let mut out = Vec::new();
        // a held packet is opaque to `local`: its next hop, VIF and hash come back with it; if it ends there, it is its VIF's
        let held = matches!(punt.why, punt::Why::Resolve { .. }).then(|| token(&punt));
        let of_vif = punt.vif.filter(|_| held.is_some()).map(Place::Vif);
        let bytes = held.as_deref().unwrap_or(punt.frame.bytes());
        let asked = Punt {
            place: of_vif.unwrap_or(punt.place),
            why: why(punt.why),
            frame: bytes,
            tunnel: punt.tunnel.filter(|_| of_vif.is_none()).map(tunnel),
            l3_offset: usize::from(punt.l3),
        };
        let outcome = self.local.punt(snapshot, asked, now_ms, &mut out);
        self.handled += 1;
        match outcome {
            Outcome::Consumed => self.consumed += 1,
            Outcome::Held => {}
            Outcome::Dropped(reason) => {
                let culprit = match punt.why {
                    punt::Why::Resolve { next_hop, .. } => Culprit::NextHop(next_hop),
                    _ => Culprit::Frame,
                };
                let tunnel = match punt.place {
                    Place::Tunnel(vrf) => punt.tunnel.map(|_| vrf),
                    Place::Vif(_) => None,
                };
                // what comes by VIFs has an Ethernet header, also what has no L3 that was read
                let framed = punt.l3 > 0 || tunnel.is_none() && held.is_none();
                let bytes = punt.frame.bytes();
                self.drop(snapshot, reason, &Dropped { vif: punt.vif, tunnel, culprit, bytes, framed });
            }
        }
        drop(punt);
        self.carry_out(snapshot, out, worker, tell);
    }

    fn carry_out(
        &mut self,
        snapshot: &mut Arc<Snapshot>,
        out: Vec<Output>,
        worker: usize,
        tell: &mut impl FnMut(Told) -> Arc<Snapshot>,
    ) {
        let before = snapshot.generation;
        for output in out {
            match output {
                Output::Learn { vif, address, mac } => *snapshot = tell(Told::Learn { vif, address, mac }),
                Output::Forget { vif, address } => *snapshot = tell(Told::Forget { vif, address }),
                Output::Dropped(reason, vif, bytes) => {
                    let (culprit, bytes, framed) = match untoken(&bytes) {
                        Some(Token { next_hop, l3, packet, .. }) => (Culprit::NextHop(next_hop), packet, l3 > 0),
                        None => (Culprit::Frame, &*bytes, true),
                    };
                    self.drop(snapshot, reason, &Dropped { vif, tunnel: None, culprit, bytes, framed });
                }
                Output::Frame { vif, bytes } => {
                    self.originated.add(1);
                    self.inject(snapshot, worker, Inject::Vif(vif), (&bytes, true), None);
                }
                Output::Routed { vrf, packet } => {
                    self.originated.add(1);
                    self.inject(snapshot, worker, Inject::Routed(vrf), (&packet, false), None);
                }
                Output::Replay { bytes } => self.replay(snapshot, worker, &bytes),
            }
        }
        if snapshot.generation != before {
            self.release(snapshot);
        }
    }

    fn replay(&mut self, snapshot: &Snapshot, worker: usize, bytes: &[u8]) {
        if let Some(Token { next_hop, vif, hash, l3, packet }) = untoken(bytes) {
            self.inject(snapshot, worker, Inject::Via(next_hop, vif, hash), (packet, l3 > 0), vif);
        }
    }

    /// Of several ways of a tunnel the neighbour of one has answered: packets that wait for another's leave by it.
    fn release(&mut self, snapshot: &Snapshot) {
        if self.local.held() == 0 {
            return;
        }
        let goes = |vif, address, bytes: &[u8]| {
            let Some(Token { next_hop, hash, .. }) = untoken(bytes) else { return false };
            let row = snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind);
            let Some(NextHopKind::Tunnel(Tunnel { ways: ways @ Ways::Several(_), .. })) = row else { return false };
            ways.of(hash).underlay != Underlay::Resolving { vif, neighbour: Some(address) }
        };
        let mut out = Vec::new();
        self.local.release(goes, &mut out);
        for output in out {
            if let Output::Replay { bytes } = output {
                self.replay(snapshot, 0, &bytes);
            }
        }
    }

    fn inject(
        &mut self,
        snapshot: &Snapshot,
        worker: usize,
        how: Inject,
        (bytes, framed): (&[u8], bool),
        vif: Option<VifId>,
    ) {
        let dropped = Dropped { vif, tunnel: None, culprit: Culprit::Frame, bytes, framed };
        if bytes.len() > LARGE_ROOM - HEADROOM {
            return self.drop(snapshot, DropReason::NoHeadroom, &dropped);
        }
        let rings = &self.shared.workers[worker].rings;
        let frame = rings.injected.copy_or_make(bytes);
        match frame.map(|frame| rings.injections.push(Injection { how, frame })) {
            Some(Ok(())) => self.enqueued.add(1),
            None | Some(Err(_)) => self.drop(snapshot, DropReason::PuntRingFull, &dropped),
        }
    }

    fn drop(&mut self, snapshot: &Snapshot, reason: DropReason, dropped: &Dropped) {
        let row = dropped.vif.and_then(|vif| snapshot.vifs.row(vif.index()));
        self.counters.drop(row.map_or(self.counters.no_vif(), |vif| vif.slot), reason, 1);
        self.remember(reason, dropped);
    }

    /// Keeps it for people; a packet behind an Ethernet header of no stations.
    fn remember(&self, reason: DropReason, dropped: &Dropped) {
        let Dropped { vif, tunnel, culprit, bytes, framed } = *dropped;
        let mut made = Vec::new();
        let bytes = if framed {
            bytes
        } else {
            let v6 = bytes.first().is_some_and(|first| first >> 4 == 6);
            made.extend([0; 12]);
            made.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
            made.extend(bytes);
            &made
        };
        self.shared.slow_path_victims.remember(reason, self.now, (vif, tunnel), culprit, bytes);
    }
}

fn why(why: punt::Why) -> Why {
    match why {
        punt::Why::Arp => Why::Arp,
        punt::Why::NeighbourDiscovery => Why::NeighbourDiscovery,
        // those of BFD have a ring of their own
        punt::Why::ForUs(_) | punt::Why::Bfd(_) => Why::ForUs,
        punt::Why::TtlExpired(_) => Why::TtlExpired,
        punt::Why::TooBig(_, mtu) => Why::TooBig { mtu },
        punt::Why::NoRoute(_) => Why::NoRoute,
        punt::Why::Resolve { vif, neighbour, .. } => Why::Resolve { vif, neighbour },
    }
}

fn tunnel(source: punt::TunnelSource) -> TunnelSource {
    let id = match source.by {
        punt::TunnelId::Vxlan(vni) => TunnelId::Vxlan(vni),
        punt::TunnelId::Geneve(vni) => TunnelId::Geneve(vni),
        punt::TunnelId::Label(label) => TunnelId::Label(label),
    };
    TunnelSource { remote: source.remote, id }
}

/// What is kept of a held packet beside its bytes.
struct Token<'a> {
    next_hop: NextHopId,
    vif: Option<VifId>,
    hash: u64,
    /// Where its L3 packet begins: behind the Ethernet header of a bridged frame.
    l3: u16,
    packet: &'a [u8],
}

fn token(punt: &punt::Punt) -> Vec<u8> {
    let punt::Why::Resolve { next_hop, .. } = punt.why else { return Vec::new() };
    let vif = punt.vif.map_or(u32::MAX, |vif| vif.0);
    let (hash, l3) = (punt.hash.to_be_bytes(), punt.l3.to_be_bytes());
    [&next_hop.0.to_be_bytes()[..], &vif.to_be_bytes(), &hash, &l3, punt.frame.bytes()].concat()
}

fn untoken(bytes: &[u8]) -> Option<Token<'_>> {
    let (next_hop, rest) = bytes.split_first_chunk::<4>()?;
    let (vif, rest) = rest.split_first_chunk::<4>()?;
    let (hash, rest) = rest.split_first_chunk::<8>()?;
    let (l3, packet) = rest.split_first_chunk::<2>()?;
    let vif = u32::from_be_bytes(*vif);
    Some(Token {
        next_hop: NextHopId(u32::from_be_bytes(*next_hop)),
        vif: (vif != u32::MAX).then_some(VifId(vif)),
        hash: u64::from_be_bytes(*hash),
        l3: u16::from_be_bytes(*l3),
        packet,
    })
}
