//! Sight: the control thread is told of stations that a learning bridge does not know where they send from. A worker writes nothing that others
//! read but the ring; of stations that are known it tells now and then, so that they do not age.

use std::hash::BuildHasher;

use crossbeam::queue::ArrayQueue;

use super::classify::Bridged;
use super::flood::Flood;
use super::punt::{Budget, TunnelId, TunnelSource, Why};
use super::{Fate, Work};
use crate::ids::{BridgeId, Mac, NextHopId, Place, Tick};
use crate::packet::ether;
use crate::port::Frame;
use crate::tables::{Bridge, DecapTarget, NextHopKind, SeenAt, Sighting, Snapshot};

/// Sightings that may wait for the control thread, for each worker.
pub const RING: usize = 1024;
/// Those of one VIF, or of one VRF's tunnels, in a second, and at once.
const PER_SECOND: u32 = 2000;
const AT_ONCE: u32 = RING as u32 / 4;
/// Stations of which it is remembered when they were told of last. One that is crowded out is told of again.
const RECENT: usize = 4096;

/// What a worker told.
pub struct Told {
    recent: Box<[(u64, Tick)]>,
    budgets: Vec<Budget>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Told {
    /// Of nobody yet; budgets for so many rows.
    pub fn new(rows: usize) -> Told {
        let recent = vec![(0, Tick(0)); RECENT].into();
        Told { recent, budgets: vec![Budget::default(); rows], hasher: Default::default() }
    }

    /// Tells of the senders of a burst that was classified. Returns how many sightings were lost.
    pub(super) fn tell(
        &mut self,
        snapshot: &Snapshot,
        (frames, burst): (&[Frame], &[Work]),
        ring: &ArrayQueue<Sighting>,
        now: Tick,
    ) -> u64 {
        let mut lost = 0;
        for (frame, work) in frames.iter().zip(burst) {
            let Some((bridge, sighting)) = sighting(snapshot, frame, work) else { continue };
            let is_new = match bridge.learnt(sighting.mac) {
                _ if bridge.is_given(sighting.mac) => continue,
                Some(next_hop) => !is_at(snapshot, next_hop, sighting.at),
                None => true,
            };
            let station = self.hasher.hash_one((sighting.bridge, sighting.mac.0));
            let recent = &mut self.recent[station as usize % RECENT];
            // where it was told of last counts, too: what this snapshot knows may be older
            let told = self.hasher.hash_one((station, sighting.at)) | 1;
            if !is_new && recent.0 == told && now.since(recent.1) < bridge.ageing / 4 {
                continue;
            }
            if !self.budgets[work.charge].take_at_most(PER_SECOND, AT_ONCE, now) || ring.push(sighting).is_err() {
                lost += 1;
                continue;
            }
            *recent = (told, now);
        }
        lost
    }
}

/// Whether a frame came from where this next hop leads to.
pub(super) fn is_at(snapshot: &Snapshot, next_hop: NextHopId, at: SeenAt) -> bool {
    match (snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind), at) {
        (Some(NextHopKind::Bridged { vif, .. }), SeenAt::Vif(from)) => *vif == from,
        (Some(NextHopKind::Tunnel(tunnel)), SeenAt::Vtep(from)) => tunnel.remote == from,
        _ => false,
    }
}

/// The bridge that a frame entered, if it learns there, and who sent it from where.
fn sighting<'a>(snapshot: &'a Snapshot, frame: &Frame, work: &Work) -> Option<(&'a Bridge, Sighting)> {
    const SOURCE: usize = 6;
    let (place, from, tunnel) = match work.fate {
        Fate::Flood(Flood { place, from, tunnel, .. }) | Fate::Carry { place, from, tunnel, .. } => {
            (place, from, tunnel)
        }
        Fate::PuntUnread { place, why: Why::Arp | Why::NeighbourDiscovery, from: 0, .. } => (place, 0, None),
        // in packet mode what becomes of it is decided already
        _ => {
            let found = work.classified.filter(|found| matches!(found.bridged, Some(Bridged { .. })))?;
            (found.place, found.l3 - ether::HEADER as u16, found.tunnel)
        }
    };
    let (bridge, at) = match place {
        Place::Vif(vif) => {
            let row = snapshot.vifs.row(vif.index()).filter(|row| row.sources.is_none())?;
            (row.bridge?, SeenAt::Vif(vif))
        }
        Place::Tunnel(_) => (bridge_of(snapshot, tunnel?)?, SeenAt::Vtep(tunnel?.remote)),
    };
    let row = snapshot.bridges.row(bridge.index()).filter(|row| row.learns)?;
    let mac = Mac(*frame.bytes().get(usize::from(from) + SOURCE..)?.first_chunk()?);
    let is_station = !mac.is_group() && mac != Mac::default();
    is_station.then_some((row, Sighting { bridge, mac, at }))
}

fn bridge_of(snapshot: &Snapshot, tunnel: TunnelSource) -> Option<BridgeId> {
    match tunnel.by {
        TunnelId::Vxlan(vni) | TunnelId::Geneve(vni) => snapshot.vnis.get(&vni)?.bridge,
        TunnelId::Label(label) => match snapshot.labels.get(&label)? {
            DecapTarget::Bridge(bridge) => Some(*bridge),
            _ => None,
        },
    }
}
