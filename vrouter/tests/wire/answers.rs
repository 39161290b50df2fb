//! What the vRouter says itself: ARP, ND, echo, ICMP errors, and the underlay's neighbours.

use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{self, RA, UP};

#[test]
fn arp_is_answered_for_gateway_and_routes() {
    scenario("arp", Lab::a, |lab| {
        for name in ["arp.gateway", "arp.remote", "arp.local", "arp.probe-gateway"] {
            lab.pass(RA, name, RA, &format!("{name}.reply"));
        }
        for name in ["arp.own", "arp.probe", "arp.nobody"] {
            lab.dropped(RA, name, DropReason::NeighbourNotOurs);
            lab.expect(&[]);
        }
    });
}

#[test]
fn neighbour_solicitations_are_answered() {
    scenario("nd", Lab::a, |lab| {
        for name in ["nd.gateway", "nd.link-local", "nd.remote", "nd.dad-gateway"] {
            lab.pass(RA, name, RA, &format!("{name}.reply"));
        }
        for name in ["nd.own", "nd.dad", "nd.router-solicitation"] {
            lab.dropped(RA, name, DropReason::NeighbourNotOurs);
            lab.expect(&[]);
        }
    });
}

#[test]
fn gateways_and_the_vtep_answer_echo() {
    scenario("echo", Lab::a, |lab| {
        for name in ["echo4.gateway", "echo6.gateway", "echo6.link-local"] {
            lab.pass(RA, name, RA, &format!("{name}.reply"));
        }
        lab.pass(UP, "echo4.vtep", UP, "echo4.vtep.reply");
    });
}

#[test]
fn arp_and_nd_in_a_vni_are_answered_through_the_tunnel() {
    scenario("tunnel-arp", Lab::a, |lab| {
        lab.pass(UP, "arp.tunnel", UP, "arp.tunnel.wire");
        lab.pass(UP, "nd.tunnel", UP, "nd.tunnel.wire");
        lab.dropped(UP, "arp.tunnel.not-here", DropReason::NeighbourNotOurs);
        lab.expect(&[]);
    });
}

#[test]
fn the_ttl_ends_here_and_the_sender_is_told() {
    scenario("ttl", Lab::a, |lab| {
        for name in ["ttl4.0", "ttl4.1", "ttl6"] {
            lab.dropped_and_told(RA, name, DropReason::TtlExpired, &format!("{name}.error"));
        }
    });
}

#[test]
fn too_big_is_told_from_the_gateway_address() {
    scenario("too-big", Lab::a, |lab| {
        for name in ["big4.vxlan", "big4.mpls", "big6.vxlan", "big6.mpls"] {
            lab.dropped_and_told(RA, name, DropReason::MtuExceeded, &format!("{name}.error"));
        }
        lab.dropped_and_told(RA, "no-route4", DropReason::NoRoute, "no-route4.error");
    });
}

#[test]
fn what_came_by_a_tunnel_is_told_through_it() {
    scenario("tunnel-errors", Lab::a, |lab| {
        lab.apply(&network::ra("mtu: 1000").replace(", \"fd01::10\"", "").replace(", gateway_v6: \"fd01::1\"", ""));
        lab.dropped_and_told(UP, "tunnel.big", DropReason::MtuExceeded, "tunnel.big.wire");
        lab.dropped_and_told(UP, "tunnel.ttl", DropReason::TtlExpired, "tunnel.ttl.wire");
    });
    scenario("tunnel-echo", Lab::a, |lab| {
        lab.pass(UP, "tunnel.echo", UP, "tunnel.echo.wire");
        lab.pass(UP, "tunnel.echo6", UP, "tunnel.echo6.wire");
    });
}

#[test]
fn the_last_hop_of_an_echo_is_not_counted() {
    scenario("echo-ttl", Lab::a, |lab| lab.pass(RA, "echo4.gateway-ttl-1", RA, "echo4.gateway.reply"));
}

#[test]
fn an_answer_of_ours_waits_for_its_neighbour_too() {
    scenario("echo-resolve", Lab::a, |lab| {
        lab.put(UP, "echo4.vtep-from-c");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "echo4.vtep-from-c.reply")]);
    });
    scenario("echo-unresolved", Lab::a, |lab| {
        lab.put(UP, "echo4.vtep-from-c");
        lab.advance(4000);
        lab.discard();
        assert_eq!(lab.rig().dropped("", DropReason::NeighbourUnresolved), 1);
    });
}
