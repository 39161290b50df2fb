//! Flood: a frame to everybody, or to a station that nobody knows, goes to every VIF of its bridge but the one that sent it; and, if a VIF sent
//! it, to every VTEP of the bridge's list (ingress replication). What came by a tunnel goes to VIFs only. The last one gets the frame
//! itself, the others copies in rooms of the worker's own.

use std::net::IpAddr;

use super::bridge;
use super::classify::{Bridged, Classified, Exit, check_source, read_ip};
use super::decide::{InForce, Question, Silent, judge};
use super::finish::Outbox;
use super::named::Named;
use super::punt::{TunnelSource, Why};
use super::victims::Culprit;
use super::{Fate, Work};
use crate::drops::DropReason;
use crate::ids::{BridgeId, Mac, NextHopId, Place};
use crate::packet::transport::Upper;
use crate::packet::{ether, ip, neighbour};
use crate::port::Frame;
use crate::tables::{NextHopKind, Resolved, Snapshot, Vif};

/// Copies that a worker may have under way: more than a hand-over ring holds, so that one port that stands still does not take them all.
pub const COPIES: usize = 2048;
/// Frames of one VIF, or of one VRF's tunnels, that are flooded at once.
const AT_ONCE: u32 = 128;

/// A frame for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    pub bridge: BridgeId,
    pub place: Place,
    /// Where it begins in the received frame, and its bytes behind the Ethernet header.
    pub from: u16,
    pub length: u16,
    /// A leaf sent it.
    pub leaf: bool,
    pub tunnel: Option<TunnelSource>,
}

/// Classifies a frame to a group, or to a station that nobody knows. `vif`: whose sender is checked, and whose gateway may be meant.
pub(super) fn classify(snapshot: &Snapshot, entered: &bridge::Entered, vif: Option<&Vif>) -> Result<Classified, Exit> {
    let (header, payload) = (entered.header, &entered.bytes[ether::HEADER..]);
    if is_of_link(header.destination) {
        return Err(DropReason::Multicast.into());
    }
    let (place, length) = (entered.place, payload.len() as u16);
    let leaf = bridge::sent_by_leaf(snapshot, entered, vif);
    let to_us = |why| Exit::Punt { place, why, tunnel: None, from: 0, l3: ether::HEADER as u16 };
    let carried = Exit::Flood(Flood {
        bridge: entered.bridge.id,
        place,
        from: entered.from,
        length,
        leaf,
        tunnel: entered.tunnel,
    });
    // whose gateway, or another station, may be asked for
    let asked = vif.filter(|_| header.destination.is_group());
    if header.ethertype != ether::IPV4 && header.ethertype != ether::IPV6 {
        bridge::check_arp(header, payload, vif)?;
        let question = neighbour::arp_request(payload).filter(|_| header.ethertype == ether::ARP);
        let known = asked.zip(question).is_some_and(|(vif, (sender, target))| {
            let asker = (header.source, sender.1.into());
            vif.has_gateway(target.into())
                || sender.0 == header.source && is_known(snapshot, (entered, leaf), target.into(), asker)
        });
        return Err(if known { to_us(Why::Arp) } else { carried });
    }
    let packet = read_ip(header.ethertype, payload, entered.verified)?;
    if packet.upper == Upper::NeighbourDiscovery {
        bridge::check_discovery(&packet, header, payload, vif)?;
        let message = &payload[usize::from(packet.header)..usize::from(packet.length)];
        let target = neighbour::Discovery::read(message).and_then(|says| says.solicited);
        let known = asked.zip(target).is_some_and(|(vif, target)| {
            vif.has_gateway(target.into())
                || is_known(snapshot, (entered, leaf), target.into(), (header.source, packet.source))
        });
        let router = asked.is_some_and(|vif| vif.advertise.is_some()) && neighbour::solicits_router(message);
        return Err(if known || router { to_us(Why::NeighbourDiscovery) } else { carried });
    }
    // who has no address yet asks for one, or says what groups it listens to
    let nobody = packet.source.is_unspecified() && ip::is_group(packet.destination);
    if !nobody {
        check_source(&packet)?;
    }
    let sources = vif.and_then(|vif| vif.sources.as_ref());
    if !nobody && sources.is_some_and(|sources| !sources.contains(packet.source)) {
        return Err(DropReason::SourceSpoofed.into());
    }
    let l3 = entered.from + ether::HEADER as u16;
    let (vrf, tunnel) = (entered.bridge.vrf, entered.tunnel);
    let bridged = Some(Bridged { length, back: None, everybody: Some((entered.bridge.id, leaf)) });
    Ok(Classified { place, vrf, l3, packet, remarked: false, fixed: None, bridged, tunnel })
}

/// Whether the slow path can tell the asker who has this address: someone whom it can reach.
fn is_known(
    snapshot: &Snapshot,
    (entered, leaf): (&bridge::Entered, bool),
    target: IpAddr,
    asker: (Mac, IpAddr),
) -> bool {
    let Some(pair) = entered.bridge.answer(target, asker) else { return false };
    !leaf || entered.bridge.station(pair.mac).is_none_or(|station| !bridge::is_leaf(snapshot, station))
}

