//! What the vRouter says itself: ARP, ND, echo, ICMP errors, and the underlay's neighbours.

use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, UP};

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
