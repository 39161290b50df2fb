//! Plans: how many live flows each change touches, and what becomes of them. Nothing is made.

use std::sync::Arc;

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::{Made, Request};
use vrouter::daemon::verdicts::Verdicts;

use super::lab::{Lab, changes, scenario};
use super::network::{self, RA, RA2, UP};
use super::uplinks::{self, FLOWS};

/// A plan with what becomes of flows, told when all were looked at.
pub fn plan(lab: &mut Lab, verdicts: &Verdicts, changes: Vec<v1::Change>) -> v1::Plan {
    let begin = v1::Begin { dry_run: true, flows: true, ..v1::Begin::default() };
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let before = lab.rig().shared.snapshot.load_full();
    lab.rig().control.answer(Request::Apply { begin, changes: changes.into(), by: String::new(), reply });
    assert!(answer.try_recv().is_err(), "flows are looked at first");
    assert!(verdicts.step_at(lab.now, u32::MAX));
    let plan = match answer.try_recv().unwrap() {
        Ok(Made::Plan(plan)) => plan,
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&before, &lab.rig().shared.snapshot.load_full()), "nothing is made");
    plan
}

/// Flows, and of them: denied, permitted, ended, sent another way.
type Touched = [u64; 5];

fn touched(told: &v1::FlowsTouched) -> Touched {
    [told.flows, told.now_denied, told.now_permitted, told.ended, told.moved]
}

/// Of a change of one object, which all that turns hangs on.
#[track_caller]
fn one(lab: &mut Lab, verdicts: &Verdicts, changes: Vec<v1::Change>) -> Touched {
    let plan = plan(lab, verdicts, changes);
    let [step] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let flows = plan.flows.unwrap();
    let all = flows.verdicts.unwrap();
    let touched = touched(step.flows.as_ref().expect("flows of the step"));
    assert_eq!(touched[1..], [all.now_denied, all.now_permitted, all.ended, flows.moved], "{step:?}");
    touched
}

fn deleted(key: Key) -> Vec<v1::Change> {
    vec![v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(key) })) }]
}

/// From ra to 10.1.1.20 by VXLAN (answered), from ra to ra2, from 10.1.1.20 by VXLAN to ra, and by label 3000 to ra2.
fn four(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply("groups: [{name: far, prefixes: [10.1.1.20/32]}, {name: near, prefixes: [10.1.1.10/32, 10.1.1.11/32]}, {name: nobody, prefixes: [10.66.0.0/16]}]");
    lab.apply("acls: [{name: out, rules: [{action: permit, source: {group: near}}, {action: deny, source: {group: nobody}}]}, {name: in, rules: [{action: permit, protocol: tcp, source: {group: far}}]}]");
    lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: in"));
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    lab.pass(RA, "local4", RA2, "local4.out");
    lab.pass(UP, "ssh.in.S", RA, "ssh.in.S.out");
    lab.pass(UP, "label.vif", RA2, "label.vif.out");
    lab.now += 1000;
    lab
}

