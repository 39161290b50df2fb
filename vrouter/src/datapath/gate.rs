//! Gate: the plain packets of one VIF's burst, read in one go. What it lets through, [`classify`](super::classify) would take for the
//! same packet; what it does not, may be anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lane::{Cell, Family};
use super::lifetime::state_bits;
use crate::ids::{Context, Generation, Label, Mac, Place, Vni, VrfId};
use crate::packet::plain::{self, IP4, Outer, Plain};
use crate::packet::tunnel::{GENEVE_PORT, MPLS, MPLS_PORT, UDP, VXLAN, VXLAN_PORT};
use crate::packet::{ecn, ether, tuple::protocol};
use crate::port::{Frame, IpChecksum};
use crate::tables::{DecapTarget, Model, Snapshot, Vif, VifKind};

/// What a burst's frames are read by.
pub(super) enum Gate<'a> {
    Closed,
    Tenant(Tenant<'a>),
    Fabric(Fabric<'a>),
}

/// Reads plain packets.
pub(super) trait Reader {
    /// Reads a frame into its cell, if it is plain.
    fn read(&mut self, frame: &Frame, cell: &mut Cell) -> Option<Family>;
    /// What those read so far may be.
    fn modes(&self) -> Modes;
}

/// Which kinds of packets there may be in a burst.
#[derive(Clone, Copy)]
pub(super) struct Modes {
    /// Of VRFs with flows.
    pub flows: bool,
    /// Of VRFs in packet mode.
    pub routes: bool,
}

impl Modes {
    pub const NONE: Modes = Modes { flows: false, routes: false };
}

/// Frames that a tenant sends.
pub(super) struct Tenant<'a> {
    vif: &'a Vif,
    v4: Front,
    v6: Front,
    entrance: Entrance,
    /// What packets of IPv4 and of IPv6 are here.
    families: [Family; 2],
}

/// The first sixteen bytes of a frame, as far as they must be these: addresses, EtherType, and what the IP header begins with.
struct Front {
    is: [u64; 2],
    mask: [u64; 2],
}

impl Front {
    fn new(vif: &Vif, ethertype: u16, ip: u8, ip_mask: u8) -> Front {
        let mut bytes = [0; 16];
        let mut mask = [0; 16];
        bytes[..ether::HEADER].copy_from_slice(&ether::write(vif.our_mac, vif.mac, ethertype));
        mask[..ether::HEADER].fill(0xff);
        (bytes[ether::HEADER], mask[ether::HEADER]) = (ip, ip_mask);
        if vif.sources.is_none() {
            // the guest may use any MAC
            bytes[6..12].fill(0);
            mask[6..12].fill(0);
        }
        let words = |bytes: &[u8; 16]| [plain::le64(bytes, 0), plain::le64(bytes, 8)];
        Front { is: words(&bytes), mask: words(&mask) }
    }

    #[inline(always)]
    fn is(&self, words: [u64; 2]) -> bool {
        (words[0] ^ self.is[0]) & self.mask[0] | (words[1] ^ self.is[1]) & self.mask[1] == 0
    }
}

/// Frames of the underlay.
pub(super) struct Fabric<'a> {
    snapshot: &'a Snapshot,
    ours: u64,
    router: u64,
    vtep: Option<u32>,
    vtep_v6: Option<u128>,
    /// The tag that all frames have.
    vlan: Option<u16>,
    last: Tunnel<'a>,
    /// A VNI or label of this burst was that of a VRF in packet mode.
    routes: bool,
}

/// Where a packet enters: the same for many packets, each of which gets all of it in one go.
#[derive(Clone, Copy)]
pub(super) struct Entrance {
    /// Generation of the last change of anything here: a flow's decision must not be older. In packet mode 0.
    pub last: u64,
    /// The same without routes that the stripes tell of.
    pub base: u64,
    pub vrf: VrfId,
    context: u32,
    /// The next hop that its label names, or [`Cell::ROUTED`].
    pub fixed: u32,
    /// Where the packet's L3 header begins in the frame.
    pub l3: u8,
    /// What goes on has another TOS than the frame: [`Cell::tos`].
    pub remarked: bool,
}

impl Entrance {
    pub const NONE: Entrance =
        Entrance { last: 0, base: 0, vrf: VrfId(0), context: 0, fixed: Cell::ROUTED, l3: 0, remarked: false };

    /// That of a place in a VRF, and whether there are flows.
    fn of(snapshot: &Snapshot, vrf: VrfId, place: Place) -> (Entrance, bool) {
        let here = Entrance { vrf, context: Context::from(place).0, ..Entrance::NONE };
        match snapshot.vrfs.row(vrf.index()).filter(|vrf| vrf.flows) {
            Some(row) => (Entrance { last: row.stamp.0, base: row.base.0, ..here }, true),
            None => (here, false),
        }
    }

