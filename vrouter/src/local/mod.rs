//! Answers to ARP, ND and ICMP, the neighbour table and router advertisements: pure, `now` is an argument.
//!
//! Workers punt copies of frames that the fast path does not answer; the control thread hands each to [`Local::punt`] and
//! carries out the [`Output`]s in order: it sends frames, routes packets, publishes what was learnt, and injects replays.
//!
//! Accounting: each punt has exactly one [`Outcome`]. A punt that ends in [`Outcome::Held`] later (perhaps in the same call)
//! comes out exactly once more, as [`Output::Replay`] or [`Output::Dropped`]; nothing else makes those two. Frames and routed
//! packets are originated here.

mod arp;
pub mod bfd;
mod budget;
mod echo;
mod emit;
mod icmp_error;
mod l3;
mod nd;
mod neighbour;
mod router;
mod side;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::drops::DropReason;
use crate::ids::{Label, Mac, Place, VifId, Vni, VrfId};
use crate::tables::Snapshot;
use budget::Budget;
use icmp_error::Problem;
use neighbour::{Held, Neighbours};
pub use neighbour::{Limits, Neighbour, NeighbourState, Unwanted};
use router::Routers;
use side::Side;

/// A copy of a frame that a worker punted.
#[derive(Clone, Copy, Debug)]
pub struct Punt<'a> {
    /// Where the packet entered.
    pub place: Place,
    pub why: Why,
    /// From a VIF: the Ethernet frame as received, with its 802.1Q tag if the VIF has one. From a tunnel: the inner packet, for VXLAN and GENEVE with its inner Ethernet header,
    /// for MPLS the bare L3 packet. For [`Why::Resolve`] opaque: kept and given back as it is.
    pub frame: &'a [u8],
    /// The tunnel that it came by; present exactly when `place` is a tunnel.
    pub tunnel: Option<TunnelSource>,
    /// Where the L3 header (or the ARP packet) begins in `frame`, in bytes.
    pub l3_offset: usize,
}

/// The tunnel that a packet came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSource {
    /// The outer source address.
    pub remote: IpAddr,
    pub id: TunnelId,
}

/// What told the VRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelId {
    /// The packet has an inner Ethernet header.
    Vxlan(Vni),
    /// The same.
    Geneve(Vni),
    /// MPLS over UDP or GRE: the packet is bare L3.
    Label(Label),
}

/// Why a frame was punted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Arp,
    /// ICMPv6 types 133 to 137.
    NeighbourDiscovery,
    /// The destination is an address of ours: a gateway or the VTEP.
    ForUs,
    /// The worker dropped the packet (and counted it): tell its sender.
    TtlExpired,
    /// The same; `mtu` in L3 bytes.
    TooBig {
        mtu: u16,
    },
    /// The same.
    NoRoute,
    /// The next hop's MAC is not known: hold this frame, ask for it.
    Resolve {
        vif: VifId,
        neighbour: IpAddr,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this Ethernet frame (without FCS, not padded, without the VIF's 802.1Q tag) out of this VIF's port.
    Frame { vif: VifId, bytes: Vec<u8> },
    /// Route this L3 packet in this VRF, as originated by us: no flow, no ACL.
    Routed { vrf: VrfId, packet: Vec<u8> },
    /// A held frame, to be received again as it was; the `Learn` before it is to be published first.
    Replay { bytes: Vec<u8> },
    /// A held frame ends here. The VIF is the one that it entered by.
    Dropped(DropReason, Option<VifId>, Vec<u8>),
    /// A neighbour's MAC: new, or changed.
    Learn { vif: VifId, address: IpAddr, mac: Mac },
    /// A neighbour that was learnt is there no more, or one that is wanted does not answer.
    Forget { vif: VifId, address: IpAddr },
}

/// How a punt ended.
#[must_use = "conservation counts every outcome"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, or absorbed. Always so for TtlExpired, TooBig and NoRoute, whose packet the worker has dropped and counted.
    Consumed,
    /// It waits for a neighbour.
    Held,
    /// Dropped here.
    Dropped(DropReason),
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Punts that ended in [`Outcome::Consumed`].
    pub consumed: u64,
    /// Punts that ended in [`Outcome::Dropped`].
    pub dropped: u64,
    /// ICMP errors that no RFC allows, or that the budget refused.
    pub errors_suppressed: u64,
}

