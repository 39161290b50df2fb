//! The fabric in an IEEE 802.1Q VLAN: every frame of it has the tag, both ways.

use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, RB, UP};

const UNTAGGED: &str = "kind: fabric, port: p0";
const TAGGED: &str = "kind: fabric, port: p0, vlan: 100";
const TUNNELS: [&str; 4] = ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls"];

fn of(workers: usize, network: &str) -> Lab {
    Lab::one(workers, &Setup { network: network.replace(UNTAGGED, TAGGED), ..Setup::default() })
}

/// A in VLAN 100, with a static neighbour entry of B.
pub fn a(workers: usize) -> Lab {
    of(workers, &network::a())
}

#[test]
fn tunnels_leave_and_enter_with_the_tag() {
    scenario("vlan", a, |lab| {
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.22/32, via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}]");
        for name in TUNNELS {
            // whatever its priority, in a flow or not
            lab.pass(UP, &format!("tagged.{name}.back.prio"), RA, &format!("{name}.back.out"));
            lab.pass(RA, name, UP, &format!("tagged.{name}.wire"));
            lab.pass(RA, name, UP, &format!("tagged.{name}.wire"));
            lab.pass(UP, &format!("tagged.{name}.back"), RA, &format!("{name}.back.out"));
            lab.pass(UP, &format!("tagged.{name}.back.prio"), RA, &format!("{name}.back.out"));
        }
        lab.pass(RA, "tagged.gre4", UP, "tagged.gre4.wire");
    });
}

#[test]
fn the_tag_counts_for_no_mtu() {
    scenario("vlan-mtu", a, |lab| {
        lab.pass(RA, "tagged.fits", UP, "tagged.fits.wire");
        lab.dropped_and_told(RA, "tagged.big", DropReason::MtuExceeded, "tagged.big.told");
    });
}

#[test]
fn frames_without_the_tag_are_not_ours() {
    scenario("vlan-unknown", a, |lab| {
        for name in ["udp4.vxlan.back", "tagged.other", "tagged.zero", "tagged.arp.other", "tagged.short"] {
            lab.dropped(UP, name, DropReason::VlanUnknown);
        }
        lab.dropped(UP, "tagged.twice", DropReason::EthertypeUnknown);
    });
    scenario("vlan-none", Lab::a, |lab| lab.dropped(UP, "tagged.udp4.vxlan.back", DropReason::EthertypeUnknown));
}

#[test]
fn the_slow_path_speaks_with_the_tag() {
    scenario("vlan-arp", a, |lab| {
        lab.pass(UP, "tagged.arp", UP, "tagged.arp.reply");
        lab.pass(UP, "tagged.echo", UP, "tagged.echo.reply");
    });
    scenario(
        "vlan-resolve",
        |workers| of(workers, &network::a_dynamic()),
        |lab| {
            lab.advance(200);
            lab.expect(&[(UP, "tagged.who-has-b")]);
            lab.pass_silently(RA, "udp4.vxlan");
            lab.expect(&[]);
            lab.pass_silently(UP, "tagged.b-is-at");
            lab.expect(&[(UP, "tagged.udp4.vxlan.wire")]);
            lab.pass(RA, "udp4.vxlan", UP, "tagged.udp4.vxlan.wire");
        },
    );
}

#[test]
fn a_vlan_comes_and_goes_under_live_flows() {
    scenario("vlan-change", Lab::a, |lab| {
        let uplink = |more: &str| {
            format!(
                "vifs: [{{name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]{more}}}]"
            )
        };
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.apply(&uplink(", vlan: 100"));
        lab.pass(RA, "udp4.vxlan", UP, "tagged.udp4.vxlan.wire");
        lab.pass(UP, "tagged.udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::VlanUnknown);
        lab.apply(&uplink(""));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(lab.rig().flow().packets, 3);
    });
}

#[test]
fn two_vrouters_meet_in_a_vlan() {
    let pair = |workers| {
        let mut lab = Lab::pair(workers);
        for (rig, address) in ["10.0.0.1", "10.0.0.2"].iter().enumerate() {
            lab.rigs[rig].apply(&format!(
                "vifs: [{{name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [{address}], subnets: [10.0.0.0/24], vlan: 4094}}]"
            ));
        }
        lab
    };
    scenario("vlan-cross", pair, |lab| lab.pass(RA, "udp4.vxlan", RB, "udp4.vxlan.out"));
}
