//! Several uplinks: the flows of one tunnel spread over them, and leave one whose link or neighbour goes.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{At, Lab, Setup, changes, scenario};
use super::network::{self, RA, UP};

pub const UP1: At = (0, 5);
const UP2: At = (0, 6);
pub const FLOWS: usize = 64;
/// The gateways' names, as the frames have them.
const UPLINKS: [(At, &str); 3] = [(UP, "up0"), (UP1, "up1"), (UP2, "up2")];
const KINDS: [&str; 3] = ["vxlan", "gre", "vxlan6"];

/// Uplinks of A on p0, p5 and, tagged, p6, with a gateway each.
const FABRIC: &str = r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.1, vtep_v6: "fd31::1"}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd31::1"], subnets: [10.0.0.0/24, "fd31::/64"]}
  - {name: up1, kind: fabric, port: p5, vrf: underlay, addresses: [10.0.1.1, "fd32::1"], subnets: [10.0.1.0/24, "fd32::/64"]}
  - {name: up2, kind: fabric, port: p6, vrf: underlay, vlan: 77, addresses: [10.0.2.1, "fd33::1"], subnets: [10.0.2.0/24, "fd33::/64"]}
"#;

/// Who is behind them, for those that are not asked for.
const NEIGHBOURS: &str = r#"
neighbours:
  - {vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:00"}
  - {vif: up0, address: "fd31::2", mac: "52:00:00:00:0b:00"}
  - {vif: up1, address: 10.0.1.2, mac: "52:00:00:01:0b:00"}
  - {vif: up1, address: "fd32::2", mac: "52:00:00:01:0b:00"}
  - {vif: up2, address: 10.0.2.2, mac: "52:00:00:02:0b:00"}
  - {vif: up2, address: "fd33::2", mac: "52:00:00:02:0b:00"}
"#;

/// Where ra sends by a tunnel of each kind.
const TENANTS: &str = r#"
routes:
  - {vrf: red, prefix: 10.9.0.0/16, via: {vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: 10.10.0.0/16, via: {mpls_gre: {remote: 198.51.100.9, label: 1506}}}
  - {vrf: red, prefix: 10.11.0.0/16, via: {vxlan: {remote: "2001:db8:9::9", vni: 504, mac: "02:0a:00:00:02:01"}}}
"#;

/// The far ends' route by these gateways: 0 is that of up0, and so on.
fn by(prefix: &str, weights: &[(usize, u32)]) -> String {
    let six = prefix.contains(':');
    let gateway = |at: usize| if six { format!("\"fd3{}::2\"", at + 1) } else { format!("10.0.{at}.2") };
    let ways: Vec<_> =
        weights.iter().map(|&(at, weight)| format!("{{gateway: {}, weight: {weight}}}", gateway(at))).collect();
    format!("routes: [{{vrf: underlay, prefix: \"{prefix}\", via: {{ecmp: [{}]}}}}]", ways.join(", "))
}

/// A with gateways that answer nothing, as they are known.
pub fn known(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(FABRIC);
    lab.apply(NEIGHBOURS);
    lab.apply(TENANTS);
    lab.apply(&by("198.51.100.0/24", &[(0, 1), (1, 1), (2, 1)]));
    lab.apply(&by("2001:db8:9::/48", &[(0, 1), (1, 1), (2, 1)]));
    lab
}

/// A with uplinks 0 and 1, whose gateways it has to ask for.
fn asking(workers: usize) -> Lab {
    let mut lab = Lab::one(workers, &Setup { network: network::a_dynamic(), ..Setup::default() });
    let routes: Vec<_> = TENANTS.lines().filter(|line| !line.contains("2001:db8")).collect();
    lab.apply(&routes.join("\n"));
    lab.apply(
        "vifs: [{name: up1, kind: fabric, port: p5, vrf: underlay, addresses: [10.0.1.1], subnets: [10.0.1.0/24]}]",
    );
    lab.apply(&by("198.51.100.0/24", &[(0, 1), (1, 1)]));
    lab
}

/// The uplink by which a frame came out, as scapy built it.
fn found(lab: &mut Lab, what: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (at, uplink) in UPLINKS {
        for bytes in lab.take(at) {
            assert!(is_like(&bytes, &format!("{what}.{uplink}.wire")), "{what} by {uplink}: {bytes:02x?}");
            found.push(uplink);
        }
    }
    found
}

/// The uplink of flow `n`.
#[track_caller]
fn uplink(lab: &mut Lab, kind: &str, n: usize) -> &'static str {
    let what = format!("far.{kind}.{n}");
    lab.put(RA, &what);
    lab.run();
    let found = found(lab, &what);
    assert_eq!(found.len(), 1, "{what}: {:?}", lab.rig().stats().drops);
    found[0]
}

#[track_caller]
pub fn uplinks(lab: &mut Lab, kind: &str) -> Vec<&'static str> {
    (0..FLOWS).map(|n| uplink(lab, kind, n)).collect()
}

