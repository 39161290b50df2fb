//! Where a punt came from, and for which addresses we answer there.

use std::net::IpAddr;

use smoltcp::wire::{EthernetFrame, EthernetProtocol};

use super::{Output, Punt, TunnelId, TunnelSource, emit};
use crate::drops::DropReason;
use crate::ids::{Mac, Place};
use crate::packet::ip::{is_host, is_link_local};
use crate::tables::{Group, Member, NextHopKind, Snapshot, Vif, VifKind, Vrf};

/// The side of a VRF that a punt came from.
pub(super) struct Side<'a> {
    /// Absent: a tunnel.
    pub(super) vif: Option<&'a Vif>,
    pub(super) vrf: &'a Vrf,
    pub(super) tunnel: Option<TunnelSource>,
}

/// As whom we answer for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The MAC that we say it has.
    pub(super) mac: Mac,
    /// The address is ours on this VIF, not another's that we stand in for.
    pub(super) own: bool,
    /// Who has that MAC routes.
    pub(super) router: bool,
}

impl<'a> Side<'a> {
    /// The side that `punt` came from; the reason if it is gone meanwhile.
    pub(super) fn of(snapshot: &'a Snapshot, punt: &Punt<'_>) -> Result<Side<'a>, DropReason> {
        let (vif, vrf) = match punt.place {
            Place::Vif(vif) => {
                let vif = snapshot.vifs.row(vif.index()).ok_or(DropReason::NoVif)?;
                (Some(vif), vif.vrf)
            }
            Place::Tunnel(vrf) => (None, vrf),
        };
        let gone = match punt.tunnel.map(|tunnel| tunnel.id) {
            Some(TunnelId::Label(_)) => DropReason::LabelUnknown,
            Some(TunnelId::Vxlan(_) | TunnelId::Geneve(_)) => DropReason::VniUnknown,
            None => DropReason::NoVif,
        };
        let vrf = snapshot.vrfs.row(vrf.index()).ok_or(gone)?;
        Ok(Side { vif, vrf, tunnel: punt.tunnel })
    }

    /// Whether this side's sender may send from this MAC.
    pub(super) fn may_use_mac(&self, mac: Mac) -> bool {
        !mac.is_group() && mac != Mac::default() && self.vif.is_none_or(|vif| vif.sources.is_none() || vif.mac == mac)
    }

    /// Whether this side's sender may use this address: never one of ours on its link. IPv6 link-local ones are every tenant's own
    /// business otherwise.
    pub(super) fn may_use_address(&self, address: IpAddr) -> bool {
        if self.vif.is_some_and(|vif| is_own(vif, address)) {
            return false;
        }
        is_link_local(address)
            || self.vif.and_then(|vif| vif.sources.as_ref()).is_none_or(|sources| sources.contains(address))
    }

    /// Whether, and as whom, we answer an ARP request or neighbour solicitation for `target` of who has this MAC and address. The address
    /// is unspecified in a probe for a duplicate: those only our own addresses are defended against (RFC 5227, RFC 4862). In a bridge we
    /// speak for its other stations, with their MACs.
    pub(super) fn answers_for(&self, snapshot: &Snapshot, target: IpAddr, from: (Mac, IpAddr)) -> Option<Answer> {
        let asker = from.1;
        match self.vif {
            // the host's kernel does
            Some(vif) if vif.exception.is_some() => None,
            Some(vif) if is_own(vif, target) => {
                Some(Answer { mac: vif.our_mac, own: true, router: vif.kind == VifKind::Tenant })
            }
            Some(vif) if vif.kind == VifKind::Fabric => None,
            Some(vif) => {
                let bridge = vif.bridge.and_then(|bridge| snapshot.bridges.row(bridge.index()));
                if let Some(pair) = bridge.and_then(|bridge| bridge.answer(target, from)) {
                    return Some(Answer { mac: pair.mac, own: false, router: pair.router });
                }
                let proxied = asker != target && !asker.is_unspecified() && self.proxies(snapshot, vif, target);
                proxied.then_some(Answer { mac: vif.our_mac, own: false, router: true })
            }
            None => {
                let local = asker != target && !asker.is_unspecified() && self.is_behind_us(snapshot, target);
                local.then_some(Answer { mac: snapshot.local.router_mac, own: false, router: true })
            }
        }
    }

    /// Whether `address` is ours here: a Receive route, a gateway of this VIF, an address of this fabric VIF.
    pub(super) fn is_ours(&self, snapshot: &Snapshot, address: IpAddr) -> bool {
        let received = matches!(self.next_hop(snapshot, address), Some((_, NextHopKind::Receive)));
        received || self.vif.is_some_and(|vif| is_own(vif, address))
    }

    /// An Ethernet frame to the asker's own link: out of the VIF, or back through the tunnel. Nothing for MPLS, which has no link.
    pub(super) fn on_link(&self, snapshot: &Snapshot, frame: Vec<u8>) -> Option<Output> {
        match (self.vif, self.tunnel) {
            (Some(vif), _) => Some(Output::Frame { vif: vif.id, bytes: frame }),
            (None, Some(TunnelSource { remote, id })) => {
                let (vrf, vtep) = (snapshot.local.underlay?, snapshot.local.vtep_towards(remote)?);
                let (port, header) = match id {
                    TunnelId::Vxlan(vni) => emit::vxlan(vni),
                    TunnelId::Geneve(vni) => emit::geneve(vni),
                    TunnelId::Label(_) => return None,
                };
                Some(Output::Routed { vrf, packet: emit::tunnelled((vtep, remote), port, header, &frame)? })
            }
            (None, None) => None,
        }
    }

    /// A packet `from` us `to` the sender of the punt: routed in the VRF, or straight out of its VIF where one of the two is
    /// link-local. Nothing where there is no such way.
    pub(super) fn to_sender(&self, punt: &Punt<'_>, from: IpAddr, to: IpAddr, packet: Vec<u8>) -> Option<Output> {
        if !is_link_local(from) && !is_link_local(to) {
            return Some(Output::Routed { vrf: self.vrf.id, packet });
        }
        let vif = self.vif?;
        let sender = Mac(EthernetFrame::new_checked(punt.frame).ok()?.src_addr().0);
        let bytes = emit::ethernet(sender, vif.our_mac, EthernetProtocol::Ipv6, &packet);
        Some(Output::Frame { vif: vif.id, bytes })
    }

    fn proxies(&self, snapshot: &Snapshot, vif: &Vif, target: IpAddr) -> bool {
        if !is_routable(target) || vif.addresses.contains(&target) {
            return false;
        }
        match self.next_hop(snapshot, target) {
            None | Some((_, NextHopKind::Drop)) => false,
            Some((0, _)) if !self.vrf.proxy_by_default_route || is_link_local_v4(target) => false,
            Some((_, NextHopKind::Vif { vif: other, .. })) => *other != vif.id,
            Some((_, NextHopKind::Receive | NextHopKind::Fabric(_) | NextHopKind::Tunnel(_))) => true,
            Some((_, NextHopKind::Vrf(_) | NextHopKind::Group(_) | NextHopKind::Bridged { .. })) => false,
        }
    }

    fn is_behind_us(&self, snapshot: &Snapshot, target: IpAddr) -> bool {
        let next_hop = self.next_hop(snapshot, target);
        is_routable(target) && matches!(next_hop, Some((_, NextHopKind::Vif { .. } | NextHopKind::Receive)))
    }

    fn next_hop<'s>(&self, snapshot: &'s Snapshot, address: IpAddr) -> Option<(u8, &'s NextHopKind)> {
        // who asks for an address that it shares with others by ECMP asks for its own
        let own = |member: &Member| {
            let kind = snapshot.next_hops.row(member.next_hop.index()).map(|row| &row.kind);
            matches!((kind, self.vif), (Some(NextHopKind::Vif { vif, .. }), Some(own)) if *vif == own.id)
        };
        let choose = |group: &Group| {
            let members = group.members();
            *members.iter().find(|member| own(member)).unwrap_or(&members[0])
        };
        let found = snapshot.resolve(self.vrf.id, address, choose, |_, _| {}).ok()?;
        Some((found.length, &snapshot.next_hops.row(found.next_hop.index())?.kind))
    }
}

/// An address of ours on the VIF's link: a gateway of the tenant, an address of the fabric VIF.
fn is_own(vif: &Vif, address: IpAddr) -> bool {
    match address {
        _ if vif.kind == VifKind::Fabric => vif.addresses.contains(&address),
        IpAddr::V4(address) => vif.gateway_v4 == Some(address),
        IpAddr::V6(address) => vif.gateway_v6 == Some(address) || vif.gateway_link_local == Some(address),
    }
}

/// IPv4 link-local addresses may have a route (a metadata service), but nobody means them by a default route (RFC 3927).
fn is_link_local_v4(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.is_link_local())
}

/// Whether a route may lead to this address.
fn is_routable(address: IpAddr) -> bool {
    is_host(address) && !is_link_local(address)
}
