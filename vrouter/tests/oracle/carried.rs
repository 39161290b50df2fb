//! What comes out of tunnels: the packet behind the outer headers, its VRF, and what it leaves them with.

use std::net::IpAddr;

use super::config::{Arrival, Hop, Vif, Which};
use super::forward::{Arrived, Link, Place, Remote, check_source};
use super::headers::{self, ARP, Packet, Reason, Upper};
use super::slow_path::Side;
use super::{Oracle, emit};

/// What the outer headers of a tunnelled packet say besides.
#[derive(Clone, Copy)]
struct Outer {
    remote: IpAddr,
    class: u8,
    /// Bytes of headers so far.
    before: usize,
}

impl Oracle {
    /// RFC 4023 on RFC 2784 with the options of RFC 2890.
    pub(super) fn gre_carried(&mut self, vif: &Vif, outer: &Packet) -> Result<Option<Arrived>, Reason> {
        let gre = &outer.bytes[outer.payload..];
        if gre.len() < 4 {
            return Err("gre_header");
        }
        let bit = |bit: usize| headers::be16(gre, 0) << bit & 0x8000 != 0;
        let (checksum, key, sequence) = (bit(0), bit(2), bit(3));
        let refused = bit(1) || bit(4) || bit(5) || gre[1] & 7 != 0;
        let length = 4 * (1 + usize::from(checksum) + usize::from(key) + usize::from(sequence));
        if refused || gre.len() < length {
            return Err("gre_header");
        }
        if checksum && headers::ones_sum(gre) != 0xffff {
            return Err("gre_checksum");
        }
        if headers::be16(gre, 2) != 0x8847 {
            return Err("gre_protocol");
        }
        let carrier = self.carrier(vif, outer, length);
        let carried = self.mpls_carried(vif, carrier, &gre[length..])?;
        self.feature(if carrier.remote.is_ipv4() { "from_mpls_gre" } else { "from_mpls_gre6" });
        Ok(carried)
    }

    fn carrier(&mut self, vif: &Vif, outer: &Packet, more: usize) -> Outer {
        if self.config.connected(vif.vrf, outer.source()).is_some_and(|other| other.id != vif.id) {
            self.feature("by_other_uplink");
        }
        Outer { remote: outer.source(), class: outer.class, before: outer.payload + more }
    }

    /// What a tunnel's UDP datagram carries.
    pub(super) fn udp_carried(&mut self, vif: &Vif, outer: &Packet) -> Result<Option<Arrived>, Reason> {
        let datagram = &outer.bytes[outer.payload..];
        if let (IpAddr::V6(source), IpAddr::V6(destination)) = (outer.source(), outer.destination()) {
            if !emit::udp6_holds(source, destination, datagram) {
                return Err("udp_checksum");
            }
            self.feature(if datagram[6..8] == [0, 0] { "udp6_without_checksum" } else { "udp6_checksum" });
        }
        let carrier = self.carrier(vif, outer, 8);
        let payload = &datagram[8..usize::from(headers::be16(datagram, 4))];
        let (carried, [v4, v6]) = match outer.tuple.destination_port {
            4789 => (self.vxlan_carried(vif, carrier, payload)?, ["from_vxlan", "from_vxlan6"]),
            6081 => (self.geneve_carried(vif, carrier, payload)?, ["from_geneve", "from_geneve6"]),
            _ => (self.mpls_carried(vif, carrier, payload)?, ["from_mpls_udp", "from_mpls_udp6"]),
        };
        if carried.is_some() {
            self.feature(if carrier.remote.is_ipv4() { v4 } else { v6 });
        }
        Ok(carried)
    }

    fn vxlan_carried(&mut self, vif: &Vif, outer: Outer, payload: &[u8]) -> Result<Option<Arrived>, Reason> {
        if payload.len() < 8 || payload[0] & 0x08 == 0 {
            return Err("vxlan_header");
        }
        let vni = headers::be32(payload, 4) >> 8;
        let outer = Outer { before: outer.before + 8, ..outer };
        self.framed_carried(vif, outer, (vni, Link::Vxlan(vni)), &payload[8..])
    }

