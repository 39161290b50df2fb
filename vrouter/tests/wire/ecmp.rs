//! Several ways of one route: each flow has one and keeps it by its name.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{At, Lab, scenario};
use super::network::{self, RA, RA2, UP};

pub const RA3: At = (0, 4);
const FLOWS: usize = 32;

const A: &str = r#"{vxlan: {remote: 10.0.0.2, vni: 501, mac: "02:0a:00:00:02:01"}"#;
const A2: &str = r#"{vxlan: {remote: 10.0.0.2, vni: 511, mac: "02:0a:00:00:02:01"}"#;
const B: &str = r#"{vxlan: {remote: 10.0.0.2, vni: 502, mac: "02:0a:00:00:02:01"}"#;
const C: &str = "{mpls_udp: {remote: 10.0.0.2, label: 1503}";
const D: &str = r#"{vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}"#;
const FAR: &str = "routes: [{vrf: underlay, prefix: 198.51.100.0/24, via: {gateway: 10.0.0.2}}]";

/// The route by these paths, each a next hop that is open at its end, and what follows in it.
fn by(paths: &[(&str, &str)]) -> String {
    let paths: Vec<_> = paths.iter().map(|(via, more)| format!("{via}{more}}}")).collect();
    format!("routes: [{{vrf: red, prefix: 10.9.0.0/16, via: {{ecmp: [{}]}}}}]", paths.join(", "))
}

fn named<'a>(via: &'a str, name: &'a str) -> (&'a str, &'a str) {
    (via, name)
}

/// The path that flow `n` has, as what is on the wire shows it.
#[track_caller]
fn path(lab: &mut Lab, n: usize) -> &'static str {
    lab.put(RA, &format!("ecmp.{n}"));
    lab.run();
    let came = lab.take(UP);
    assert_eq!(came.len(), 1, "flow {n}: {:?}", lab.rig().stats().drops);
    let paths = ["a", "a2", "b", "c", "d"];
    let found = paths.into_iter().find(|path| is_like(&came[0], &format!("ecmp.{n}.{path}.wire")));
    found.unwrap_or_else(|| panic!("flow {n} is on no path: {:02x?}", came[0]))
}

fn paths(lab: &mut Lab) -> Vec<&'static str> {
    (0..FLOWS).map(|n| path(lab, n)).collect()
}

fn count(paths: &[&str], path: &str) -> usize {
    paths.iter().filter(|found| **found == path).count()
}

const NAMED_A: (&str, &str) = (A, ", name: a");
const NAMED_B: (&str, &str) = (B, ", name: b");
const NAMED_C: (&str, &str) = (C, ", name: c");

/// Only answers come to ra: an answer that finds no flow is a drop.
fn closed(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply("acls: [{name: nothing, rules: []}]");
    lab.apply(&network::ra("acl_to_vif: nothing"));
    lab.apply(FAR);
    lab
}

#[test]
fn flows_spread_by_weight_and_their_packets_stay_together() {
    scenario("ecmp", closed, |lab| {
        lab.apply(&by(&[named(A, ", weight: 3, name: a"), NAMED_B]));
        let first = paths(lab);
        let (a, b) = (count(&first, "a"), count(&first, "b"));
        assert!(a + b == FLOWS && (16..=31).contains(&a), "{a} of a, {b} of b");
        assert_eq!(paths(lab), first);
        for n in 0..FLOWS {
            lab.pass(UP, &format!("ecmp.{n}.back"), RA, &format!("ecmp.{n}.back.out"));
        }
        for flow in lab.rig().flows(Default::default()) {
            assert_eq!(flow.path, first[flow.source_port as usize - 7000]);
            assert_eq!((&*flow.reverse_place, flow.packets, flow.reverse_packets), ("tunnel red", 2, 1));
        }
    });
}