#[test]
fn each_change_tells_of_the_flows_that_it_touches() {
    scenario("plans", four, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let route = |more: &str| format!("routes: [{{vrf: red, prefix: {more}}}]");
        let by_vxlan = "via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:02\"}}";
        let told: [(&str, String, Touched); 22] = [
            ("who is asked", "acls: [{name: out, rules: []}]".into(), [2, 2, 0, 0, 0]),
            (
                "one of two",
                "acls: [{name: out, rules: [{action: permit, destination: 10.1.1.20/32}]}]".into(),
                [2, 1, 0, 0, 0],
            ),
            ("on the way in", "acls: [{name: in, rules: [{action: permit}]}]".into(), [1, 0, 0, 0, 0]),
            ("nobody's", "acls: [{name: unused, rules: []}]".into(), [0; 5]),
            ("a member leaves", "groups: [{name: near, prefixes: [10.1.1.11/32]}]".into(), [2, 2, 0, 0, 0]),
            ("another comes", "groups: [{name: far, prefixes: [10.1.1.20/32, 10.1.1.21/32]}]".into(), [1, 0, 0, 0, 0]),
            ("no flow's", "groups: [{name: nobody, prefixes: [10.67.0.0/16]}]".into(), [0; 5]),
            // the flow there, and the way back of the two from there
            ("what matched", route("10.1.1.20/32, via: {drop: true}"), [3, 1, 0, 0, 0]),
            ("another way", route("10.1.1.20/32, via: {vif: ra2}"), [3, 0, 0, 0, 1]),
            ("rewritten", route(&format!("10.1.1.20/32, {by_vxlan}")), [3, 0, 0, 0, 1]),
            ("less specific", route("10.1.1.0/24, via: {drop: true}"), [0; 5]),
            ("not in force", route("10.1.1.20/32, owner: zoe, preference: 1, via: {drop: true}"), [0; 5]),
            ("in force", route("10.1.1.20/32, owner: zoe, preference: 200, via: {drop: true}"), [3, 1, 0, 0, 0]),
            ("of others", "routes: [{vrf: blue, prefix: 10.1.1.20/32, via: {drop: true}}]".into(), [0; 5]),
            ("its VRF", "vrfs: [{name: red, acl: in}]".into(), [4, 3, 0, 0, 0]),
            ("another VRF", "vrfs: [{name: blue, acl: in}]".into(), [0; 5]),
            ("its VIF", network::ra("acl_to_vif: out"), [3, 1, 0, 0, 0]),
            ("the other VIF", network::ra2("acl_to_vif: in"), [2, 2, 0, 0, 0]),
            (
                "its neighbour",
                "neighbours: [{vif: up0, address: 10.0.0.2, mac: \"52:00:00:00:0b:01\"}]".into(),
                [3, 0, 0, 0, 0],
            ),
            ("the neighbour's", "bfd_sessions: [{name: s, vrf: underlay, remote: 10.0.0.2}]".into(), [3, 0, 0, 0, 0]),
            (
                "the far end's",
                "bfd_sessions: [{name: s, vrf: underlay, remote: 10.0.0.2, multihop: true}]".into(),
                [3, 0, 0, 0, 0],
            ),
            ("all", "settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}".into(), [4, 0, 0, 0, 0]),
        ];
        for (what, yaml, wanted) in told {
            assert_eq!(one(lab, &verdicts, changes(&yaml)), wanted, "{what}: {yaml}");
        }
        let gone: [(Key, Touched); 4] = [
            (Key::Vni(100), [3, 0, 0, 0, 0]),
            (Key::Vni(200), [0; 5]),
            (Key::Label(3000), [1, 0, 0, 0, 0]),
            (Key::Label(2000), [0; 5]),
        ];
        for (key, wanted) in gone {
            assert_eq!(one(lab, &verdicts, deleted(key.clone())), wanted, "{key:?}");
        }
        // several of one batch: each of what it touches, whichever of them it was
        let both =
            "groups: [{name: nobody, prefixes: [10.67.0.0/16]}]\nacls: [{name: in, rules: []}, {name: out, rules: []}]";
        let steps = plan(lab, &verdicts, changes(both)).steps;
        let steps: Vec<_> = steps.iter().map(|step| touched(step.flows.as_ref().unwrap())).collect();
        assert_eq!(steps, [[0; 5], [1, 1, 0, 0, 0], [2, 2, 0, 0, 0]]);
        // with the route to it
        let nobody = "neighbours: [{vif: up0, address: 10.0.0.3, mac: \"52:00:00:00:0b:01\"}]";
        let steps = plan(lab, &verdicts, changes(nobody)).steps;
        assert!(
            steps.len() == 2 && steps.iter().all(|step| step.flows == Some(v1::FlowsTouched::default())),
            "{steps:?}"
        );
    });
}

/// Of a bridge those that are bridged, of a station those that go to it or come from it.
#[test]
fn stations_and_their_bridge_tell_of_bridged_flows() {
    scenario("plans-bridge", super::bridge::a, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        lab.pass(RA, "br.local", RA2, "br.local");
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.pass(RA, "udp4.mpls", UP, "udp4.mpls.wire");
        lab.now += 1000;
        let bridge = changes("bridges: [{name: lan, vrf: red, suppress_off: true}]");
        assert_eq!(one(lab, &verdicts, bridge), [2, 0, 0, 0, 0]);
        let station = |mac: &str, vni: u32| {
            changes(&format!("fdb: [{{bridge: lan, mac: \"{mac}\", vxlan: {{remote: 10.0.0.2, vni: {vni}}}}}]"))
        };
        assert_eq!(one(lab, &verdicts, station("02:00:00:00:0b:01", 5009)), [1, 0, 0, 0, 1]);
        assert_eq!(one(lab, &verdicts, station("02:00:00:00:0b:03", 5009)), [0; 5]);
        let key = v1::FdbKey { bridge: "lan".into(), mac: vec![2, 0, 0, 0, 0xb, 1] };
        assert_eq!(one(lab, &verdicts, deleted(Key::FdbEntry(key.clone()))), [1, 1, 0, 0, 0]);
        assert_eq!(one(lab, &verdicts, deleted(Key::Vni(5000))), [2, 0, 0, 0, 0]);
        // unknown, its frames go to everybody: no flows
        lab.apply("bridges: [{name: lan, vrf: red, flood_unknown: true}]");
        assert_eq!(one(lab, &verdicts, deleted(Key::FdbEntry(key.clone()))), [1, 0, 0, 1, 0]);
        // of one that began the flow only answers do: it goes on
        lab.advance(400_000);
        lab.sweep();
        lab.pass(UP, "br.vxlan4.back", RA, "br.vxlan4.back.out");
        lab.now += 1000;
        assert_eq!(one(lab, &verdicts, deleted(Key::FdbEntry(key))), [1, 0, 0, 0, 0]);
    });
}

