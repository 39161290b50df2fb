//! Rings between a worker and the slow path, and each VIF's budget for it.
//!
//! A punt is a copy in a frame of the ring's own; rx buffers never leave the worker. The frames of punts and of injections go round:
//! whoever drops one gives its room back, so that the worker frees nothing.

use std::net::IpAddr;

use crossbeam::queue::ArrayQueue;

use super::sight;
use super::split::{LARGE_PIECES, PIECES};
use crate::ids::{Label, NextHopId, Place, Tick, VifId, Vni, VrfId};
use crate::port::{Frame, Rooms};
use crate::tables::Sighting;

/// Copies of each class that may wait for the control thread, for each worker.
pub const RING: usize = 256;
/// Frames that the slow path may have under way to each worker: as many as wait for it, and the same again in its tx queues.
pub const INJECTED: usize = RING * 8;

/// Of them larger than a usual room, and the same of the frames of everybody's that a worker copies.
pub const LARGE: usize = 32;

/// A copy on its way to the slow path.
pub struct Punt {
    pub place: Place,
    /// The VIF whose port received it; `None` for packets of our own.
    pub vif: Option<VifId>,
    pub why: Why,
    /// Its flow's: with `Why::Resolve` it comes back, so that the packet leaves as the flow's others do.
    pub hash: u64,
    /// Set when it came out of a tunnel.
    pub tunnel: Option<TunnelSource>,
    /// Where the L3 packet begins in `frame`.
    pub l3: u16,
    /// From a VIF: the frame. From a tunnel: what the tunnel carried (with its inner Ethernet header, if it has one). For
    /// `Why::Resolve`: an L3 packet that needs its next hop only, or a bridged frame (`l3` tells).
    pub frame: Frame,
}

/// What the slow path is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Arp,
    /// ICMPv6 133 to 137.
    NeighbourDiscovery,
    /// For an address of ours in this VRF.
    ForUs(VrfId),
    /// A copy of a dropped packet: tell its sender.
    TtlExpired(VrfId),
    TooBig(VrfId, u16),
    NoRoute(VrfId),
    /// Of a BFD session of this VRF.
    Bfd(VrfId),
    /// The packet waits for a neighbour's MAC.
    Resolve {
        next_hop: NextHopId,
        vif: VifId,
        neighbour: IpAddr,
    },
}

/// The outer headers of a tunnelled packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSource {
    pub remote: IpAddr,
    pub by: TunnelId,
}

/// What named the VRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelId {
    Vxlan(Vni),
    Geneve(Vni),
    Label(Label),
}

/// What the slow path sends.
pub struct Injection {
    pub how: Inject,
    pub frame: Frame,
}

/// Where an injected frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inject {
    /// A whole frame, out of this VIF's port; the VIF's 802.1Q tag is put in here.
    Vif(VifId),
    /// An L3 packet of ours, routed in this VRF.
    Routed(VrfId),
    /// A held L3 packet whose next hop is decided; it entered by this VIF, or is ours; and its flow's hash.
    Via(NextHopId, Option<VifId>, u64),
}

/// One worker's rings. The worker's thread and the control thread; those of BFD, the worker's and BFD's.
pub struct Rings {
    /// ARP and ND of the underlay: never behind tenants' punts.
    pub underlay: Ring,
    pub tenant: Ring,
    /// BFD packets of sessions' peers.
    pub bfd: Ring,
    /// Of stations that bridges learn.
    pub sightings: ArrayQueue<Sighting>,
    pub injections: ArrayQueue<Injection>,
    /// For the frames of injections; the control thread makes them.
    pub injected: Rooms,
    /// The same of BFD: whatever else the slow path sends, its packets do not wait behind it.
    pub bfd_injections: ArrayQueue<Injection>,
    pub bfd_injected: Rooms,
    /// For packets that leave in pieces.
    pub pieces: Rooms,
}

/// Punts of one class and the rooms for them.
pub struct Ring {
    pub punts: ArrayQueue<Punt>,
    pub free: Rooms,
}

impl Default for Rings {
    fn default() -> Self {
        let injections = ArrayQueue::new(INJECTED / 2);
        Rings {
            underlay: Ring::new(),
            tenant: Ring::new(),
            bfd: Ring::new(),
            sightings: ArrayQueue::new(sight::RING),
            injections,
            injected: Rooms::up_to(INJECTED, LARGE),
            bfd_injections: ArrayQueue::new(RING),
            bfd_injected: Rooms::up_to(2 * RING, 0),
            pieces: Rooms::filled(PIECES, LARGE_PIECES),
        }
    }
}

impl Ring {
    fn new() -> Ring {
        Ring { punts: ArrayQueue::new(RING), free: Rooms::filled(RING, LARGE) }
    }
}

/// A token bucket: `rate` tokens a second, at most a second's worth. A worker's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    tokens: u32,
    filled: Tick,
    started: bool,
}

impl Budget {
    /// Takes a token, if there is one.
    pub fn take(&mut self, rate: u32, now: Tick) -> bool {
        self.take_at_most(rate, rate, now)
    }

    /// Whether there may be one; if not, there is none.
    #[inline]
    pub fn may_have(&self, now: Tick) -> bool {
        self.tokens > 0 || self.filled != now || !self.started
    }

    /// The same from a bucket that holds at most `burst` tokens.
    pub fn take_at_most(&mut self, rate: u32, burst: u32, now: Tick) -> bool {
        let burst = burst.min(rate);
        if !self.started {
            *self = Budget { tokens: burst, filled: now, started: true };
        }
        let ticks = now.since(self.filled);
        if ticks > 0 {
            let more = u64::from(ticks) * u64::from(rate) / u64::from(Tick::PER_SECOND);
            if more > 0 {
                self.tokens = (u64::from(self.tokens) + more).min(u64::from(burst)) as u32;
                self.filled = now;
            }
        }
        self.tokens = self.tokens.min(burst);
        let granted = self.tokens > 0;
        self.tokens -= u32::from(granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_second_s_worth_and_fills_again() {
        let mut budget = Budget::default();
        let burst = |budget: &mut Budget, now| (0..1000).filter(|_| budget.take(20, Tick(now))).count();
        assert_eq!(burst(&mut budget, 5), 20);
        assert_eq!(burst(&mut budget, 6), 2);
        assert_eq!(burst(&mut budget, 1000), 20);
        let mut slow = Budget::default();
        assert_eq!((0..100).filter(|&tick| slow.take(1, Tick(tick))).count(), 10);
        assert!(!Budget::default().take(0, Tick(0)));
    }
}
