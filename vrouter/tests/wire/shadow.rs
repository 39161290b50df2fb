//! Shadow: what is in force holds for every packet, and the report tells what the candidate would have done.

use std::collections::BTreeMap;

use vrouter::api::v1;
use vrouter::control::{Made, NotPromoted, Request};
use vrouter::drops::DropReason;
use vrouter::tables::DIFFERENCES;

use super::frames::frame;
use super::lab::{Lab, Setup, changes, scenario};
use super::network::{self, RA, RA2, UP};

/// Tries these objects; who else has a shadow on is told.
fn try_as(lab: &mut Lab, owner: &str, yaml: &str) -> Result<v1::Shadowed, v1::Refused> {
    let begin = v1::Begin { owner: owner.into(), shadow: true, ..v1::Begin::default() };
    lab.rig().batch(begin, changes(yaml)).map(|made| match made {
        Made::Shadowed(shadowed) => shadowed,
        other => panic!("{other:?}"),
    })
}

fn shadow(lab: &mut Lab, yaml: &str) {
    let shadowed = try_as(lab, "operator", yaml).unwrap_or_else(|refused| panic!("{refused:?}\n{yaml}"));
    assert_eq!(lab.rig().shared.snapshot.load().generation.0, shadowed.generation);
}

fn report(lab: &mut Lab) -> v1::ShadowReportReply {
    lab.rig().ask(|reply| Request::ShadowReport { reply }).expect("a shadow is on")
}

/// Permitted, denied, moved, and how many were judged.
fn sums(lab: &mut Lab) -> ([u64; 3], u64) {
    let told = report(lab);
    assert_eq!((told.lost, told.other), (0, 0));
    let sum = |change| told.rows.iter().filter(|row| row.change() == change).map(|row| row.count).sum::<u64>();
    let by_row = [v1::ShadowChange::Permitted, v1::ShadowChange::Denied, v1::ShadowChange::Moved].map(sum);
    assert_eq!(by_row, [told.now_permitted, told.now_denied, told.moved]);
    (by_row, told.judged)
}

fn promote(lab: &mut Lab, owner: &str) -> Result<u64, NotPromoted> {
    let wanted = v1::PromoteShadowRequest { owner: owner.into(), ..v1::PromoteShadowRequest::default() };
    let may = Box::new(|_: &mut v1::Begin, _: &v1::Changes| Ok(()));
    let made = lab.rig().ask(|reply| Request::PromoteShadow { wanted, by: "a test".into(), may, reply });
    made.map(|made| made.generation())
}

fn discard(lab: &mut Lab, owner: &str) -> Result<v1::DiscardShadowReply, v1::Refused> {
    let wanted = v1::DiscardShadowRequest { owner: owner.into() };
    lab.rig().ask(|reply| Request::DiscardShadow { wanted, reply })
}

/// A row in words: change, from, to, port, how both judge, count.
fn words(row: &v1::ShadowRow) -> String {
    let end = |place: &str, whom: &str| if whom.is_empty() { place.to_owned() } else { format!("{place} ({whom})") };
    let judge = |judge: &Option<v1::ShadowJudge>| {
        let judge = judge.clone().unwrap();
        let rule = judge.rule.map_or("end".into(), |rule| format!("{rule}{}", judge.name));
        let to = if judge.redirect.is_empty() { String::new() } else { format!(" to {}", judge.redirect) };
        let acl = if judge.acl.is_empty() { "none".into() } else { format!("{} {rule}", judge.acl) };
        let reason = if judge.reason.is_empty() { "permit" } else { &*judge.reason };
        format!("{reason} {} {} {acl}{to}", judge.stage, judge.by)
    };
    let what = ["permitted", "denied", "moved"][row.change as usize];
    let (from, to) = (end(&row.source, &row.source_match), end(&row.destination, &row.destination_match));
    let port = row.port.or(row.icmp_type).unwrap_or_default();
    let (live, shadow) = (judge(&row.live), judge(&row.shadow));
    format!("{what}: {from} > {to}, {} {port}: {live} | {shadow}: {}", row.protocol, row.count)
}

