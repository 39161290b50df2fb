//! Answers compared with what another implementation builds, byte by byte.

use super::bytes::*;
use super::*;

#[test]
fn answers_are_what_scapy_builds() {
    use Why::{ForUs, NeighbourDiscovery, NoRoute, TooBig, TtlExpired};
    let cases: &[(Why, &str, &str)] = &[
        (NeighbourDiscovery, NS_GATEWAY, ADVERT),
        (NeighbourDiscovery, NS_DAD_GATEWAY, DEFENCE),
        (ForUs, PING_GATEWAY, PONG),
        (ForUs, PING6_GATEWAY, PONG6),
        (TtlExpired, UDP4, EXCEEDED),
        (TtlExpired, UDP6, EXCEEDED6),
        (TooBig { mtu: 1450 }, UDP4, TOO_BIG),
        (TooBig { mtu: 1450 }, UDP6, TOO_BIG6),
        (NoRoute, UDP6, UNREACHABLE6),
    ];
    for &(why, asked, answered) in cases {
        let (outcome, out) = punt(&world(), Place::Vif(WEB), why, &bytes(asked));
        assert_eq!(outcome, Outcome::Consumed);
        let sent = match &out[..] {
            [Output::Frame { vif: WEB, bytes }] => bytes,
            [Output::Routed { vrf: RED, packet }] => packet,
            other => panic!("{why:?}: {other:?}"),
        };
        assert_eq!(sent, &bytes(answered), "{why:?}");
    }
}

#[test]
fn the_answer_through_a_tunnel_is_what_scapy_builds() {
    let (_, out) = punt(&world(), Place::Tunnel(RED), Why::Arp, &bytes(TUNNEL_REQUEST));
    let mut packet = packet_of(UNDERLAY, &out);
    // The source port is a hash: any of 49152-65535 will do.
    assert!(packet[20] >= 0xc0);
    packet[20..22].copy_from_slice(&[0xc0, 0]);
    assert_eq!(packet, bytes(TUNNEL_REPLY));
}
