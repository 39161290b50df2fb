//! The path of a packet: what a frame is, what becomes of it, and how it leaves.

use std::net::IpAddr;

use super::bridge::Framing;
use super::choice::Free;
use super::config::{Encap, Hop, Kind, Vif, Which};
use super::headers::{self, ARP, Ether, IPV4, IPV6, Mac, Packet, Reason, Tuple, Upper};
use super::links::Sighting;
use super::offload;
use super::quotas::What;
use super::slow_path::{Problem, Side};
use super::{Oracle, emit};

/// The place where a packet enters: a VIF, or the tunnel side of a VRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Vif(u32),
    Tunnel(u32),
}

/// What a flow is known by.
pub type Key = (Place, Tuple);

/// Who sent a tunnelled packet; the link to it, which a label's has not.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    pub address: IpAddr,
    pub link: Option<Link>,
    /// Bytes from the outer IP header to the inner one.
    pub before: usize,
}

/// A tunnel with Ethernet inside, and its VNI.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    Vxlan(u32),
    Geneve(u32),
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The VIF whose port it came in by; none for packets of ours.
    pub entered: Option<u32>,
    pub place: Place,
    pub vrf: u32,
    /// As it came.
    pub packet: Packet,
    /// The TOS and TTL that it goes on with; the outer headers may have changed them.
    pub class: u8,
    pub ttl: u8,
    /// The next hop that a label which names its VIF, or a bridge, has for it.
    pub fixed: Option<Hop>,
    /// Its frame goes on as it is.
    pub bridged: Option<Framing>,
    pub remote: Option<Remote>,
    /// The Ethernet header that it came with, the inner one behind VXLAN and GENEVE.
    pub link: Option<(Mac, Mac)>,
    /// Ours, or on its way again: no TTL step, nobody to tell of errors.
    pub ours: bool,
    /// It has waited for a neighbour.
    pub waited: bool,
    /// Its flow's; none for ICMP errors that quote what their receiver never sent, and for packets of ours.
    pub key: Option<Key>,
    /// What in the packet is free to choose.
    pub free: Free,
    /// The ways through the underlay that it had.
    pub seen: Vec<Sighting>,
}

/// What becomes of it.
pub enum Fate {
    Forward(Hop),
    Drop(Reason),
    /// Dropped, and its sender is told why.
    Tell(Reason, Problem),
    /// For an address of ours.
    Local,
    /// A later fragment, before its first one.
    Wait,
}

/// How a packet reaches its next underlay hop.
pub enum Way {
    Known { vif: Vif, mac: Mac },
    Asked { vif: Vif, neighbour: IpAddr },
    None,
}

impl Oracle {
    /// A frame that a port received.
    pub(super) fn enter(&mut self, port: usize, frame: &[u8]) {
        let (frame, left) = offload::unmarked(frame);
        let (port, frame) = self.inside(port, frame);
        let frame = self.with_sum(frame, left);
        let Some(vif) = self.config.vif_of_port(port).cloned() else {
            let frame = &frame;
            let shared = self.shared_by(port);
            let passed = shared.map_or(Err("no_vif"), |vif| self.kernel_sent(&vif, frame));
            return passed.unwrap_or_else(|reason| self.drop(None, reason));
        };
        self.come((port, frame), &vif);
    }

    /// A frame that came in by a VIF.
    pub(super) fn come(&mut self, at_hand: (usize, Vec<u8>), vif: &Vif) {
        self.pieces.at_hand = at_hand.clone();
        let frame = &at_hand.1[..];
        let classified = headers::ether(frame).and_then(|ether| match vif.kind {
            Kind::Tenant => self.tenant_sent(vif, &ether, frame),
            Kind::Fabric => match vif.vlan {
                None => self.fabric_sent(vif, &ether, frame),
                Some(vlan) => {
                    let frame = untagged(frame, vlan)?;
                    self.feature("vlan");
                    headers::ether(&frame).and_then(|ether| self.fabric_sent(vif, &ether, &frame))
                }
            },
        });
        match classified {
            Err(reason) => self.drop(Some(vif.id), reason),
            // the slow path has it
            Ok(None) => {}
            Ok(Some(arrived)) => self.forward(arrived),
        }
    }

