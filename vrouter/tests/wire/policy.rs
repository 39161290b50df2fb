//! ACLs, judged once for a flow's initiator: their places, their answers, forged ones, and edits under live flows.

use vrouter::api::v1::object_key::Kind as Key;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{self, BA, RA, RA2, UP};

const DNS_OUT: &str =
    "acls: [{name: out, rules: [{name: dns, action: permit, protocol: udp, destination_ports: 7053}]}]";
const NOTHING: &str = "acls: [{name: nothing, rules: []}]";

/// ra may ask by UDP 7053 and receives nothing unasked.
fn strict_ra(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(DNS_OUT);
    lab.apply(NOTHING);
    lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: nothing"));
    lab
}

#[test]
fn a_from_vif_acl_lets_permitted_flows_and_their_answers_pass() {
    scenario("acl-from", strict_ra, |lab| {
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        lab.pass(UP, "udp6.vxlan.back", RA, "udp6.vxlan.back.out");
        lab.dropped(RA, "web.out.S", DropReason::AclFromVif);
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        lab.dropped(UP, "ssh.in.S", DropReason::AclToVif);
    });
}

#[test]
fn a_to_vif_acl_judges_what_the_tenant_receives() {
    scenario("acl-to", Lab::a, |lab| {
        lab.apply("acls: [{name: in, rules: [{action: permit, protocol: tcp, destination_ports: 22}]}]");
        lab.apply(&network::ra("acl_to_vif: in"));
        lab.pass(UP, "ssh.in.S", RA, "ssh.in.S.out");
        lab.pass(RA, "ssh.out.SA", UP, "ssh.out.SA.wire");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
        // what it sends is not asked about
        lab.pass(RA, "tcp.out.S", UP, "tcp.out.S.wire");
        lab.pass(UP, "tcp.in.SA", RA, "tcp.in.SA.out");
    });
}

#[test]
fn a_vrf_s_acl_judges_every_flow_that_passes_it() {
    scenario("acl-vrf", Lab::a, |lab| {
        lab.apply("acls: [{name: web, rules: [{action: permit, protocol: tcp, destination_ports: 80}]}]");
        lab.apply("vrfs: [{name: red, acl: web}]");
        lab.pass(RA, "tcp.out.S", UP, "tcp.out.S.wire");
        lab.pass(UP, "tcp.in.SA", RA, "tcp.in.SA.out");
        lab.dropped(RA, "web.out.S", DropReason::AclVrf);
        lab.dropped(UP, "ssh.in.S", DropReason::AclVrf);
        lab.dropped(RA, "local4", DropReason::AclVrf);
        // blue has none
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
    });
}

#[test]
fn a_forged_answer_is_judged_as_new() {
    scenario("forged", strict_ra, |lab| {
        lab.apply(&network::ra2("spoofing_allowed: true"));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.dropped(RA2, "udp4.vxlan.back.from-ra2", DropReason::AclToVif);
        // by another VNI it belongs to another tenant, and never reaches ra
        lab.pass(UP, "udp4.vxlan.back.other-vni", BA, "udp4.vxlan.back.other-vni.out");
        lab.apply("acls: [{name: closed, rules: []}]\nvrfs: [{name: blue, acl: closed}]");
        lab.dropped(UP, "udp4.vxlan.back.other-vni", DropReason::AclVrf);
        // the true answer, by whichever tunnel of its own VRF
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.pass(UP, "udp4.vxlan.back.by-label", RA, "udp4.vxlan.back.by-label.out");
    });
}

#[test]
fn a_forged_question_does_not_take_the_answers_of_the_flow_it_imitates() {
    scenario("forged-question", strict_ra, |lab| {
        lab.apply(&network::ra2("spoofing_allowed: true"));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        // the same addresses and ports from another VIF: permitted, but the answers' route leads to ra
        lab.pass(RA2, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(&*lab.rig().flow().place, "vif ra");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    });
}

#[test]
fn an_icmp_error_belongs_to_the_flow_it_quotes() {
    scenario("icmp-error", strict_ra, |lab| {
        lab.dropped(UP, "error4.in", DropReason::IcmpErrorNoFlow);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "udp6.vxlan", UP, "udp6.vxlan.wire");
        lab.pass(UP, "error4.in", RA, "error4.in.out");
        lab.pass(UP, "error6.in", RA, "error6.in.out");
        lab.dropped(UP, "error4.stranger", DropReason::IcmpErrorNoFlow);
        lab.dropped(UP, "error4.not-mine", DropReason::IcmpErrorNoFlow);
        assert_eq!(lab.rig().flows(Default::default()).len(), 2);
    });
    scenario("icmp-error-out", Lab::a, |lab| {
        lab.dropped(RA, "error4.out", DropReason::IcmpErrorNoFlow);
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.pass(RA, "error4.out", UP, "error4.out.wire");
    });
}

