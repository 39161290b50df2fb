//! GENEVE (RFC 8926), byte by byte; over IPv6 in `underlay6.rs`.

use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, RB2, UP};

const TO_B: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.23/32, via: {geneve: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::23/128", via: {geneve: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
"#;

fn a(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(TO_B);
    lab
}

#[test]
fn tenants_packets_leave_in_geneve_without_options() {
    scenario("geneve-encap", a, |lab| {
        for name in ["gnv4", "gnv6", "gnv4.odd", "gnv4.fits"] {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
            // by its flow, now that there is one
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
        lab.dropped_and_told(RA, "gnv4.big", DropReason::MtuExceeded, "gnv4.big.told");
    });
}

#[test]
fn a_vni_in_geneve_gives_the_vrf_with_any_options_that_may_be_skipped() {
    scenario("geneve-decap", a, |lab| {
        for back in ["gnv4.back", "gnv6.back"] {
            let out = format!("{back}.out");
            for kind in
                ["", ".option", ".empty-option", ".options", ".most-options", ".c-alone", ".c-other", ".reserved", ""]
            {
                lab.pass(UP, &format!("{back}{kind}"), RA, &out);
            }
        }
        for marked in ["gnv4.marked", "gnv4.marked.option"] {
            lab.pass(UP, marked, RA, "gnv4.marked.out");
        }
    });
}

#[test]
fn options_that_must_be_known_and_control_packets_are_dropped() {
    scenario("geneve-critical", a, |lab| {
        // first without a flow, then beside one
        for _ in 0..2 {
            for back in ["gnv4.back", "gnv6.back"] {
                for kind in ["critical", "critical-behind", "critical-unsaid"] {
                    lab.dropped(UP, &format!("{back}.{kind}"), DropReason::GeneveCriticalOption);
                }
                lab.dropped(UP, &format!("{back}.control"), DropReason::GeneveControl);
            }
            lab.dropped(UP, "gnv4.back.control-option", DropReason::GeneveControl);
            lab.pass(UP, "gnv4.back", RA, "gnv4.back.out");
            lab.pass(UP, "gnv6.back", RA, "gnv6.back.out");
        }
    });
}

#[test]
fn bad_geneve_is_dropped_by_reason() {
    scenario("geneve-bad", a, |lab| {
        use DropReason::*;
        for (name, reason) in [
            ("gnv.version-1", GeneveHeader),
            ("gnv.version-3", GeneveHeader),
            ("gnv.short", GeneveHeader),
            ("gnv.empty", GeneveHeader),
            ("gnv.options-past-the-end", GeneveHeader),
            ("gnv.options-far-past-the-end", GeneveHeader),
            ("gnv.option-past-the-options", GeneveHeader),
            ("gnv.option-far-past-the-options", GeneveHeader),
            ("gnv.last-option-past-the-options", GeneveHeader),
            ("gnv.critical-past-the-options", GeneveHeader),
            ("gnv.ipv4", GeneveProtocol),
            ("gnv.frame-short", FrameTooShort),
            ("gnv.nothing-behind-options", FrameTooShort),
            ("gnv.vni-unknown", VniUnknown),
            ("gnv.inner-mac", InnerMacNotOurs),
            ("gnv.inner-type", EthertypeUnknown),
            ("gnv.multicast", Multicast),
            ("gnv4.forbidden", EcnForbidden),
        ] {
            lab.dropped(UP, name, reason);
        }
        lab.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.2]}]");
        lab.dropped(UP, "gnv.vtep", VtepNotAllowed);
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn arp_and_nd_by_geneve_are_answered_by_geneve() {
    scenario("geneve-arp", a, |lab| {
        for name in ["gnv.arp", "gnv.ns"] {
            lab.pass(UP, name, UP, &format!("{name}.wire"));
            lab.pass(UP, &format!("{name}.option"), UP, &format!("{name}.wire"));
        }
        // in the VXLAN of the same VNI by VXLAN
        lab.pass(UP, "arp.tunnel", UP, "arp.tunnel.wire");
    });
}

#[test]
fn geneve_answers_are_of_the_flow_that_left_by_geneve() {
    scenario("geneve-flow", a, |lab| {
        lab.pass(RA, "gnv4", UP, "gnv4.wire");
        lab.pass(UP, "gnv4.back.options", RA, "gnv4.back.out");
        lab.pass(UP, "gnv4.back", RA, "gnv4.back.out");
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.reverse_place), (1, 2, "tunnel red"));
        let mac = "02:0a:00:00:02:01";
        assert!(flow.next_hop.starts_with(&format!("geneve vni 100 mac {mac} to 10.0.0.2")), "{}", flow.next_hop);
    });
}

#[test]
fn geneve_crosses_two_vrouters() {
    let pair = |workers| {
        let mut lab = Lab::pair(workers);
        lab.rigs[0].apply(TO_B);
        lab.rigs[1].apply(
            r#"vifs: [{name: rb2, port: p3, vrf: red, mac: "02:00:00:00:0b:03", addresses: [10.1.1.21, 10.1.1.23, "fd01::21", "fd01::23"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}]"#,
        );
        lab
    };
    scenario("geneve-cross", pair, |lab| {
        lab.pass(RA, "gnv4", RB2, "gnv4.out");
        lab.pass(RA, "gnv6", RB2, "gnv6.out");
    });
}

#[test]
fn without_a_vtep_geneve_is_not_ours_to_open() {
    let bare = |workers| {
        let network = network::a().replace(", vtep: 10.0.0.1", "");
        Lab::one(workers, &Setup { network, ..Setup::default() })
    };
    scenario("geneve-no-vtep", bare, |lab| lab.dropped(UP, "gnv4.back", DropReason::LocalUnanswered));
}