#[track_caller]
fn rows(lab: &mut Lab, expected: &[&str]) {
    let mut told: Vec<_> = report(lab).rows.iter().map(words).collect();
    told.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

const OUT: &str = "acls: [{name: out, rules: [{name: web, action: permit, protocol: tcp, destination_ports: 443}, {name: ping, action: deny, protocol: icmp}, {name: rest, action: permit, protocol: udp}]}]";

/// What ra sends is judged; ra2 takes what it is sent by UDP.
fn guarded(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(OUT);
    lab.apply("acls: [{name: in, rules: [{action: permit, protocol: udp}]}]");
    lab.apply(&network::ra("acl_from_vif: out"));
    lab.apply(&network::ra2("acl_to_vif: in"));
    lab
}

#[test]
fn the_verdict_in_force_holds_and_the_report_says_who() {
    scenario("shadow", guarded, |lab| {
        let none = lab.rig().ask(|reply| Request::ShadowReport { reply }).unwrap_err();
        assert_eq!((&*none.object, &*none.reason), ("shadow", "none is on"));
        shadow(
            lab,
            "acls: [{name: out, rules: [{name: ping, action: permit, protocol: icmp}, {name: web, action: permit, protocol: tcp, destination_ports: 443}]}]",
        );
        for count in 1..=3 {
            lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
            lab.pass(RA, "web.out.S", UP, "web.out.S.wire");
            // of the two flows one decision each, of the denied packet one each time
            assert_eq!(sums(lab), ([count, 1, 0], count + 2));
        }
        rows(
            lab,
            &[
                "permitted: vif ra > tunnel red, 1 8: acl_from_vif acl_from_vif vif ra out 1ping | permit acl_from_vif vif ra out 0ping: 3",
                "denied: vif ra > tunnel red, 17 7053: permit acl_from_vif vif ra out 2rest | acl_from_vif acl_from_vif vif ra out end: 1",
            ],
        );
        let told = report(lab);
        assert_eq!((&*told.owner, &*told.by, told.changes, told.vifs, told.vrfs), ("operator", "a test", 1, 1, 0));
        let example = told.rows.iter().find(|row| row.protocol == 17).and_then(|row| row.example.clone()).unwrap();
        assert_eq!((example.source, example.destination), (vec![10, 1, 1, 10], vec![10, 1, 1, 20]));
        // by both it is denied
        lab.dropped(RA, "ssh.out.S", DropReason::AclFromVif);
        assert_eq!(sums(lab), ([3, 1, 0], 6));
        discard(lab, "operator").unwrap();
        assert!(lab.rig().shared.snapshot.load().shadow.is_none());
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        let none = lab.rig().ask(|reply| Request::ShadowReport { reply }).unwrap_err();
        assert_eq!(none.reason, "none is on");
        assert_eq!(discard(lab, "operator").unwrap_err().reason, "none is on");
    });
}

#[test]
fn what_the_candidate_counts_and_charges_is_nothing() {
    scenario("shadow-hits", guarded, |lab| {
        lab.apply("acls: [{name: red, rules: [{action: permit}]}]");
        lab.apply("vrfs: [{name: red, acl: red}]");
        let hits = |lab: &mut Lab, acl: &str| {
            let filter = v1::HitsRequest { acl: acl.into(), ..v1::HitsRequest::default() };
            let rows = lab.rig().ask(|reply| Request::Hits { filter, reply }).expect("it is there");
            rows.map(|row| row.hits).collect::<Vec<_>>()
        };
        shadow(lab, "acls: [{name: out, rules: [{action: permit}]}]");
        (0..4).for_each(|_| lab.put(RA, "udp4.vxlan"));
        lab.run();
        assert_eq!(lab.take(UP).len(), 4);
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        // an ACL that both ask, too
        assert_eq!((hits(lab, "out"), hits(lab, "red")), (vec![0, 1, 1, 0], vec![1, 0]));
        assert_eq!(sums(lab), ([1, 0, 0], 2));
        assert_eq!(lab.rig().flows(v1::FlowsRequest::default()).len(), 1);
    });
}

#[test]
fn packets_of_a_live_flow_that_is_denied_are_judged_too() {
    scenario("shadow-denied", guarded, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        shadow(lab, "acls: [{name: out, rules: [{name: all, action: permit}]}]");
        // it goes on, and is no new one
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(sums(lab), ([0, 0, 0], 0));
        lab.apply("acls: [{name: out, rules: []}]");
        for count in 1..=3 {
            lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
            assert_eq!(sums(lab), ([count, 0, 0], count));
        }
        rows(
            lab,
            &[
                "permitted: vif ra > tunnel red, 17 7053: acl_from_vif acl_from_vif vif ra out end | permit acl_from_vif vif ra out 0all: 3",
            ],
        );
    });
}