    fn forward(&mut self, mut arrived: Arrived) {
        if let (Some(Framing { bare: true, .. }), Some(hop)) = (&arrived.bridged, arrived.fixed) {
            return self.leave_by(arrived, hop);
        }
        if arrived.packet.fragment
            && !self.pieces.again
            && let Err(reason) = self.spend(arrived.place, What::Fragments)
        {
            return self.drop(arrived.entered, reason);
        }
        let head = self.heads(&arrived);
        match self.decide(&mut arrived) {
            Fate::Wait => self.wait_for_head(&arrived),
            Fate::Forward(hop) => self.leave_by(arrived, hop),
            Fate::Drop(reason) => self.drop(arrived.entered, reason),
            Fate::Tell(reason, problem) => {
                self.drop(arrived.entered, reason);
                self.tell(&arrived, problem);
            }
            Fate::Local => self.for_us(&arrived),
        }
        head.into_iter().for_each(|head| self.head_came(head));
    }

    fn tenant_sent(&mut self, vif: &Vif, ether: &Ether, frame: &[u8]) -> Result<Option<Arrived>, Reason> {
        let gateway = self.config.our_mac(vif);
        let side =
            Side { entered: vif.id, place: Place::Vif(vif.id), vrf: vif.vrf, vif: Some(vif.clone()), remote: None };
        if !vif.spoofing_allowed && ether.source != vif.mac {
            return Err("mac_spoofed");
        }
        if let Some(bridge) = vif.bridge {
            let routes = vif.gateway_v4.is_some() || vif.gateway_v6.is_some() || vif.gateway_link_local.is_some();
            let ours = ether.destination == gateway;
            if !routes || !ours {
                self.may_enter(bridge, &side, ether)?;
            }
            if (!routes || !ours) && self.is_for_everybody(bridge, ether) {
                return self.flood(bridge, &side, ether, frame, (Some(vif), None)).map(|()| None);
            }
            if !routes || !ours {
                let arrived = self.bridged(bridge, &side, ether, frame, Some(vif))?;
                self.sighted(bridge, &side, ether);
                return Ok(Some(arrived));
            }
        }
        if ether.ethertype == ARP {
            if !headers::is_group(ether.destination) && ether.destination != gateway {
                return Err("mac_not_ours");
            }
            vif.bridge.into_iter().for_each(|bridge| self.sighted(bridge, &side, ether));
            return self.arp(&side, ether, &frame[14..]).map(|()| None);
        }
        let packet = headers::ip(ether.ethertype, &frame[14..])?;
        if packet.upper == Upper::Discovery {
            vif.bridge.into_iter().for_each(|bridge| self.sighted(bridge, &side, ether));
            return self.discovery(&side, ether, &packet).map(|()| None);
        }
        if headers::is_group(ether.destination) || headers::is_of_many(packet.destination()) {
            return Err("multicast");
        }
        if ether.destination != gateway {
            return Err("mac_not_ours");
        }
        check_source(&packet)?;
        if !vif.may_use(packet.source()) {
            return Err("source_spoofed");
        }
        self.feature("from_vif");
        Ok(Some(self.arrived(&side, packet, None, Some((ether.destination, ether.source)))))
    }