    /// RFC 8926, section 3.4: a fixed header, then as many words of options as it says.
    fn geneve_carried(&mut self, vif: &Vif, outer: Outer, payload: &[u8]) -> Result<Option<Arrived>, Reason> {
        if payload.len() < 8 || payload[0] >= 0x40 || payload.len() < 8 + 4 * usize::from(payload[0]) {
            return Err("geneve_header");
        }
        let end = 8 + 4 * usize::from(payload[0]);
        if payload[1] >= 0x80 {
            return Err("geneve_control");
        }
        if headers::be16(payload, 2) != 0x6558 {
            return Err("geneve_protocol");
        }
        let mut at = 8;
        while at < end {
            let next = at + 4 + 4 * usize::from(payload[at + 3] % 32);
            match payload[at + 2] {
                _ if next > end => return Err("geneve_header"),
                0x80.. => return Err("geneve_critical_option"),
                _ => at = next,
            }
        }
        let vni = headers::be32(payload, 4) >> 8;
        let outer = Outer { before: outer.before + end, ..outer };
        let carried = self.framed_carried(vif, outer, (vni, Link::Geneve(vni)), &payload[end..])?;
        if carried.is_some() && end > 8 {
            self.feature("geneve_options");
        }
        Ok(carried)
    }

    /// An inner frame.
    fn framed_carried(
        &mut self,
        vif: &Vif,
        outer: Outer,
        (vni, link): (u32, Link),
        frame: &[u8],
    ) -> Result<Option<Arrived>, Reason> {
        let (vrf, bridge) = *self.config.vnis.get(&vni).ok_or("vni_unknown")?;
        self.check_vtep(vrf, outer.remote)?;
        let remote = Some(Remote { address: outer.remote, link: Some(link), before: outer.before + 14 });
        let side = Side { entered: vif.id, place: Place::Tunnel(vrf), vrf, vif: None, remote };
        let ether = headers::ether(frame)?;
        let settings = &self.config.settings;
        let to_gateway = bridge.is_some() && ether.destination == settings.gateway_mac;
        let to_us = ether.destination == settings.router_mac || to_gateway;
        let to_group = headers::is_group(ether.destination);
        if let Some(bridge) = bridge.filter(|_| !to_us) {
            return self.frame_carried(bridge, &side, outer, frame);
        }
        if to_gateway {
            self.feature("to_gateway_from_bridge");
        }
        if !to_us && !to_group {
            return Err("inner_mac_not_ours");
        }
        if ether.ethertype == ARP {
            return self.arp(&side, &ether, &frame[14..]).map(|()| None);
        }
        let packet = headers::ip(ether.ethertype, &frame[14..])?;
        if packet.upper == Upper::Discovery {
            return self.discovery(&side, &ether, &packet).map(|()| None);
        }
        if to_group || headers::is_of_many(packet.destination()) {
            return Err("multicast");
        }
        check_source(&packet)?;
        let class = self.class_after(outer.class, packet.class)?;
        let arrived = self.arrived(&side, packet, None, Some((ether.destination, ether.source)));
        Ok(Some(Arrived { class, ..arrived }))
    }

    /// A frame for a bridge.
    fn frame_carried(
        &mut self,
        bridge: u32,
        side: &Side,
        outer: Outer,
        frame: &[u8],
    ) -> Result<Option<Arrived>, Reason> {
        let ether = headers::ether(frame)?;
        self.may_enter(bridge, side, &ether)?;
        if self.is_for_everybody(bridge, &ether) {
            return self.flood(bridge, side, &ether, frame, (None, Some(outer.class))).map(|()| None);
        }
        let mut arrived = self.bridged(bridge, side, &ether, frame, None)?;
        if arrived.bridged.as_ref().is_some_and(|framing| !framing.bare) {
            arrived.class = self.class_after(outer.class, arrived.packet.class)?;
        }
        self.sighted(bridge, side, &ether);
        Ok(Some(arrived))
    }

