//! How many live flows a change of ACLs concerns: what is told, held to a plain model of the rules and the flows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vrouter::api::v1;
use vrouter::control::{Course, Request, Wanted};
use vrouter::daemon::verdicts::Verdicts;

use super::frames::frame;
use super::lab::{At, Lab, Setup, scenario};
use super::network::{self, RA, UP};

/// Where ports of UDP are in a frame of ra's, and in one that comes to it by VXLAN.
const OUT: usize = 14 + 20;
const IN: usize = 14 + 20 + 8 + 8 + 14 + 20;

/// A packet of the flow from this port of ra's, by ra (true) or the answer.
fn packet(port: u16, from_ra: bool) -> (At, Vec<u8>) {
    let (at, name, udp, mine) =
        if from_ra { (RA, "udp4.vxlan", OUT, OUT) } else { (UP, "udp4.vxlan.back", IN, IN + 2) };
    let mut bytes = frame(name).to_vec();
    bytes[mine..mine + 2].copy_from_slice(&port.to_be_bytes());
    // without a checksum
    bytes[udp + 6..udp + 8].fill(0);
    (at, bytes)
}

/// Rules about source ports: first, last, permit. The first that matches decides.
type Rules = Vec<(u16, u16, bool)>;

fn permits(rules: &Rules, port: u16) -> bool {
    rules.iter().find(|(first, last, _)| (*first..=*last).contains(&port)).is_some_and(|(.., permit)| *permit)
}

fn acl(name: &str, rules: &Rules) -> String {
    let rule = |(first, last, permit): &(u16, u16, bool)| {
        let action = if *permit { "permit" } else { "deny" };
        format!("{{action: {action}, protocol: udp, source_ports: {first}-{last}}}")
    };
    format!("acls: [{{name: {name}, rules: [{}]}}]", rules.iter().map(rule).collect::<Vec<_>>().join(", "))
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(most)) as u16
    }
}

/// Ports of flows that there may be.
const PORTS: u16 = 4000;

fn any_rules(random: &mut Random) -> Rules {
    let some = |random: &mut Random| {
        let first = 10_000 + random.below(PORTS);
        (first, first + random.below(800), random.below(5) > 1)
    };
    let last = (10_000, 10_000 + PORTS, random.below(2) == 0);
    (0..3 + random.below(12)).map(|_| some(random)).chain([last]).collect()
}

fn large(workers: usize) -> Lab {
    let mut lab = Lab::one(workers, &Setup { flows: 8192, ..Setup::default() });
    lab.apply("acls: [{name: out, rules: [{action: permit}]}, {name: nothing, rules: []}]");
    lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: nothing"));
    // what this changed for flows is told
    lab.run();
    lab
}

/// Sends packets of these flows; answers come for every other one. A flow that rules permit is there from then on.
fn send(lab: &mut Lab, random: &mut Random, rules: &Rules, live: &mut BTreeSet<u16>, count: u16, new: bool) {
    for _ in 0..count {
        let port = 10_000 + random.below(PORTS);
        if !new && !live.contains(&port) {
            continue;
        }
        let from_ra = !live.contains(&port) || random.below(2) == 0;
        let (at, bytes) = packet(port, from_ra);
        lab.put_bytes(at, &bytes);
        if permits(rules, port) {
            live.insert(port);
        }
        if random.below(64) == 0 {
            lab.run();
            lab.discard();
        }
    }
    lab.run();
    lab.discard();
}