/// Whoever else has the next hop to a station, its flows are told as what becomes of them, as far as it is known which they are.
#[test]
fn a_station_may_share_its_next_hop() {
    scenario("plans-shared", super::bridge::a, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        lab.apply("neighbours: [{vif: up0, address: 10.0.0.3, mac: \"52:00:00:00:0c:00\"}]");
        let at = |mac: &str, to: &str, more: &str| {
            format!("{{bridge: lan, mac: \"02:00:00:00:0b:{mac}\", vxlan: {{remote: {to}, vni: 5000}}{more}}}")
        };
        lab.apply("bridges: [{name: lan, vrf: red, vteps: [{vxlan: {remote: 10.0.0.2, vni: 5000}}, {vxlan: {remote: 10.0.0.3, vni: 5000}}]}]");
        lab.pass(RA, "br.vxlan4", UP, "br.vxlan4.wire");
        lab.now += 1000;
        let fdb = |entries: &[String]| changes(&format!("fdb: [{}]", entries.join(", ")));
        let key = v1::FdbKey { bridge: "lan".into(), mac: vec![2, 0, 0, 0, 0xb, 1] };
        // the bridge's list of VTEPs
        assert_eq!(one(lab, &verdicts, fdb(&[at("01", "10.0.0.3", "")])), [1, 0, 0, 0, 1]);
        assert_eq!(one(lab, &verdicts, deleted(Key::FdbEntry(key.clone()))), [1, 1, 0, 0, 0]);
        // another station there: whose flow it is is told by the address alone
        lab.apply(&format!("fdb: [{}]", at("0f", "10.0.0.2", "")));
        assert_eq!(one(lab, &verdicts, fdb(&[at("01", "10.0.0.3", "")])), [1, 0, 0, 0, 0]);
        lab.apply(&format!("fdb: [{}]", at("01", "10.0.0.2", ", addresses: [10.1.1.20]")));
        assert_eq!(one(lab, &verdicts, fdb(&[at("01", "10.0.0.3", "")])), [1, 0, 0, 0, 1]);
        assert_eq!(one(lab, &verdicts, deleted(Key::FdbEntry(key))), [1, 1, 0, 0, 0]);
    });
}

/// Flows by a group of next hops, and by one of three uplinks each: as the wire shows them.
#[test]
fn of_several_ways_only_those_flows_are_touched_that_have_them() {
    scenario("plans-ways", uplinks::known, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let seen = uplinks::uplinks(lab, "vxlan");
        lab.now += 1000;
        for (at, uplink) in ["up0", "up1", "up2"].into_iter().enumerate() {
            let on_it = uplinks::count(&seen, uplink) as u64;
            assert!(on_it > 0 && on_it < FLOWS as u64);
            let neighbour =
                format!("neighbours: [{{vif: {uplink}, address: 10.0.{at}.2, mac: \"52:00:00:00:0b:77\"}}]");
            assert_eq!(one(lab, &verdicts, changes(&neighbour)), [on_it, 0, 0, 0, 0], "{uplink}");
            let session = format!("bfd_sessions: [{{name: s, vrf: underlay, remote: 10.0.{at}.2}}]");
            assert_eq!(one(lab, &verdicts, changes(&session)), [on_it, 0, 0, 0, 0], "{uplink}");
        }
        let underlay = |prefix: &str| {
            changes(&format!("routes: [{{vrf: underlay, prefix: {prefix}, via: {{gateway: 10.0.1.2}}}}]"))
        };
        // whatever uplink it has: a tunnel's flows do not notice
        assert_eq!(one(lab, &verdicts, underlay("198.51.100.0/24")), [FLOWS as u64, 0, 0, 0, 0]);
        assert_eq!(one(lab, &verdicts, underlay("198.51.0.0/16")), [0; 5]);
        // by a group of tenants: those of its routes
        let group = |more: &str| {
            let vxlan = "{remote: 198.51.100.9, vni: 504, mac: \"02:0a:00:00:02:01\"}";
            format!("next_hop_groups: [{{name: peers, vrf: red, paths: [{{vxlan: {vxlan}, name: a}}{more}]}}]")
        };
        lab.apply(&group(""));
        lab.apply("routes: [{vrf: red, prefix: 10.10.0.0/16, via: {group: peers}}]");
        for frame in 0..8 {
            lab.put(RA, &format!("far.gre.{frame}"));
        }
        lab.run();
        assert_eq!(lab.rig().flows(v1::FlowsRequest::default()).len(), FLOWS + 8);
        lab.discard();
        lab.now += 1000;
        let more = ", {vif: ra2, name: b, backup: true}";
        assert_eq!(one(lab, &verdicts, changes(&group(more))), [8, 0, 0, 0, 0]);
    });
}
