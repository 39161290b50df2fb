//! Tenants' unicast: over tunnels and between local VIFs, byte by byte.

use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{Lab, scenario};
use super::network::{self, BA, BB, RA, RA2, RB, RB2, UP};

#[test]
fn tenants_packets_are_encapsulated_byte_by_byte() {
    scenario("encap", Lab::a, |lab| {
        for name in ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls", "odd4", "options4", "extension6", "ttl4.2"] {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
            // by its flow, now that there is one
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
        for name in ["udp4.blue", "udp6.blue"] {
            lab.pass(BA, name, UP, &format!("{name}.wire"));
        }
        lab.pass(RA, "padded4", UP, "odd4.wire");
    });
}

#[test]
fn tunnelled_packets_are_delivered_byte_by_byte() {
    scenario("decap", Lab::a, |lab| {
        for name in ["udp4.vxlan.back", "udp6.vxlan.back", "udp4.mpls.back", "udp6.mpls.back"] {
            lab.pass(UP, name, RA, &format!("{name}.out"));
            lab.pass(UP, name, RA, &format!("{name}.out"));
        }
        lab.pass(UP, "udp4.blue.back", BA, "udp4.blue.back.out");
        lab.pass(UP, "udp4.outer-checksum", RA, "udp4.outer-checksum.out");
        lab.pass(UP, "udp4.reserved-bits", RA, "udp4.outer-checksum.out");
    });
}

#[test]
fn tunnels_of_two_tenants_in_one_burst_never_mix() {
    scenario("decap-mixed", Lab::a, |lab| {
        let workers = lab.rig().workers.len();
        // first new flows, then by the lane; all but their tunnels is alike
        for _ in 0..3 {
            for name in ["udp4.vxlan.back", "udp4.blue.back", "udp4.vxlan.back"] {
                (0..workers).for_each(|_| lab.put(UP, name));
            }
            lab.run();
            let red = std::iter::repeat_n((RA, "udp4.vxlan.back.out"), 2 * workers);
            let came: Vec<_> = red.chain(std::iter::repeat_n((BA, "udp4.blue.back.out"), workers)).collect();
            lab.expect(&came);
        }
    });
}

#[test]
fn packets_cross_two_vrouters() {
    scenario("cross", Lab::pair, |lab| {
        for (name, to) in [("udp4.vxlan", RB), ("udp6.vxlan", RB), ("udp4.mpls", RB2), ("udp6.mpls", RB2)] {
            lab.pass(RA, name, to, &format!("{name}.out"));
            lab.pass(RA, name, to, &format!("{name}.out"));
        }
    });
}

#[test]
fn overlapping_addresses_never_mix() {
    scenario("overlap", Lab::pair, |lab| {
        for _ in 0..3 {
            lab.pass(RA, "udp4.vxlan", RB, "udp4.vxlan.out");
            lab.pass(BA, "udp4.blue", BB, "udp4.blue.out");
            lab.pass(RA, "udp6.vxlan", RB, "udp6.vxlan.out");
            lab.pass(BA, "udp6.blue", BB, "udp6.blue.out");
        }
        // the two tenants' flows are alike but for their places
        let flows = lab.rig().flows(Default::default());
        let tuple = |flow: &vrouter::api::v1::Flow| (flow.source.clone(), flow.source_port, flow.packets);
        assert_eq!(flows.len(), 4);
        let of = |place: &str| flows.iter().filter(|flow| flow.place == place).map(tuple).collect::<Vec<_>>();
        assert_eq!(of("vif ra"), of("vif ba"));
        assert!(of("vif ra").iter().all(|row| row.2 == 3));
    });
}

#[test]
fn local_vifs_reach_each_other() {
    scenario("local", Lab::a, |lab| {
        for name in ["local4", "local6"] {
            lab.pass(RA, name, RA2, &format!("{name}.out"));
            lab.pass(RA2, &format!("{name}.back"), RA, &format!("{name}.back.out"));
        }
        assert_eq!(lab.rig().flows(Default::default()).len(), 2);
        assert!(lab.rig().flows(Default::default()).iter().all(|flow| flow.reverse_place == "vif ra2"));
    });
}

#[test]
fn a_label_may_name_its_vif() {
    scenario("label-vif", Lab::a, |lab| {
        for name in ["label.vif", "label.vif6"] {
            lab.pass(UP, name, RA2, &format!("{name}.out"));
            lab.pass(UP, name, RA2, &format!("{name}.out"));
        }
    });
}

#[test]
fn a_packet_that_fills_the_mtu_passes() {
    scenario("mtu-fits", Lab::a, |lab| {
        for name in ["fits4.vxlan", "fits4.mpls"] {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
    });
}

#[test]
fn odd_but_right_outer_headers_are_taken() {
    scenario("outer-odd", Lab::a, |lab| {
        lab.pass(UP, "outer.options", RA, "outer.out");
        lab.pass(UP, "outer.padded", RA, "outer.out");
        lab.dropped(UP, "outer.checksum", DropReason::Ipv4Checksum);
    });
}

#[test]
fn further_sources_are_allowed_by_name() {
    scenario("allowed-sources", Lab::a, |lab| {
        lab.dropped(RA, "allowed.source", DropReason::SourceSpoofed);
        lab.apply(&network::ra("allowed_sources: [10.1.1.64/29]"));
        lab.pass(RA, "allowed.source", UP, "allowed.source.wire");
        lab.dropped(RA, "bad6.source-other", DropReason::SourceSpoofed);
        lab.apply(&network::ra(""));
        lab.dropped(RA, "allowed.source", DropReason::SourceSpoofed);
    });
}

#[test]
fn packets_keep_their_order() {
    let one = |_| Lab::a(1);
    scenario("order", one, |lab| {
        for _ in 0..2 {
            (0..64).for_each(|n| lab.put(RA, &format!("quiet.{n}")));
            lab.run();
            let came = lab.take(UP);
            assert_eq!(came.len(), 64);
            assert!(came.iter().enumerate().all(|(n, frame)| is_like(frame, &format!("quiet.{n}.wire"))));
        }
    });
}

#[test]
fn a_flow_keeps_its_source_port_and_flows_have_many() {
    scenario("entropy", Lab::a, |lab| {
        let ports = |lab: &mut Lab| {
            (0..64).for_each(|n| lab.put(RA, &format!("quiet.{n}")));
            lab.run();
            let port = |frame: Vec<u8>| (frame[64..].to_vec(), u16::from_be_bytes([frame[34], frame[35]]));
            lab.take(UP).into_iter().map(port).collect::<std::collections::BTreeMap<_, _>>()
        };
        let first = ports(lab);
        assert_eq!(first, ports(lab));
        let different: std::collections::BTreeSet<_> = first.values().collect();
        assert!(different.len() > 50, "64 flows share {} ports", different.len());
    });
}
