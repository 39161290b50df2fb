//! What the vRouter says itself: ARP, neighbour discovery, echo, ICMP errors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::choice::Free;
use super::config::{Kind, Vif, Which, is_link_local};
use super::forward::{Arrived, Link, Place, Remote, ethertype};
use super::headers::{self, Ether, Mac, Packet, Reason, be16, is_martian, v4_at, v6_at};
use super::quotas::What;
use super::{Oracle, emit};

/// The side of a VRF that something came from.
#[derive(Clone, Debug)]
pub struct Side {
    /// The VIF whose port it came in by.
    pub entered: u32,
    pub place: Place,
    pub vrf: u32,
    /// None: a tunnel.
    pub vif: Option<Vif>,
    pub remote: Option<Remote>,
}

/// What the sender of a dropped packet is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    TimeExceeded,
    TooBig(u16),
    NoRoute,
}

/// As whom we answer for an address.
struct Answer {
    mac: Mac,
    /// Ours, not another's that we stand in for.
    own: bool,
    router: bool,
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Oracle {
    /// RFC 826 and RFC 5227; `packet` is what follows the Ethernet header.
    pub(super) fn arp(&mut self, side: &Side, ether: &Ether, packet: &[u8]) -> Result<(), Reason> {
        const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
        self.spend(side.place, What::Punts)?;
        if packet.len() < 28 || packet[..6] != ETHERNET_IPV4 || ![1, 2].contains(&be16(packet, 6)) {
            return Err("arp_invalid");
        }
        let request = be16(packet, 6) == 1;
        let sender_mac: Mac = packet[8..14].try_into().expect("six bytes");
        let (sender, target) = (v4_at(packet, 14), v4_at(packet, 24));
        let fabric = side.vif.as_ref().is_some_and(|vif| vif.kind == Kind::Fabric);
        let probe = request && sender.is_unspecified();
        let address = probe || !is_martian(sender.into()) && side.may_use(sender.into());
        // on the fabric a standby may speak for a virtual router
        let macs = fabric || ether.source == sender_mac && side.may_be(sender_mac);
        if !address || !macs || headers::is_group(sender_mac) || sender_mac == [0; 6] {
            return Err("arp_invalid");
        }
        let heard = match &side.vif {
            Some(vif) if fabric => self.heard((vif.id, sender.into()), sender_mac),
            Some(_) => !request,
            None => false,
        };
        let answer = if request { self.answers_for(side, target.into(), (sender_mac, sender.into())) } else { None };
        let answered = answer.is_some_and(|answer| {
            let reply = emit::arp(sender_mac, 2, (answer.mac, target), (sender_mac, sender));
            self.feature(if answer.own { "arp_own" } else { "arp_proxy" });
            self.on_link(side, &reply)
        });
        if heard || answered { Ok(()) } else { Err("neighbour_not_ours") }
    }

    /// RFC 4861 and RFC 4862.
    pub(super) fn discovery(&mut self, side: &Side, ether: &Ether, packet: &Packet) -> Result<(), Reason> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source(), packet.destination()) else {
            panic!("discovery in IPv4")
        };
        self.spend(side.place, What::Punts)?;
        let message = &packet.bytes[packet.payload..];
        // fragments never carry it, not even atomic ones (RFC 6980), whatever else is before it
        let fragmented = has_fragment_header(packet);
        let genuine = packet.ttl == 255
            && message[1] == 0
            && !fragmented
            && emit::icmp_holds(source.into(), destination.into(), message)
            && (source.is_unspecified() || !is_martian(source.into()) && side.may_use(source.into()))
            && side.may_be(ether.source);
        if !genuine {
            return Err("nd_invalid");
        }
        match message[0] {
            135 => self.solicited(side, ether, (source, destination), message),
            136 => self.advertised(side, (source, destination), message),
            // RFC 4861, section 6.1.1
            133 => match option(message, 8, 1)? {
                Some(mac) if source.is_unspecified() || !side.may_be(mac) => Err("nd_invalid"),
                _ => side.vif.as_ref().map_or(Err("neighbour_not_ours"), |vif| self.router_asked(vif.id)),
            },
            _ => Err("neighbour_not_ours"),
        }
    }

    fn solicited(
        &mut self,
        side: &Side,
        ether: &Ether,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        message: &[u8],
    ) -> Result<(), Reason> {
        let link_layer = option(message, 24, 1)?;
        let target = v6_at(message, 8);
        let probe = source.is_unspecified();
        let sound = match link_layer {
            _ if is_martian(target.into()) => false,
            Some(mac) => !probe && side.may_be(mac),
            None => !probe || destination == solicited_node(target),
        };
        if !sound {
            return Err("nd_invalid");
        }
        let heard = match (&side.vif, link_layer) {
            (Some(vif), Some(mac)) if vif.kind == Kind::Fabric => self.mentioned((vif.id, source.into()), mac),
            _ => false,
        };
        let answer = self.answers_for(side, target.into(), (ether.source, source.into()));
        let answered = answer.is_some_and(|answer| {
            let (to_mac, to) = match link_layer {
                _ if probe => ([0x33, 0x33, 0, 0, 0, 1], ALL_NODES),
                mac => (mac.unwrap_or(ether.source), source),
            };
            // router; solicited; override, but not as a proxy
            let flags = [(answer.router, 0x80), (!probe, 0x40), (answer.own, 0x20)];
            let flags = flags.iter().map(|(set, flag)| if *set { *flag } else { 0 }).sum();
            let mut advert = vec![136, 0, 0, 0, flags, 0, 0, 0];
            advert.extend(target.octets());
            advert.extend([2, 1]);
            advert.extend(answer.mac);
            let packet = emit::icmp(target.into(), to.into(), 0, 255, &advert);
            self.feature(if answer.own { "nd_own" } else { "nd_proxy" });
            self.on_link(side, &emit::ethernet(to_mac, answer.mac, headers::IPV6, &packet))
        });
        if heard || answered { Ok(()) } else { Err("neighbour_not_ours") }
    }

    /// RFC 4861, section 7.1.2; and a tenant advertises its own MAC and addresses only.
    fn advertised(
        &mut self,
        side: &Side,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        message: &[u8],
    ) -> Result<(), Reason> {
        let link_layer = option(message, 24, 2)?;
        let target = IpAddr::from(v6_at(message, 8));
        let (solicited, overrides) = (message[4] & 0x40 != 0, message[4] & 0x20 != 0);
        let sound = !is_martian(source.into())
            && !is_martian(target)
            && side.may_use(target)
            && link_layer.is_none_or(|mac| side.may_be(mac))
            && !(destination.octets()[0] == 0xff && solicited);
        if !sound {
            return Err("nd_invalid");
        }
        match &side.vif {
            Some(vif) if vif.kind == Kind::Fabric => {
                let known = self.advertised_by((vif.id, target), link_layer, solicited, overrides);
                if known { Ok(()) } else { Err("neighbour_not_ours") }
            }
            // a tenant's word about itself
            _ => Ok(()),
        }
    }

    /// Whether, and as whom, we answer `asker`'s question for `target`. Who asks as nobody probes for a duplicate.
    fn answers_for(&mut self, side: &Side, target: IpAddr, from: (Mac, IpAddr)) -> Option<Answer> {
        let asker = from.1;
        let stand_in = asker != target && !asker.is_unspecified() && !is_martian(target) && !is_link_local(target);
        let route = self.config.resolve(side.vrf, target).ok();
        let route = route.map(|(length, hop, _)| (length, self.path_for_asker(hop.which, side.place)));
        let Some(vif) = &side.vif else {
            let here = matches!(route, Some((_, Which::Vif { .. } | Which::Receive)));
            return (stand_in && here).then_some(Answer {
                mac: self.config.settings.router_mac,
                own: false,
                router: true,
            });
        };
        if vif.exception.is_some() {
            return None;
        }
        let mac = self.config.our_mac(vif);
        if vif.is_ours(target) || vif.kind == Kind::Fabric {
            let router = vif.kind == Kind::Tenant;
            return vif.is_ours(target).then_some(Answer { mac, own: true, router });
        }
        if let Some((mac, router)) = vif.bridge.and_then(|bridge| self.station_named(bridge, from, target)) {
            return Some(Answer { mac, own: false, router });
        }
        let v4_link_local = matches!(target, IpAddr::V4(target) if target.octets()[..2] == [169, 254]);
        let default_too = self.config.vrfs[&side.vrf].proxy_by_default_route && !v4_link_local;
        let proxied = match route {
            None | Some((_, Which::Drop)) => false,
            Some((0, _)) if !default_too => false,
            Some((_, Which::Vif { vif: other, .. })) => other != vif.id,
            Some(_) => true,
        };
        (stand_in && proxied && !vif.addresses.contains(&target)).then_some(Answer { mac, own: false, router: true })
    }

    /// A frame to the asker's own link: out of its VIF, or back through the tunnel; false where there is no link.
    fn on_link(&mut self, side: &Side, frame: &[u8]) -> bool {
        match (&side.vif, side.remote) {
            (Some(vif), _) => self.send(vif.port, frame.to_vec(), Free::default(), None),
            (None, Some(Remote { address, link: Some(link), .. })) => {
                let settings = &self.config.settings;
                let (Some(underlay), Some(vtep)) = (settings.underlay, settings.vtep_towards(address)) else {
                    return false;
                };
                let (payload, [v4, v6]) = match link {
                    Link::Vxlan(vni) => (emit::vxlan(vni, frame), ["link_through_vxlan", "link_through_vxlan6"]),
                    Link::Geneve(vni) => (emit::geneve(vni, frame), ["link_through_geneve", "link_through_geneve6"]),
                };
                let (packet, free) = emit::outer(vtep, address, 17, 0, &payload);
                self.feature(if vtep.is_ipv4() { v4 } else { v6 });
                self.originate(underlay, &packet, free);
            }
            _ => return false,
        }
        true
    }

    /// A packet for an address of ours: echo is answered.
    pub(super) fn for_us(&mut self, arrived: &Arrived) {
        if let Err(reason) = self.spend(arrived.place, What::Punts) {
            return self.drop(arrived.entered, reason);
        }
        let answered = self.echo(arrived);
        if answered.is_none() {
            self.drop(arrived.entered, "local_unanswered");
        }
    }

    fn echo(&mut self, arrived: &Arrived) -> Option<()> {
        let packet = &arrived.packet;
        let (from, to) = (packet.source(), packet.destination());
        let message = &packet.bytes[packet.payload..];
        let [question, answer] = if from.is_ipv4() { [8, 0] } else { [128, 129] };
        let asked = packet.tuple.is_icmp()
            && !packet.fragment
            && message[..2] == [question, 0]
            && !has_authentication(packet)
            && emit::icmp_holds(from, to, message);
        let vif = arrived.vif(self);
        let at_vif = vif.as_ref().is_some_and(|vif| vif.is_ours(to));
        let ours =
            at_vif || matches!(self.config.resolve(arrived.vrf, to), Ok((_, hop, _)) if hop.which == Which::Receive);
        if !asked || !ours || is_martian(from) {
            return None;
        }
        let mut reply = message.to_vec();
        reply[0] = answer;
        let reply = emit::icmp(to, from, packet.class, emit::TTL, &reply);
        self.back_to_sender(arrived, to, &reply).map(|()| self.feature(if from.is_ipv4() { "echo4" } else { "echo6" }))
    }

    /// A packet of ours to a packet's sender: routed, or straight back on its link where one of the two is link-local.
    fn back_to_sender(&mut self, arrived: &Arrived, from: IpAddr, packet: &[u8]) -> Option<()> {
        if !is_link_local(from) && !is_link_local(arrived.packet.source()) {
            self.originate(arrived.vrf, packet, Free::default());
            return Some(());
        }
        let vif = arrived.vif(self)?;
        let (_, sender) = arrived.link?;
        let frame = emit::ethernet(sender, self.config.our_mac(&vif), ethertype(&arrived.packet), packet);
        self.send(vif.port, frame, Free::default(), None);
        Some(())
    }

    /// An ICMP error to a packet's sender, where one is allowed (RFC 1122, 3.2.2; RFC 1812, 4.3.2; RFC 4443, 2.4).
    pub(super) fn tell(&mut self, arrived: &Arrived, problem: Problem) {
        if !arrived.ours && self.spend(arrived.place, What::Punts).is_err() {
            return;
        }
        let packet = &arrived.packet;
        let (sender, destination) = (packet.source(), packet.destination());
        let kind = packet.bytes.get(packet.payload).copied();
        let icmp = packet.tuple.protocol == if sender.is_ipv4() { 1 } else { 58 };
        let no_answer = icmp
            && kind
                .is_none_or(|kind| headers::is_error(packet.tuple.protocol, kind) || (sender.is_ipv6() && kind == 137));
        if arrived.ours || packet.tuple.later || no_answer || is_martian(sender) || headers::is_of_many(destination) {
            return;
        }
        let (source, message) = if sender.is_ipv4() {
            let source = self.our_v4(arrived);
            (IpAddr::V4(source), error_v4(problem, &packet.bytes))
        } else {
            let Some(source) = self.our_v6(arrived) else { return };
            (IpAddr::V6(source), error_v6(problem, &packet.bytes))
        };
        self.feature(match problem {
            Problem::TimeExceeded => "told_time_exceeded",
            Problem::TooBig(_) => "told_too_big",
            Problem::NoRoute => "told_no_route",
        });
        let error = emit::icmp(source, sender, 0xc0, emit::TTL, &message);
        // nothing more to do when there is no way back
        let _ = self.back_to_sender(arrived, source, &error);
    }

    /// The VIF that a packet came from, then the others of its VRF.
    fn known_to_sender(&self, arrived: &Arrived) -> Vec<Vif> {
        let others = self.config.vifs.values().filter(|vif| vif.vrf == arrived.vrf).cloned();
        arrived.vif(self).into_iter().chain(others).collect()
    }

    /// The address that the sender knows us by; else the dummy of RFC 7600, section 4.8.
    fn our_v4(&self, arrived: &Arrived) -> Ipv4Addr {
        let of = |vif: &Vif| match vif.kind {
            Kind::Tenant => vif.gateway_v4,
            Kind::Fabric => vif.addresses.iter().find_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            }),
        };
        let known = self.known_to_sender(arrived).iter().find_map(of);
        known.unwrap_or(Ipv4Addr::new(192, 0, 0, 8))
    }

    /// The same for IPv6; a link-local address towards its own link only.
    fn our_v6(&self, arrived: &Arrived) -> Option<Ipv6Addr> {
        let of = |vif: &Vif, link_local: bool| match vif.kind {
            Kind::Tenant if link_local => vif.gateway_link_local,
            Kind::Tenant => vif.gateway_v6,
            Kind::Fabric => vif.addresses.iter().find_map(|address| match address {
                IpAddr::V6(v6) if is_link_local(*address) == link_local => Some(*v6),
                _ => None,
            }),
        };
        let known = self.known_to_sender(arrived).iter().find_map(|vif| of(vif, false));
        known.or_else(|| of(&arrived.vif(self)?, true))
    }
}