#[test]
fn a_flow_keeps_its_path_by_its_name() {
    scenario("ecmp-keeps", closed, |lab| {
        lab.apply(&by(&[NAMED_A, NAMED_B]));
        let first = paths(lab);
        assert!(count(&first, "a") > 4 && count(&first, "b") > 4, "{first:?}");
        // others come, weights and the order change
        lab.apply(&by(&[NAMED_C, named(B, ", weight: 1, name: b"), named(A, ", weight: 1000, name: a")]));
        assert_eq!(paths(lab), first);
        // a route elsewhere, which each flow notices and stands
        lab.apply("routes: [{vrf: red, prefix: 10.77.0.0/16, via: {drop: true}}]");
        assert_eq!(paths(lab), first);
        // the path's own next hop
        lab.apply(&by(&[named(A2, ", name: a"), NAMED_B, NAMED_C]));
        let rewritten = |path: &&'static str| if *path == "a" { "a2" } else { *path };
        assert_eq!(paths(lab), first.iter().map(rewritten).collect::<Vec<_>>());
        lab.apply(&by(&[NAMED_A, NAMED_B, NAMED_C]));
        assert_eq!(paths(lab), first);
        // one goes: its flows move, no other
        lab.apply(&by(&[NAMED_A, NAMED_C]));
        let second = paths(lab);
        for (before, after) in first.iter().zip(&second) {
            assert!(if *before == "a" { *after == "a" } else { ["a", "c"].contains(after) }, "{before} {after}");
        }
        assert!(count(&second, "c") > 0);
        // it comes back: nobody moves
        lab.apply(&by(&[NAMED_A, NAMED_B, NAMED_C]));
        assert_eq!(paths(lab), second);
        for n in 0..FLOWS {
            lab.pass(UP, &format!("ecmp.{n}.back"), RA, &format!("ecmp.{n}.back.out"));
        }
        assert!(lab.rig().stats().drops.is_empty());
        assert_eq!(lab.rig().flows(Default::default()).len(), FLOWS);
    });
}

#[test]
fn paths_without_a_name_are_named_by_what_they_are() {
    scenario("ecmp-unnamed", closed, |lab| {
        // one way that becomes several is one of them
        lab.apply(&format!("routes: [{{vrf: red, prefix: 10.9.0.0/16, via: {A}}}}}]"));
        assert_eq!(count(&paths(lab), "a"), FLOWS);
        lab.apply(&by(&[(B, ""), (A, ""), (C, ", weight: 9")]));
        assert_eq!(count(&paths(lab), "a"), FLOWS);
        let flow = lab.rig().flows(Default::default()).remove(0);
        assert_eq!(flow.path, "vxlan 10.0.0.2 vni 501 mac 02:0a:00:00:02:01");
        lab.apply(&by(&[(B, ""), (C, "")]));
        let second = paths(lab);
        assert_eq!(count(&second, "b") + count(&second, "c"), FLOWS);
        lab.apply(&by(&[(C, ""), (A, ""), (B, ", weight: 9")]));
        assert_eq!(paths(lab), second);
        // a longer prefix with paths of the same name takes the flows over as they are
        lab.apply(&by(&[(A, ""), (B, ""), (C, "")]).replace("10.9.0.0/16", "10.9.0.9/32"));
        assert_eq!(paths(lab), second);
    });
}

