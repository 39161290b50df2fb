//! E-tree: leaves reach roots, and roots everybody, but no leaf a leaf: neither by its MAC nor by a copy of what is for everybody.

use vrouter::drops::DropReason;

use super::bridge::{L2, a};
use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

/// ra and l2 are leaves, ra2 is a root; of stations behind tunnels rb is a leaf, and whoever has no entry at 10.0.0.3.
const LEAVES: &str = r#"
bridges: [{name: lan, vrf: red, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}, {mpls_udp: {remote: 10.0.0.3, label: 5003}, leaf: true}]}]
vifs: [{name: l2, port: p4, vrf: red, bridge: lan, leaf: true, mac: "02:00:00:00:0a:05", addresses: [10.1.1.15]}]
fdb: [{bridge: lan, mac: "02:00:00:00:0b:01", vxlan: {remote: 10.0.0.2, vni: 5000}, leaf: true, addresses: [10.1.1.20]}]
neighbours: [{vif: up0, address: 10.0.0.3, mac: "52:00:00:00:0c:00"}]
"#;

fn tree(workers: usize) -> Lab {
    let mut lab = a(workers);
    lab.apply(LEAVES);
    lab.apply(&network::ra("bridge: lan, leaf: true"));
    lab.advance(100);
    lab.discard();
    lab
}

#[test]
fn no_leaf_reaches_a_leaf() {
    scenario("etree-unicast", tree, |lab| {
        lab.dropped(RA, "br.to-l2", DropReason::LeafToLeaf);
        lab.dropped(L2, "br.from-l2", DropReason::LeafToLeaf);
        lab.dropped(RA, "br.vxlan4", DropReason::LeafToLeaf);
        lab.dropped(RA, "br.vxlan.other", DropReason::LeafToLeaf);
        lab.dropped(UP, "br.vxlan4.back", DropReason::LeafToLeaf);
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn roots_reach_all_and_are_reached() {
    scenario("etree-roots", tree, |lab| {
        for _ in 0..2 {
            lab.pass(RA, "br.local", RA2, "br.local");
            lab.pass(RA2, "br.local.back", RA, "br.local.back");
        }
        lab.pass(RA, "br.mpls4", UP, "br.mpls4.wire");
        lab.pass(UP, "br.mpls4.back", RA, "br.mpls4.back.out");
        // a leaf that becomes a root, and a flow that the next packet ends
        lab.apply(&network::ra("bridge: lan"));
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
        lab.apply(&network::ra("bridge: lan, leaf: true"));
        lab.dropped(RA, "br.vxlan4", DropReason::LeafToLeaf);
    });
}

#[test]
fn copies_for_leaves_are_dropped() {
    scenario("etree-flood", tree, |lab| {
        // of ra, ra2 and two VTEPs ra and one VTEP are leaves
        let before = lab.rig().dropped("l2", DropReason::LeafToLeaf);
        for name in ["fl.dhcp", "fl.arp"] {
            lab.put(L2, name);
            lab.run();
            lab.expect(&[(RA2, name), (UP, &format!("{name}.vxlan.wire"))]);
        }
        assert_eq!(lab.rig().dropped("l2", DropReason::LeafToLeaf), before + 4);
        // rb is a leaf by its entry, whatever its VTEP is
        lab.put(UP, "fl.back.vxlan");
        lab.run();
        lab.expect(&[(RA2, "fl.back.out")]);
        assert_eq!(lab.rig().dropped("up0", DropReason::LeafToLeaf), 2);
        // a root's go everywhere
        lab.apply("bridges: [{name: lan, vrf: red, suppress_off: true}]");
        lab.put(RA2, "br.arp-asked");
        lab.run();
        lab.expect(&[(RA, "br.arp-asked"), (L2, "br.arp-asked")]);
    });
}

#[test]
fn a_leaf_is_not_told_of_leaves() {
    scenario("etree-suppression", tree, |lab| {
        // to the root and the root's VTEP alone
        lab.put(RA, "sup.ask-rb");
        lab.run();
        lab.expect(&[(RA2, "sup.ask-rb"), (UP, "sup.ask-rb.wire")]);
        lab.pass(RA, "sup.ask-ra2", RA, "sup.ask-ra2.reply");
        lab.apply(&network::ra("bridge: lan"));
        lab.pass(RA, "sup.ask-rb", RA, "sup.ask-rb.reply");
    });
}

/// One sends to the other.
pub fn two_leaves(lab: &mut Lab) {
    lab.apply(LEAVES);
    lab.put(L2, "br.group");
    lab.apply(&network::ra("bridge: lan, leaf: true"));
    lab.put(RA, "br.to-l2");
}
