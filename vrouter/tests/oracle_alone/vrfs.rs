//! Routes into another VRF.

use crate::bed::{Bed, RA, UP};

const SA: usize = 4;

const SHARED: &str = r#"
vrfs: [{name: shared}]
vifs:
  - {name: sa, port: p4, vrf: shared, mac: "02:00:00:00:0a:04", addresses: [10.7.0.11, "fd07::11"], gateway_v4: 10.7.0.1, gateway_v6: "fd07::1"}
routes:
  - {vrf: red, prefix: 10.7.0.0/16, via: {vrf: shared}}
  - {vrf: red, prefix: "fd07::/64", via: {vrf: shared}}
  - {vrf: shared, prefix: 10.7.0.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: shared, prefix: "fd07::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: shared, prefix: 10.7.0.21/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1700}}}
  - {vrf: shared, prefix: 10.1.1.0/24, via: {vrf: red}}
  - {vrf: shared, prefix: "fd01::/64", via: {vrf: red}}
vnis: [{vni: 700, vrf: shared}]
"#;

/// ra receives answers only.
fn closed() -> Bed {
    let mut bed = Bed::new();
    bed.apply(SHARED);
    bed.apply("acls: [{name: nothing, rules: []}, {name: all, rules: [{action: permit}]}]");
    bed.ra("acl_to_vif: nothing");
    bed
}

#[test]
fn a_packet_goes_on_in_the_vrf_that_its_route_names() {
    let mut bed = closed();
    for name in ["vrf.far4", "vrf.far6"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
        bed.pass(UP, &format!("{name}.back"), RA, &format!("{name}.back.out"));
    }
    bed.pass(RA, "vrf.label", UP, "vrf.label.wire");
    for name in ["vrf.vif4", "vrf.vif6"] {
        bed.pass(RA, name, SA, &format!("{name}.out"));
        bed.pass(SA, &format!("{name}.back"), RA, &format!("{name}.back.out"));
    }
    bed.dropped(UP, "vrf.far4.back-in-red", "acl_to_vif");
    bed.pass(RA, "vrf.echo", RA, "vrf.echo.reply");
    bed.pass(RA, "vrf.arp", RA, "vrf.arp.reply");
    let places: Vec<_> = bed.oracle.flows().into_iter().map(|flow| flow.reverse_place).collect();
    assert_eq!(places, ["tunnel shared", "tunnel shared", "tunnel shared", "vif sa", "vif sa"]);
}

#[test]
fn every_vrf_s_acl_is_asked_and_every_change_obeyed() {
    let mut bed = closed();
    bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    for vrf in ["red", "shared"] {
        bed.apply(&format!("vrfs: [{{name: {vrf}, acl: nothing}}]"));
        bed.dropped(RA, "vrf.far4", "acl_vrf");
        bed.dropped(RA, "vrf.vif4", "acl_vrf");
        bed.apply(&format!("vrfs: [{{name: {vrf}, acl: all}}]"));
    }
    bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    bed.oracle.delete("route", "shared 10.1.1.0/24").unwrap();
    bed.dropped(UP, "vrf.far4.back", "no_route");
    bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    bed.oracle.delete("route", "shared 10.7.0.20/32").unwrap();
    bed.told(RA, "vrf.far4", "no_route", &["vrf.far4.no-route"]);
}

#[test]
fn chains_end() {
    let mut bed = closed();
    bed.apply("routes: [{vrf: shared, prefix: 10.7.0.20/32, via: {vrf: red}}]");
    bed.dropped(RA, "vrf.far4", "vrf_depth");
    let vxlan = "{vxlan: {remote: 10.0.0.2, vni: 700, mac: \"02:0a:00:00:02:01\"}}";
    for more in [7, 8] {
        for at in 1..=more {
            let from = if at == 1 { "red".to_owned() } else { format!("d{}", at - 1) };
            bed.apply(&format!("vrfs: [{{name: d{at}}}]"));
            bed.apply(&format!("routes: [{{vrf: {from}, prefix: 10.7.0.20/32, via: {{vrf: d{at}}}}}]"));
        }
        bed.apply(&format!("routes: [{{vrf: d{more}, prefix: 10.7.0.20/32, via: {vxlan}}}]"));
        if more == 7 {
            bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        } else {
            bed.dropped(RA, "vrf.far4", "vrf_depth");
        }
    }
}

#[test]
fn packet_mode_passes_vrfs_too() {
    let mut bed = Bed::new();
    bed.apply(SHARED);
    bed.apply("vrfs: [{name: red, flows: off}, {name: shared, flows: off}]");
    bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    bed.pass(SA, "vrf.vif4.back", RA, "vrf.vif4.back.out");
    assert_eq!(bed.oracle.flows(), []);
    bed.apply("acls: [{name: nothing, rules: []}]\nvrfs: [{name: shared}]");
    bed.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    bed.pass(UP, "vrf.far4.back", RA, "vrf.far4.back.out");
    assert_eq!((bed.flow().packets, bed.flow().reverse_packets), (1, 1));
    bed.apply("vrfs: [{name: shared, acl: nothing}]");
    bed.dropped(RA, "vrf.vif4", "acl_vrf");
}