#[test]
fn the_first_packet_after_an_acl_edit_obeys_it() {
    scenario("acl-edit", strict_ra, |lab| {
        let both = |lab: &mut Lab| {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        };
        both(lab);
        // a rule more, and the flow goes on as it was
        lab.apply("acls: [{name: out, rules: [{action: deny, protocol: tcp}, {action: permit, protocol: udp}]}]");
        both(lab);
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets, &*flow.state), (2, 2, "answered"));
        // refused now, both ways
        lab.apply("acls: [{name: out, rules: [{action: deny, protocol: udp}, {action: permit}]}]");
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclFromVif);
        let flow = lab.rig().flow();
        assert_eq!((&*flow.verdict, &*flow.reverse_verdict), ("acl_from_vif", "acl_from_vif"));
        // and permitted again
        lab.apply(DNS_OUT);
        both(lab);
        assert_eq!(lab.rig().flow().packets, 4);
    });
}

#[test]
fn the_answer_may_be_the_first_packet_after_an_edit() {
    scenario("acl-edit-reverse", strict_ra, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.apply("acls: [{name: out, rules: [{action: permit}]}]");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.apply("acls: [{name: out, rules: []}]");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclFromVif);
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
    });
}

#[test]
fn a_group_edit_is_obeyed() {
    scenario("group-edit", Lab::a, |lab| {
        lab.apply("groups: [{name: peers, prefixes: [10.1.1.20/32]}]");
        lab.apply("acls: [{name: to-peers, rules: [{action: permit, destination: {group: peers}}]}]");
        lab.apply(&network::ra("acl_from_vif: to-peers"));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.dropped(RA, "udp4.mpls", DropReason::AclFromVif);
        lab.apply("groups: [{name: peers, prefixes: [10.1.1.21/32]}]");
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        lab.pass(RA, "udp4.mpls", UP, "udp4.mpls.wire");
    });
}

#[test]
fn a_live_flow_obeys_what_changes_where_it_is_delivered_in_another_vrf() {
    scenario("acl-edit-there", Lab::a, |lab| {
        let ra2 = |more: &str| network::ra2(more).replace("vrf: red", "vrf: blue");
        let passes = |lab: &mut Lab| lab.pass(RA, "udp4.vxlan", RA2, "udp4.to-ra2.out");
        lab.apply(NOTHING);
        lab.rig().delete(Key::Label(3000));
        lab.apply(&ra2(""));
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vif: ra2}}]");
        passes(lab);
        // nothing of red changes, but the next hop
        lab.apply(&ra2("acl_to_vif: nothing"));
        lab.dropped(RA, "udp4.vxlan", DropReason::AclToVif);
        lab.apply(&ra2(""));
        passes(lab);
        lab.apply("vrfs: [{name: blue, acl: nothing}]");
        lab.dropped(RA, "udp4.vxlan", DropReason::AclVrf);
        lab.apply("vrfs: [{name: blue}]");
        passes(lab);
    });
}

#[test]
fn icmp_types_and_odd_protocols_are_judged() {
    scenario("acl-icmp", Lab::a, |lab| {
        lab.apply(NOTHING);
        lab.apply(
            "acls: [{name: out, rules: [{action: permit, protocol: icmp, icmp_type: 8}, {action: permit, protocol: icmpv6}, {action: permit, protocol: 132}]}]",
        );
        lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: nothing"));
        for name in ["ping4", "ping6"] {
            lab.pass(RA, &format!("{name}.out"), UP, &format!("{name}.out.wire"));
            lab.pass(UP, &format!("{name}.in"), RA, &format!("{name}.in.out"));
        }
        lab.pass(RA, "sctp.out", UP, "sctp.out.wire");
        lab.dropped(RA, "gre.out", DropReason::AclFromVif);
    });
}