#[test]
fn every_place_of_an_acl_is_tried() {
    scenario("shadow-places", guarded, |lab| {
        lab.apply("acls: [{name: out, rules: [{action: permit}]}]");
        // a VRF's, which has none; a VIF's that has none; one that goes
        let candidate = [
            "acls: [{name: red, rules: [{name: no-ssh, action: deny, protocol: tcp, destination_ports: [22, 443]}, {action: permit}]}, {name: ra-in, rules: []}]",
            "vrfs: [{name: red, acl: red}]",
            &network::ra("acl_from_vif: out, acl_to_vif: ra-in").replace("vifs: [", "").replace("}]", "}"),
            &network::ra2("").replace("vifs: [", "").replace("}]", "}"),
        ];
        let [acls, vrfs, ra, ra2] = candidate;
        shadow(lab, &format!("{acls}\n{vrfs}\nvifs: [{ra}, {ra2}]"));
        let told = report(lab);
        assert_eq!((told.vifs, told.vrfs), (2, 1));
        lab.pass(RA, "web.out.S", UP, "web.out.S.wire");
        lab.pass(UP, "ssh.in.S", RA, "ssh.in.S.out");
        lab.dropped(RA, "local4", DropReason::AclToVif);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        rows(
            lab,
            &[
                "denied: vif ra > tunnel red, 6 443: permit acl_vrf vrf red none | acl_vrf acl_vrf vrf red red 0no-ssh: 1",
                "denied: tunnel red > vif ra, 6 22: permit acl_vrf vrf red none | acl_vrf acl_vrf vrf red red 0no-ssh: 1",
                "permitted: vif ra > vif ra2, 6 2: acl_to_vif acl_to_vif vif ra2 in end | permit acl_to_vif vif ra2 none: 1",
            ],
        );
    });
}

#[test]
fn rows_name_groups_and_their_members_may_change() {
    scenario("shadow-groups", Lab::a, |lab| {
        lab.apply("groups: [{name: db, prefixes: [10.1.1.20/32]}, {name: apps, prefixes: [10.1.1.10/32]}]");
        lab.apply(
            "acls: [{name: red, rules: [{name: app-db, action: permit, source: {group: apps}, destination: {group: db}}]}]",
        );
        lab.apply("vrfs: [{name: red, acl: red}]");
        // who loses a tag, and another database
        shadow(
            lab,
            "groups: [{name: apps, prefixes: [10.1.1.11/32]}, {name: db, prefixes: [10.1.1.20/32, 10.1.1.21/32]}]",
        );
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.dropped(RA, "udp4.mpls", DropReason::AclVrf);
        rows(
            lab,
            &[
                "denied: vif ra (group apps) > tunnel red (group db), 17 7053: permit acl_vrf vrf red red 0app-db | acl_vrf acl_vrf vrf red red end: 1",
            ],
        );
        shadow(lab, "groups: [{name: db, prefixes: [10.1.1.20/32, 10.1.1.21/32]}]");
        assert_eq!(sums(lab), ([0, 0, 0], 0), "it begins anew");
        lab.dropped(RA, "udp4.mpls", DropReason::AclVrf);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let told = report(lab);
        assert_eq!((told.now_permitted, told.now_denied, told.judged), (1, 0, 1));
        let row = &told.rows[0];
        assert_eq!((&*row.source_match, &*row.destination_match), ("group apps", "group db"));
        assert_eq!(row.live.as_ref().unwrap().rule, None);
    });
}

#[test]
fn another_way_is_told_too() {
    scenario("shadow-redirect", Lab::a, |lab| {
        lab.apply(
            r#"
vrfs: [{name: svc}]
vifs: [{name: left, port: p4, vrf: svc, mac: "02:00:00:00:0a:04", addresses: [10.8.0.4], gateway_v4: 10.8.0.1, spoofing_allowed: true, service: true}]
acls: [{name: by, rules: [{action: permit}]}]
"#,
        );
        lab.apply(&network::ra("acl_from_vif: by"));
        shadow(
            lab,
            "acls: [{name: by, rules: [{name: through, action: permit, protocol: udp, redirect: {vif: left}}, {action: permit}]}]",
        );
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(RA, "web.out.S", UP, "web.out.S.wire");
        // what no route leads to may be sent elsewhere
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.21/32, drop: true}]");
        lab.dropped(RA, "udp4.mpls", DropReason::RouteDrop);
        assert_eq!(sums(lab), ([1, 0, 1], 3));
        rows(
            lab,
            &[
                "permitted: vif ra > vif left, 17 7053: route_drop acl_from_vif vif ra none | permit acl_from_vif vif ra by 0through to vif left: 1",
                "moved: vif ra > tunnel red, 17 7053: permit acl_from_vif vif ra by 0 | permit acl_from_vif vif ra by 0through to vif left: 1",
            ],
        );
        promote(lab, "operator").unwrap();
        lab.put(RA, "udp4.vxlan");
        lab.run();
        assert_eq!((lab.take((0, 4)).len(), lab.take(UP).len()), (1, 0));
    });
}

