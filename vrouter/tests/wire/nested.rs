//! An overlay inside an overlay: a tenant's own tunnels are its UDP, whatever they say.

use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, RA2, RB, RB2, UP};

const ITS: [&str; 4] = ["nested.vxlan.1", "nested.vxlan6", "nested.geneve", "nested.to-our-vtep"];

#[test]
fn a_tenant_s_tunnels_are_carried_byte_by_byte() {
    let with_route = |workers| {
        let mut lab = Lab::a(workers);
        // 10.0.0.1 is ours outside, and somebody's in the tenant's network
        let rb = "vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}";
        lab.apply(&format!("routes: [{{vrf: red, prefix: 10.0.0.1/32, via: {{{rb}}}}}]"));
        lab
    };
    scenario("nested", with_route, |lab| {
        for _ in 0..2 {
            for name in ITS {
                lab.pass(RA, name, UP, &format!("{name}.wire"));
            }
            lab.pass(RA, "nested.mpls", UP, "nested.mpls.wire");
            lab.pass(RA, "nested.local", RA2, "nested.local.out");
            lab.pass(UP, "nested.vxlan.back", RA, "nested.vxlan.back.out");
        }
        // a flow for each outer 5-tuple: what the tenant's VTEPs tell apart by their source ports
        assert_eq!(lab.rig().flows(Default::default()).len(), 7);
        lab.pass(RA, "nested.vxlan.2", UP, "nested.vxlan.2.wire");
        assert_eq!(lab.rig().flows(Default::default()).len(), 8);
    });
}

#[test]
fn a_tenant_s_vtep_is_told_of_our_tunnel_s_size() {
    scenario("nested-size", Lab::a, |lab| {
        lab.pass(RA, "nested.fits", UP, "nested.fits.wire");
        lab.dropped_and_told(RA, "nested.big", DropReason::MtuExceeded, "nested.big.told");
    });
}

#[test]
fn tunnels_in_tunnels_cross_two_vrouters() {
    scenario("nested-cross", Lab::pair, |lab| {
        for name in ["nested.vxlan.1", "nested.vxlan6", "nested.geneve", "nested.fits"] {
            lab.pass(RA, name, RB, &format!("{name}.out"));
        }
        lab.pass(RA, "nested.mpls", RB2, "nested.mpls.out");
    });
}
