//! The headers of a tunnel, made ready.

use std::net::IpAddr;

use crate::ids::{Mac, Vni};
use crate::packet::ether;
use crate::packet::tunnel::{GENEVE_ETHERNET, GENEVE_PORT, MPLS_PORT, VXLAN_PORT};
use crate::tables::{Adjacency, Carrier, Encap, Template};

/// GRE without options: flags and version 0, and the protocol type of MPLS (RFC 4023, section 3).
const GRE_MPLS: [u8; 4] = [0, 0, 0x88, 0x47];
const TTL: u8 = 64;
const UDP: u8 = 17;
const GRE: u8 = 47;
/// Flags and fragment offset: don't fragment.
const DF: [u8; 2] = [0x40, 0];

/// The headers from `local` to `remote` as [`Template`] says.
pub(super) fn headers(adjacency: &Adjacency, local: IpAddr, remote: IpAddr, encap: Encap) -> Template {
    let mut bytes = Vec::with_capacity(Template::MAX);
    bytes.extend(adjacency.dst_mac.0);
    bytes.extend(adjacency.src_mac.0);
    bytes.extend(adjacency.vlan.map(ether::tag).iter().flatten());
    let protocol = if encap.is_gre() { GRE } else { UDP };
    let l3 = bytes.len() + 2;
    match remote {
        IpAddr::V4(_) => {
            bytes.extend(ether::IPV4.to_be_bytes());
            bytes.extend([0x45, 0, 0, 0, 0, 0]);
            bytes.extend(DF);
            bytes.extend([TTL, protocol, 0, 0]);
        }
        IpAddr::V6(_) => {
            bytes.extend(ether::IPV6.to_be_bytes());
            bytes.extend([0x60, 0, 0, 0, 0, 0, protocol, TTL]);
        }
    }
    for address in [local, remote] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    match encap {
        Encap::Vxlan { .. } | Encap::Frames(Carrier::Vxlan(_)) => bytes.extend(udp(VXLAN_PORT)),
        Encap::Geneve { .. } | Encap::Frames(Carrier::Geneve(_)) => bytes.extend(udp(GENEVE_PORT)),
        Encap::MplsOverUdp { .. } | Encap::Frames(Carrier::MplsOverUdp(_)) => bytes.extend(udp(MPLS_PORT)),
        Encap::MplsOverGre { .. } | Encap::Frames(Carrier::MplsOverGre(_)) => bytes.extend(GRE_MPLS),
    }
    match encap {
        Encap::Frames(Carrier::Vxlan(vni)) => {
            bytes.extend([0x08, 0, 0, 0]);
            bytes.extend(network(vni));
        }
        Encap::Vxlan { vni, inner_dst, inner_src } => {
            bytes.extend([0x08, 0, 0, 0]);
            bytes.extend(network(vni));
            bytes.extend(inner(inner_dst, inner_src));
        }
        Encap::Frames(Carrier::Geneve(vni)) => bytes.extend(geneve(vni)),
        Encap::Geneve { vni, inner_dst, inner_src } => {
            bytes.extend(geneve(vni));
            bytes.extend(inner(inner_dst, inner_src));
        }
        // Bottom of stack, TC zero (RFC 3032, section 2.1); the TTL is that of the pipe model (RFC 3443).
        Encap::MplsOverUdp { label }
        | Encap::MplsOverGre { label }
        | Encap::Frames(Carrier::MplsOverUdp(label) | Carrier::MplsOverGre(label)) => {
            bytes.extend((label.0 << 12 | 1 << 8 | u32::from(TTL)).to_be_bytes());
        }
    }
    Template::new(&bytes, l3)
}

/// Version 0, no options.
fn geneve(vni: Vni) -> impl Iterator<Item = u8> {
    [0, 0].into_iter().chain(GENEVE_ETHERNET.to_be_bytes()).chain(network(vni))
}

/// The VNI and a reserved byte.
fn network(vni: Vni) -> [u8; 4] {
    (vni.0 << 8).to_be_bytes()
}

/// Inner Ethernet with its EtherType zero.
fn inner(inner_dst: Mac, inner_src: Mac) -> [u8; 14] {
    ether::write(inner_dst, inner_src, 0)
}