    pub(super) fn fabric_sent(&mut self, vif: &Vif, ether: &Ether, frame: &[u8]) -> Result<Option<Arrived>, Reason> {
        let side =
            Side { entered: vif.id, place: Place::Vif(vif.id), vrf: vif.vrf, vif: Some(vif.clone()), remote: None };
        let to_group = headers::is_group(ether.destination);
        // a copy is ours to learn from when the kernel has the frame
        let neighbour = |oracle: &mut Oracle, said: &dyn Fn(&mut Oracle) -> Result<(), Reason>| {
            let shared = oracle.kernel_takes(vif, frame, "kernel_has_neighbours");
            said(oracle).or_else(|reason| if shared { Ok(()) } else { Err(reason) }).map(|()| None)
        };
        if ether.ethertype == ARP && (to_group || ether.destination == vif.mac) {
            return neighbour(self, &|oracle| oracle.arp(&side, ether, &frame[14..]));
        }
        if to_group {
            let listens = ether.ethertype == IPV6 && vif.addresses.iter().any(IpAddr::is_ipv6);
            let packet = if listens { headers::ip(IPV6, &frame[14..])? } else { return Err("multicast") };
            return match packet.upper {
                Upper::Discovery => neighbour(self, &|oracle| oracle.discovery(&side, ether, &packet)),
                _ => Err("multicast"),
            };
        }
        if ether.destination != vif.mac {
            return Err("mac_not_ours");
        }
        let outer = headers::ip(ether.ethertype, &frame[14..])?;
        let settings = &self.config.settings;
        let to = outer.destination();
        let vtep = settings.vtep_towards(to) == Some(to) && settings.underlay == Some(vif.vrf);
        if !vif.addresses.contains(&to) && !vtep {
            return Err("not_for_us");
        }
        check_source(&outer)?;
        if outer.upper == Upper::Discovery {
            return neighbour(self, &|oracle| oracle.discovery(&side, ether, &outer));
        }
        if vtep && outer.tuple.protocol == 47 {
            if outer.fragment {
                return self.assemble(vif, ether, &outer);
            }
            return self.gre_carried(vif, &outer);
        }
        let udp = outer.tuple.protocol == 17;
        if udp && vtep && outer.tuple.later && (vif.exception.is_none() || self.is_partial(&outer)) {
            return self.assemble(vif, ether, &outer);
        }
        let tunnel = udp && vtep && !outer.tuple.later && [4789, 6081, 6635].contains(&outer.tuple.destination_port);
        if let Some(reason) = self.bfd_packet(vif, &outer).filter(|_| !tunnel) {
            return Err(reason);
        }
        if !tunnel && self.kernel_takes(vif, frame, "kernel_has") {
            return Ok(None);
        }
        if !tunnel {
            let arrived = self.arrived(&side, outer, None, Some((ether.destination, ether.source)));
            self.for_us(&arrived);
            return Ok(None);
        }
        if outer.fragment {
            return self.assemble(vif, ether, &outer);
        }
        self.udp_carried(vif, &outer)
    }

    pub(super) fn arrived(&self, side: &Side, packet: Packet, fixed: Option<Hop>, link: Option<(Mac, Mac)>) -> Arrived {
        let tuple = match packet.upper {
            Upper::Flow { .. } => Some(packet.tuple),
            // the quoted packet was sent by whom the error is told, and the error travels against it
            Upper::Error { quoted } => (quoted.source == packet.destination()).then(|| quoted.turned()),
            Upper::Discovery => None,
        };
        Arrived {
            entered: Some(side.entered),
            place: side.place,
            vrf: side.vrf,
            key: tuple.map(|tuple| (side.place, tuple)),
            class: packet.class,
            ttl: packet.ttl,
            packet,
            fixed,
            bridged: None,
            remote: side.remote,
            link,
            ours: false,
            waited: false,
            free: Free::default(),
            seen: Vec::new(),
        }
    }

    /// A packet of ours, routed in this VRF.
    pub(super) fn originate(&mut self, vrf: u32, packet: &[u8], free: Free) {
        if let Some(behind) = &mut self.behind {
            return behind.push((vrf, packet.to_vec(), free));
        }
        let packet = headers::ours(packet);
        let route = self.config.resolve(vrf, packet.destination());
        let route = route.map(|(_, hop, _)| self.path_by_hash(hop, None));
        let place = Place::Tunnel(vrf);
        let arrived = Arrived {
            entered: None,
            place,
            vrf,
            class: packet.class,
            ttl: packet.ttl,
            packet,
            fixed: None,
            bridged: None,
            remote: None,
            link: None,
            ours: true,
            waited: false,
            key: None,
            free,
            seen: Vec::new(),
        };
        match route {
            Ok(hop) => self.leave_by(arrived, hop),
            Err(reason) => self.drop(None, reason),
        }
    }

