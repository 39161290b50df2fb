//! What the model says itself, as scapy would.

use crate::bed::{Bed, RA, RA2, UP};

#[test]
fn arp_and_nd_are_answered() {
    let mut bed = Bed::new();
    for name in ["arp.gateway", "arp.remote", "arp.local", "arp.probe-gateway"] {
        bed.pass(RA, name, RA, &format!("{name}.reply"));
    }
    for name in ["arp.own", "arp.probe", "arp.nobody", "nd.own", "nd.dad", "nd.router-solicitation"] {
        bed.dropped(RA, name, "neighbour_not_ours");
    }
    for name in ["nd.gateway", "nd.link-local", "nd.remote", "nd.dad-gateway"] {
        bed.pass(RA, name, RA, &format!("{name}.reply"));
    }
    let quiet = bed.put(RA, "arp.gratuitous-reply");
    assert_eq!((quiet.drops, quiet.sent), (vec![], vec![]));
}

#[test]
fn arp_and_nd_in_a_vni_are_answered_through_the_tunnel() {
    let mut bed = Bed::new();
    bed.pass(UP, "arp.tunnel", UP, "arp.tunnel.wire");
    bed.pass(UP, "nd.tunnel", UP, "nd.tunnel.wire");
    bed.dropped(UP, "arp.tunnel.not-here", "neighbour_not_ours");
    bed.dropped(UP, "nd.label", "neighbour_not_ours");
}

#[test]
fn echo_is_answered() {
    let mut bed = Bed::new();
    for name in ["echo4.gateway", "echo6.gateway", "echo6.link-local"] {
        bed.pass(RA, name, RA, &format!("{name}.reply"));
    }
    bed.pass(RA2, "echo4.from-ra2", RA2, "echo4.from-ra2.reply");
    bed.pass(RA, "echo4.gateway-ttl-1", RA, "echo4.gateway.reply");
    bed.pass(UP, "echo4.vtep", UP, "echo4.vtep.reply");
    bed.pass(UP, "tunnel.echo", UP, "tunnel.echo.wire");
    bed.pass(UP, "tunnel.echo6", UP, "tunnel.echo6.wire");
    bed.dropped(RA, "udp4.gateway", "local_unanswered");
}

#[test]
fn senders_are_told() {
    let mut bed = Bed::new();
    for name in ["ttl4.0", "ttl4.1", "ttl6"] {
        bed.told(RA, name, "ttl_expired", &[&format!("{name}.error")]);
    }
    for name in ["big4.vxlan", "big4.mpls", "big6.vxlan", "big6.mpls"] {
        bed.told(RA, name, "mtu_exceeded", &[&format!("{name}.error")]);
    }
    bed.told(RA, "no-route4", "no_route", &["no-route4.error"]);
    bed.apply(
        r#"vifs: [{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10], gateway_v4: 10.1.1.1, mtu: 1000}]"#,
    );
    bed.told(UP, "tunnel.big", "mtu_exceeded", &["tunnel.big.wire"]);
    bed.told(UP, "tunnel.ttl", "ttl_expired", &["tunnel.ttl.wire"]);
}