pub fn count(uplinks: &[&str], uplink: &str) -> usize {
    uplinks.iter().filter(|found| **found == uplink).count()
}

/// The flows that were on this uplink are elsewhere now, no other has moved.
#[track_caller]
pub fn only_left(before: &[&str], now: &[&str], uplink: &str) {
    assert!(count(before, uplink) > 0 && count(now, uplink) == 0, "{before:?} {now:?}");
    assert!(before.iter().zip(now).all(|(before, now)| *before == uplink || before == now), "{before:?} {now:?}");
}

fn undropped(lab: &mut Lab) {
    let drops = lab.rig().stats().drops;
    assert!(drops.is_empty(), "{drops:?}");
}

#[test]
fn the_flows_of_one_tunnel_spread_by_weight_and_stay() {
    scenario("uplinks", known, |lab| {
        for kind in KINDS {
            let first = uplinks(lab, kind);
            // five standard deviations of a third of 64 flows are 19
            assert!(UPLINKS.iter().all(|(_, uplink)| (9..=35).contains(&count(&first, uplink))), "{kind} {first:?}");
            assert_eq!(uplinks(lab, kind), first, "each flow on one");
        }
        lab.apply(&by("198.51.100.0/24", &[(0, 6), (1, 1), (2, 1)]));
        let weighted = uplinks(lab, "vxlan");
        assert!((35..=62).contains(&count(&weighted, "up0")), "{weighted:?}");
        assert_eq!(uplinks(lab, "vxlan"), weighted);
        undropped(lab);
        assert_eq!(lab.rig().flows(Default::default()).len(), 3 * FLOWS);
        // a way more, a way less: no flow is judged anew
        let misses = |lab: &mut Lab| lab.rig().stats().workers.iter().map(|worker| worker.flow_misses).sum::<u64>();
        let revalidated =
            |lab: &mut Lab| lab.rig().stats().workers.iter().map(|worker| worker.revalidated).sum::<u64>();
        let before = (misses(lab), revalidated(lab));
        lab.apply(&by("198.51.100.0/24", &[(1, 1)]));
        assert_eq!(count(&uplinks(lab, "vxlan"), "up1"), FLOWS);
        assert_eq!((misses(lab), revalidated(lab)), before);
    });
}

