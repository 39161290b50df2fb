//! Frames to everybody in a bridge: to each VIF but the one that sent it, and from a VIF to each VTEP of the list.

use std::net::IpAddr;

use super::Oracle;
use super::bridge::{Framing, advertises_itself, speaks_for_itself};
use super::config::{Hop, Vif, Which};
use super::forward::{Arrived, Place, check_source};
use super::headers::{self, ARP, Ether, IPV4, IPV6, Packet, Reason, Upper};
use super::quotas::What;
use super::slow_path::Side;

impl Oracle {
    /// A frame to a group, or to nobody who is known. `vif`: the tenant whose word is checked. `outer`: the class of what carried it.
    pub(super) fn flood(
        &mut self,
        bridge: u32,
        side: &Side,
        ether: &Ether,
        frame: &[u8],
        (vif, outer): (Option<&Vif>, Option<u8>),
    ) -> Result<(), Reason> {
        let to_group = headers::is_group(ether.destination);
        let leaf = self.sent_by_leaf(bridge, side, ether);
        if ether.destination[..5] == [1, 0x80, 0xc2, 0, 0] && ether.destination[5] < 16 {
            return Err("multicast");
        }
        let (header, payload) = (frame[..14].to_vec(), &frame[14..]);
        let checked = vif.filter(|vif| !vif.spoofing_allowed);
        let mut framing = Framing { header, padding: Vec::new(), back: None, bare: true };
        let link = Some((ether.destination, ether.source));
        if ![IPV4, IPV6].contains(&ether.ethertype) {
            if let (Some(vif), ARP) = (checked, ether.ethertype) {
                speaks_for_itself(vif, payload)?;
            }
            if let (true, ARP, Some(vif)) = (to_group, ether.ethertype, vif)
                && self.is_answered(vif, (bridge, leaf), ether, payload)
            {
                self.sighted(bridge, side, ether);
                return self.arp(side, ether, payload);
            }
            self.feature("flooded_other");
            self.sighted(bridge, side, ether);
            let arrived = self.arrived(side, Packet::opaque(payload), None, link);
            return self.send_to_everybody((bridge, leaf), Arrived { key: None, bridged: Some(framing), ..arrived });
        }
        let packet = headers::ip(ether.ethertype, payload)?;
        framing.padding = payload[packet.bytes.len()..].to_vec();
        if packet.upper == Upper::Discovery {
            return self.discovery_flooded((bridge, leaf), side, ether, (packet, framing), vif);
        }
        let unspecified = match packet.source() {
            IpAddr::V4(source) => source.is_unspecified(),
            IpAddr::V6(source) => source.is_unspecified(),
        };
        let nobody = unspecified && headers::is_of_many(packet.destination());
        if nobody {
            self.feature("flooded_from_nobody");
        } else {
            check_source(&packet)?;
            if checked.is_some_and(|vif| !vif.may_use(packet.source())) {
                return Err("source_spoofed");
            }
        }
        let class = match outer {
            Some(outer) => self.class_after(outer, packet.class)?,
            None => packet.class,
        };
        self.sighted(bridge, side, ether);
        self.may_flood(side, &packet)?;
        self.feature(if to_group { "flooded_packet" } else { "flooded_unknown" });
        let arrived = self.arrived(side, packet, None, link);
        let mut arrived = Arrived { key: None, bridged: Some(framing), class, ..arrived };
        if class != arrived.packet.class {
            arrived.remark();
        }
        self.send_to_everybody((bridge, leaf), arrived)
    }

    /// By its sender's quota, and by the ACLs that know nothing of whom it goes to.
    fn may_flood(&mut self, side: &Side, packet: &Packet) -> Result<(), Reason> {
        if packet.fragment {
            self.spend(side.place, What::Fragments)?;
        }
        self.ask_acls(side.place, side.vrf, None, &packet.tuple)
    }

    /// Whether an ARP packet asks for who is known here: the VIF's gateway, or a station.
    fn is_answered(&mut self, vif: &Vif, (bridge, leaf): (u32, bool), ether: &Ether, packet: &[u8]) -> bool {
        if packet.len() < 28 || packet[..8] != [0, 1, 8, 0, 6, 4, 0, 1] {
            return false;
        }
        let (sender, target) = (headers::v4_at(packet, 14), IpAddr::from(headers::v4_at(packet, 24)));
        if vif.is_ours(target) {
            self.feature("gateway_asked_in_bridge");
            return true;
        }
        // whoever asks in another's name is left to others
        let own = packet[8..14] == ether.source;
        let told = own && self.station_told(leaf, bridge, (ether.source, sender.into()), target).is_some();
        if told {
            self.feature("arp_suppressed");
        }
        told
    }

