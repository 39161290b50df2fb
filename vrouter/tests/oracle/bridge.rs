//! Bridges: frames go to the station that has their destination MAC, as they are. What is IP has a flow; anything else has not.

use std::net::IpAddr;

use super::config::{Hop, Vif, Which};
use super::flows::Named;
use super::forward::{Arrived, Fate, Place, Way, check_source};
use super::headers::{self, ARP, Ether, IPV4, IPV6, Mac, Packet, Reason, Upper};
use super::slow_path::{Problem, Side, option};
use super::{Oracle, emit};

/// What is around a packet whose frame is bridged.
#[derive(Clone, Debug)]
pub struct Framing {
    /// The Ethernet header.
    pub header: Vec<u8>,
    /// What follows the packet.
    pub padding: Vec<u8>,
    /// The next hop to its sender, if that is a station.
    pub back: Option<Hop>,
    /// It has no flow.
    pub bare: bool,
}

impl Oracle {
    /// Whether a frame is for everybody.
    pub(super) fn is_for_everybody(&self, bridge: u32, ether: &Ether) -> bool {
        self.stations_are_settled();
        let unknown = self.config.station(bridge, ether.destination).is_none();
        headers::is_group(ether.destination) || unknown && self.config.bridges[&bridge].flood_unknown
    }

    /// A frame to one station of a bridge. `vif`: the tenant whose word is checked.
    pub(super) fn bridged(
        &mut self,
        bridge: u32,
        side: &Side,
        ether: &Ether,
        frame: &[u8],
        vif: Option<&Vif>,
    ) -> Result<Arrived, Reason> {
        let hop = self.config.station(bridge, ether.destination).ok_or("unknown_unicast")?;
        let same_side = match (hop.which, side.place) {
            (Which::Bridged(to), Place::Vif(own)) => to == own,
            (Which::Tunnel { .. }, Place::Tunnel(_)) => true,
            _ => false,
        };
        if same_side {
            return Err("split_horizon");
        }
        if self.config.is_leaf(hop.which) && self.sent_by_leaf(bridge, side, ether) {
            return Err("leaf_to_leaf");
        }
        let (header, payload) = (frame[..14].to_vec(), &frame[14..]);
        let checked = vif.filter(|vif| !vif.spoofing_allowed);
        let back = self.config.station(bridge, ether.source);
        let link = Some((ether.destination, ether.source));
        let mut framing = Framing { header, padding: Vec::new(), back, bare: true };
        if ![IPV4, IPV6].contains(&ether.ethertype) {
            if let (Some(vif), ARP) = (checked, ether.ethertype) {
                speaks_for_itself(vif, payload)?;
                self.feature("bridged_arp");
            }
            self.feature("bridged_other");
            let arrived = self.arrived(side, Packet::opaque(payload), Some(hop), link);
            return Ok(Arrived { key: None, bridged: Some(framing), ..arrived });
        }
        let packet = headers::ip(ether.ethertype, payload)?;
        framing.padding = payload[packet.bytes.len()..].to_vec();
        if packet.upper == Upper::Discovery {
            if let Some(vif) = checked {
                advertises_itself(vif, ether.source, &packet)?;
            }
            self.feature("bridged_discovery");
            let arrived = self.arrived(side, packet, Some(hop), link);
            return Ok(Arrived { key: None, bridged: Some(framing), ..arrived });
        }
        if headers::is_of_many(packet.destination()) {
            return Err("multicast");
        }
        check_source(&packet)?;
        if vif.is_some_and(|vif| !vif.may_use(packet.source())) {
            return Err("source_spoofed");
        }
        framing.bare = false;
        self.feature(if vif.is_some() { "bridged_from_vif" } else { "bridged_from_tunnel" });
        let arrived = self.arrived(side, packet, Some(hop), link);
        Ok(Arrived { bridged: Some(framing), ..arrived })
    }

    /// Whether a leaf of an E-tree sent a frame. A tunnel's frame: as the entry of its sender says, or if nobody has that MAC its VTEP.
    pub(super) fn sent_by_leaf(&mut self, bridge: u32, side: &Side, ether: &Ether) -> bool {
        let leaf = match (&side.vif, side.remote) {
            (Some(vif), _) => return vif.leaf,
            (None, None) => return false,
            (None, Some(from)) => match self.config.station(bridge, ether.source) {
                Some(hop) => self.config.is_leaf(hop.which),
                None => self.config.bridges[&bridge].vteps.iter().any(|vtep| {
                    matches!(vtep, Which::Tunnel { remote, .. } if *remote == from.address) && vtep.leads_to_leaf()
                }),
            },
        };
        if leaf {
            self.feature("leaf_behind_tunnel");
        }
        leaf
    }