impl Arrived {
    /// The VIF whose tenant, or link, sent it; none for tunnels.
    fn vif(&self, oracle: &Oracle) -> Option<Vif> {
        let Place::Vif(vif) = self.place else { return None };
        oracle.config.vifs.get(&vif).cloned()
    }
}

impl Side {
    /// Whether its sender may send from this MAC.
    fn may_be(&self, mac: Mac) -> bool {
        let checked = self.vif.as_ref().filter(|vif| vif.kind == Kind::Tenant && !vif.spoofing_allowed);
        !headers::is_group(mac) && mac != [0; 6] && checked.is_none_or(|vif| vif.mac == mac)
    }

    fn may_use(&self, address: IpAddr) -> bool {
        // nobody speaks for addresses of ours
        self.vif.as_ref().is_none_or(|vif| !vif.is_ours(address) && vif.may_use(address))
    }
}

/// The last link-layer address of this kind among the options from `at` on. Options of length 0 make a message void, and so do ones
/// that go beyond it (RFC 4861, sections 4.6 and 7.1).
pub(super) fn option(message: &[u8], at: usize, kind: u8) -> Result<Option<Mac>, Reason> {
    let mut options = message.get(at..).ok_or("nd_invalid")?;
    let mut found = None;
    while !options.is_empty() {
        let length = usize::from(*options.get(1).ok_or("nd_invalid")?) * 8;
        if length == 0 || length > options.len() {
            return Err("nd_invalid");
        }
        if options[0] == kind {
            found = Some(options[2..8].try_into().expect("six bytes"));
        }
        options = &options[length..];
    }
    Ok(found)
}