/// Source port, length and checksum zero.
fn udp(port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [0, 0, high, low, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::ids::{Label, PortIndex, VifId, Vlan};

    const ADJACENCY: Adjacency = Adjacency {
        vif: VifId(0),
        port: PortIndex(0),
        neighbour: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        dst_mac: Mac([0x52, 0, 0, 0, 0, 2]),
        src_mac: Mac([0x52, 0, 0, 0, 0, 1]),
        vlan: None,
    };
    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const OUTER: [u8; 34] = [
        0x52, 0, 0, 0, 0, 2, 0x52, 0, 0, 0, 0, 1, 8, 0, // Ethernet
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
    ];

    #[test]
    fn vxlan_bytes() {
        let [inner_dst, inner_src] = [Mac([2, 10, 0, 0, 2, 1]), Mac([2, 10, 0, 0, 1, 1])];
        let encap = Encap::Vxlan { vni: Vni(0x12_3456), inner_dst, inner_src };
        let template = headers(&ADJACENCY, LOCAL, REMOTE, encap);
        let mut expected = OUTER.to_vec();
        expected.extend([0, 0, 0x12, 0xb5, 0, 0, 0, 0]);
        expected.extend([8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        expected.extend([2, 10, 0, 0, 2, 1, 2, 10, 0, 0, 1, 1, 0, 0]);
        assert_eq!(template.headers(), expected);
    }

    #[test]
    fn geneve_bytes() {
        let [inner_dst, inner_src] = [Mac([2, 10, 0, 0, 2, 1]), Mac([2, 10, 0, 0, 1, 1])];
        let encap = Encap::Geneve { vni: Vni(0x12_3456), inner_dst, inner_src };
        let template = headers(&ADJACENCY, LOCAL, REMOTE, encap);
        let mut expected = OUTER.to_vec();
        expected.extend([0, 0, 0x17, 0xc1, 0, 0, 0, 0]);
        expected.extend([0, 0, 0x65, 0x58, 0x12, 0x34, 0x56, 0]);
        expected.extend([2, 10, 0, 0, 2, 1, 2, 10, 0, 0, 1, 1, 0, 0]);
        assert_eq!(template.headers(), expected);
    }

    #[test]
    fn mpls_over_udp_bytes() {
        let encap = Encap::MplsOverUdp { label: Label(0xabcde) };
        let template = headers(&ADJACENCY, LOCAL, REMOTE, encap);
        let mut expected = OUTER.to_vec();
        expected.extend([0, 0, 0x19, 0xeb, 0, 0, 0, 0, 0xab, 0xcd, 0xe1, 64]);
        assert_eq!(template.headers(), expected);
    }

    #[test]
    fn ipv6_bytes() {
        let (local, remote) = (Ipv6Addr::from_bits(0xfd31 << 112 | 1), Ipv6Addr::from_bits(0xfd31 << 112 | 2));
        for (encap, protocol, length) in [
            (Encap::MplsOverUdp { label: Label(16) }, 17, 14 + 40 + 8 + 4),
            (Encap::MplsOverGre { label: Label(16) }, 47, 14 + 40 + 4 + 4),
        ] {
            let template = headers(&ADJACENCY, local.into(), remote.into(), encap);
            assert_eq!(template.headers()[12..22], [0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64]);
            assert_eq!(template.headers()[22..54], [local.octets(), remote.octets()].concat());
            assert_eq!((template.headers().len(), template.l3()), (length, 14));
        }
    }

    #[test]
    fn a_tag_stands_behind_the_addresses() {
        let adjacency = Adjacency { vlan: Some(Vlan(0x123)), ..ADJACENCY };
        let plain = headers(&ADJACENCY, LOCAL, REMOTE, Encap::MplsOverUdp { label: Label(16) });
        let tagged = headers(&adjacency, LOCAL, REMOTE, Encap::MplsOverUdp { label: Label(16) });
        let (before, after) = plain.headers().split_at(12);
        assert_eq!(tagged.headers(), [before, &[0x81, 0, 1, 0x23], after].concat());
        assert_eq!((plain.l3(), tagged.l3()), (14, 18));
    }

    #[test]
    fn mpls_over_gre_bytes() {
        let encap = Encap::MplsOverGre { label: Label(0xabcde) };
        let template = headers(&ADJACENCY, LOCAL, REMOTE, encap);
        let mut expected = OUTER.to_vec();
        expected[23] = 47;
        expected.extend([0, 0, 0x88, 0x47, 0xab, 0xcd, 0xe1, 64]);
        assert_eq!(template.headers(), expected);
    }
}