    /// Rewrites a packet and sends it.
    pub(super) fn leave_by(&mut self, mut arrived: Arrived, hop: Hop) {
        if !self.config.is_in_use(hop) {
            return self.drop(arrived.entered, "next_hop_gone");
        }
        if hop.which.takes_frames() {
            return self.leave_bridged(arrived, hop);
        }
        if !arrived.ours && arrived.ttl <= 1 {
            self.drop(arrived.entered, "ttl_expired");
            return self.tell(&arrived, Problem::TimeExceeded);
        }
        let destination = arrived.packet.destination();
        let way = match hop.which {
            Which::Tunnel { remote, .. } => self.way_of_tunnel(hop, remote, &mut arrived),
            _ => self.way(hop, destination),
        };
        let mtu = self.mtu(hop, &way);
        let large = self.largest(&arrived);
        let too_big = large.unwrap_or(arrived.packet.bytes.len()) > mtu;
        if too_big && (arrived.ours || !self.may_be_split(&arrived.packet, mtu)) {
            self.drop(arrived.entered, "mtu_exceeded");
            if !arrived.ours {
                self.tell(&arrived, Problem::TooBig(mtu as u16));
            }
            return;
        }
        self.clamp_mss(&mut arrived, hop, mtu);
        if !arrived.ours {
            step(&mut arrived);
        }
        if large.is_some() {
            return self.cut(&arrived, hop, mtu);
        }
        if too_big {
            return self.split(&arrived, hop, mtu);
        }
        match hop.which {
            Which::Drop => return self.drop(arrived.entered, "route_drop"),
            Which::Receive => return self.drop(arrived.entered, "local_unanswered"),
            Which::Vif { vif, mac } => {
                let vif = self.config.vifs[&vif].clone();
                self.feature(if arrived.ours { "answer_to_vif" } else { "to_vif" });
                let mac = mac.unwrap_or(vif.mac);
                return self.deliver(&vif, mac, &arrived);
            }
            _ => {}
        }
        match (way, hop.which) {
            (Way::None, _) => self.drop(arrived.entered, "no_underlay_route"),
            (Way::Asked { vif, neighbour }, _) => self.hold(&vif, neighbour, arrived, hop),
            (Way::Known { vif, mac }, Which::Tunnel { remote, encap }) => {
                let inner = arrived.packet.bytes.clone();
                self.encapsulate(&vif, mac, (remote, encap), &inner, &arrived);
            }
            (Way::Known { vif, mac }, _) => {
                self.feature("to_underlay");
                self.deliver(&vif, mac, &arrived);
            }
        }
    }

    fn deliver(&mut self, vif: &Vif, to: Mac, arrived: &Arrived) {
        let from = self.config.our_mac(vif);
        let frame = emit::ethernet(to, from, ethertype(&arrived.packet), &arrived.packet.bytes);
        self.send(vif.port, frame, arrived.free.behind(14), None);
    }

