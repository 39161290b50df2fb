//! Packet mode in whole bursts: packets of all kinds between each other leave in their order, as they do alone with flows.

use vrouter::api::v1;
use vrouter::drops::DropReason;

use super::lab::{At, Lab, scenario};
use super::network::{BA, RA, RA2, UP};

/// Two tenants and VRF shared without flows, VRF lit with them, and routes into these.
const MORE: &str = r#"
vrfs: [{name: red, flows: off}, {name: blue, flows: off}, {name: shared, flows: off}, {name: lit}]
vifs:
  - {name: lit, port: p4, vrf: lit, mac: "02:00:00:00:0a:04", addresses: [10.7.0.11], gateway_v4: 10.7.0.1}
routes:
  - {vrf: red, prefix: 10.7.0.11/32, via: {vrf: lit}}
  - {vrf: red, prefix: 10.7.0.0/16, via: {vrf: shared}}
  - {vrf: red, prefix: "fd07::/64", via: {vrf: shared}}
  - {vrf: shared, prefix: 10.7.0.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: shared, prefix: "fd07::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: lit, prefix: 10.1.1.0/24, via: {vrf: red}}
"#;
const LIT: At = (0, 4);

/// A burst of a tenant's: plain and not, of both families, to VIFs and tunnels, by a route into another VRF, and to nowhere.
const FROM_RA: [(&str, Option<At>); 16] = [
    ("local4", Some(RA2)),
    ("udp4.vxlan", Some(UP)),
    ("udp6.vxlan", Some(UP)),
    ("options4", Some(UP)),
    ("local6", Some(RA2)),
    ("udp4.mpls", Some(UP)),
    ("no-route4", None),
    ("udp6.mpls", Some(UP)),
    ("vrf.far4", Some(UP)),
    ("odd4", Some(UP)),
    ("big4.vxlan", None),
    ("vrf.far6", Some(UP)),
    ("local4", Some(RA2)),
    ("local6", Some(RA2)),
    ("extension6", Some(UP)),
    ("udp6.vxlan", Some(UP)),
];

/// Of the underlay's: two VRFs by VNI and label, a label that names a VIF, and one that names nothing.
const FROM_UP: [(&str, Option<At>); 10] = [
    ("udp4.vxlan.back", Some(RA)),
    ("udp4.blue.back", Some(BA)),
    ("udp6.vxlan.back", Some(RA)),
    ("label.vif", Some(RA2)),
    ("udp6.mpls.back", Some(RA)),
    ("mpls.label-unknown", None),
    ("udp4.mpls.back", Some(RA)),
    ("label.vif6", Some(RA2)),
    ("udp4.blue.back", Some(BA)),
    ("udp4.vxlan.back", Some(RA)),
];

fn more(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(MORE);
    lab
}

/// What each port gives for these frames, one after the other.
fn alone(lab: &mut Lab, from: At, burst: &[(&str, Option<At>)]) -> Vec<(At, Vec<u8>)> {
    let mut came = Vec::new();
    for (name, to) in burst {
        lab.put(from, name);
        lab.run();
        if let Some(to) = to {
            let frames = lab.take(*to);
            assert_eq!(frames.len(), 1, "{name}");
            came.extend(frames.into_iter().map(|frame| (*to, frame)));
        }
        lab.discard();
    }
    came
}

/// The same of all of them at once, by port.
fn at_once(lab: &mut Lab, from: At, burst: &[(&str, Option<At>)], wanted: &[(At, Vec<u8>)]) {
    burst.iter().for_each(|(name, _)| lab.put(from, name));
    let workers = lab.rig().workers.len();
    lab.run();
    for port in [UP, RA, RA2, BA].into_iter().filter(|port| *port != from) {
        let mut frames = lab.take(port);
        let mut wanted: Vec<_> = wanted.iter().filter(|(to, _)| *to == port).map(|(_, frame)| frame.clone()).collect();
        if workers > 1 {
            frames.sort();
            wanted.sort();
        }
        assert_eq!(frames, wanted, "port {port:?}");
    }
    lab.discard();
}

#[test]
fn bursts_keep_order_and_bytes() {
    scenario("packet-mode-bursts", more, |lab| {
        for (from, burst) in [(RA, &FROM_RA[..]), (UP, &FROM_UP)] {
            // UDP source ports of tunnels are of the flow's hash, flow or no flow
            lab.apply("vrfs: [{name: red}, {name: blue}, {name: shared}]");
            let with_flows = alone(lab, from, burst);
            lab.apply("vrfs: [{name: red, flows: off}, {name: blue, flows: off}, {name: shared, flows: off}]");
            assert_eq!(alone(lab, from, burst), with_flows);
            let before = (lab.rig().flows(Default::default()), counted(lab));
            at_once(lab, from, burst, &with_flows);
            let now = lab.rig().flows(Default::default());
            assert_eq!((now, counted(lab)), before, "no flow was asked for");
            // one VRF has flows, the others have none
            lab.apply("vrfs: [{name: blue}]");
            at_once(lab, from, burst, &with_flows);
            let (hits, misses) = counted(lab);
            let blue = burst.iter().filter(|(name, _)| name.starts_with("udp4.blue")).count() as u64;
            let (hits_before, misses_before) = before.1;
            assert_eq!((hits + misses) - (hits_before + misses_before), blue);
        }
        assert_eq!(lab.rig().dropped("up0", DropReason::LabelUnknown), 4);
    });
}

/// Packets so far that were of flows in the table, and that were not.
fn counted(lab: &mut Lab) -> (u64, u64) {
    let workers = lab.rig().stats().workers;
    (workers.iter().map(|worker| worker.flow_hits).sum(), workers.iter().map(|worker| worker.flow_misses).sum())
}

#[test]
fn a_vrf_with_flows_has_them_of_packets_from_where_there_are_none() {
    scenario("packet-mode-lit", more, |lab| {
        for packets in 1..3 {
            lab.put(RA, "local4");
            lab.put(RA, "vrf.vif4");
            lab.put(RA, "local4");
            lab.run();
            assert_eq!((lab.take(RA2).len(), lab.take(LIT).len()), (2, 1));
            let flows = lab.rig().flows(v1::FlowsRequest::default());
            assert_eq!(flows.iter().map(|flow| flow.packets).collect::<Vec<_>>(), [packets]);
        }
        lab.apply("acls: [{name: nothing, rules: []}]\nvrfs: [{name: lit, acl: nothing}]");
        lab.dropped(RA, "vrf.vif4", DropReason::AclVrf);
    });
}