#[test]
fn packet_mode_spreads_too() {
    scenario("uplinks-packet-mode", known, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        let first = uplinks(lab, "vxlan");
        assert!(UPLINKS.iter().all(|(_, uplink)| count(&first, uplink) > 8), "{first:?}");
        assert_eq!(uplinks(lab, "vxlan"), first);
        lab.carrier(5, false);
        let now = uplinks(lab, "vxlan");
        only_left(&first, &now, "up1");
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

#[test]
fn tunnels_leave_an_uplink_whose_link_or_neighbour_goes() {
    scenario("uplinks-lost", known, |lab| {
        for kind in KINDS {
            let first = uplinks(lab, kind);
            for (port, name) in [(0, "up0"), (5, "up1"), (6, "up2")] {
                lab.carrier(port, false);
                let now = uplinks(lab, kind);
                only_left(&first, &now, name);
                lab.carrier(port, true);
                assert_eq!(uplinks(lab, kind), first, "they return");
            }
            // two, one after the other, and back in the other order
            lab.carrier(0, false);
            let one = uplinks(lab, kind);
            lab.carrier(5, false);
            let two = uplinks(lab, kind);
            only_left(&one, &two, "up1");
            assert_eq!(count(&two, "up2"), FLOWS);
            lab.carrier(0, true);
            only_left(&first, &uplinks(lab, kind), "up1");
            // all: no worse than before
            lab.carrier(0, false);
            lab.carrier(6, false);
            assert_eq!(uplinks(lab, kind), first);
            for port in [0, 5, 6] {
                lab.carrier(port, true);
            }
            assert_eq!(uplinks(lab, kind), first);
        }
        // a neighbour that is not there
        let first = uplinks(lab, "vxlan");
        let key = v1::NeighbourKey { vif: "up1".into(), address: vec![10, 0, 1, 2] };
        lab.rig().delete(Key::Neighbour(key));
        lab.run();
        lab.take(UP1); // it is asked for
        only_left(&first, &uplinks(lab, "vxlan"), "up1");
        lab.apply(NEIGHBOURS);
        assert_eq!(uplinks(lab, "vxlan"), first);
        undropped(lab);
        let misses = lab.rig().stats().workers.iter().map(|worker| worker.flow_misses).sum::<u64>();
        assert!(misses <= 3 * FLOWS as u64, "flows did not notice");
    });
}

#[test]
fn a_gateway_that_falls_silent_is_left() {
    scenario("uplinks-silent", asking, |lab| {
        lab.advance(100);
        lab.expect(&[(UP, "far.ask.up0"), (UP1, "far.ask.up1")]);
        lab.put(UP, "far.says.up0");
        lab.put(UP1, "far.says.up1");
        lab.run();
        let first = uplinks(lab, "vxlan");
        assert!(count(&first, "up0") > 16 && count(&first, "up1") > 16, "{first:?}");
        // up1's gateway answers no probe any more; that of up0 does
        let mut left = 0;
        for tenth in 0..400 {
            lab.advance(100);
            let asked = lab.take(UP);
            if !asked.is_empty() {
                lab.put(UP, "far.says.up0");
            }
            lab.take(UP1);
            let n = tenth % FLOWS;
            let now = uplink(lab, "vxlan", n);
            assert!(first[n] == "up1" || now == "up0", "flow {n} has moved without need");
            left += usize::from(first[n] != now);
        }
        assert!(left > 20, "{left}");
        lab.put(UP1, "far.says.up1");
        lab.run();
        lab.discard();
        assert_eq!(uplinks(lab, "vxlan"), first);
        undropped(lab);
    });
}

const GATEWAY: &str = r#"neighbours: [{vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:00"}]"#;

fn delete_gateway() -> v1::Change {
    let key = v1::NeighbourKey { vif: "up0".into(), address: vec![10, 0, 0, 2] };
    v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(Key::Neighbour(key)) })) }
}

#[test]
fn a_gateway_that_was_static_for_a_while_has_its_flows_again() {
    scenario("uplinks-learnt-again", known, |lab| {
        let first = uplinks(lab, "vxlan");
        let without = |lab: &mut Lab| only_left(&first, &uplinks(lab, "vxlan"), "up0");
        lab.rig().try_apply(vec![delete_gateway()]).unwrap();
        lab.advance(100);
        lab.expect(&[(UP, "far.ask.up0")]);
        without(lab);
        lab.put(UP, "far.says.up0");
        lab.run();
        assert_eq!(uplinks(lab, "vxlan"), first, "learnt");
        lab.apply(GATEWAY);
        assert_eq!(uplinks(lab, "vxlan"), first, "static");
        lab.rig().try_apply(vec![delete_gateway()]).unwrap();
        assert_eq!(uplinks(lab, "vxlan"), first, "learnt again");
        let both = changes(GATEWAY).into_iter().chain([delete_gateway()]).collect();
        lab.rig().try_apply(both).unwrap();
        assert_eq!(uplinks(lab, "vxlan"), first, "in one batch");
        // it is still looked after
        lab.advance(30_000);
        lab.discard();
        without(lab);
        undropped(lab);
    });
}

