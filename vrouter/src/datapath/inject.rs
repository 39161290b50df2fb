//! Inject: frames that the slow path sends join the path of a packet here, before `act`.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::classify::Classified;
use super::punt::{Inject, Injection};
use super::victims::Culprit;
use super::{Fate, Work, Worker, act, decide};
use crate::drops::DropReason;
use crate::ids::{NextHopId, Place, VifId, VrfId};
use crate::packet::{ether, ip};
use crate::port::{BURST, Frame};
use crate::tables::{Group, NextHopKind, Snapshot, Underlay};

impl Worker {
    /// Frames that the slow path sends: whole ones, routed ones of ours, and held ones whose next hop is known by now.
    pub(super) fn inject(&mut self) -> usize {
        let mut taken = 0;
        while taken < BURST
            && let Some(injection) = self.injection()
        {
            let mut frame = injection.frame;
            let mut work = self.injected(injection.how, &frame);
            if let Inject::Vif(vif) = injection.how
                && let Some(vlan) = self.snapshot.vifs.row(vif.index()).and_then(|vif| vif.vlan)
                && let Err(reason) = act::tag(&mut frame, Some(vlan))
            {
                work.fate = Fate::Drop(reason, Culprit::Frame);
            }
            if matches!(injection.how, Inject::Via(..)) {
                self.counters().vif(work.slot).returned.add(1);
            }
            self.frames.push(frame);
            self.burst.push(work);
            taken += 1;
        }
        if taken > 0 {
            self.counters().worker.injected.add(taken as u64);
            act::act(&self.snapshot, &mut self.frames, &mut self.burst);
            self.finish();
        }
        taken
    }

    /// What is to be sent next: BFD's before all else.
    fn injection(&self) -> Option<Injection> {
        let rings = self.rings();
        // unlike an attempt to take something, a look costs no fence
        let urgent = if rings.bfd_injections.is_empty() { None } else { rings.bfd_injections.pop() };
        urgent.or_else(|| rings.injections.pop())
    }

    /// The VRF of a next hop that is a connected subnet, where each packet's own destination is the neighbour.
    fn connected(&self, next_hop: NextHopId) -> Option<VrfId> {
        let row = self.snapshot.next_hops.row(next_hop.index())?;
        let NextHopKind::Fabric(Underlay::Resolving { vif, neighbour: None }) = row.kind else { return None };
        Some(self.snapshot.vifs.row(vif.index())?.vrf)
    }

    fn injected(&self, how: Inject, frame: &Frame) -> Work {
        let no_vif = self.counters().no_vif();
        let row = |vif: VifId| self.snapshot.vifs.row(vif.index());
        let mut work = Work::new(None, no_vif);
        work.originated = true;
        work.fate = match how {
            Inject::Vif(vif) => match row(vif) {
                Some(vif) => Fate::Send(vif.port),
                None => Fate::Drop(DropReason::NextHopGone, Culprit::Frame),
            },
            Inject::Routed(vrf) => work.read_l3(&self.snapshot, Place::Tunnel(vrf), vrf, frame, None),
            Inject::Via(next_hop, vif, hash) => {
                let entered = vif.and_then(row);
                (work.vif, work.slot) = (vif, entered.map_or(no_vif, |vif| vif.slot));
                let vrf = entered.map_or(VrfId(0), |vif| vif.vrf);
                let place = vif.map_or(Place::Tunnel(vrf), Place::Vif);
                let row = self.snapshot.next_hops.row(next_hop.index());
                let fate = match self.connected(next_hop) {
                    _ if row.is_none() => Fate::Drop(DropReason::NextHopGone, Culprit::NextHop(next_hop)),
                    _ if row.is_some_and(|row| row.kind.takes_frames()) => {
                        let length = frame.len().saturating_sub(ether::HEADER);
                        Fate::Carry { place, next_hop, from: 0, length: length as u16, tunnel: None }
                    }
                    // its neighbour has a host route by now
                    Some(vrf) => work.read_l3(&self.snapshot, Place::Tunnel(vrf), vrf, frame, None),
                    None => work.read_l3(&self.snapshot, place, vrf, frame, Some(next_hop)),
                };
                work.hash = hash;
                fate
            }
        };
        work
    }
}

impl Work {
    /// Reads a bare L3 packet of the slow path and gives it its next hop: this one, or by route.
    fn read_l3(
        &mut self,
        snapshot: &Snapshot,
        place: Place,
        vrf: VrfId,
        frame: &Frame,
        fixed: Option<NextHopId>,
    ) -> Fate {
        let packet = match ip::read_ours(frame.bytes()) {
            Ok(packet) => packet,
            Err(reason) => return Fate::Drop(reason, Culprit::Frame),
        };
        self.classified =
            Some(Classified { place, vrf, l3: 0, packet, remarked: false, fixed, bridged: None, tunnel: None });
        let tuple = packet.tuple().unwrap_or_else(|| packet.ends());
        self.hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(tuple);
        if let Some(next_hop) = fixed {
            return Fate::Forward(next_hop);
        }
        let choose = |group: &Group| snapshot.choose(group, &tuple);
        match snapshot.resolve(vrf, packet.destination, choose, |_, _| {}).map_err(decide::lost) {
            Ok(resolved) => Fate::Forward(resolved.next_hop),
            Err((reason, vrf)) => Fate::Drop(reason, Culprit::Vrf(vrf)),
        }
    }
}