#[test]
fn a_path_without_a_way_through_the_underlay_is_left_and_not_taken() {
    scenario("ecmp-down", closed, |lab| {
        let underlay = |lab: &mut Lab| {
            let prefix = v1::Prefix { address: vec![198, 51, 100, 0], length: 24 };
            let key = v1::RouteKey { vrf: "underlay".into(), prefix: Some(prefix), owner: String::new() };
            lab.rig().delete(Key::Route(key));
        };
        lab.apply(&by(&[NAMED_A, (D, ", name: d")]));
        let first: Vec<_> = (0..FLOWS / 2).map(|n| path(lab, n)).collect();
        let on_d = (0..FLOWS / 2).find(|n| first[*n] == "d").expect("some flow is on d");
        underlay(lab);
        // live flows, and new ones
        assert_eq!(count(&paths(lab), "a"), FLOWS);
        let explained = explain(lab, on_d);
        assert!(explained.contains("the flow keeps it by its name; weight 1 of 2, 1 of it up"), "{explained}");
        lab.apply(FAR);
        assert_eq!(count(&paths(lab), "a"), FLOWS, "who has moved stays");
        // though a third one is down
        let third = A.replace("10.0.0.2", "203.0.113.9");
        lab.apply(&by(&[NAMED_A, (D, ", name: d"), named(&third, ", name: e")]));
        assert_eq!(count(&paths(lab), "a"), FLOWS, "who has moved stays");
        assert!(lab.rig().stats().drops.is_empty());
        // all down: they stay, and the drop says why
        lab.apply(&by(&[(D, ", name: d"), (D, ", name: e")]));
        assert_eq!(count(&paths(lab), "d"), FLOWS);
        underlay(lab);
        lab.dropped(RA, "ecmp.0", DropReason::NoUnderlayRoute);
        lab.apply(&by(&[(D, ", name: d"), (D, ", name: e"), NAMED_A]));
        assert_eq!(count(&paths(lab), "a"), FLOWS);
    });
}

#[test]
fn backups_have_flows_only_while_no_other_path_is_up() {
    scenario("ecmp-backup", closed, |lab| {
        let first = by(&[(D, ", name: d"), named(A, ", name: a, backup: true"), named(B, ", name: b, backup: true")]);
        lab.apply(&first);
        assert_eq!(count(&paths(lab), "d"), FLOWS);
        let prefix = v1::Prefix { address: vec![198, 51, 100, 0], length: 24 };
        let key = v1::RouteKey { vrf: "underlay".into(), prefix: Some(prefix), owner: String::new() };
        lab.rig().delete(Key::Route(key));
        let second = paths(lab);
        let (a, b) = (count(&second, "a"), count(&second, "b"));
        assert!(a > 4 && b > 4 && a + b == FLOWS, "{second:?}");
        assert_eq!(paths(lab), second);
        // it comes back: they go back, unlike the flows of paths that are no backups
        lab.apply(FAR);
        assert_eq!(count(&paths(lab), "d"), FLOWS);
        for n in 0..FLOWS {
            lab.pass(UP, &format!("ecmp.{n}.back"), RA, &format!("ecmp.{n}.back.out"));
        }
        assert!(explain(lab, 0).contains("weight 1 of 3, 3 of it up"), "{}", explain(lab, 0));
        assert!(lab.rig().stats().drops.is_empty());
        assert_eq!(lab.rig().flows(Default::default()).len(), FLOWS);
    });
}

fn explain(lab: &mut Lab, n: usize) -> String {
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 9, 0, 9],
        protocol: 17,
        source_port: 7000 + n as u32,
        destination_port: 53,
        ..Default::default()
    };
    let reply = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
    assert_eq!(reply.verdict, "forward");
    let step = reply.steps.into_iter().find(|step| step.name == "path").expect("a path");
    format!("{} | {}", step.object, step.detail)
}

#[test]
fn explain_knows_the_path_before_and_after() {
    scenario("ecmp-explain", closed, |lab| {
        lab.apply(&by(&[NAMED_A, named(B, ", weight: 3, name: b")]));
        for n in 0..FLOWS {
            let before = explain(lab, n);
            let path = path(lab, n);
            assert!(before.starts_with(&format!("{path}: vxlan vni 50")), "{before}");
            assert!(before.contains("by the flow's hash") && before.ends_with("of 4, 4 of it up"), "{before}");
            assert!(explain(lab, n).starts_with(&format!("{path}: ")));
        }
        lab.apply(&by(&[NAMED_C]));
        assert!(explain(lab, 0).contains("the flow's own is gone"), "{}", explain(lab, 0));
    });
}

