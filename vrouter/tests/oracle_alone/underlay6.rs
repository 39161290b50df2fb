//! Tunnels over an IPv6 underlay, byte by byte.

use crate::bed::{Bed, RA, RA2, UP, frame};
use crate::oracle::Sent;

const BYS: [&str; 3] = ["vxlan", "mpls", "gre"];
const DUAL: &str = r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.1, vtep_v6: "fd31::1"}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd31::1"], subnets: [10.0.0.0/24, "fd31::/64"]}
routes:
  - {vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::30/128", via: {vxlan: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: 10.1.1.31/32, via: {mpls_udp: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: "fd01::31/128", via: {mpls_udp: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: 10.1.1.32/32, via: {mpls_gre: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: "fd01::32/128", via: {mpls_gre: {remote: "fd31::2", label: 1001}}}
neighbours:
  - {vif: up0, address: "fd31::2", mac: "52:00:00:00:0b:00"}
"#;

fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.apply(DUAL);
    bed
}

fn each(check: impl FnMut(String)) {
    BYS.iter().flat_map(|by| [4, 6].map(|family| format!("u6.{by}.{family}"))).for_each(check);
}

#[test]
fn tunnels_leave_over_ipv6() {
    let mut bed = bed();
    each(|name| {
        bed.pass(RA, &name, UP, &format!("{name}.wire"));
        bed.pass(RA, &format!("{name}.class"), UP, &format!("{name}.class.wire"));
    });
    bed.pass(RA, "udp4.mpls", UP, "udp4.mpls.wire");
}

#[test]
fn tunnels_enter_over_ipv6() {
    let mut bed = bed();
    each(|name| {
        let out = format!("{name}.back.out");
        for kind in ["back", "extended", "atomic", "stranger"] {
            bed.pass(UP, &format!("{name}.{kind}"), RA, &out);
        }
        bed.pass(UP, &format!("{name}.marked"), RA, &format!("{name}.marked.out"));
        bed.dropped(UP, &format!("{name}.forbidden"), "ecn_forbidden");
        if !name.contains("gre") {
            bed.pass(UP, &format!("{name}.checksum"), RA, &out);
            bed.dropped(UP, &format!("{name}.wrong"), "udp_checksum");
        }
        if !name.contains("vxlan") {
            bed.pass(UP, &format!("{name}.vif"), RA2, &format!("{name}.vif.out"));
        }
    });
}

#[test]
fn path_mtu_counts_forty_bytes() {
    let mut bed = bed();
    for by in BYS {
        bed.pass(RA, &format!("u6.{by}.fits"), UP, &format!("u6.{by}.fits.wire"));
        for big in ["big", "big6"] {
            let name = format!("u6.{by}.{big}");
            bed.told(RA, &name, "mtu_exceeded", &[&format!("{name}.told")]);
        }
    }
}

#[test]
fn only_allowed_ipv6_vteps_send_into_a_vrf() {
    let mut bed = bed();
    bed.apply(r#"vrfs: [{name: red, allowed_vteps: [10.0.0.9, "fd31::2"]}]"#);
    each(|name| {
        bed.dropped(UP, &format!("{name}.stranger"), "vtep_not_allowed");
        bed.pass(UP, &format!("{name}.back"), RA, &format!("{name}.back.out"));
    });
}

#[test]
fn arp_and_nd_in_a_vni_are_answered_through_the_ipv6_tunnel() {
    let mut bed = bed();
    for name in ["u6.arp", "u6.ns"] {
        bed.pass(UP, name, UP, &format!("{name}.wire"));
    }
}

#[test]
fn without_an_ipv6_vtep_nothing_is_opened() {
    let mut bed = Bed::new();
    let uplink = DUAL.lines().find(|line| line.contains("name: up0")).expect("an uplink");
    bed.apply(&format!("vifs:\n{uplink}\n"));
    bed.dropped(UP, "u6.vxlan.4.back", "local_unanswered");
}

/// A frame that left by this port with another flow label and UDP source port.
fn relabelled(name: &str, label: u8, port: u16) -> Sent {
    let mut bytes = frame(name);
    bytes[17] = label;
    bytes[54..56].copy_from_slice(&port.to_be_bytes());
    Sent { port: UP, bytes }
}

#[test]
fn a_flow_keeps_the_label_and_port_that_were_chosen() {
    let mut bed = bed();
    let (now, wire) = (bed.now, "u6.vxlan.4.wire");
    let mut put = |came: &[Sent]| bed.oracle.receive(RA, &frame("u6.vxlan.4"), now, came).sent;
    // none, and one that is not in the range: not taken
    for (label, port) in [(0, 50000), (7, 49151)] {
        let mut bed = self::bed();
        let came = relabelled(wire, label, port);
        let sent = bed.oracle.receive(RA, &frame("u6.vxlan.4"), now, &[came]).sent;
        assert_eq!(sent, [relabelled(wire, 1, 49152)]);
    }
    let first = relabelled(wire, 7, 50000);
    assert_eq!(put(std::slice::from_ref(&first)), std::slice::from_ref(&first));
    // another label for the same flow is not taken
    for other in [relabelled(wire, 8, 50000), relabelled(wire, 7, 50001)] {
        assert_eq!(put(&[other]), std::slice::from_ref(&first));
    }
}
