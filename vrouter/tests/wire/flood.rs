//! Frames to everybody in a bridge: copies to its VIFs and VTEPs, never back, judged each by itself.

use vrouter::drops::DropReason;

use super::bridge::{L2, a};
use super::frames::frame;
use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// With two VTEPs, one of them by label; nobody is answered for.
const TO_ALL: &str = "bridges: [{name: lan, vrf: red, suppress_off: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}, {mpls_udp: {remote: 10.0.0.3, label: 5003}}]}]\n\
neighbours: [{vif: up0, address: 10.0.0.3, mac: \"52:00:00:00:0c:00\"}]\n";

pub fn lan(workers: usize) -> Lab {
    let mut lab = a(workers);
    lab.apply(TO_ALL);
    lab.advance(100);
    lab.discard();
    lab
}

#[test]
fn a_vif_s_broadcast_goes_to_every_other_vif_and_every_vtep() {
    scenario("flood-from-vif", lan, |lab| {
        let before = lab.rig().stats().conservation.unwrap();
        for name in ["fl.dhcp", "fl.arp", "fl.mdns", "fl.mld", "fl.dad"] {
            lab.put(L2, name);
            lab.run();
            let [vxlan, mpls] = ["vxlan", "mpls"].map(|by| format!("{name}.{by}.wire"));
            lab.expect(&[(RA, name), (RA2, name), (UP, &vxlan), (UP, &mpls)]);
        }
        assert!(lab.rig().flows(Default::default()).is_empty());
        let books = lab.rig().stats().conservation.unwrap();
        let more = [books.received - before.received, books.copied - before.copied, books.sent - before.sent];
        assert_eq!(more, [5, 15, 20]);
    });
}

#[test]
fn what_comes_by_a_tunnel_goes_to_vifs_only() {
    scenario("flood-from-tunnel", lan, |lab| {
        for name in ["fl.back.vxlan", "fl.back.mpls"] {
            lab.put(UP, name);
            lab.run();
            lab.expect(&[(RA, "fl.back.out"), (RA2, "fl.back.out"), (L2, "fl.back.out")]);
        }
    });
}

#[test]
fn congestion_on_the_way_is_told_to_everybody() {
    scenario("flood-marked", lan, |lab| {
        lab.put(UP, "fl.marked");
        lab.run();
        lab.expect(&[(RA, "fl.marked.out"), (RA2, "fl.marked.out"), (L2, "fl.marked.out")]);
    });
}

#[test]
fn gateways_are_answered_by_us_and_asked_no_further() {
    scenario("flood-gateway", lan, |lab| {
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
        lab.pass(RA, "fl.ns-gateway", RA, "fl.ns-gateway.reply");
        // without suppression another station answers for itself
        lab.put(RA, "fl.ask-ra2");
        lab.run();
        lab.expect(&[
            (RA2, "fl.ask-ra2"),
            (L2, "fl.ask-ra2"),
            (UP, "fl.ask-ra2.vxlan.wire"),
            (UP, "fl.ask-ra2.mpls.wire"),
        ]);
        // a port of the bridge alone has no gateway here
        lab.put(L2, "fl.l2-asks-gateway");
        lab.run();
        assert_eq!(lab.take(RA), [frame("fl.l2-asks-gateway")]);
        lab.discard();
    });
}

#[test]
fn unknown_stations_are_flooded_by_setting() {
    scenario("flood-unknown", a, |lab| {
        lab.dropped(RA, "br.unknown", DropReason::UnknownUnicast);
        lab.apply(
            "bridges: [{name: lan, vrf: red, flood_unknown: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]",
        );
        lab.put(RA, "br.unknown");
        lab.run();
        lab.expect(&[(RA2, "br.unknown"), (L2, "br.unknown"), (UP, "fl.unknown.wire")]);
        lab.put(UP, "br.unknown.back");
        lab.run();
        let inner = "fl.unknown.back.out";
        lab.expect(&[(RA, inner), (RA2, inner), (L2, inner)]);
    });
}

#[test]
fn acls_judge_each_copy() {
    scenario("flood-acl", lan, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        lab.apply(&network::ra2("bridge: lan, acl_to_vif: none"));
        lab.counts_drop(L2, frame("fl.dhcp"), DropReason::AclToVif, "one copy of four");
        lab.expect(&[(RA, "fl.dhcp"), (UP, "fl.dhcp.vxlan.wire"), (UP, "fl.dhcp.mpls.wire")]);
        // ACLs speak of IP
        lab.put(L2, "fl.arp");
        lab.run();
        assert_eq!(lab.take(RA2), [frame("fl.arp")]);
        lab.discard();
        lab.apply("vrfs: [{name: red, acl: none}]");
        lab.dropped(L2, "fl.dhcp", DropReason::AclVrf);
    });
}

#[test]
fn forged_and_link_local_groups_end_here() {
    scenario("flood-ends", lan, |lab| {
        lab.dropped(L2, "fl.stp", DropReason::Multicast);
        lab.dropped(L2, "fl.arp.forged", DropReason::ArpInvalid);
        lab.dropped(L2, "fl.forged-source", DropReason::SourceSpoofed);
        lab.dropped(L2, "fl.ra", DropReason::NdInvalid);
    });
}

#[test]
fn a_flood_is_budgeted_by_vif_and_others_keep_theirs() {
    scenario("flood-budget", lan, |lab| {
        lab.apply("bridges: [{name: lan, vrf: red, floods_per_second: 20, suppress_off: true}]");
        for _ in 0..60 {
            lab.put(L2, "fl.arp");
        }
        lab.run();
        let workers = lab.rig().workers.len() as u64;
        assert_eq!(lab.rig().dropped("l2", DropReason::FloodBudget), 60 - 20 * workers);
        lab.discard();
        lab.put(RA, "fl.ask-ra2");
        lab.run();
        lab.expect(&[(RA2, "fl.ask-ra2"), (L2, "fl.ask-ra2")]);
        // unicast knows nothing of it
        lab.pass(RA, "br.to-l2", L2, "br.to-l2");
        lab.pass(L2, "br.from-l2", RA, "br.from-l2");
    });
}

/// More than one a second, of each worker.
pub fn beyond_the_budget(lab: &mut Lab) {
    lab.apply("bridges: [{name: lan, vrf: red, floods_per_second: 1}]");
    (0..3).for_each(|_| lab.pass_silently(L2, "br.group"));
}

/// In a bridge of its own.
pub fn alone(lab: &mut Lab) {
    lab.apply("bridges: [{name: alone, vrf: red}]\nvifs: [{name: l2, port: p4, vrf: red, bridge: alone, mac: \"02:00:00:00:0a:05\", addresses: [10.1.1.15]}]");
    lab.put(L2, "br.group");
}

/// Nobody takes the copies from the wires.
pub fn takes_all_rooms(lab: &mut Lab) {
    let vifs = (5..8).map(|at| {
        format!("  - {{name: more{at}, port: p{at}, vrf: red, bridge: lan, mac: \"02:00:00:00:0a:1{at}\"}}\n")
    });
    lab.apply(&format!("{TO_ALL}vifs:\n{}", vifs.collect::<String>()));
    for _ in 0..8 {
        (0..100).for_each(|_| lab.put(L2, "br.group"));
        lab.run();
        lab.advance(100);
    }
}
