//! Quotas: the offender's own flows give way, what is beyond a rate is dropped, others keep theirs; and the alarms.

use vrouter::api::v1;
use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, RA2, UP};

const SETTINGS: &str = "underlay_vrf: underlay, vtep: 10.0.0.1";

fn talk(lab: &mut Lab, names: &[&str]) {
    for name in names {
        lab.put(if name.contains(".back") || name.contains(".in") { UP } else { RA }, name);
        lab.run();
    }
    lab.discard();
}

/// Whether there is a flow with this port, and how many flows there are.
fn there(lab: &mut Lab, port: u32) -> bool {
    !lab.rig().flows(v1::FlowsRequest { port: Some(port), ..Default::default() }).is_empty()
}

fn count(lab: &mut Lab) -> usize {
    lab.rig().flows(v1::FlowsRequest::default()).len()
}

fn used(lab: &mut Lab, holder: &str) -> v1::QuotaUse {
    let all = lab.rig().stats().quotas;
    all.into_iter().find(|one| one.holder == holder).unwrap_or_else(|| panic!("nothing of {holder}"))
}

/// So many answered flows of ra, one after the other by a tenth of a second.
fn answered(lab: &mut Lab, count: usize) {
    for n in 0..count {
        talk(lab, &[&format!("quiet.{n}"), &format!("quiet.{n}.back")]);
        lab.now += 100;
    }
}

#[test]
fn beyond_its_quota_a_vif_s_own_flows_give_way_and_no_others() {
    scenario("flow-quota", Lab::a, |lab| {
        answered(lab, 8);
        lab.apply(&network::ra2("quota: {flows: 5}"));
        for n in 0..50 {
            lab.pass(RA2, &format!("flood.{n}"), UP, &format!("flood.{n}.wire"));
            lab.now += 100;
        }
        assert_eq!((count(lab), used(lab, "vif ra2").flows, used(lab, "vif ra").flows), (13, 5, 8));
        assert!((0..8).all(|n| there(lab, 20_000 + n)));
        // the latest are there
        assert!((45..50).all(|n| there(lab, 10_000 + n)));
        let drops = lab.rig().stats().drops;
        assert!(drops.is_empty(), "{drops:?}");
    });
}

#[test]
fn closing_flows_of_its_own_go_first_then_unanswered_ones_then_the_oldest() {
    scenario("quota-order", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {flows: 5}"));
        answered(lab, 3);
        talk(lab, &["udp4.vxlan"]);
        lab.now += 1000;
        talk(lab, &["tcp.out.S", "tcp.in.R"]);
        assert_eq!(count(lab), 5);
        talk(lab, &["quiet.3", "quiet.3.back"]);
        assert!(!there(lab, 40_000) && there(lab, 5000) && there(lab, 20_000));
        talk(lab, &["quiet.4", "quiet.4.back"]);
        assert!(!there(lab, 5000) && there(lab, 20_000));
        talk(lab, &["quiet.5", "quiet.5.back"]);
        assert!(!there(lab, 20_000) && there(lab, 20_001) && there(lab, 20_005));
        assert_eq!(count(lab), 5);
    });
}

#[test]
fn a_smaller_quota_ends_no_flow_and_a_v6_flow_takes_a_v4_one_s_place() {
    scenario("quota-shrinks", Lab::a, |lab| {
        answered(lab, 6);
        lab.apply(&network::ra("quota: {flows: 3}"));
        lab.now += 100;
        talk(lab, &["quiet.0", "quiet.0.back"]);
        assert_eq!(count(lab), 6);
        // above its quota one gives way to none: 6 held, 3 allowed, and a search that frees one at a time
        talk(lab, &["udp6.vxlan"]);
        let flows = count(lab);
        assert!(flows <= 6, "{flows}");
        assert!(there(lab, 20_000), "the latest used stays");
    });
}