impl Flood {
    /// A classified packet that is for everybody.
    pub(super) fn of(found: &Classified) -> Option<Flood> {
        let Bridged { length, everybody, .. } = found.bridged?;
        let ((bridge, leaf), from) = (everybody?, found.l3 - ether::HEADER as u16);
        Some(Flood { bridge, place: found.place, from, length, leaf, tunnel: found.tunnel })
    }
}

/// 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q, table 8-1).
fn is_of_link(Mac(mac): Mac) -> bool {
    mac[..5] == [1, 0x80, 0xc2, 0, 0] && mac[5] < 16
}

impl Outbox<'_> {
    /// Sends a frame to everybody.
    pub(super) fn flood(&mut self, mut frame: Frame, work: &Work, flood: Flood) {
        let Some(bridge) = self.snapshot.bridges.row(flood.bridge.index()) else {
            return self.drop(work, &frame, DropReason::UnknownUnicast, Culprit::Frame);
        };
        if !self.flood_budgets[work.charge].take_at_most(bridge.floods_per_second, AT_ONCE, self.now) {
            return self.drop(work, &frame, DropReason::FloodBudget, Culprit::Frame);
        }
        if let Err((reason, culprit)) = self.may_leave(work, None) {
            return self.drop(work, &frame, reason, culprit);
        }
        if let Some(found) = work.classified.filter(|found| found.remarked) {
            ip::remark(&mut frame.bytes_mut()[usize::from(found.l3)..], found.packet.tos, found.packet.ttl);
        }
        frame.truncate(usize::from(flood.from) + ether::HEADER + usize::from(flood.length));
        if frame.replace_front(flood.from.into(), &[]).is_err() {
            return self.drop(work, &frame, DropReason::NoHeadroom, Culprit::Frame);
        }
        let from_vif = matches!(flood.place, Place::Vif(_));
        let vifs =
            bridge.ports.iter().filter(|(vif, _)| Place::Vif(*vif) != flood.place).map(|(_, next_hop)| *next_hop);
        let vteps = bridge.vteps.iter().copied().filter(|_| from_vif);
        let mut everybody = vifs.chain(vteps).peekable();
        if everybody.peek().is_none() {
            return self.drop(work, &frame, DropReason::NobodyElse, Culprit::Frame);
        }
        while let Some(next_hop) = everybody.next() {
            let is_last = everybody.peek().is_none();
            if !is_last {
                self.end.counters.worker.flooded.add(1);
                self.end.counters.vif(work.slot).copied.add(1);
            }
            if flood.leaf && bridge::is_leaf(self.snapshot, next_hop) {
                self.drop(work, &frame, DropReason::LeafToLeaf, Culprit::NextHop(next_hop));
                continue;
            }
            if is_last {
                return self.one(frame, work, (next_hop, flood));
            }
            match self.end.copies.copy(frame.bytes()) {
                Some(mut copy) => {
                    copy.undone = frame.undone;
                    self.one(copy, work, (next_hop, flood));
                }
                None => self.drop(work, &frame, DropReason::FloodNoRoom, Culprit::NextHop(next_hop)),
            }
        }
    }

    fn one(&mut self, mut frame: Frame, work: &Work, (next_hop, flood): (NextHopId, Flood)) {
        let fate = match self.may_leave(work, Some(next_hop)) {
            Ok(()) => bridge::carry(self.snapshot, &mut frame, (next_hop, flood.place), (0, flood.length), work),
            Err((reason, culprit)) => Fate::Drop(reason, culprit),
        };
        self.carry_out(frame, &Work { fate, ..*work });
    }

    /// Whether the ACLs let a flooded packet pass, each packet by itself: those of its sender and of its VRF; and of whom it goes to, if that is
    /// a VIF.
    fn may_leave(&self, work: &Work, to: Option<NextHopId>) -> Result<(), (DropReason, Culprit)> {
        let Some(found) = &work.classified else { return Ok(()) };
        let row = |next_hop: NextHopId| self.snapshot.next_hops.row(next_hop.index());
        let vif = match to.map(|to| row(to).map(|row| &row.kind)) {
            None => None,
            Some(Some(NextHopKind::Bridged { vif, .. })) => self.snapshot.vifs.row(vif.index()),
            Some(_) => return Ok(()),
        };
        let tuple = found.packet.tuple().unwrap_or_else(|| found.packet.ends());
        let (place, vrf) = (found.place, found.vrf);
        let (forward, answers) = (Named::Routed, Named::Routed);
        let question = Question { place, vrf, tuple, forward, answers, kept: [None; 2] };
        let way = Resolved::without_route(vrf, NextHopId(0));
        match judge(self.snapshot, InForce, &question, (&way, None, true), vif, &mut Silent)? {
            None => Ok(()),
            Some(away) => Err((DropReason::RedirectNotRouted, away.culprit())),
        }
    }
}