    /// Sends an L3 packet, or a frame, through a tunnel.
    pub(super) fn encapsulate(
        &mut self,
        vif: &Vif,
        to: Mac,
        (remote, encap): (IpAddr, Encap),
        inner: &[u8],
        arrived: &Arrived,
    ) {
        let settings = &self.config.settings;
        let local = settings.vtep_towards(remote).expect("a way without VTEP");
        let headers = settings.headers;
        let class = if headers.dscp { arrived.class } else { headers.outer_dscp << 2 | arrived.class & 3 };
        let traffic_class = match () {
            () if headers.mpls_tc => arrived.class >> 5,
            () if arrived.class & 3 == 3 => headers.congestion,
            () => 0,
        };
        let ttl = if headers.mpls_ttl { arrived.ttl } else { emit::TTL };
        let label = |label| emit::mpls(label, traffic_class, ttl, inner);
        let (protocol, payload) = match encap {
            Encap::Vxlan { vni, mac } => {
                let frame = emit::ethernet(mac, settings.router_mac, ethertype(&arrived.packet), inner);
                (17, emit::vxlan(vni, &frame))
            }
            Encap::Geneve { vni, mac } => {
                let frame = emit::ethernet(mac, settings.router_mac, ethertype(&arrived.packet), inner);
                (17, emit::geneve(vni, &frame))
            }
            Encap::MplsOverUdp { label: number } => (17, emit::udp(6635, &label(number))),
            Encap::MplsOverGre { label: number } => (47, emit::gre(0x8847, &label(number))),
            // frames know no class and no TTL
            Encap::FramesInVxlan { vni, .. } => (17, emit::vxlan(vni, inner)),
            Encap::FramesInGeneve { vni, .. } => (17, emit::geneve(vni, inner)),
            Encap::FramesInMplsOverUdp { label, .. } => (17, emit::udp(6635, &emit::mpls(label, 0, emit::TTL, inner))),
            Encap::FramesInMplsOverGre { label, .. } => {
                (47, emit::gre(0x8847, &emit::mpls(label, 0, emit::TTL, inner)))
            }
        };
        self.feature(match encap {
            Encap::Vxlan { .. } if remote.is_ipv6() => "to_vxlan6",
            Encap::Vxlan { .. } => "to_vxlan",
            Encap::Geneve { .. } if remote.is_ipv6() => "to_geneve6",
            Encap::Geneve { .. } => "to_geneve",
            Encap::MplsOverUdp { .. } if remote.is_ipv6() => "to_mpls_udp6",
            Encap::MplsOverUdp { .. } => "to_mpls_udp",
            Encap::MplsOverGre { .. } if remote.is_ipv6() => "to_mpls_gre6",
            Encap::MplsOverGre { .. } => "to_mpls_gre",
            Encap::FramesInVxlan { .. } => "frames_to_vxlan",
            Encap::FramesInGeneve { .. } => "frames_to_geneve",
            Encap::FramesInMplsOverUdp { .. } => "frames_to_mpls_udp",
            Encap::FramesInMplsOverGre { .. } => "frames_to_mpls_gre",
        });
        self.marked(encap, class, (traffic_class, ttl), arrived);
        let (outer, free) = emit::outer(local, remote, protocol, class, &payload);
        let frame = emit::ethernet(to, vif.mac, if remote.is_ipv4() { IPV4 } else { IPV6 }, &outer);
        self.send(vif.port, frame, free.behind(14), arrived.key);
    }

    /// Names what the header settings made of outer header and label.
    fn marked(&mut self, encap: Encap, class: u8, (traffic_class, ttl): (u8, u8), arrived: &Arrived) {
        let headers = self.config.settings.headers;
        if class != arrived.class {
            self.feature("pipe_to_tunnel");
        }
        if matches!(encap, Encap::Vxlan { .. } | Encap::Geneve { .. }) || encap.takes_frames() {
            return;
        }
        if headers.mpls_ttl && ttl != emit::TTL {
            self.feature("label_ttl_uniform");
        }
        if traffic_class != 0 {
            self.feature(if headers.mpls_tc { "label_tc_uniform" } else { "congestion_to_label" });
        }
    }

    /// The largest L3 packet that may leave by a next hop.
    pub(super) fn mtu(&self, hop: Hop, way: &Way) -> usize {
        let fabric = || match way {
            Way::Known { vif, .. } | Way::Asked { vif, .. } => usize::from(vif.mtu),
            Way::None => 65535,
        };
        // of several ways the smallest counts, so that what fits goes on fitting
        let smallest = |remote| self.vifs_of_ways(remote).iter().map(|vif| usize::from(vif.mtu)).min();
        match hop.which {
            Which::Drop | Which::Receive | Which::Vrf(_) | Which::Paths(_) | Which::Group(_) => 65535,
            Which::Vif { vif, .. } | Which::Bridged(vif) => usize::from(self.config.vifs[&vif].mtu),
            Which::Gateway(_) | Which::Connected(_) | Which::Neighbour(..) => fabric(),
            Which::Tunnel { remote, encap } => {
                let ip = if remote.is_ipv4() { 20 } else { 40 };
                let behind = match encap {
                    Encap::Vxlan { .. } | Encap::Geneve { .. } => 8 + 8 + 14,
                    Encap::MplsOverUdp { .. } => 8 + 4,
                    Encap::MplsOverGre { .. } => 4 + 4,
                    Encap::FramesInVxlan { .. } | Encap::FramesInGeneve { .. } => 8 + 8 + 14,
                    Encap::FramesInMplsOverUdp { .. } => 8 + 4 + 14,
                    Encap::FramesInMplsOverGre { .. } => 4 + 4 + 14,
                };
                smallest(remote).unwrap_or_else(fabric) - (ip + behind)
            }
        }
    }