    /// The place, as part of keys.
    pub fn context(&self) -> u32 {
        self.context
    }

    /// The same after this generation's change of the VIF.
    fn after(self, stamp: Generation) -> Entrance {
        Entrance { last: self.last.max(stamp.0), base: self.base.max(stamp.0), ..self }
    }
}

/// What the last VNI or label stands for: packets that follow each other often have the same one.
struct Tunnel<'a> {
    id: u64,
    entrance: Entrance,
    /// What packets of IPv4 and of IPv6 are here.
    families: [Family; 2],
    allowed: Option<&'a [IpAddr]>,
}

/// How [`Tunnel::id`] tells labels from VNIs, and nothing from both.
const LABEL: u64 = 1 << 32;
const NOTHING: u64 = u64::MAX;

impl<'a> Gate<'a> {
    /// That of this VIF.
    pub fn of(snapshot: &'a Snapshot, vif: &'a Vif) -> Gate<'a> {
        if vif.our_mac.is_group() || !vif.routes() {
            return Gate::Closed;
        }
        match vif.kind {
            VifKind::Tenant => {
                let (entrance, flows) = Entrance::of(snapshot, vif.vrf, Place::Vif(vif.id));
                let entrance = Entrance { l3: ether::HEADER as u8, ..entrance.after(vif.stamp) };
                let families = Family::by(flows);
                let v4 = Front::new(vif, ether::IPV4, 0x45, 0xff);
                let v6 = Front::new(vif, ether::IPV6, 0x60, 0xf0);
                Gate::Tenant(Tenant { vif, v4, v6, entrance, families })
            }
            VifKind::Fabric if snapshot.local.underlay == Some(vif.vrf) => {
                let router = number(snapshot.local.router_mac);
                let last =
                    Tunnel { id: NOTHING, entrance: Entrance::NONE, families: [Family::Other; 2], allowed: None };
                let vlan = vif.vlan.map(|vlan| vlan.0);
                let ours = number(vif.our_mac);
                let vtep = snapshot.local.vtep.map(Ipv4Addr::to_bits);
                let vtep_v6 = snapshot.local.vtep_v6.map(Ipv6Addr::to_bits);
                Gate::Fabric(Fabric { snapshot, ours, router, vtep, vtep_v6, vlan, last, routes: false })
            }
            VifKind::Fabric => Gate::Closed,
        }
    }
}

fn number(Mac([a, b, c, d, e, f]): Mac) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

impl Reader for Tenant<'_> {
    #[inline(always)]
    fn read(&mut self, frame: &Frame, cell: &mut Cell) -> Option<Family> {
        const L3: usize = ether::HEADER;
        let bytes = frame.bytes();
        let head = bytes.first_chunk::<{ L3 + 28 }>()?;
        let words = [plain::le64(head, 0), plain::le64(head, 8)];
        let sources = self.vif.sources.as_deref();
        if self.v4.is(words) {
            let packet = plain::read4(&bytes[L3..], frame.rx_ip_checksum)?;
            if sources.is_some_and(|sources| !sources.contains_v4((packet.words[0] >> 32) as u32)) {
                return None;
            }
            cell.narrow_of(&packet, &self.entrance);
            return Some(self.families[0]);
        }
        if !self.v6.is(words) {
            return None;
        }
        let packet = plain::read6(&bytes[L3..])?;
        let source = u128::from(packet.words[0]) << 64 | u128::from(packet.words[1]);
        if sources.is_some_and(|sources| !sources.contains_v6(source)) {
            return None;
        }
        cell.wide_of(&packet, &self.entrance);
        Some(self.families[1])
    }

    #[inline(always)]
    fn modes(&self) -> Modes {
        let routes = self.families[0].is_routed();
        Modes { flows: !routes, routes }
    }
}

impl Reader for Fabric<'_> {
    #[inline(always)]
    fn read(&mut self, frame: &Frame, cell: &mut Cell) -> Option<Family> {
        match self.vlan {
            None => self.read_at::<{ ether::HEADER }>(frame, cell),
            Some(vlan) => {
                let tag = frame.bytes().get(12..16)?.first_chunk::<4>()?;
                let mine = [tag[0], tag[1]] == ether::VLAN.to_be_bytes()
                    && u16::from_be_bytes([tag[2], tag[3]]) & 0xfff == vlan;
                if mine { self.read_at::<{ ether::HEADER + ether::TAG }>(frame, cell) } else { None }
            }
        }
    }

    #[inline(always)]
    fn modes(&self) -> Modes {
        Modes { flows: true, routes: self.routes }
    }
}