/// The slow path's state. Control thread.
pub struct Local {
    neighbours: Neighbours,
    routers: Routers,
    errors: Budget,
    counters: Counters,
}

impl Local {
    /// No neighbour known, nothing held.
    pub fn new(limits: Limits) -> Local {
        Local {
            neighbours: Neighbours::new(limits),
            routers: Routers::default(),
            errors: Budget::default(),
            counters: Counters::default(),
        }
    }

    /// Takes one punted frame and appends what is to be done. `now_ms`: milliseconds of a clock that does not go back.
    pub fn punt(&mut self, snapshot: &Snapshot, punt: Punt<'_>, now_ms: u64, out: &mut Vec<Output>) -> Outcome {
        let outcome = self.outcome(snapshot, &punt, now_ms, out);
        match outcome {
            Outcome::Consumed => self.counters.consumed += 1,
            Outcome::Dropped(_) => self.counters.dropped += 1,
            Outcome::Held => {}
        }
        outcome
    }

    /// Does what is due: asks again, probes, gives up, advertises. To be called about ten times a second.
    pub fn tick(&mut self, snapshot: &Snapshot, now_ms: u64, out: &mut Vec<Output>) {
        self.neighbours.tick(snapshot, now_ms, out);
        self.routers.tick(snapshot, now_ms, out);
        self.errors.forget_idle(now_ms);
    }

    /// The model needs this neighbour of a fabric VIF: asked for from the next tick on, and for as long as it is wanted. Its MAC, if it is
    /// known: what is said again says [`Output::Learn`] only of a MAC that is new here.
    ///
    /// # Errors
    /// Why it cannot be asked for.
    pub fn want(&mut self, vif: VifId, address: impl Into<IpAddr>) -> Result<Option<Mac>, Unwanted> {
        self.neighbours.want(vif, address.into())
    }

    /// Another process knew this neighbour a moment ago: it is used, and asked whether it is still there, from the next tick on.
    pub fn go_on_with(&mut self, vif: VifId, address: IpAddr, mac: Mac, now_ms: u64) {
        self.neighbours.go_on_with((vif, address), mac, now_ms);
    }

    /// The model needs it no more.
    pub fn unwant(&mut self, vif: VifId, address: impl Into<IpAddr>) {
        self.neighbours.unwant(vif, address.into());
    }

    /// Lets held frames go of which `goes` says, by the neighbour that they wait for and their bytes, that they need it no more.
    pub fn release(&mut self, goes: impl Fn(VifId, IpAddr, &[u8]) -> bool, out: &mut Vec<Output>) {
        self.neighbours.release(goes, out);
    }

    /// Frames that wait for a neighbour.
    pub fn held(&self) -> usize {
        self.neighbours.held()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The neighbours known or asked for, by VIF and address.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> {
        self.neighbours.iter()
    }

    fn outcome(&mut self, snapshot: &Snapshot, punt: &Punt<'_>, now: u64, out: &mut Vec<Output>) -> Outcome {
        if let Why::Resolve { vif, neighbour } = punt.why {
            let held = Held::of(punt);
            return self.neighbours.hold(snapshot, (vif, neighbour), held, now, out);
        }
        let side = match Side::of(snapshot, punt) {
            Ok(side) => side,
            Err(reason) => return Outcome::Dropped(reason),
        };
        let problem = match punt.why {
            Why::Arp | Why::NeighbourDiscovery => {
                let tables = (&mut self.neighbours, &mut self.routers);
                let outcome = match punt.why {
                    Why::Arp => arp::outcome(snapshot, &side, punt, tables.0, now, out),
                    _ => nd::outcome(snapshot, &side, punt, tables, now, out),
                };
                // a copy: the frame itself went to the host's kernel, which is asked too
                let shared = side.vif.is_some_and(|vif| vif.exception.is_some());
                return if shared { Outcome::Consumed } else { outcome };
            }
            Why::ForUs => return echo::outcome(snapshot, &side, punt, out),
            Why::TtlExpired => Problem::TimeExceeded,
            Why::TooBig { mtu } => Problem::TooBig { mtu },
            Why::NoRoute | Why::Resolve { .. } => Problem::NoRoute,
        };
        match icmp_error::answer(snapshot, &side, punt, problem) {
            Some(answer) if self.errors.spend(punt.place, snapshot.punts_per_second, now) => out.push(answer),
            _ => self.counters.errors_suppressed += 1,
        }
        Outcome::Consumed
    }
}