#[test]
fn beyond_a_quota_a_flow_of_the_same_family_goes_first() {
    scenario("quota-families", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {flows: 3}"));
        // the oldest of all
        talk(lab, &["udp6.vxlan", "udp6.vxlan.back"]);
        lab.now += 100;
        answered(lab, 2);
        talk(lab, &["quiet.2", "quiet.2.back"]);
        assert!(!there(lab, 20_000) && there(lab, 20_001) && there(lab, 20_002) && there(lab, 5000));
        assert_eq!(count(lab), 3);
    });
}

#[test]
fn a_new_flow_beyond_a_smaller_quota_ends_up_to_four() {
    scenario("quota-much-smaller", Lab::a, |lab| {
        answered(lab, 8);
        lab.apply(&network::ra("quota: {flows: 2}"));
        lab.dropped(RA, "quiet.20", DropReason::FlowQuota);
        assert_eq!(count(lab), 4);
        assert!((4..8).all(|n| there(lab, 20_000 + n)), "the oldest went");
        lab.pass(RA, "quiet.21", UP, "quiet.21.wire");
        assert_eq!(count(lab), 2);
        assert!(there(lab, 20_007) && there(lab, 20_021));
    });
}

#[test]
fn what_comes_by_a_tunnel_is_held_by_the_vif_it_goes_to() {
    scenario("quota-tunnel", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {flows: 1}"));
        talk(lab, &["quiet.0.back"]);
        assert_eq!((used(lab, "vif ra").flows, count(lab)), (1, 1));
        lab.now += 100;
        talk(lab, &["quiet.1.back"]);
        assert_eq!((used(lab, "vif ra").flows, count(lab)), (1, 1));
        assert!(there(lab, 20_001));
    });
}

fn one_scan(workers: usize) -> Lab {
    Lab::one(workers, &Setup { flows: 128, ..Setup::default() })
}

#[test]
fn a_tenant_s_quota_is_of_all_its_vrfs_and_vifs() {
    scenario("quota-tenant", one_scan, |lab| {
        lab.apply("vrfs: [{name: red, tenant: acme}, {name: blue, tenant: other}]");
        lab.apply(&format!("settings: {{{SETTINGS}, tenant_quotas: [{{tenant: acme, quota: {{flows: 4}}}}]}}"));
        talk(lab, &["quiet.0", "quiet.0.back", "quiet.1"]);
        for n in 0..20 {
            lab.pass(RA2, &format!("flood.{n}"), UP, &format!("flood.{n}.wire"));
        }
        assert_eq!(used(lab, "tenant acme").flows, 4);
        assert!(there(lab, 20_000), "an answered flow of the tenant stays while there are others");
        // a VRF that leaves the tenant leaves its flows there until they end
        lab.apply("vrfs: [{name: red, tenant: other}]");
        assert_eq!(used(lab, "tenant acme").flows, 4);
        lab.now += 400_000;
        lab.sweep();
        assert_eq!(used(lab, "tenant acme").flows, 0);
        assert_eq!(count(lab), 0);
    });
}

/// A table of which a search sees a part.
pub fn large(workers: usize) -> Lab {
    Lab::one(workers, &Setup { flows: 65_536, ..Setup::default() })
}

/// One flow is allowed, and it is where a search does not look.
pub fn none_found(lab: &mut Lab) {
    lab.apply(&network::ra2("quota: {flows: 1}"));
    (0..20).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
    lab.run();
    lab.discard();
}

#[test]
fn where_no_flow_of_its_own_is_found_nearby_a_new_one_is_refused() {
    scenario("quota-none-found", large, |lab| {
        none_found(lab);
        assert!(lab.rig().dropped("ra2", DropReason::FlowQuota) > 0);
        assert_eq!(used(lab, "vif ra2").flows, 1);
        // others are not concerned
        answered(lab, 3);
        assert_eq!(used(lab, "vif ra").flows, 3);
    });
}