/// RFC 4291, section 2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// At most 576 bytes in all.
fn error_v4(problem: Problem, packet: &[u8]) -> Vec<u8> {
    let mut message = match problem {
        Problem::TimeExceeded => vec![11, 0, 0, 0, 0, 0, 0, 0],
        Problem::TooBig(mtu) => vec![3, 4, 0, 0, 0, 0, (mtu >> 8) as u8, mtu as u8],
        Problem::NoRoute => vec![3, 0, 0, 0, 0, 0, 0, 0],
    };
    message.extend(packet.iter().take(576 - 20 - 8));
    message
}

/// At most 1,280 bytes in all.
fn error_v6(problem: Problem, packet: &[u8]) -> Vec<u8> {
    let mut message = match problem {
        Problem::TimeExceeded => vec![3, 0, 0, 0, 0, 0, 0, 0],
        Problem::TooBig(mtu) => vec![2, 0, 0, 0, 0, 0, (mtu >> 8) as u8, mtu as u8],
        Problem::NoRoute => vec![1, 0, 0, 0, 0, 0, 0, 0],
    };
    message.extend(packet.iter().take(1280 - 40 - 8));
    message
}

/// The kinds of IPv6 extension headers before a packet's payload.
fn extension_kinds(packet: &Packet) -> Vec<u8> {
    let (mut kinds, mut at) = (Vec::new(), 40);
    if packet.source().is_ipv4() {
        return kinds;
    }
    let mut kind = packet.bytes[6];
    while at < packet.payload {
        kinds.push(kind);
        let header = &packet.bytes[at..];
        at += match kind {
            44 => 8,
            51 => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        kind = header[0];
    }
    kinds
}

fn has_fragment_header(packet: &Packet) -> bool {
    extension_kinds(packet).contains(&44)
}

/// What is authenticated is not answered by who cannot verify it.
fn has_authentication(packet: &Packet) -> bool {
    extension_kinds(packet).contains(&51)
}