/// Rules become others again and again; half of the flows send while the table is walked, others begin.
#[test]
fn each_flow_counts_once_whoever_decides_it_first() {
    scenario("verdicts-model", large, |lab| {
        let mut random = Random(11);
        let (mut rules, mut live): (Rules, _) = (vec![(0, u16::MAX, true)], BTreeSet::new());
        let verdicts = lab.rig().control.give_verdicts();
        send(lab, &mut random, &rules, &mut live, 6000, true);
        for round in 0..10 {
            lab.now += 1000;
            let (before, there) = (rules, live.clone());
            rules = any_rules(&mut random);
            let now = lab.now;
            lab.rig().control.step_at(now);
            lab.apply(&acl("out", &rules));
            let mut pieces = 0;
            // in every third round nothing moves: flows keep what was decided before
            while verdicts.step_at(lab.now + pieces, 1500) {
                pieces += 1;
                if round % 3 != 2 {
                    send(lab, &mut random, &rules, &mut live, 400, true);
                }
            }
            let told = verdicts.last().expect("a report");
            let count = |was: bool, is: bool| {
                there.iter().filter(|port| permits(&before, **port) == was && permits(&rules, **port) == is).count()
                    as u64
            };
            let [denied, permitted] = [count(true, false), count(false, true)];
            assert_eq!((told.now_denied, told.now_permitted), (denied, permitted), "round {round}: {told:?}");
            let unchanged = count(true, true) + count(false, false);
            assert_eq!((told.flows, told.unchanged), (there.len() as u64, unchanged), "round {round}: {told:?}");
            assert_eq!((told.ended, told.gone, told.changes), (0, 0, 1), "round {round}: {told:?}");
            assert_eq!(u64::from(told.milliseconds), pieces - 1);
            let cause = ("acl_from_vif", "vif ra", "out", denied, permitted);
            let causes: Vec<_> = told.causes.iter().map(cells).collect();
            assert_eq!(causes, if denied + permitted > 0 { vec![cause] } else { vec![] });
        }
        assert!(live.len() > 2000, "{}", live.len());
    });
}

fn cells(cause: &v1::VerdictCause) -> (&str, &str, &str, u64, u64) {
    (&cause.reason, &cause.by, &cause.acl, cause.now_denied, cause.now_permitted)
}

/// What a walk finds now: flows, denied, permitted, unchanged, ended. `None`: there is nothing to look for.
fn walked(verdicts: &Arc<Verdicts>, now: u64) -> Option<[u64; 5]> {
    verdicts.step_at(now, u32::MAX).then(|| {
        let told = verdicts.last().expect("a report");
        [told.flows, told.now_denied, told.now_permitted, told.unchanged, told.ended]
    })
}

/// Three flows: from ra (answered), to ra2 from ra, and from the tunnel to ra.
fn three(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply("acls: [{name: out, rules: [{action: permit}]}, {name: in, rules: [{action: permit, protocol: tcp}]}]");
    lab.apply(&network::ra("acl_from_vif: out, acl_to_vif: in"));
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    lab.pass(RA, "local4", network::RA2, "local4.out");
    lab.pass(UP, "ssh.in.S", RA, "ssh.in.S.out");
    lab.now += 1000;
    lab
}

#[test]
fn what_changes_verdicts_is_looked_for_and_what_does_not_is_not() {
    scenario("verdicts-triggers", three, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let walk = |lab: &mut Lab, yaml: &str| {
            lab.apply(yaml);
            let found = walked(&verdicts, lab.now);
            lab.now += 1000;
            found
        };
        assert_eq!(walk(lab, "routes: [{vrf: red, prefix: 10.7.0.0/16, drop: true}]"), None);
        assert_eq!(walk(lab, "acls: [{name: unused, rules: []}]"), None);
        assert_eq!(walk(lab, "acls: [{name: out, rules: [{action: permit}]}]"), None, "as it is");
        let vif = r#"vifs: [{name: late, port: p4, vrf: red, mac: "02:00:00:00:0a:04", addresses: [10.1.1.12], acl_from_vif: out}]"#;
        assert_eq!(walk(lab, vif), None);
        // a VIF gets another ACL, and its own again
        assert_eq!(walk(lab, &network::ra("acl_from_vif: unused, acl_to_vif: in")), Some([3, 2, 0, 1, 0]));
        assert_eq!(walk(lab, &network::ra("acl_from_vif: out, acl_to_vif: in")), Some([3, 0, 2, 1, 0]));
        // what comes from tunnels: acl_to_vif; answers of what ra began are judged with it
        assert_eq!(walk(lab, "acls: [{name: in, rules: []}]"), Some([3, 1, 0, 2, 0]));
        assert_eq!(walk(lab, "acls: [{name: in, rules: [{action: permit}]}]"), Some([3, 0, 1, 2, 0]));
        // an address group in a rule
        lab.apply("groups: [{name: far, prefixes: [10.1.1.20/32]}]");
        let by_group = "acls: [{name: out, rules: [{action: permit, destination: {group: far}}]}]";
        assert_eq!(walk(lab, by_group), Some([3, 1, 0, 2, 0]));
        assert_eq!(walk(lab, "groups: [{name: far, prefixes: [10.1.1.11/32]}]"), Some([3, 1, 1, 1, 0]));
        // a VRF's
        assert_eq!(walk(lab, "vrfs: [{name: red, acl: unused}]"), Some([3, 2, 0, 1, 0]));
        assert_eq!(walk(lab, "vrfs: [{name: blue, acl: unused}]"), Some([3, 0, 0, 3, 0]));
        // its VIF goes: its flows are none, and those to it have no route
        lab.rig().delete(v1::object_key::Kind::Vif("ra".into()));
        assert_eq!(walked(&verdicts, lab.now), None);
        assert_eq!(walk(lab, "vrfs: [{name: red}]"), Some([1, 0, 0, 1, 0]));
    });
}

