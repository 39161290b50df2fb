//! Corners in which the reference model and the product did not agree.

use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// Routes to a host behind 10.0.0.3 (C), whose MAC is not known.
const TO_C: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}
"#;

#[test]
fn the_later_fragments_of_a_long_ping_s_answer_are_answers() {
    let closed = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&network::ra("acl_to_vif: nothing"));
        lab
    };
    scenario("long-ping", closed, |lab| {
        for part in ["first", "later"] {
            lab.pass(RA, &format!("long-ping.out.{part}"), UP, &format!("long-ping.out.{part}.wire"));
        }
        for part in ["first", "later"] {
            lab.pass(UP, &format!("long-ping.in.{part}"), RA, &format!("long-ping.in.{part}.out"));
        }
        assert_eq!(lab.rig().flow().reverse_packets, 2);
    });
}

#[test]
fn link_local_packets_stay_on_their_link_in_packet_mode_too() {
    scenario("link-local", Lab::a, |lab| {
        lab.apply(r#"routes: [{vrf: red, prefix: "::/0", via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}]"#);
        for flows in ["on", "off"] {
            lab.apply(&format!("vrfs: [{{name: red, flows: {flows}}}]"));
            lab.dropped(RA, "link-local.source", DropReason::SourceSpoofed);
            lab.dropped(RA, "link-local.destination", DropReason::SourceSpoofed);
        }
    });
}

#[test]
fn a_packet_that_waited_has_the_source_port_of_its_flow() {
    scenario("hold-port", Lab::a, |lab| {
        lab.apply(TO_C);
        lab.put(RA, "to-c.0");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        lab.put(UP, "underlay.c-says");
        lab.put(RA, "to-c.0");
        lab.run();
        lab.put(RA, "to-c.0");
        lab.run();
        let came = lab.take(UP);
        assert_eq!(came.len(), 3);
        assert!(came.iter().all(|frame| is_like(frame, "to-c.0.wire") && frame == &came[0]));
    });
}

#[test]
fn transit_that_waits_in_vain_is_a_drop_of_the_uplink() {
    scenario("transit", Lab::a, |lab| {
        lab.apply(TO_C);
        lab.put(UP, "transit");
        lab.advance(4000);
        lab.discard();
        assert_eq!(lab.rig().dropped("up0", DropReason::NeighbourUnresolved), 1);
        assert_eq!(lab.rig().dropped("", DropReason::NeighbourUnresolved), 0);
    });
}

#[test]
fn each_packet_of_a_flow_goes_by_its_own_label_or_by_route() {
    scenario("unlabelled", Lab::a, |lab| {
        let without = |lab: &mut Lab| {
            lab.counts_drop(UP, super::frames::frame("unlabelled"), DropReason::NoRoute, "unlabelled");
            lab.discard();
        };
        for _ in 0..3 {
            lab.pass(UP, "label.vif", RA2, "label.vif.out");
            without(lab);
        }
        lab.apply("routes: [{vrf: red, prefix: 10.7.7.7/32, via: {vif: ra}}]");
        lab.put(UP, "unlabelled");
        lab.run();
        assert_eq!((lab.take(RA).len(), lab.take(RA2).len()), (1, 0));
        lab.pass(UP, "label.vif", RA2, "label.vif.out");
        lab.put(UP, "unlabelled");
        lab.run();
        assert_eq!((lab.take(RA).len(), lab.take(RA2).len()), (1, 0));
    });
}