    fn discovery_flooded(
        &mut self,
        (bridge, leaf): (u32, bool),
        side: &Side,
        ether: &Ether,
        (packet, framing): (Packet, Framing),
        vif: Option<&Vif>,
    ) -> Result<(), Reason> {
        if let Some(vif) = vif.filter(|vif| !vif.spoofing_allowed) {
            advertises_itself(vif, ether.source, &packet)?;
        }
        self.sighted(bridge, side, ether);
        let message = &packet.bytes[packet.payload..];
        let sound = super::slow_path::option(message, if message[0] == 133 { 8 } else { 24 }, 1).is_ok();
        let gateway = message[0] == 135 && sound && message.len() >= 24;
        let gateway = gateway && vif.is_some_and(|vif| vif.is_ours(headers::v6_at(message, 8).into()));
        let known = message[0] == 135 && sound && message.len() >= 24 && vif.is_some() && {
            let target = headers::v6_at(message, 8).into();
            self.station_told(leaf, bridge, (ether.source, packet.source()), target).is_some()
        };
        if headers::is_group(ether.destination) && known && !gateway {
            self.feature("nd_suppressed");
            return self.discovery(side, ether, &packet);
        }
        let router = message[0] == 133 && vif.is_some_and(|vif| vif.advertisement.is_some());
        if headers::is_group(ether.destination) && (gateway || router) {
            self.feature("router_or_gateway_asked_in_bridge");
            return self.discovery(side, ether, &packet);
        }
        self.feature("flooded_discovery");
        let link = Some((ether.destination, ether.source));
        let arrived = self.arrived(side, packet, None, link);
        self.send_to_everybody((bridge, leaf), Arrived { key: None, bridged: Some(framing), ..arrived })
    }

    /// Who is named to it in a question to everybody: no leaf to a leaf.
    fn station_told(
        &mut self,
        leaf: bool,
        bridge: u32,
        asker: (headers::Mac, IpAddr),
        target: IpAddr,
    ) -> Option<(headers::Mac, bool)> {
        let told = self.station_named(bridge, asker, target)?;
        let station = self.config.station(bridge, told.0);
        if leaf && station.is_some_and(|hop| self.config.is_leaf(hop.which)) {
            self.feature("leaf_not_told_of_leaf");
            return None;
        }
        Some(told)
    }

    /// Who is named to `asker` (MAC and address) when it asks for a station; nobody to who probes, announces or means itself.
    pub(super) fn station_named(
        &mut self,
        bridge: u32,
        asker: (headers::Mac, IpAddr),
        target: IpAddr,
    ) -> Option<(headers::Mac, bool)> {
        let (mac, router) = self.config.who_has(bridge, target)?;
        if mac == asker.0 || asker.1 == target || asker.1.is_unspecified() {
            self.feature("own_address_asked");
            return None;
        }
        if router {
            self.feature("router_named");
        }
        Some((mac, router))
    }

    fn send_to_everybody(&mut self, (bridge, leaf): (u32, bool), arrived: Arrived) -> Result<(), Reason> {
        let of = &self.config.bridges[&bridge];
        let vifs =
            self.config.vifs.values().filter(|vif| vif.bridge == Some(bridge) && Place::Vif(vif.id) != arrived.place);
        let mut everybody: Vec<Which> = vifs.map(|vif| Which::Bridged(vif.id)).collect();
        if matches!(arrived.place, Place::Vif(_)) {
            everybody.extend(&of.vteps);
        }
        if everybody.is_empty() {
            return Err("nobody_else");
        }
        let vrf = of.vrf;
        let ip = arrived.packet.payload > 0 && arrived.packet.upper != Upper::Discovery;
        for which in everybody {
            if leaf && self.config.is_leaf(which) {
                self.feature("copy_for_leaf");
                self.drop(arrived.entered, "leaf_to_leaf");
                continue;
            }
            if let (true, Which::Bridged(vif)) = (ip, which)
                && let Err(reason) = self.ask_acls(arrived.place, vrf, Some(vif), &arrived.packet.tuple)
            {
                self.drop(arrived.entered, reason);
                continue;
            }
            self.feature(if matches!(which, Which::Bridged(_)) { "flooded_to_vif" } else { "flooded_to_vtep" });
            self.leave_by(arrived.clone(), Hop { vrf, which });
        }
        Ok(())
    }
}