#[test]
fn what_is_promoted_does_what_was_told() {
    scenario("shadow-promote", guarded, |lab| {
        shadow(
            lab,
            "acls: [{name: out, rules: [{name: ping, action: permit, protocol: icmp}, {action: permit, protocol: tcp}]}]",
        );
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(sums(lab), ([1, 1, 0], 2));
        let before = lab.rig().shared.snapshot.load().generation.0;
        let wrong = promote(lab, "cni").unwrap_err();
        let NotPromoted::Refused(refused) = wrong else { panic!("{wrong:?}") };
        assert_eq!((&*refused.field, &*refused.reason), ("owner", "operator has one on already, by a test"));
        assert_eq!(promote(lab, "operator").unwrap(), before + 1);
        assert!(lab.rig().shared.snapshot.load().shadow.is_none());
        lab.pass(RA, "ping4.out", UP, "ping4.out.wire");
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
    });
}

#[test]
fn changes_of_the_network_are_followed() {
    scenario("shadow-live", guarded, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        shadow(lab, "acls: [{name: out, rules: [{action: permit, protocol: udp}]}]");
        // routes are the network's own
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, drop: true}]");
        lab.dropped(RA, "udp4.vxlan", DropReason::RouteDrop);
        assert_eq!(sums(lab), ([0, 0, 0], 1));
        lab.apply(
            r#"routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}]"#,
        );
        // another VIF gets the ACL that is tried otherwise
        lab.apply(&network::ra2("acl_from_vif: out"));
        assert_eq!(report(lab).vifs, 2);
        // another rule is in force, which lets all pass that the candidate would not
        lab.apply("acls: [{name: out, rules: [{name: all, action: permit}]}]");
        lab.pass(RA, "ping4.out", UP, "ping4.out.wire");
        assert_eq!(sums(lab), ([0, 1, 0], 2));
        rows(
            lab,
            &[
                "denied: vif ra > tunnel red, 1 8: permit acl_from_vif vif ra out 0all | acl_from_vif acl_from_vif vif ra out end: 1",
            ],
        );
        // what is in force is what is tried
        lab.apply("acls: [{name: out, rules: [{action: permit, protocol: udp}]}]");
        assert_eq!((report(lab).vifs, report(lab).stands_still), (0, None));
        lab.dropped(RA, "ssh.out.S", DropReason::AclFromVif);
        assert_eq!(sums(lab), ([0, 1, 0], 3));
    });
}

#[test]
fn a_candidate_that_does_not_fit_any_more_stands_still() {
    scenario("shadow-stands", guarded, |lab| {
        lab.apply("acls: [{name: none, rules: []}]");
        shadow(lab, &network::ra("acl_from_vif: none"));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(sums(lab), ([0, 1, 0], 1));
        // its VIF has another MTU now
        lab.apply(&network::ra("acl_from_vif: out, mtu: 1400"));
        let told = report(lab);
        let why = told.stands_still.expect("why");
        assert_eq!((&*why.object, &*why.field), ("vif ra", "mtu"));
        assert!(why.reason.starts_with("a shadow holds policies only"), "{why:?}");
        assert_eq!((told.vifs, told.now_denied), (0, 1));
        lab.dropped(RA, "ssh.out.S", DropReason::AclFromVif);
        assert_eq!(sums(lab).1, 1, "nothing is judged by it");
        // and what it had is gone
        lab.rig().delete(v1::object_key::Kind::Acl("none".into()));
        let why = report(lab).stands_still.expect("why");
        assert_eq!((&*why.field, &*why.reason), ("acl_from_vif", "there is no ACL none"));
        let refused = promote(lab, "operator").unwrap_err();
        assert!(matches!(&refused, NotPromoted::Refused(why) if why.field == "acl_from_vif"), "{refused:?}");
        // it goes on when it fits again
        lab.apply("acls: [{name: none, rules: []}]");
        lab.apply(&network::ra("acl_from_vif: out"));
        assert_eq!(report(lab).stands_still, None);
        lab.pass(RA, "udp4.mpls", UP, "udp4.mpls.wire");
        assert_eq!(sums(lab), ([0, 2, 0], 2));
        discard(lab, "operator").unwrap();
    });
}