    fn mpls_carried(&mut self, vif: &Vif, outer: Outer, payload: &[u8]) -> Result<Option<Arrived>, Reason> {
        if payload.len() < 4 || payload[2] & 1 == 0 {
            return Err("mpls_header");
        }
        let (vrf, fixed) = match self.config.labels.get(&(headers::be32(payload, 0) >> 12)).ok_or("label_unknown")? {
            Arrival::Bridge(bridge) => {
                let (bridge, vrf) = (*bridge, self.config.bridges[bridge].vrf);
                self.check_vtep(vrf, outer.remote)?;
                let remote = Some(Remote { address: outer.remote, link: None, before: outer.before + 18 });
                let side = Side { entered: vif.id, place: Place::Tunnel(vrf), vrf, vif: None, remote };
                return self.frame_carried(bridge, &side, outer, &payload[4..]);
            }
            Arrival::Vrf(vrf) => (*vrf, None),
            Arrival::Vif(vif) => {
                let vrf = self.config.vifs[vif].vrf;
                (vrf, Some(Hop { vrf, which: Which::Vif { vif: *vif, mac: None } }))
            }
        };
        self.check_vtep(vrf, outer.remote)?;
        let packet = headers::bare_ip(&payload[4..])?;
        if packet.upper == Upper::Discovery {
            return Err("neighbour_not_ours");
        }
        if headers::is_of_many(packet.destination()) {
            return Err("multicast");
        }
        check_source(&packet)?;
        let headers = self.config.settings.headers;
        let marked = headers.congestion != 0 && headers.congestion == payload[2] >> 1 & 7;
        let class = self.class_after(if marked { outer.class | 3 } else { outer.class }, packet.class)?;
        if marked {
            self.feature("congestion_in_label");
        }
        let ttl = if headers.mpls_ttl { payload[3].min(packet.ttl) } else { packet.ttl };
        if ttl < packet.ttl {
            self.feature("label_ttl_taken");
        }
        self.feature(if fixed.is_some() { "from_label_to_vif" } else { "from_label" });
        let remote = Some(Remote { address: outer.remote, link: None, before: outer.before + 4 });
        let side = Side { entered: vif.id, place: Place::Tunnel(vrf), vrf, vif: None, remote };
        let arrived = self.arrived(&side, packet, fixed, None);
        Ok(Some(Arrived { class, ttl, ..arrived }))
    }

    /// The TOS that a packet leaves its tunnel with: DSCP by RFC 2983, ECN by the table of RFC 6040, section 4.2.
    pub(super) fn class_after(&mut self, outer: u8, inner: u8) -> Result<u8, Reason> {
        const NOT: u8 = 0;
        const ECT1: u8 = 1;
        const CE: u8 = 3;
        let ecn = match (inner & 3, outer & 3) {
            (NOT, CE) => return Err("ecn_forbidden"),
            (NOT, _) => NOT,
            (CE, _) | (_, CE) => CE,
            (_, ECT1) => ECT1,
            (own, _) => own,
        };
        let uniform = self.config.settings.headers.dscp;
        let dscp = if uniform { outer } else { inner } & 0xfc;
        if !uniform && (inner ^ outer) & 0xfc != 0 {
            self.feature("pipe_from_tunnel");
        }
        if dscp | ecn != inner {
            self.feature("remarked_by_tunnel");
        }
        Ok(dscp | ecn)
    }

    fn check_vtep(&self, vrf: u32, remote: IpAddr) -> Result<(), Reason> {
        let allowed = &self.config.vrfs[&vrf].allowed_vteps;
        if allowed.is_empty() || allowed.contains(&remote) { Ok(()) } else { Err("vtep_not_allowed") }
    }
}
