//! Asymmetric routing between bridges (RFC 9135, section 4.2): who sends routes, by the VNI of the other subnet's bridge and to the station's
//! own MAC; who receives only bridges.

use vrouter::drops::DropReason;

use super::bridge::a;
use super::lab::{Lab, scenario};
use super::network::{self, RA, UP};

/// A, whose ra is in bridge lan, and the subnet of the other end.
fn routed(workers: usize) -> Lab {
    let mut lab = a(workers);
    lab.apply(
        "routes: [{vrf: red, prefix: 10.2.2.55/32, via: {vxlan: {remote: 10.0.0.2, vni: 5000, mac: \"02:00:00:00:0b:55\"}}}]",
    );
    lab
}

#[test]
fn a_flow_is_routed_there_and_bridged_back() {
    scenario("asymmetric", routed, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        // nothing comes in that was not asked for
        lab.apply(&network::ra("bridge: lan, acl_to_vif: none"));
        lab.dropped(UP, "irb.told", DropReason::AclToVif);
        for _ in 0..2 {
            lab.pass(RA, "irb.ask", UP, "irb.ask.wire");
            lab.pass(UP, "irb.told", RA, "irb.told.out");
        }
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.reverse_place), (2, 2, "tunnel red"));
        lab.dropped(UP, "irb.stranger", DropReason::AclToVif);
    });
}

#[test]
fn an_answer_to_what_was_bridged_is_routed() {
    scenario("asymmetric-back", routed, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        // only answers go out
        lab.apply(&network::ra("bridge: lan, acl_from_vif: none"));
        lab.dropped(RA, "irb.answer", DropReason::AclFromVif);
        for _ in 0..2 {
            lab.pass(UP, "irb.first", RA, "irb.first.out");
            lab.pass(RA, "irb.answer", UP, "irb.answer.wire");
        }
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.place), (2, 2, "tunnel red"));
    });
}