impl Fabric<'_> {
    /// Reads a frame whose outer IP header begins at `L3`. What is over UDP and IPv4 is read where it must be, which takes a third less than
    /// to find it.
    #[inline(always)]
    fn read_at<const L3: usize>(&mut self, frame: &Frame, cell: &mut Cell) -> Option<Family> {
        const AT: usize = IP4 + UDP;
        let bytes = frame.bytes();
        // as many as both have that carry a plain packet
        let head = bytes.first_chunk::<{ ether::HEADER + ether::TAG + AT + VXLAN + ether::HEADER }>()?;
        if plain::be64(head, 0) >> 16 != self.ours {
            return None;
        }
        if [head[L3 - 2], head[L3 - 1]] != ether::IPV4.to_be_bytes() || head[L3 + 9] != protocol::UDP {
            return self.others::<L3>(frame, cell);
        }
        let outer = plain::outer4(bytes.get(L3..)?, frame.rx_ip_checksum)?;
        if Some(outer.destination) != self.vtep {
            return None;
        }
        let (at, end) = (L3 + AT, L3 + usize::from(outer.end));
        let remote = || Ipv4Addr::from_bits(outer.source).into();
        match outer.port {
            Some(port @ (VXLAN_PORT | GENEVE_PORT)) => {
                let header = plain::be64(head, at);
                let header = if port == VXLAN_PORT { header } else { plain::as_vxlan(header)? };
                let words = [header, plain::be64(head, at + VXLAN), plain::be64(head, at + VXLAN + 6)];
                let l3 = at + VXLAN + ether::HEADER;
                self.vxlan(words, bytes.get(l3..end)?, l3, (remote, outer.tos), cell)
            }
            Some(MPLS_PORT) => {
                let (entry, l3) = ((plain::be64(head, at) >> 32) as u32, at + MPLS);
                self.mpls(entry, bytes.get(l3..end)?, l3, (remote, outer.tos), cell)
            }
            _ => None,
        }
    }

    /// The same over IPv6 or GRE.
    #[inline(never)]
    fn others<const L3: usize>(&mut self, frame: &Frame, cell: &mut Cell) -> Option<Family> {
        let bytes = frame.bytes();
        match u16::from_be_bytes([*bytes.get(L3 - 2)?, *bytes.get(L3 - 1)?]) {
            ether::IPV4 => {
                let outer = plain::outer4(bytes.get(L3..)?, frame.rx_ip_checksum)?;
                if Some(outer.destination) != self.vtep {
                    return None;
                }
                self.tunnelled(bytes, L3, &outer, || Ipv4Addr::from_bits(outer.source).into(), cell)
            }
            ether::IPV6 => {
                let outer = plain::outer6(bytes.get(L3..)?)?;
                if Some(outer.destination) != self.vtep_v6 {
                    return None;
                }
                self.tunnelled(bytes, L3, &outer, || Ipv6Addr::from_bits(outer.source).into(), cell)
            }
            _ => None,
        }
    }

    /// Reads what is behind these outer headers, of which IP begins at `l3`.
    fn tunnelled<A>(
        &mut self,
        bytes: &[u8],
        l3: usize,
        outer: &Outer<A>,
        remote: impl Fn() -> IpAddr,
        cell: &mut Cell,
    ) -> Option<Family> {
        let (at, end) = (l3 + usize::from(outer.payload), l3 + usize::from(outer.end));
        match outer.port {
            Some(port @ (VXLAN_PORT | GENEVE_PORT)) => {
                let head = bytes.get(at..)?.first_chunk::<{ VXLAN + ether::HEADER }>()?;
                let header = plain::be64(head, 0);
                let header = if port == VXLAN_PORT { header } else { plain::as_vxlan(header)? };
                let words = [header, plain::be64(head, VXLAN), plain::be64(head, VXLAN + 6)];
                let l3 = at + VXLAN + ether::HEADER;
                self.vxlan(words, bytes.get(l3..end)?, l3, (remote, outer.tos), cell)
            }
            Some(MPLS_PORT) | None => {
                let (entry, l3) = (u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?), at + MPLS);
                self.mpls(entry, bytes.get(l3..end)?, l3, (remote, outer.tos), cell)
            }
            Some(_) => None,
        }
    }

    /// Reads what is in VXLAN: its header, and eight bytes each of the inner Ethernet header, which begin with it and end with it.
    #[inline(always)]
    fn vxlan(
        &mut self,
        [header, to, inner]: [u64; 3],
        packet: &[u8],
        l3: usize,
        (remote, class): (impl Fn() -> IpAddr, u8),
        cell: &mut Cell,
    ) -> Option<Family> {
        if header >> 56 & 8 == 0 || to >> 16 != self.router {
            return None;
        }
        self.enter(header >> 8 & 0xff_ffff, remote)?;
        self.inner(inner as u16, packet, l3, class, cell)
    }

    /// Reads what is behind this label.
    #[inline(always)]
    fn mpls(
        &mut self,
        entry: u32,
        packet: &[u8],
        l3: usize,
        (remote, class): (impl Fn() -> IpAddr, u8),
        cell: &mut Cell,
    ) -> Option<Family> {
        let headers = &self.snapshot.local.headers;
        if entry >> 8 & 1 == 0 || headers.mpls_congestion_marked.is_some() || headers.mpls_ttl != Model::Pipe {
            return None;
        }
        self.enter(LABEL | u64::from(entry >> 12), remote)?;
        let ethertype = if packet.first()? >> 4 == 4 { ether::IPV4 } else { ether::IPV6 };
        self.inner(ethertype, packet, l3, class, cell)
    }

    /// Finds what a VNI or label stands for, and whether this far end may send there.
    #[inline(always)]
    fn enter(&mut self, id: u64, remote: impl Fn() -> IpAddr) -> Option<()> {
        if id != self.last.id {
            self.last.id = NOTHING;
            self.look_up(id)?;
            self.last.id = id;
        }
        match self.last.allowed {
            Some(vteps) if vteps.binary_search(&remote()).is_err() => None,
            _ => Some(()),
        }
    }

    fn look_up(&mut self, id: u64) -> Option<()> {
        let (vrf, fixed) = if id & LABEL == 0 {
            (self.snapshot.vnis.get(&Vni(id as u32))?.vrf, Cell::ROUTED)
        } else {
            match *self.snapshot.labels.get(&Label(id as u32))? {
                DecapTarget::Vrf(vrf) => (vrf, Cell::ROUTED),
                DecapTarget::Vif { vrf, next_hop } => (vrf, next_hop.0),
                DecapTarget::Bridge(_) => return None,
            }
        };
        let (entrance, flows) = Entrance::of(self.snapshot, vrf, Place::Tunnel(vrf));
        self.last.families = Family::by(flows);
        self.last.entrance = Entrance { fixed, ..entrance };
        self.routes |= !flows;
        self.last.allowed = self.snapshot.vrfs.row(vrf.index())?.allowed_vteps.as_deref();
        Some(())
    }

    /// Reads what the tunnel carries.
    #[inline(always)]
    fn inner(&self, ethertype: u16, bytes: &[u8], l3: usize, class: u8, cell: &mut Cell) -> Option<Family> {
        let (tos, family) = match ethertype {
            ether::IPV4 => {
                let packet = plain::read4(bytes, IpChecksum::Unknown)?;
                cell.narrow_of(&packet, &self.last.entrance);
                (packet.tos, self.last.families[0])
            }
            ether::IPV6 => {
                let packet = plain::read6(bytes)?;
                cell.wide_of(&packet, &self.last.entrance);
                (packet.tos, self.last.families[1])
            }
            _ => return None,
        };
        cell.entrance.l3 = l3 as u8;
        // RFC 6040, RFC 2983
        if class != tos {
            let dscp = if self.snapshot.local.headers.dscp == Model::Uniform { class } else { tos };
            cell.tos = dscp & !ecn::MASK | ecn::decapsulated(tos, class).ok()?;
            cell.entrance.remarked = cell.tos != tos;
        }
        Some(family)
    }
}

impl Cell {
    #[inline(always)]
    fn narrow_of(&mut self, packet: &Plain<2>, entrance: &Entrance) {
        let [ends, ports] = packet.words;
        [self.words[0], self.words[1]] = [ends, ports | u64::from(entrance.context)];
        self.rest_of(packet, entrance);
    }

    #[inline(always)]
    fn wide_of(&mut self, packet: &Plain<5>, entrance: &Entrance) {
        self.words = packet.words;
        self.words[4] |= u64::from(entrance.context);
        self.rest_of(packet, entrance);
    }

    #[inline(always)]
    fn rest_of<const K: usize>(&mut self, packet: &Plain<K>, entrance: &Entrance) {
        (self.protocol, self.length) = (packet.protocol, packet.length);
        self.set = if packet.protocol == protocol::TCP { state_bits(packet.flags) } else { 0 };
        self.entrance = *entrance;
    }
}