    /// The way of a next hop of the underlay.
    fn way(&self, hop: Hop, destination: IpAddr) -> Way {
        let to = |vif: &Vif, address: IpAddr| match self.config.neighbours.get(&(vif.id, address)) {
            Some(neighbour) => Way::Known { vif: vif.clone(), mac: neighbour.mac },
            None => Way::Asked { vif: vif.clone(), neighbour: address },
        };
        match hop.which {
            Which::Gateway(gateway) => match self.config.connected(hop.vrf, gateway) {
                Some(vif) => to(vif, gateway),
                None => Way::None,
            },
            Which::Neighbour(vif, address) => self.config.vifs.get(&vif).map_or(Way::None, |vif| to(vif, address)),
            Which::Connected(vif) => match self.config.vifs.get(&vif) {
                // a resolved neighbour has a route of its own
                Some(vif) => Way::Asked { vif: vif.clone(), neighbour: destination },
                None => Way::None,
            },
            Which::Tunnel { .. } | Which::Paths(_) | Which::Group(_) => panic!("a way that was not chosen"),
            Which::Drop | Which::Receive | Which::Vif { .. } | Which::Bridged(_) | Which::Vrf(_) => Way::None,
        }
    }

    /// The way of a packet through a tunnel.
    pub(super) fn way_of_tunnel(&mut self, hop: Hop, remote: IpAddr, arrived: &mut Arrived) -> Way {
        if self.config.settings.vtep_towards(remote).is_none() {
            return Way::None;
        }
        self.underlay_way(hop, remote, arrived).map_or(Way::None, |via| self.way(via, remote))
    }

    /// Whether a tunnel leads anywhere in the underlay: its route is not dead.
    pub(super) fn has_way(&self, remote: IpAddr) -> bool {
        let via = self.underlay(remote).filter(|_| self.config.settings.vtep_towards(remote).is_some());
        via.is_some_and(|via| self.leads(via.vrf, via.which, remote)) && !self.is_far_end_gone(remote)
    }
}

/// The frame without the tag that it must have; its priority means nothing.
fn untagged(frame: &[u8], vlan: u16) -> Result<Vec<u8>, Reason> {
    let tagged = frame.len() >= 18 && headers::be16(frame, 12) == 0x8100 && headers::be16(frame, 14) & 0xfff == vlan;
    if tagged { Ok([&frame[..12], &frame[16..]].concat()) } else { Err("vlan_unknown") }
}

/// Martians, and packets from an address to itself.
pub(super) fn check_source(packet: &Packet) -> Result<(), Reason> {
    let bad = headers::is_martian(packet.source()) || packet.source() == packet.destination();
    if bad { Err("source_spoofed") } else { Ok(()) }
}

/// Takes one from the TTL, and writes what outer headers changed.
fn step(arrived: &mut Arrived) {
    arrived.ttl -= 1;
    let (class, ttl, packet) = (arrived.class, arrived.ttl, &mut arrived.packet);
    if packet.source().is_ipv4() {
        (packet.bytes[1], packet.bytes[8]) = (class, ttl);
        emit::seal_ipv4(&mut packet.bytes);
    } else {
        packet.bytes[0] = 0x60 | class >> 4;
        packet.bytes[1] = class << 4 | packet.bytes[1] & 0x0f;
        packet.bytes[7] = ttl;
    }
}

pub fn ethertype(packet: &Packet) -> u16 {
    if packet.source().is_ipv4() { IPV4 } else { IPV6 }
}