#[test]
fn answers_come_by_any_uplink() {
    scenario("uplinks-answers", known, |lab| {
        // ra is sent nothing that is no answer
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&network::ra("acl_to_vif: nothing"));
        for n in 0..FLOWS {
            uplink(lab, "vxlan", n);
            // by each uplink to the VTEP, which is the first one's address
            for (at, name) in UPLINKS {
                lab.pass(at, &format!("far.{n}.back.{name}"), RA, &format!("far.{n}.back.out"));
            }
        }
        let flows = lab.rig().flows(Default::default());
        assert_eq!(flows.len(), FLOWS);
        assert!(flows.iter().all(|flow| flow.packets == 1 && flow.reverse_packets == 3));
        undropped(lab);
    });
}

#[test]
fn what_we_say_ourselves_goes_by_one_way_too() {
    scenario("uplinks-ours", known, |lab| {
        let told = |lab: &mut Lab| {
            lab.put(UP1, "far.ttl");
            lab.run();
            let found = found(lab, "far.told");
            assert_eq!(found.len(), 1);
            found[0]
        };
        let first = told(lab);
        assert!((0..8).all(|_| told(lab) == first));
        let (at, _) = UPLINKS.into_iter().find(|(_, name)| *name == first).expect("an uplink");
        lab.carrier(at.1 as u16, false);
        let other = told(lab);
        assert!(other != first && told(lab) == other);
        lab.carrier(at.1 as u16, true);
        assert_eq!(told(lab), first);
    });
}

#[test]
fn packets_wait_until_one_gateway_answers() {
    scenario("uplinks-held", asking, |lab| {
        let what: Vec<String> = (0..12).map(|n| format!("far.vxlan.{n}")).collect();
        what.iter().for_each(|what| lab.put(RA, what));
        lab.run();
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 12);
        lab.advance(100);
        lab.expect(&[(UP, "far.ask.up0"), (UP1, "far.ask.up1")]);
        // those that wait for the other one leave too
        lab.put(UP1, "far.says.up1");
        lab.run();
        let came = lab.take(UP1);
        assert_eq!(came.len(), 12);
        let there = |what: &String| came.iter().any(|bytes| is_like(bytes, &format!("{what}.up1.wire")));
        assert!(what.iter().all(there));
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 0);
        // the other one answers: its flows go by it
        lab.put(UP, "far.says.up0");
        lab.run();
        let now = uplinks(lab, "vxlan");
        assert!(count(&now, "up0") > 16 && count(&now, "up1") > 16, "{now:?}");
        undropped(lab);
    });
}

#[test]
fn what_fits_fits_by_every_uplink() {
    scenario("uplinks-mtu", known, |lab| {
        lab.apply("vifs: [{name: up2, kind: fabric, port: p6, vrf: underlay, vlan: 77, mtu: 1400, addresses: [10.0.2.1, \"fd33::1\"], subnets: [10.0.2.0/24, \"fd33::/64\"]}]");
        lab.dropped_and_told(RA, "far.big", DropReason::MtuExceeded, "far.big.told");
        // the same while the one with the small MTU is down: what comes back does not surprise
        lab.carrier(6, false);
        lab.dropped_and_told(RA, "far.big", DropReason::MtuExceeded, "far.big.told");
    });
}