#[test]
fn packets_without_a_flow_beyond_the_rate_are_not_decided() {
    scenario("new-flow-quota", Lab::a, |lab| {
        lab.apply(&network::ra2("quota: {new_flows_per_second: 10}"));
        (0..100).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        // in all, not by worker
        assert_eq!(lab.take(UP).len(), 10);
        assert_eq!(lab.rig().dropped("ra2", DropReason::NewFlowQuota), 90);
        talk(lab, &["udp4.vxlan", "udp4.vxlan.back"]);
        let flows = lab.rig().flows(v1::FlowsRequest { vif: "ra2".into(), ..Default::default() });
        assert_eq!(flows.len(), 10);
        // flows that are there are not charged
        let port = flows[0].source_port;
        lab.put(RA2, &format!("flood.{}", port - 10_000));
        lab.run();
        assert_eq!(lab.take(UP).len(), 1);
        lab.now += 500;
        (100..120).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 5);
    });
}

#[test]
fn a_tenant_s_rate_is_of_all_its_vifs_and_a_vif_s_own_comes_first() {
    scenario("new-flow-tenant", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, tenant: acme}]");
        let tenants = "tenant_quotas: [{tenant: acme, quota: {new_flows_per_second: 10}}]";
        lab.apply(&format!("settings: {{{SETTINGS}, vif_quota: {{new_flows_per_second: 6}}, {tenants}}}"));
        (0..20).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 6);
        (0..20).for_each(|n| lab.put(RA, &format!("quiet.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 4);
        // blue is of nobody
        lab.apply(&format!("settings: {{{SETTINGS}, {tenants}}}"));
        lab.put(UP, "quiet.30.back");
        lab.run();
        assert_eq!(lab.rig().dropped("up0", DropReason::NewFlowQuota), 1);
    });
}

#[test]
fn tunnels_into_a_vrf_have_a_rate_of_their_own() {
    scenario("new-flow-tunnels", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, tunnel_quota: {new_flows_per_second: 3}}]");
        (0..5).for_each(|n| lab.put(UP, &format!("quiet.{n}.back")));
        lab.run();
        assert_eq!(lab.take(RA).len(), 3);
        assert_eq!(lab.rig().dropped("up0", DropReason::NewFlowQuota), 2);
        // what the VIFs send is not of the tunnels
        talk(lab, &["quiet.7", "quiet.7.back"]);
        assert_eq!(lab.rig().dropped("up0", DropReason::NewFlowQuota), 2);
    });
}

#[test]
fn who_takes_a_row_of_one_that_is_gone_has_all_of_its_rates() {
    scenario("new-flow-row", Lab::a, |lab| {
        lab.apply(&network::ra2("quota: {new_flows_per_second: 2}"));
        (0..3).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        lab.discard();
        lab.rig().delete(v1::object_key::Kind::Label(3000));
        lab.rig().delete(v1::object_key::Kind::Vif("ra2".into()));
        lab.run();
        lab.apply(&network::ra2("quota: {new_flows_per_second: 2}"));
        (3..6).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 2);
    });
}

#[test]
fn a_refused_packet_without_a_flow_spends_the_rate() {
    scenario("new-flow-refused", Lab::a, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        lab.apply(&network::ra("acl_from_vif: none, quota: {new_flows_per_second: 1}"));
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        lab.dropped(RA, "udp4.vxlan", DropReason::NewFlowQuota);
    });
}

#[test]
fn punts_beyond_the_quota_are_dropped_and_no_copies_made() {
    scenario("punt-quota", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {punts_per_second: 3}"));
        (0..8).for_each(|n| lab.put(RA, ["arp.gateway", "echo4.gateway"][n % 2]));
        lab.run();
        assert_eq!(lab.take(RA).len(), 3);
        assert_eq!(lab.rig().dropped("ra", DropReason::PuntQuota), 5);
        // nor is the sender told of a dropped packet
        lab.dropped(RA, "ttl4.1", DropReason::TtlExpired);
        lab.pass(RA2, "echo4.from-ra2", RA2, "echo4.from-ra2.reply");
        lab.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply");
        lab.now += 1000;
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
    });
}