    /// An ICMP error goes with the flow that it quotes, but bridged or routed as it came itself.
    pub(super) fn error_way(&mut self, arrived: &Arrived, fate: Fate) -> Fate {
        let Fate::Forward(hop) = fate else { return fate };
        if !matches!(arrived.packet.upper, Upper::Error { .. }) {
            return fate;
        }
        if let (Some(_), Some(own)) = (&arrived.bridged, arrived.fixed) {
            self.feature("bridged_error");
            return Fate::Forward(own);
        }
        if !hop.which.takes_frames() {
            return fate;
        }
        self.feature("routed_error_of_bridged");
        match self.config.resolve(arrived.vrf, arrived.packet.destination()) {
            Err(reason) => Fate::Drop(reason),
            Ok((_, hop, _)) => {
                let hop = self.path_by_hash(hop, None);
                self.unless_lost(hop)
            }
        }
    }

    /// Sends a frame on to a station.
    pub(super) fn leave_bridged(&mut self, mut arrived: Arrived, hop: Hop) {
        let framing = arrived.bridged.clone().expect("a frame to a station");
        let way = match hop.which {
            Which::Tunnel { remote, .. } => self.way_of_tunnel(hop, remote, &mut arrived),
            _ => Way::None,
        };
        let mtu = self.mtu(hop, &way);
        let large = self.largest(&arrived);
        if large.unwrap_or(arrived.packet.bytes.len() + framing.padding.len()) > mtu {
            self.drop(arrived.entered, "mtu_exceeded");
            if !arrived.ours && !framing.bare {
                self.tell(&arrived, Problem::TooBig(mtu as u16));
            }
            return;
        }
        if !framing.bare && arrived.class != arrived.packet.class {
            arrived.remark();
        }
        if large.is_some() {
            return self.cut(&arrived, hop, mtu);
        }
        let frame = [&framing.header[..], &arrived.packet.bytes, &framing.padding].concat();
        match (way, hop.which) {
            (_, Which::Bridged(vif)) => {
                self.feature("to_station");
                self.send(self.config.vifs[&vif].port, frame, Default::default(), None);
            }
            (Way::None, _) => self.drop(arrived.entered, "no_underlay_route"),
            (Way::Asked { vif, neighbour }, _) => {
                self.feature("bridged_held");
                self.hold(&vif, neighbour, arrived, hop);
            }
            (Way::Known { vif, mac }, Which::Tunnel { remote, encap }) => {
                self.feature("station_behind_tunnel");
                self.encapsulate(&vif, mac, (remote, encap), &frame, &arrived);
            }
            (Way::Known { .. }, _) => panic!("a station elsewhere"),
        }
    }
}

impl Arrived {
    /// What its packet says of its own direction. Labels are heard from initiators only.
    pub(super) fn named(&self, side: usize) -> Named {
        match (&self.bridged, self.fixed) {
            (Some(_), station) => Named::Bridged(station),
            (None, Some(label)) if side == 0 => Named::Label(label),
            (None, _) => Named::Routed,
        }
    }

    /// What it lets expect of the other direction.
    pub(super) fn answers(&self) -> Named {
        self.bridged.as_ref().map_or(Named::Routed, |framing| Named::Bridged(framing.back))
    }

    /// Writes what outer headers changed of the class.
    pub(super) fn remark(&mut self) {
        let (class, packet) = (self.class, &mut self.packet);
        if packet.source().is_ipv4() {
            packet.bytes[1] = class;
            emit::seal_ipv4(&mut packet.bytes);
        } else {
            packet.bytes[0] = 0x60 | class >> 4;
            packet.bytes[1] = class << 4 | packet.bytes[1] & 0x0f;
        }
    }
}

/// A tenant's ARP names its own MAC and an address of its own, or none.
pub(super) fn speaks_for_itself(vif: &Vif, packet: &[u8]) -> Result<(), Reason> {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if packet.len() < 28 || packet[..6] != ETHERNET_IPV4 || packet[8..14] != vif.mac {
        return Err("arp_invalid");
    }
    let sender = headers::v4_at(packet, 14);
    if sender.is_unspecified() || vif.may_use(sender.into()) { Ok(()) } else { Err("arp_invalid") }
}

/// A tenant's discovery is a host's: sent from its own address, and about itself.
pub(super) fn advertises_itself(vif: &Vif, source: Mac, packet: &Packet) -> Result<(), Reason> {
    let message = &packet.bytes[packet.payload..];
    let from = packet.source();
    let (at, kind) = match message[0] {
        133 => (8, 1),
        135 => (24, 1),
        136 => (24, 2),
        _ => return Err("nd_invalid"),
    };
    let mac = option(message, at, kind)?;
    let own = message[0] != 136 || vif.may_use(IpAddr::V6(headers::v6_at(message, 8)));
    let unspecified = matches!(from, IpAddr::V6(from) if from.is_unspecified());
    let sound = source == vif.mac && mac.is_none_or(|mac| mac == vif.mac) && (unspecified || vif.may_use(from));
    if own && sound { Ok(()) } else { Err("nd_invalid") }
}