#[test]
fn only_policies_are_tried_and_one_at_a_time() {
    scenario("shadow-refused", guarded, |lab| {
        let before = lab.rig().shared.snapshot.load().generation;
        let mut refused = |yaml: &str| {
            let refused = try_as(lab, "operator", yaml).unwrap_err();
            let policies = refused.reason.starts_with("a shadow holds policies only");
            (refused.object, refused.field, refused.change, policies)
        };
        let other = |object: &str, field: &str, change| (object.to_owned(), field.to_owned(), change, true);
        let route = "routes: [{vrf: red, prefix: 10.9.0.0/16, drop: true}]";
        assert_eq!(refused(route), other("route red 10.9.0.0/16 of operator", "", 0));
        assert_eq!(refused(&network::ra("acl_from_vif: out, mtu: 1400")), other("vif ra", "mtu", 0));
        assert_eq!(refused("vrfs: [{name: red, tenant: acme}]"), other("vrf red", "tenant", 0));
        assert_eq!(refused("vrfs: [{name: green}]"), other("vrf green", "", 0));
        assert_eq!(
            refused("acls: [{name: new, rules: []}]\nvrfs: [{name: green, acl: new}]"),
            other("vrf green", "", 1)
        );
        let unknown = try_as(lab, "operator", "vrfs: [{name: red, acl: nowhere}]").unwrap_err();
        assert_eq!((&*unknown.field, &*unknown.reason), ("acl", "there is no ACL nowhere"));
        assert_eq!(lab.rig().shared.snapshot.load().generation, before);
        // what is there as it says may be said
        shadow(lab, &format!("{}\nacls: [{{name: out, rules: []}}]", network::ra("acl_from_vif: out")));
        let second = try_as(lab, "cni", "acls: [{name: more, rules: []}]").unwrap_err();
        assert_eq!((&*second.object, &*second.reason), ("shadow", "operator has one on already, by a test"));
        assert_eq!(discard(lab, "cni").unwrap_err().reason, "operator has one on already, by a test");
        // a candidate that cannot be tried leaves the one that is
        assert!(try_as(lab, "operator", route).is_err());
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(sums(lab), ([0, 1, 0], 1));
        // one's own takes its place
        shadow(lab, "acls: [{name: out, rules: [{action: permit}]}]");
        lab.dropped(RA, "ping4.out", DropReason::AclFromVif);
        assert_eq!(sums(lab), ([1, 0, 0], 1));
    });
}

#[test]
fn bridged_flows_and_what_is_for_us_are_judged_too() {
    scenario("shadow-bridged", super::bridge::a, |lab| {
        lab.apply("acls: [{name: all, rules: [{action: permit}]}]");
        lab.apply("vrfs: [{name: red, acl: all}]");
        shadow(lab, "acls: [{name: all, rules: []}]");
        lab.pass(RA, "br.local", RA2, "br.local");
        // each of them, as there is no flow
        for _ in 0..2 {
            lab.pass(RA, "echo4.gateway", RA, "echo4.gateway.reply");
        }
        assert_eq!(sums(lab), ([0, 3, 0], 3));
        let told = report(lab);
        let mut ends: Vec<_> = told.rows.iter().map(|row| (&*row.source, &*row.destination, row.count)).collect();
        ends.sort_unstable();
        assert_eq!(ends, [("vif ra", "local", 2), ("vif ra", "vif ra2", 1)]);
    });
}

/// A packet of ra's from this source port.
fn from_port(port: u16) -> Vec<u8> {
    const UDP: usize = 14 + 20;
    let mut bytes = frame("udp4.vxlan").to_vec();
    bytes[UDP..UDP + 2].copy_from_slice(&port.to_be_bytes());
    // without a checksum
    bytes[UDP + 6..UDP + 8].fill(0);
    bytes
}