/// A with uplinks 0 and 1 to the far ends, and a default route by uplink 2; and a tunnel to up0's neighbour.
fn with_default_route(workers: usize) -> Lab {
    let mut lab = known(workers);
    lab.apply(&by("198.51.100.0/24", &[(0, 1), (1, 1)]));
    lab.apply(&by("0.0.0.0/0", &[(2, 1)]));
    lab.apply(r#"routes: [{vrf: red, prefix: 10.12.0.0/16, via: {vxlan: {remote: 10.0.0.2, vni: 504, mac: "02:0a:00:00:02:01"}}}]"#);
    lab
}

#[test]
fn a_less_specific_route_is_taken_while_a_route_is_dead() {
    scenario("uplinks-default", with_default_route, |lab| {
        let first = uplinks(lab, "vxlan");
        assert!(count(&first, "up0") > 16 && count(&first, "up1") > 16, "{first:?}");
        assert_eq!(count(&uplinks(lab, "near"), "up0"), FLOWS);
        lab.carrier(0, false);
        only_left(&first, &uplinks(lab, "vxlan"), "up0");
        assert_eq!(count(&uplinks(lab, "near"), "up2"), FLOWS, "a connected one too");
        lab.carrier(5, false);
        assert_eq!(count(&uplinks(lab, "vxlan"), "up2"), FLOWS);
        // the default route's too: no worse than before
        lab.carrier(6, false);
        assert_eq!(uplinks(lab, "vxlan"), first);
        assert_eq!(count(&uplinks(lab, "near"), "up0"), FLOWS);
        lab.carrier(6, true);
        assert_eq!(count(&uplinks(lab, "vxlan"), "up2"), FLOWS);
        lab.carrier(5, true);
        assert_eq!(count(&uplinks(lab, "vxlan"), "up1"), FLOWS);
        lab.carrier(0, true);
        assert_eq!(uplinks(lab, "vxlan"), first);
        assert_eq!(count(&uplinks(lab, "near"), "up0"), FLOWS);
        // a route that drops is where it ends
        lab.apply("routes: [{vrf: underlay, prefix: 198.51.0.0/16, via: {drop: true}}]");
        lab.carrier(0, false);
        lab.carrier(5, false);
        assert_eq!(uplinks(lab, "vxlan"), first);
        undropped(lab);
    });
}

/// Flows of ra that went by the far end behind up1, of those that have it and up0's gateway as paths.
fn behind_up1(lab: &mut Lab) -> Vec<bool> {
    let one = |n: usize| {
        lab.put(RA, &format!("far.vxlan.{n}"));
        lab.run();
        let [mut by0, by1] = [UP, UP1].map(|at| lab.take(at));
        assert_eq!(by0.len() + by1.len(), 1, "{:?}", lab.rig().stats().drops);
        assert!(by0.pop().is_none_or(|bytes| is_like(&bytes, &format!("far.vxlan.{n}.beside.wire"))));
        assert!(by1.iter().all(|bytes| is_like(bytes, &format!("far.vxlan.{n}.up1.wire"))));
        !by1.is_empty()
    };
    (0..FLOWS).map(one).collect()
}

#[test]
fn flows_leave_a_path_whose_far_end_is_behind_a_dead_uplink() {
    scenario("uplinks-path", known, |lab| {
        lab.apply(&by("198.51.100.0/24", &[(1, 1)]));
        let far = |remote: &str| format!("{{vxlan: {{remote: {remote}, vni: 504, mac: \"02:0a:00:00:02:01\"}}}}");
        let paths = format!("{}, {}", far("198.51.100.9"), far("10.0.0.2"));
        lab.apply(&format!("routes: [{{vrf: red, prefix: 10.9.0.0/16, via: {{ecmp: [{paths}]}}}}]"));
        let first = behind_up1(lab);
        assert!((14..=50).contains(&first.iter().filter(|behind| **behind).count()), "{first:?}");
        lab.carrier(5, false);
        assert_eq!(behind_up1(lab), [false; FLOWS], "all have left");
        lab.carrier(5, true);
        assert_eq!(behind_up1(lab), [false; FLOWS], "what moves twice is lost twice");
        // the other one: a connected far end
        lab.carrier(0, false);
        assert_eq!(behind_up1(lab), [true; FLOWS]);
        // both: they stay
        lab.carrier(5, false);
        assert_eq!(behind_up1(lab), [true; FLOWS]);
        undropped(lab);
    });
}

/// The same with neighbours to be asked for, but for that of the default route by uplink 1.
fn asking_with_default_route(workers: usize) -> Lab {
    let mut lab = asking(workers);
    lab.apply(r#"neighbours: [{vif: up1, address: 10.0.1.2, mac: "52:00:00:01:0b:00"}]"#);
    lab.apply(&by("198.51.100.0/24", &[(0, 1)]));
    lab.apply(&by("0.0.0.0/0", &[(1, 1)]));
    lab.apply(r#"routes: [{vrf: red, prefix: 10.12.0.0/16, via: {vxlan: {remote: 10.0.0.2, vni: 504, mac: "02:0a:00:00:02:01"}}}]"#);
    lab
}

#[test]
fn a_neighbour_that_does_not_answer_makes_its_route_dead() {
    scenario("uplinks-unanswered", asking_with_default_route, |lab| {
        // packets wait for it while it may still answer
        lab.put(RA, "far.vxlan.0");
        lab.run();
        lab.expect(&[(UP, "far.ask.up0")]);
        lab.put(UP, "far.says.up0");
        lab.run();
        lab.expect(&[(UP, "far.vxlan.0.up0.wire")]);
        // it falls silent: nothing is lost when it is given up, and it is asked on
        let mut asked = 0;
        let mut moved = false;
        for tenth in 0..1200 {
            lab.advance(100);
            asked += lab.take(UP).len();
            for kind in ["vxlan", "near"] {
                let by = uplink(lab, kind, tenth % FLOWS);
                assert!(by == "up1" || !moved, "it does not move to and fro");
                moved |= by == "up1";
            }
        }
        assert!(moved && (8..=14).contains(&asked), "asked {asked} times");
        lab.put(UP, "far.says.up0");
        lab.run();
        for kind in ["vxlan", "near"] {
            assert_eq!(count(&uplinks(lab, kind), "up0"), FLOWS, "{kind}");
        }
        undropped(lab);
    });
}

#[test]
fn a_neighbour_that_never_answered_makes_its_route_dead() {
    scenario("uplinks-never", asking_with_default_route, |lab| {
        for kind in ["vxlan", "near"] {
            lab.put(RA, &format!("far.{kind}.0"));
        }
        lab.advance(3300);
        lab.expect(&[(UP, "far.ask.up0"); 3]);
        assert_eq!(lab.rig().dropped("ra", DropReason::NeighbourUnresolved), 2, "who waited has waited in vain");
        for kind in ["vxlan", "near"] {
            assert_eq!(count(&uplinks(lab, kind), "up1"), FLOWS, "{kind}");
        }
        lab.put(UP, "far.says.up0");
        lab.run();
        lab.take(UP);
        for kind in ["vxlan", "near"] {
            assert_eq!(count(&uplinks(lab, kind), "up0"), FLOWS, "{kind}");
        }
    });
}

fn explain(lab: &mut Lab, n: usize) -> v1::ExplainReply {
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 9, 0, 9],
        protocol: 17,
        source_port: 7100 + n as u32,
        destination_port: 53,
        ..Default::default()
    };
    lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap()
}

#[test]
fn explain_and_flows_name_the_way_of_each_flow() {
    scenario("uplinks-explain", known, |lab| {
        for down in [None, Some(5)] {
            if let Some(port) = down {
                lab.carrier(port, false);
            }
            for n in 0..FLOWS {
                let reply = explain(lab, n);
                let way = reply.steps.iter().find(|step| step.name == "way").expect("a way");
                let uplink = uplink(lab, "vxlan", n);
                assert!(way.object.starts_with(&format!("vif {uplink} ")), "{way:?}");
                assert!(way.detail.starts_with("by the flow's hash; one of 3 ways, with "), "{way:?}");
                assert!(reply.result.contains(&format!(", vif {uplink} ")), "{}", reply.result);
                let flows = lab.rig().flows(v1::FlowsRequest { port: Some(7100 + n as u32), ..Default::default() });
                assert!(flows[0].next_hop.contains(&format!(", vif {uplink} ")), "{}", flows[0].next_hop);
            }
        }
        let next_hop = explain(lab, 0).steps.into_iter().find(|step| step.name == "next_hop").unwrap();
        assert!(next_hop.object.contains(", by vif up0 neighbour ") && next_hop.object.contains("x0"), "{next_hop:?}");
    });
}
