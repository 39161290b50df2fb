//! Tunnels over an IPv6 underlay, byte by byte.

use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, RA2, RB, UP};

const BYS: [&str; 4] = ["vxlan", "mpls", "gre", "geneve"];
const ROUTES: &str = r#"
  - {vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::30/128", via: {vxlan: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: 10.1.1.31/32, via: {mpls_udp: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: "fd01::31/128", via: {mpls_udp: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: 10.1.1.32/32, via: {mpls_gre: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: "fd01::32/128", via: {mpls_gre: {remote: "fd31::2", label: 1001}}}
  - {vrf: red, prefix: 10.1.1.33/32, via: {geneve: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::33/128", via: {geneve: {remote: "fd31::2", vni: 100, mac: "02:0a:00:00:02:01"}}}
vnis:"#;
const B: &str = r#"
neighbours:
  - {vif: up0, address: "fd31::2", mac: "52:00:00:00:0b:00"}
  - {vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:00"}
"#;

/// The network with an IPv6 address of its uplink beside the other, and a VTEP there.
fn dual(network: &str, host: u8) -> String {
    network
        .replace(&format!("vtep: 10.0.0.{host}"), &format!("vtep: 10.0.0.{host}, vtep_v6: \"fd31::{host}\""))
        .replace(
            &format!("addresses: [10.0.0.{host}], subnets: [10.0.0.0/24]"),
            &format!("addresses: [10.0.0.{host}, \"fd31::{host}\"], subnets: [10.0.0.0/24, \"fd31::/64\"]"),
        )
}

fn a_dual() -> String {
    dual(&network::a_dynamic(), 1).replace("\nvnis:", ROUTES)
}

/// A with routes over IPv6 and a static neighbour entry of B.
pub fn a(workers: usize) -> Lab {
    Lab::one(workers, &Setup { network: format!("{}{B}\n", a_dual()), ..Setup::default() })
}

fn each(check: impl FnMut(String)) {
    BYS.iter().flat_map(|by| [4, 6].map(|family| format!("u6.{by}.{family}"))).for_each(check);
}

#[test]
fn tunnels_leave_over_ipv6() {
    scenario("u6-encap", a, |lab| {
        each(|name| {
            lab.pass(RA, &name, UP, &format!("{name}.wire"));
            lab.pass(RA, &name, UP, &format!("{name}.wire"));
            lab.pass(RA, &format!("{name}.class"), UP, &format!("{name}.class.wire"));
        });
        // IPv4 beside it, as ever
        lab.pass(RA, "udp4.mpls", UP, "udp4.mpls.wire");
    });
}

#[test]
fn tunnels_enter_over_ipv6() {
    scenario("u6-decap", a, |lab| {
        each(|name| {
            let out = format!("{name}.back.out");
            for kind in ["back", "extended", "atomic"] {
                lab.pass(UP, &format!("{name}.{kind}"), RA, &out);
            }
            lab.pass(UP, &format!("{name}.marked"), RA, &format!("{name}.marked.out"));
            lab.dropped(UP, &format!("{name}.forbidden"), DropReason::EcnForbidden);
            if !name.contains("gre.") {
                lab.pass(UP, &format!("{name}.checksum"), RA, &out);
                lab.dropped(UP, &format!("{name}.wrong"), DropReason::UdpChecksum);
            }
            if name.contains("gre.") || name.contains("mpls") {
                lab.pass(UP, &format!("{name}.vif"), RA2, &format!("{name}.vif.out"));
            }
        });
    });
}

#[test]
fn path_mtu_counts_forty_bytes() {
    scenario("u6-mtu", a, |lab| {
        for by in BYS {
            lab.pass(RA, &format!("u6.{by}.fits"), UP, &format!("u6.{by}.fits.wire"));
            for big in ["big", "big6"] {
                let name = format!("u6.{by}.{big}");
                lab.dropped_and_told(RA, &name, DropReason::MtuExceeded, &format!("{name}.told"));
            }
        }
    });
}

#[test]
fn only_allowed_ipv6_vteps_send_into_a_vrf() {
    scenario("u6-vteps", a, |lab| {
        each(|name| lab.pass(UP, &format!("{name}.stranger"), RA, &format!("{name}.back.out")));
        lab.apply(r#"vrfs: [{name: red, allowed_vteps: [10.0.0.9, "fd31::2"]}]"#);
        each(|name| {
            lab.dropped(UP, &format!("{name}.stranger"), DropReason::VtepNotAllowed);
            lab.pass(UP, &format!("{name}.back"), RA, &format!("{name}.back.out"));
        });
    });
}

#[test]
fn arp_and_nd_in_a_vni_are_answered_through_the_ipv6_tunnel() {
    scenario("u6-arp", a, |lab| {
        for name in ["u6.arp", "u6.ns", "u6.geneve.arp", "u6.geneve.ns"] {
            lab.pass(UP, name, UP, &format!("{name}.wire"));
        }
    });
}

#[test]
fn without_an_ipv6_vtep_tunnels_are_not_ours_to_open() {
    let bare = |workers| {
        let network = dual(&network::a(), 1).replace(", vtep_v6: \"fd31::1\"", "");
        Lab::one(workers, &Setup { network, ..Setup::default() })
    };
    scenario("u6-none", bare, |lab| lab.dropped(UP, "u6.vxlan.4.back", DropReason::LocalUnanswered));
}

#[test]
fn a_flow_keeps_its_label_and_flows_differ() {
    scenario("u6-label", a, |lab| {
        let mut labels = Vec::new();
        each(|name| {
            for _ in 0..2 {
                lab.pass_silently(RA, &name);
            }
            let came = lab.take(UP);
            let label = |frame: &[u8]| u32::from_be_bytes(frame[14..18].try_into().unwrap()) & 0xf_ffff;
            assert_eq!((came.len(), label(&came[0])), (2, label(&came[1])), "{name}");
            labels.push(label(&came[0]));
        });
        labels.sort();
        labels.dedup();
        assert!(labels.len() > 3, "{labels:x?}");
    });
}

#[test]
fn two_vrouters_meet_over_ipv6() {
    for vlan in ["", ", vlan: 7"] {
        let up = format!("kind: fabric, port: p0{vlan}");
        for workers in [1, 2] {
            let b = dual(&network::b_dynamic(), 2).replace(
                "addresses: [10.1.1.20, ",
                "addresses: [10.1.1.30, 10.1.1.31, 10.1.1.32, 10.1.1.33, \"fd01::30\", \"fd01::31\", \"fd01::32\", \"fd01::33\", 10.1.1.20, ",
            );
            let a = Setup { network: a_dual().replace("kind: fabric, port: p0", &up), ..Setup::default() };
            let b = Setup { network: b.replace("kind: fabric, port: p0", &up), mac: 0x0b, ..Setup::default() };
            let mut lab = Lab::with(workers, &[&a, &b]);
            lab.link((0, 0), (1, 0));
            lab.advance(200);
            each(|name| lab.pass(RA, &name, RB, &format!("{name}.out")));
        }
    }
}