#[test]
fn changes_that_come_together_are_told_together() {
    scenario("verdicts-together", three, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let deny = "acls: [{name: out, rules: []}]";
        let permit = "acls: [{name: out, rules: [{action: permit}]}]";
        lab.apply(deny);
        let first = lab.rig().shared.snapshot.load().generation.0;
        // half of the table is walked when the next change comes: that is the next report's
        assert!(verdicts.step_at(lab.now, 1024));
        lab.apply(permit);
        lab.apply("vrfs: [{name: red, acl: in}]");
        assert_eq!(walked(&verdicts, lab.now), Some([3, 2, 0, 1, 0]));
        let told = verdicts.last().unwrap();
        assert_eq!((told.before, told.generation, told.changes), (first - 1, first, 1));
        // by `out` two were denied; now `in` denies the one that is not TCP
        assert_eq!(walked(&verdicts, lab.now), Some([3, 0, 1, 2, 0]));
        let told = verdicts.last().unwrap();
        assert_eq!((told.before, told.generation, told.changes), (first, first + 2, 2));
        assert_eq!(walked(&verdicts, lab.now), None);
        lab.now += 1000;
        lab.apply(deny);
        lab.apply("vrfs: [{name: red}]");
        lab.apply(permit);
        assert_eq!(walked(&verdicts, lab.now), Some([3, 0, 1, 2, 0]));
        let causes: BTreeMap<_, _> =
            verdicts.last().unwrap().causes.iter().map(|cause| (cause.by.clone(), cause.now_permitted)).collect();
        assert_eq!(causes, BTreeMap::from([("vrf red".into(), 1)]), "who denied them before");
    });
}

#[test]
fn flows_of_objects_that_go_with_a_change_have_ended() {
    scenario("verdicts-ended", three, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let mut changes = super::lab::changes("vrfs: [{name: red, acl: in}]");
        let key = v1::ObjectKey { kind: Some(v1::object_key::Kind::Vif("ra".into())) };
        changes.push(v1::Change { op: Some(v1::change::Op::Delete(key)) });
        lab.rig().try_apply(changes).unwrap();
        // what came from the tunnel to ra has no route
        assert_eq!(walked(&verdicts, lab.now), Some([3, 1, 0, 0, 2]));
        assert_eq!(
            verdicts.last().unwrap().causes.iter().map(cells).collect::<Vec<_>>(),
            [("no_route", "vrf red", "", 1, 0)]
        );
    });
}

