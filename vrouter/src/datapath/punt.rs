//! Rings between a worker and the slow path, and each VIF's budget for it.
//!
//! A punt is a copy in a frame of the ring's own; rx buffers never leave the worker. The frames go round: the control thread gives
//! each back through `free`.

use std::net::Ipv4Addr;

use crossbeam::queue::ArrayQueue;

use crate::ids::{Label, NextHopId, Place, Tick, VifId, Vni, VrfId};
use crate::port::Frame;

/// Copies of each class that may wait for the control thread, for each worker.
pub const RING: usize = 256;

/// A copy on its way to the slow path.
pub struct Punt {
    pub place: Place,
    /// The VIF whose port received it; `None` for packets of our own.
    pub vif: Option<VifId>,
    pub why: Why,
    /// Set when it came out of a tunnel.
    pub tunnel: Option<TunnelSource>,
    /// Where the L3 packet begins in `frame`.
    pub l3: u16,
    /// From a VIF: the frame. From a tunnel: what the tunnel carried (with its inner Ethernet header, if it has one). For
    /// `Why::Resolve`: an L3 packet that needs its next hop only.
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
    /// The packet waits for a neighbour's MAC.
    Resolve {
        next_hop: NextHopId,
        vif: VifId,
        neighbour: Ipv4Addr,
    },
}

/// The outer headers of a tunnelled packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSource {
    pub remote: Ipv4Addr,
    pub by: TunnelId,
}

/// What named the VRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelId {
    Vni(Vni),
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
    /// A whole frame, out of this VIF's port.
    Vif(VifId),
    /// An L3 packet of ours, routed in this VRF.
    Routed(VrfId),
    /// A held L3 packet whose next hop is decided; it entered by this VIF, or is ours.
    Via(NextHopId, Option<VifId>),
}

/// One worker's rings. The worker's thread and the control thread.
pub struct Rings {
    /// Underlay ARP and what is for our underlay addresses: never behind tenants' punts.
    pub underlay: Ring,
    pub tenant: Ring,
    pub injections: ArrayQueue<Injection>,
}

/// Punts of one class and the frames for them.
pub struct Ring {
    pub punts: ArrayQueue<Punt>,
    pub free: ArrayQueue<Frame>,
}

impl Default for Rings {
    fn default() -> Self {
        Rings { underlay: Ring::new(), tenant: Ring::new(), injections: ArrayQueue::new(RING * 4) }
    }
}

impl Ring {
    fn new() -> Ring {
        let ring = Ring { punts: ArrayQueue::new(RING), free: ArrayQueue::new(RING) };
        while ring.free.push(Frame::on_heap(Box::new([0; crate::port::ROOM]))).is_ok() {}
        ring
    }

    /// A copy of `bytes` in one of the ring's frames; `None`: none is free.
    pub fn copy(&self, bytes: &[u8]) -> Option<Frame> {
        let mut frame = self.free.pop()?;
        frame.fill(bytes).then_some(frame)
    }

    /// Gives a frame back.
    pub fn give_back(&self, frame: Frame) {
        // a full ring means that the frame is not of this ring: it is freed
        let _ = self.free.push(frame);
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

    #[test]
    fn frames_go_round() {
        let rings = Rings::default();
        let frames: Vec<Frame> = std::iter::from_fn(|| rings.tenant.copy(b"punt")).collect();
        assert_eq!(frames.len(), RING);
        frames.into_iter().for_each(|frame| rings.tenant.give_back(frame));
        assert!(rings.tenant.copy(b"again").is_some_and(|frame| frame.bytes() == b"again"));
    }
}