#[test]
fn what_workers_have_no_room_for_is_counted() {
    let large = |workers| {
        let mut lab = Lab::one(workers, &Setup { flows: 1 << 15, ..Setup::default() });
        lab.apply(OUT);
        lab.apply(&network::ra("acl_from_vif: out"));
        lab
    };
    scenario("shadow-lost", large, |lab| {
        shadow(lab, "acls: [{name: out, rules: []}]");
        let workers = lab.rig().workers.len();
        let many = (DIFFERENCES * workers + 500) as u16;
        // the control thread is busy elsewhere
        for first in (0..many).step_by(250) {
            (first..many.min(first + 250)).for_each(|port| lab.put_bytes(RA, &from_port(10_000 + port)));
            let now = lab.now;
            lab.rig().poll_workers(now);
            assert_eq!(lab.take(UP).len(), usize::from(many.min(first + 250) - first), "no packet waits for it");
        }
        let told = report(lab);
        assert_eq!((told.judged, told.now_denied), (many.into(), (DIFFERENCES * workers) as u64));
        assert_eq!((told.lost, told.rows.len()), (500, 1));
    });
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(most)) as u16
    }
}

/// Ports of flows that there may be.
const PORTS: u16 = 200;

/// Rules about source ports, each with its number as its name.
fn any_acl(random: &mut Random) -> String {
    let rules: Vec<_> = (0..1 + random.below(25))
        .map(|at| {
            let first = 10_000 + random.below(PORTS);
            let (last, action) = (first + random.below(60), ["permit", "deny"][usize::from(random.below(2))]);
            format!("{{name: r{at}, action: {action}, protocol: udp, source_ports: {first}-{last}}}")
        })
        .collect();
    format!("[{}]", rules.join(", "))
}

/// What becomes of each port's first packet, and by which rule: hits tell.
fn decided(acls: &str) -> Vec<(bool, Option<u32>)> {
    let mut lab = Lab::a(1);
    lab.apply(acls);
    lab.apply(&network::ra("acl_from_vif: out"));
    let hits = |lab: &mut Lab| {
        let filter = v1::HitsRequest { acl: "out".into(), ..v1::HitsRequest::default() };
        lab.rig().ask(|reply| Request::Hits { filter, reply }).expect("it is there").collect::<Vec<_>>()
    };
    let one = |port| {
        let before = hits(&mut lab);
        lab.put_bytes(RA, &from_port(10_000 + port));
        lab.run();
        let rule = hits(&mut lab).iter().zip(&before).find(|(a, b)| a.hits > b.hits).expect("a rule").0.rule;
        (lab.take(UP).len() == 1, rule)
    };
    (0..PORTS).map(one).collect()
}

/// Random pairs of ACLs: the report is what the candidate, made, decides otherwise, rule by rule.
#[test]
fn the_report_is_what_the_candidate_then_decides() {
    let mut random = Random(23);
    for round in 0..12 {
        let (live, candidate) = (any_acl(&mut random), any_acl(&mut random));
        let [live, candidate] = [live, candidate].map(|rules| format!("acls: [{{name: out, rules: {rules}}}]"));
        let (by_live, by_candidate) = (decided(&live), decided(&candidate));
        let mut expected: BTreeMap<_, u64> = BTreeMap::new();
        for (live, candidate) in by_live.iter().zip(&by_candidate).filter(|(a, b)| a.0 != b.0) {
            *expected.entry((live.1, candidate.1, candidate.0)).or_default() += 1;
        }
        let mut lab = Lab::a(2);
        lab.apply(&live);
        lab.apply(&network::ra("acl_from_vif: out"));
        shadow(&mut lab, &candidate);
        for port in 0..PORTS {
            lab.put_bytes(RA, &from_port(10_000 + port));
        }
        lab.run();
        let told = report(&mut lab);
        let row = |row: &v1::ShadowRow| {
            let rule = |judge: &Option<v1::ShadowJudge>| judge.as_ref().unwrap().rule;
            ((rule(&row.live), rule(&row.shadow), row.change() == v1::ShadowChange::Permitted), row.count)
        };
        let rows: BTreeMap<_, _> = told.rows.iter().map(row).collect();
        assert_eq!((rows, told.judged), (expected, PORTS.into()), "round {round}:\n{live}\n{candidate}");
        lab.discard();
        // and made, it does
        promote(&mut lab, "operator").unwrap();
        for (port, (permitted, _)) in by_candidate.iter().enumerate() {
            lab.put_bytes(RA, &from_port(10_000 + port as u16));
            lab.run();
            assert_eq!(lab.take(UP).len() == 1, *permitted, "round {round}, port {port}");
        }
    }
}
