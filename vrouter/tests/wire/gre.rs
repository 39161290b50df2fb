//! MPLS-over-GRE (RFC 4023; GRE of RFC 2784 and 2890), byte by byte.

use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, RA2, RB2, UP};

const TO_B: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.22/32, via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::22/128", via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
"#;

fn a(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(TO_B);
    lab
}

#[test]
fn tenants_packets_leave_in_gre_without_options() {
    scenario("gre-encap", a, |lab| {
        for name in ["gre4", "gre6", "gre4.odd", "gre4.fits"] {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
            // by its flow, now that there is one
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
        lab.dropped_and_told(RA, "gre4.big", DropReason::MtuExceeded, "gre4.big.told");
    });
}

#[test]
fn a_label_in_gre_gives_the_vrf_with_any_options() {
    scenario("gre-decap", a, |lab| {
        lab.pass(UP, "gre4.back", RA, "gre4.back.out");
        lab.pass(UP, "gre6.back", RA, "gre6.back.out");
        for option in ["key", "sequence", "checksum", "all"] {
            lab.pass(UP, &format!("gre4.back.{option}"), RA, "gre4.back.out");
        }
        lab.pass(UP, "gre.ignored-bits", RA, "gre4.back.out");
        lab.pass(UP, "gre4.back.checksum-odd", RA, "gre4.back.checksum-odd.out");
    });
}

#[test]
fn a_label_in_gre_goes_straight_to_its_vif() {
    scenario("gre-vif", a, |lab| {
        for name in ["gre4.vif", "gre6.vif"] {
            lab.pass(UP, name, RA2, &format!("{name}.out"));
            lab.pass(UP, name, RA2, &format!("{name}.out"));
        }
    });
}

#[test]
fn gre_answers_are_of_the_flow_that_left_by_gre() {
    scenario("gre-flow", a, |lab| {
        lab.pass(RA, "gre4", UP, "gre4.wire");
        lab.pass(UP, "gre4.back", RA, "gre4.back.out");
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.reverse_place), (1, 1, "tunnel red"));
        assert!(flow.next_hop.starts_with("mpls-over-gre label 1001 to 10.0.0.2"), "{}", flow.next_hop);
    });
}

#[test]
fn gre_crosses_two_vrouters() {
    let pair = |workers| {
        let mut lab = Lab::pair(workers);
        lab.rigs[0].apply(TO_B);
        lab.rigs[1].apply(
            r#"vifs: [{name: rb2, port: p3, vrf: red, mac: "02:00:00:00:0b:03", addresses: [10.1.1.21, 10.1.1.22, "fd01::21", "fd01::22"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}]"#,
        );
        lab
    };
    scenario("gre-cross", pair, |lab| {
        lab.pass(RA, "gre4", RB2, "gre4.out");
        lab.pass(RA, "gre6", RB2, "gre6.out");
    });
}

#[test]
fn bad_gre_is_dropped_by_reason() {
    scenario("gre-bad", a, |lab| {
        use DropReason::*;
        for (name, reason) in [
            ("gre.version", GreHeader),
            ("gre.routing", GreHeader),
            ("gre.bit4", GreHeader),
            ("gre.bit5", GreHeader),
            ("gre.short", GreHeader),
            ("gre.short-options", GreHeader),
            ("gre.checksum-wrong", GreChecksum),
            ("gre.payload-wrong", GreChecksum),
            ("gre.ethernet", GreProtocol),
            ("gre.ipv4", GreProtocol),
            ("gre.no-label", MplsHeader),
            ("gre.deep", MplsHeader),
            ("gre.label-unknown", LabelUnknown),
            ("gre.inner-version", EthertypeUnknown),
        ] {
            lab.dropped(UP, name, reason);
        }
        lab.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.2]}]");
        lab.dropped(UP, "gre.vtep", VtepNotAllowed);
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn without_a_vtep_gre_is_not_ours_to_open() {
    let bare = |workers| {
        let network = network::a().replace(", vtep: 10.0.0.1", "");
        Lab::one(workers, &Setup { network, ..Setup::default() })
    };
    scenario("gre-no-vtep", bare, |lab| lab.dropped(UP, "gre4.back", DropReason::LocalUnanswered));
}