#[test]
fn fragments_beyond_the_quota_are_dropped_first_ones_too() {
    scenario("fragment-quota", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {fragments_per_second: 3}"));
        (0..4).for_each(|n| lab.put(RA, ["long-ping.out.first", "long-ping.out.later"][n % 2]));
        lab.run();
        assert_eq!(lab.take(UP).len(), 3);
        assert_eq!(lab.rig().dropped("ra", DropReason::FragmentQuota), 1);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        // packet mode has no flows, but fragments
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.dropped(RA, "long-ping.out.later", DropReason::FragmentQuota);
    });
}

#[test]
fn alarms_are_events_of_the_objects() {
    scenario("alarms", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, tenant: acme}]");
        lab.apply(&format!("settings: {{{SETTINGS}, tenant_quotas: [{{tenant: acme, quota: {{flows: 10}}}}]}}"));
        lab.apply(&network::ra("quota: {flows: 5, new_flows_per_second: 100}"));
        lab.advance(1100);
        let before = lab.rig().shared.snapshot.load().generation;
        (0..4).for_each(|n| talk(lab, &[&format!("quiet.{n}")]));
        lab.advance(1100);
        let alarm = |quota: &str, percent| v1::Alarm { quota: quota.into(), percent };
        assert_eq!(used(lab, "vif ra").alarms, [alarm("flows", 80)]);
        assert!(used(lab, "tenant acme").alarms.is_empty());
        assert_eq!(lab.rig().shared.snapshot.load().generation.0, before.0 + 1);
        (4..7).for_each(|n| talk(lab, &[&format!("quiet.{n}")]));
        (0..120).for_each(|n| lab.put(RA, &format!("quiet.{}", n % 32)));
        (0..4).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        lab.discard();
        lab.advance(1100);
        let both = [alarm("flows", 100), alarm("new_flows", 100)];
        assert_eq!(used(lab, "vif ra").alarms, both);
        assert_eq!(used(lab, "tenant acme").alarms, [alarm("flows", 80)]);
        // an object that is put again keeps them
        lab.apply(&network::ra("quota: {flows: 5, new_flows_per_second: 100}"));
        assert_eq!(used(lab, "vif ra").alarms, both);
        lab.now += 400_000;
        lab.sweep();
        lab.advance(1100);
        assert!(lab.rig().stats().quotas.iter().all(|one| one.alarms.is_empty()));
    });
}

#[test]
fn counts_are_those_of_the_flows_after_much_that_happens() {
    scenario("quota-churn", one_scan, |lab| {
        lab.apply("vrfs: [{name: red, tenant: acme}]");
        lab.apply(&format!("settings: {{{SETTINGS}, tenant_quotas: [{{tenant: acme, quota: {{flows: 40}}}}]}}"));
        answered(lab, 20);
        (0..60).for_each(|n| lab.pass_silently(RA2, &format!("flood.{n}")));
        // decided anew, moved, reopened
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}]");
        answered(lab, 20);
        talk(lab, &["tcp.out.S", "tcp.in.R", "tcp.out.S"]);
        lab.rig().delete(v1::object_key::Kind::Label(3000));
        lab.rig().delete(v1::object_key::Kind::Vif("ra2".into()));
        answered(lab, 10);
        lab.discard();
        let shared = &lab.rig().shared;
        assert!(shared.accounts.agree_with(&shared.flows));
        assert!(count(lab) > 10);
        lab.now += 8_000_000;
        lab.sweep();
        assert_eq!((count(lab), used(lab, "tenant acme").flows, used(lab, "vif ra").flows), (0, 0, 0));
        // who takes the slot begins at nothing
        lab.apply(&network::ra2("quota: {flows: 2}"));
        assert_eq!(used(lab, "vif ra2").flows, 0);
    });
}
