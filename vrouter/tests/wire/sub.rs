//! Sub-interfaces: VIFs that share a port, told apart by one VLAN tag or two.

use std::collections::BTreeSet;

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind;
use vrouter::control::Request;
use vrouter::drops::DropReason;
use vrouter::ids::PortIndex;

use super::lab::{At, Lab, Setup, changes, scenario};
use super::network::{self, RA, UP};

/// pod in red has VLAN 10 of ra's port, pod2 in blue VLAN 20, nest in red VLAN 30 within VLAN 10.
const PODS: &str = r#"
  - {name: pod, port: p1, vlan: 10, vrf: red, mac: "02:00:00:00:0a:11", addresses: [10.1.1.31, "fd01::31"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: pod2, port: p1, vlan: 20, vrf: blue, mac: "02:00:00:00:0a:12", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: nest, port: p1, vlan: 10, inner_vlan: 30, vrf: red, mac: "02:00:00:00:0a:13", addresses: [10.1.1.33, "fd01::33"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
routes:
"#;
const WHO: [&str; 4] = ["ra", "pod", "pod2", "nest"];

pub fn a(workers: usize) -> Lab {
    // VIF ba of blue has the address that pod2 has
    let ba = network::a().lines().find(|line| line.contains("name: ba")).expect("ba").to_owned() + "\n";
    let network = network::a().replace(&ba, "").replace("routes:\n", PODS);
    Lab::one(workers, &Setup { network, ..Setup::default() })
}

/// That a frame ends in the books of this VIF; `""`: of none.
#[track_caller]
fn ends_at(lab: &mut Lab, at: At, name: &str, vif: &str, reason: DropReason) {
    let before = lab.rig().dropped(vif, reason);
    lab.put(at, name);
    lab.run();
    assert_eq!(lab.rig().dropped(vif, reason), before + 1, "{name}");
    lab.discard();
}

fn vif(name: &str) -> Kind {
    Kind::Vif(name.into())
}

#[test]
fn each_has_its_frames_both_ways() {
    scenario("sub", a, |lab| {
        for who in WHO {
            for family in ["", ".6"] {
                let name = format!("sub.{who}{family}");
                for _ in 0..3 {
                    lab.pass(RA, &name, UP, &format!("{name}.wire"));
                    lab.pass(UP, &format!("{name}.back"), RA, &format!("{name}.back.out"));
                }
            }
            lab.pass(RA, &format!("sub.{who}.arp"), RA, &format!("sub.{who}.arp.reply"));
        }
        let flows = lab.rig().flows(Default::default());
        assert_eq!(flows.len(), 8, "each has flows of its own");
    });
}

#[test]
fn priorities_and_kinds_of_tags_do_not_matter() {
    scenario("sub-kinds", a, |lab| {
        lab.pass(RA, "sub.pod.prio", UP, "sub.pod.wire");
        lab.pass(RA, "sub.pod.service", UP, "sub.pod.wire");
        lab.pass(RA, "sub.nest.plain", UP, "sub.nest.wire");
        lab.pass(RA, "sub.fits", UP, "sub.fits.wire");
    });
}

#[test]
fn they_reach_each_other_through_the_port_that_they_share() {
    scenario("sub-among", a, |lab| {
        lab.pass(RA, "sub.ra-pod", RA, "sub.ra-pod.out");
        lab.pass(RA, "sub.pod-nest", RA, "sub.pod-nest.out");
    });
}

#[test]
fn a_burst_of_all_of_them_is_told_apart() {
    scenario("sub-burst", a, |lab| {
        let order = ["ra", "pod", "pod2", "pod2", "nest", "ra", "pod", "nest", "nest", "pod2"];
        for round in 0..3 {
            order.iter().for_each(|who| lab.put(RA, &format!("sub.{who}")));
            lab.run();
            let names = order.map(|who| format!("sub.{who}.wire"));
            lab.expect(&names.each_ref().map(|name| (UP, name.as_str())));
            order.iter().for_each(|who| lab.put(UP, &format!("sub.{who}.back")));
            lab.run();
            // by branch; within one in order
            let mut sent = lab.take(RA);
            assert_eq!(sent.len(), order.len(), "round {round}");
            let mut expected: Vec<_> =
                order.map(|who| super::frames::frame(&format!("sub.{who}.back.out")).to_vec()).into();
            sent.sort();
            expected.sort();
            assert_eq!(sent, expected, "round {round}");
        }
        let stats = lab.rig().stats();
        let of = |name: &str| stats.vifs.iter().find(|row| row.vif == name).expect("a row").clone();
        for (name, packets) in [("ra", 6), ("pod", 6), ("pod2", 9), ("nest", 9)] {
            assert_eq!((of(name).rx_packets, of(name).tx_packets), (packets, packets), "{name}");
        }
    });
}

#[test]
fn nobody_speaks_for_another_of_the_port() {
    scenario("sub-forged", a, |lab| {
        ends_at(lab, RA, "sub.forged-mac", "pod", DropReason::MacSpoofed);
        ends_at(lab, RA, "sub.forged-source", "pod", DropReason::SourceSpoofed);
        // tags of no sub-interface are the port's own VIF's, or the less specific one's, as they are
        ends_at(lab, RA, "sub.other", "ra", DropReason::EthertypeUnknown);
        ends_at(lab, RA, "sub.other-inner", "pod", DropReason::EthertypeUnknown);
        ends_at(lab, RA, "sub.short", "ra", DropReason::EthertypeUnknown);
    });
}

#[test]
fn they_come_and_go_under_live_flows() {
    scenario("sub-change", a, |lab| {
        lab.pass(RA, "sub.pod", UP, "sub.pod.wire");
        lab.pass(RA, "sub.nest", UP, "sub.nest.wire");
        lab.rig().delete(vif("pod"));
        ends_at(lab, UP, "sub.pod.back", "up0", DropReason::NoRoute);
        ends_at(lab, RA, "sub.pod", "ra", DropReason::MacSpoofed);
        lab.pass(RA, "sub.nest", UP, "sub.nest.wire");
        // the port's own goes: frames without a tag are nobody's
        lab.rig().delete(vif("ra"));
        ends_at(lab, RA, "sub.ra", "", DropReason::NoVif);
        ends_at(lab, RA, "sub.other", "", DropReason::NoVif);
        lab.pass(RA, "sub.nest", UP, "sub.nest.wire");
        lab.pass(UP, "sub.nest.back", RA, "sub.nest.back.out");
        // it moves to another tag while its flow lives
        lab.apply(r#"vifs: [{name: nest, port: p1, vlan: 20, inner_vlan: 30, vrf: red, mac: "02:00:00:00:0a:13", addresses: [10.1.1.33, "fd01::33"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}]"#);
        ends_at(lab, RA, "sub.nest", "", DropReason::NoVif);
        lab.put(UP, "sub.nest.back");
        lab.run();
        let mut moved = super::frames::frame("sub.nest.back.out").to_vec();
        moved[15] = 20;
        assert_eq!(lab.take(RA), [moved]);
    });
}

#[test]
fn a_path_by_one_goes_with_the_link_of_the_port_that_they_share() {
    /// Where flows out of a tunnel to one address leave.
    fn exits(lab: &mut Lab) -> BTreeSet<String> {
        let query = |source_port| v1::ExplainRequest {
            source: vec![10, 1, 1, 20],
            destination: vec![10, 1, 9, 7],
            protocol: 17,
            source_port,
            destination_port: 9,
            place: Some(v1::explain_request::Place::TunnelVrf("red".into())),
            ..v1::ExplainRequest::default()
        };
        (0..64)
            .map(|port| lab.rig().ask(|reply| Request::Explain { query: query(port), reply }).unwrap().exit_vif)
            .collect()
    }
    scenario("sub-link", a, |lab| {
        lab.apply("routes: [{vrf: red, prefix: 10.1.9.0/24, via: {ecmp: [{vif: pod}, {vif: ra2}]}}]");
        let both = BTreeSet::from(["pod".to_owned(), "ra2".into()]);
        assert_eq!(exits(lab), both);
        for (up, wanted) in [(false, BTreeSet::from(["ra2".into()])), (true, both.clone())] {
            *lab.rig().links.lock().unwrap() = vec![(PortIndex(1), up)];
            lab.advance(200);
            assert_eq!(exits(lab), wanted, "the link is up: {up}");
        }
    });
}

#[test]
fn what_overlaps_is_refused() {
    let refused = |lab: &mut Lab, yaml: &str| lab.rig().try_apply(changes(yaml)).expect_err("refused");
    let pod = |fields: &str| format!(r#"vifs: [{{name: new, vrf: red, mac: "02:00:00:00:0a:77", {fields}}}]"#);
    scenario("sub-refused", a, |lab| {
        for (fields, field, reason) in [
            ("port: p1, vlan: 10", "vlan", "VIF pod's already"),
            ("port: p1, vlan: 10, inner_vlan: 30", "inner_vlan", "VIF nest's already"),
            ("port: p1", "port", "has VIF ra already"),
            ("port: p9, vlan: 10", "port", "no port p9"),
        ] {
            let error = refused(lab, &pod(fields));
            assert_eq!(error.field, field, "{error:?}");
            assert!(error.reason.contains(reason), "{error:?}");
        }
        lab.apply(&pod("port: p1, vlan: 11"));
        lab.apply(&pod("port: p0, vlan: 11"));
        let uplink = "vifs: [{name: up0, kind: fabric, port: p0, vlan: 11, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]}]";
        let error = refused(lab, uplink);
        assert_eq!(error.field, "vlan");
        assert!(error.reason.contains("VIF new's already"), "{error:?}");
        // a port of the host's kernel is nobody else's
        lab.apply(r#"vifs: [{name: far, port: p5, vlan: 7, vrf: red, mac: "02:00:00:00:0a:78"}]"#);
        let error = refused(lab, &uplink.replace("vlan: 11", "exception_port: p5"));
        assert_eq!(error.field, "exception_port");
        assert!(error.reason.contains("has VIF far already"), "{error:?}");
        lab.apply(&uplink.replace("vlan: 11", "exception_port: p6"));
        let error = refused(lab, &pod("port: p6, vlan: 7"));
        assert_eq!(error.field, "port");
        assert!(error.reason.contains("has VIF up0 already"), "{error:?}");
        lab.apply(&uplink.replace("vlan: 11", "vlan: 12"));
        let error = refused(lab, &pod("port: p0, vlan: 12"));
        assert!(error.reason.contains("VIF up0's already"), "{error:?}");
    });
}
