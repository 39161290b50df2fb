//! Frames that are not IP: bridged as they are, but for those of the link alone.

use vrouter::drops::DropReason;

use super::bridge::a;
use super::lab::{Lab, scenario};
use super::network::{RA, RA2, UP};

const KINDS: [&str; 8] = ["pppoe-discovery", "pppoe", "jumbo", "ipx", "macsec", "fcoe", "mpls", "eapol"];

#[test]
fn frames_of_any_kind_are_bridged_as_they_are() {
    scenario("non-ip", a, |lab| {
        for kind in KINDS {
            let name = format!("nonip.{kind}");
            lab.pass(RA, &name, RA2, &name);
        }
        assert!(lab.rig().flows(Default::default()).is_empty());
        // to all routers of IS-IS, which are everybody here
        for name in ["nonip.is-is", "nonip.all-is"] {
            lab.put(RA, name);
            lab.run();
            lab.expect(&[(RA2, name), (super::bridge::L2, name)]);
        }
    });
}

#[test]
fn frames_of_a_link_go_no_further() {
    scenario("non-ip-link", a, |lab| {
        lab.apply(
            "bridges: [{name: lan, vrf: red, flood_unknown: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]",
        );
        for last in 0..16 {
            lab.dropped(RA, &format!("nonip.link.{last}"), DropReason::Multicast);
            lab.dropped(UP, &format!("nonip.link.{last}.far"), DropReason::Multicast);
        }
    });
}

/// A frame that is not IP, to a bridge that is for IP alone.
pub fn to_a_bridge_of_ip(lab: &mut Lab) {
    lab.apply("bridges: [{name: lan, vrf: red, ip_only: true, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}]}]");
    lab.put(RA, "nonip.pppoe");
}

#[test]
fn a_bridge_of_ip_carries_nothing_else() {
    scenario("ip-only", a, |lab| {
        to_a_bridge_of_ip(lab);
        lab.run();
        assert_eq!(lab.rig().dropped("ra", DropReason::NotIp), 1);
        for kind in KINDS {
            lab.dropped(RA, &format!("nonip.{kind}"), DropReason::NotIp);
        }
        // by its type, before what it is for
        for name in ["nonip.is-is", "nonip.link.14", "br.vxlan.other"] {
            lab.dropped(RA, name, DropReason::NotIp);
        }
        lab.dropped(UP, "br.vxlan.other.back", DropReason::NotIp);
        // IP, ARP and neighbour discovery
        lab.pass(RA, "br.local", RA2, "br.local");
        lab.pass(RA, "br.vxlan6", UP, "br.vxlan6.wire");
        lab.pass(RA2, "br.arp", RA, "br.arp");
        lab.pass(RA, "br.ns", RA2, "br.ns");
    });
}