#[test]
fn who_watches_is_told_after_the_change_if_asked() {
    scenario("verdicts-watch", three, |lab| {
        let watch = |lab: &mut Lab, verdicts: bool| -> (Course, _) {
            let watching = lab.rig().ask(|reply| Request::Watch { snapshot: false, reply });
            let request = v1::WatchRequest { verdicts, kinds: vec![v1::Kind::Port.into()], ..Default::default() };
            (Wanted::read(request).unwrap().course(watching.generation), watching.log)
        };
        let (mut course, log) = watch(lab, true);
        let (mut other, _) = watch(lab, false);
        lab.apply("acls: [{name: out, rules: []}]");
        assert_eq!(course.next(&log), None);
        // the control thread of a lab walks itself
        let now = lab.now;
        lab.rig().control.step_at(now);
        let event = course.next(&log).expect("an event");
        let verdicts = event.verdicts.clone().expect("verdicts");
        assert_eq!((event.generation, event.changes.len(), event.last), (verdicts.generation, 0, false));
        assert_eq!((verdicts.flows, verdicts.now_denied), (3, 2));
        assert_eq!((course.next(&log), other.next(&log)), (None, None));
        assert_eq!(lab.rig().stats().verdicts, Some(verdicts.clone()));
        // who comes back to a place before it is told of it again
        let request = v1::WatchRequest { verdicts: true, after: Some(verdicts.generation - 1), ..Default::default() };
        let mut back = Wanted::read(request).unwrap().course(0);
        let events: Vec<_> = std::iter::from_fn(|| back.next(&log)).collect();
        assert_eq!(events.iter().map(|event| event.verdicts.is_some()).collect::<Vec<_>>(), [false, true]);
    });
}

/// 200 times rules become others; the first packet after Sync, of either direction, obeys.
#[test]
fn the_first_packet_of_an_established_flow_after_sync_obeys() {
    scenario("verdicts-sync", three, |lab| {
        for round in 0..200 {
            let permitted = round % 2 == 1;
            let action = if permitted { "permit" } else { "deny" };
            lab.apply(&format!("acls: [{{name: out, rules: [{{action: {action}}}]}}]"));
            let (reply, mut synced) = tokio::sync::oneshot::channel();
            lab.rig().control.answer(Request::Sync { generation: 0, reply });
            // a worker may still have had time to decide many flows anew
            let come = (0..100).any(|_| {
                lab.step();
                synced.try_recv().is_ok()
            });
            assert!(come, "round {round}");
            lab.run();
            let asks = |lab: &mut Lab| match permitted {
                true => lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire"),
                false => lab.dropped(RA, "udp4.vxlan", vrouter::drops::DropReason::AclFromVif),
            };
            let answers = |lab: &mut Lab| match permitted {
                true => lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out"),
                false => lab.dropped(UP, "udp4.vxlan.back", vrouter::drops::DropReason::AclFromVif),
            };
            if round / 2 % 2 == 0 {
                asks(lab);
                answers(lab);
            } else {
                answers(lab);
                asks(lab);
            }
            let told = lab.rig().stats().verdicts.unwrap();
            assert_eq!((told.now_denied, told.now_permitted), if permitted { (0, 2) } else { (2, 0) }, "{told:?}");
        }
    });
}

/// A plan changes nothing, and tells of flows what the walk after the change tells.
#[test]
fn a_plan_tells_what_the_change_then_does() {
    scenario("verdicts-plan", three, |lab| {
        let verdicts = lab.rig().control.give_verdicts();
        let plan = |lab: &mut Lab, yaml: &str| {
            let flows = super::plans::plan(lab, &verdicts, super::lab::changes(yaml)).flows.expect("flows");
            let told = flows.verdicts.expect("verdicts");
            ([told.flows, told.now_denied, told.now_permitted, told.unchanged, told.ended], flows.moved)
        };
        for yaml in [
            "acls: [{name: in, rules: []}]",
            "acls: [{name: out, rules: [{action: permit, destination: 10.1.1.20/32}]}]",
            "acls: [{name: in, rules: [{action: permit}]}, {name: out, rules: []}]",
            "acls: [{name: out, rules: [{action: permit}]}]",
        ] {
            let planned = plan(lab, yaml);
            lab.apply(yaml);
            assert_eq!((Some(planned.0), planned.1), (walked(&verdicts, lab.now), 0), "{yaml}");
            lab.now += 1000;
        }
        // routes too, which are not looked for afterwards
        let route = |via: &str| format!("routes: [{{vrf: red, prefix: 10.1.1.20/32, via: {{{via}}}}}]");
        assert_eq!(plan(lab, &route("drop: true")), ([3, 1, 0, 2, 0], 0));
        assert_eq!(plan(lab, &route("vif: ra2")), ([3, 0, 0, 3, 0], 1));
        assert_eq!(plan(lab, "vrfs: [{name: another}]"), ([3, 0, 0, 3, 0], 0));
    });
}