/// 10.9.0.9 is behind ra2 and ra3.
fn anycast(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(r#"vifs: [{name: ra3, port: p4, vrf: red, mac: "02:00:00:00:0a:04", addresses: [10.1.1.12], gateway_v4: 10.1.1.1, allowed_sources: [10.9.0.9/32]}]"#);
    lab.apply(&network::ra2("allowed_sources: [10.9.0.9/32]"));
    lab.apply("routes: [{vrf: red, prefix: 10.9.0.9/32, via: {ecmp: [{vif: ra2}, {vif: ra3}]}}]");
    lab
}

/// Which of ra2 and ra3 has flow `n` from behind VNI 100 to 10.9.0.9, and answers.
#[track_caller]
pub fn served_by(lab: &mut Lab, n: usize) -> At {
    lab.put(UP, &format!("any.{n}"));
    lab.run();
    let who = [(RA2, "ra2"), (RA3, "ra3")].into_iter().filter(|(at, name)| {
        let came = lab.take(*at);
        assert!(came.iter().all(|frame| is_like(frame, &format!("any.{n}.{name}.out"))));
        came.len() == 1
    });
    let who: Vec<_> = who.collect();
    assert_eq!(who.len(), 1, "flow {n}");
    lab.pass(who[0].0, &format!("any.{n}.{}.back", who[0].1), UP, &format!("any.{n}.back.wire"));
    who[0].0
}

#[test]
fn vifs_share_an_address_and_answers_stay_in_the_flow() {
    scenario("ecmp-vifs", anycast, |lab| {
        let first: Vec<_> = (0..FLOWS).map(|n| served_by(lab, n)).collect();
        let ra2 = first.iter().filter(|at| **at == RA2).count();
        assert!((5..=27).contains(&ra2), "{ra2}");
        assert_eq!((0..FLOWS).map(|n| served_by(lab, n)).collect::<Vec<_>>(), first);
        assert_eq!(lab.rig().flows(Default::default()).len(), FLOWS);
        // the link of one goes: its flows move to the other at once, with their answers, and stay there
        lab.carrier(4, false);
        assert!((0..FLOWS).all(|n| served_by(lab, n) == RA2));
        lab.carrier(4, true);
        assert!((0..FLOWS).all(|n| served_by(lab, n) == RA2));
        assert_eq!(lab.rig().flows(Default::default()).len(), FLOWS);
        assert!(lab.rig().stats().drops.is_empty());
    });
}

#[test]
fn answers_go_to_the_one_that_asked() {
    scenario("ecmp-asks", anycast, |lab| {
        for (at, who) in [(RA2, "ra2"), (RA3, "ra3")] {
            lab.pass(at, &format!("any.ask.{who}"), UP, "any.ask.wire");
            lab.pass(UP, "any.answer", at, &format!("any.answer.{who}.out"));
            let op = lab.rig().flows(v1::FlowsRequest { vif: who.into(), ..Default::default() });
            assert_eq!(op.len(), 1);
        }
    });
}

#[test]
fn packet_mode_has_a_path_by_the_hash() {
    scenario("ecmp-packet-mode", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.apply(FAR);
        lab.apply(&by(&[NAMED_A, NAMED_B, (D, ", name: d")]));
        let first = paths(lab);
        assert!(["a", "b", "d"].iter().all(|path| count(&first, path) > 3), "{first:?}");
        assert_eq!(paths(lab), first);
        assert!(lab.rig().flows(Default::default()).is_empty());
        // a path that goes down takes its own traffic along, and has it again
        let prefix = v1::Prefix { address: vec![198, 51, 100, 0], length: 24 };
        let key = v1::RouteKey { vrf: "underlay".into(), prefix: Some(prefix), owner: String::new() };
        lab.rig().delete(Key::Route(key));
        for (before, after) in first.iter().zip(paths(lab)) {
            assert!(if *before == "d" { after != "d" } else { after == *before });
        }
        lab.apply(FAR);
        assert_eq!(paths(lab), first);
        // one that comes takes its share from all, and nothing else moves
        lab.apply(&by(&[NAMED_C, NAMED_A, NAMED_B, (D, ", name: d")]));
        let with_c = paths(lab);
        assert!((3..=16).contains(&count(&with_c, "c")), "{with_c:?}");
        assert!(first.iter().zip(&with_c).all(|(before, after)| before == after || *after == "c"), "{with_c:?}");
    });
}
