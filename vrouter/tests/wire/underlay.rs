//! The underlay's neighbours: asked for, waited for, kept fresh, followed when they move.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, UP};

/// Routes to hosts behind 10.0.0.3 (C), and behind 192.0.2.9 by way of a gateway.
const TO_C: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}
"#;
const TO_FAR: &str = r#"
routes:
  - {vrf: underlay, prefix: 192.0.2.0/24, via: {gateway: 10.0.0.254}}
  - {vrf: red, prefix: 10.9.0.0/16, via: {vxlan: {remote: 192.0.2.9, vni: 100, mac: "02:0a:00:00:09:01"}}}
"#;

fn with_c(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(TO_C);
    lab
}

/// C is known.
fn knows_c(workers: usize) -> Lab {
    let mut lab = with_c(workers);
    lab.advance(100);
    lab.expect(&[(UP, "underlay.ask-c")]);
    lab.put(UP, "underlay.c-says");
    lab.run();
    lab
}

#[test]
fn we_answer_who_asks_for_us() {
    scenario("underlay-arp", Lab::a, |lab| lab.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply"));
}

#[test]
fn packets_wait_for_the_neighbour_and_lose_nothing() {
    scenario("resolve", with_c, |lab| {
        (0..5).for_each(|n| lab.put(RA, &format!("to-c.{n}")));
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 5);
        lab.put(UP, "underlay.c-says");
        lab.run();
        let expected: Vec<_> = (0..5).map(|n| (UP, format!("to-c.{n}.wire"))).collect();
        lab.expect(&expected.iter().map(|(at, name)| (*at, &**name)).collect::<Vec<_>>());
        lab.pass(RA, "to-c.6", UP, "to-c.6.wire");
    });
}

#[test]
fn held_packets_leave_in_their_order() {
    let one = |_| with_c(1);
    scenario("resolve-order", one, |lab| {
        (0..5).for_each(|n| lab.put(RA, &format!("to-c.{n}")));
        lab.run();
        lab.put(UP, "underlay.c-says");
        lab.run();
        let came = lab.take(UP);
        assert_eq!(came.len(), 6);
        assert!(came[1..].iter().enumerate().all(|(n, frame)| is_like(frame, &format!("to-c.{n}.wire"))));
    });
}

#[test]
fn the_hold_queue_is_bounded_and_the_newest_stay() {
    scenario("hold-bound", with_c, |lab| {
        (0..20).for_each(|n| lab.put(RA, &format!("to-c.{n}")));
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        assert_eq!(lab.rig().dropped("ra", DropReason::NeighbourHoldFull), 4);
        lab.put(UP, "underlay.c-says");
        lab.run();
        let came = lab.take(UP);
        assert_eq!(came.len(), 16);
        assert!(came.iter().all(|frame| (0..20).any(|n| is_like(frame, &format!("to-c.{n}.wire")))));
    });
}

#[test]
fn a_neighbour_that_does_not_answer_ends_the_wait() {
    scenario("unresolved", with_c, |lab| {
        lab.put(RA, "to-c.0");
        lab.put(RA, "to-c.1");
        lab.advance(3200);
        lab.expect(&[(UP, "underlay.ask-c"); 3]);
        assert_eq!(lab.rig().dropped("ra", DropReason::NeighbourUnresolved), 2);
        // the next packet starts over, and C is there now
        lab.put(RA, "to-c.2");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "to-c.2.wire")]);
    });
}

#[test]
fn tunnels_go_by_gateways() {
    scenario("gateway", Lab::a, |lab| {
        lab.apply(TO_FAR);
        lab.advance(100);
        lab.expect(&[(UP, "underlay.ask-gateway")]);
        lab.put(UP, "underlay.gateway-says");
        lab.pass(RA, "to-far", UP, "to-far.wire");
    });
}

#[test]
fn a_tunnel_follows_the_underlay_s_routes_without_judging_flows_anew() {
    scenario("underlay-route", Lab::a, |lab| {
        lab.apply(TO_FAR);
        lab.advance(100);
        lab.put(UP, "underlay.gateway-says");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-gateway")]);
        for _ in 0..3 {
            lab.pass(RA, "to-far", UP, "to-far.wire");
            lab.apply("routes: [{vrf: underlay, prefix: 192.0.2.9/32, via: {gateway: 10.0.0.2}}]");
            lab.pass(RA, "to-far", UP, "to-far.by-b.wire");
            let prefix = v1::Prefix { address: vec![192, 0, 2, 9], length: 32 };
            let key = v1::RouteKey { vrf: "underlay".into(), prefix: Some(prefix), owner: String::new() };
            lab.rig().delete(Key::Route(key));
        }
        assert_eq!(lab.rig().flow().packets, 6);
        assert_eq!(lab.rig().stats().workers.iter().map(|worker| worker.revalidated).sum::<u64>(), 0);
    });
}

#[test]
fn what_is_learnt_is_listed_and_a_static_entry_may_go() {
    scenario("neighbours", knows_c, |lab| {
        let listed = |lab: &mut Lab| {
            let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
            let objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
            let row = |object: v1::Object| match object.kind.unwrap() {
                v1::object::Kind::Neighbour(row) => (row.key.unwrap().address[3], row.learnt, row.mac[4]),
                other => panic!("{other:?}"),
            };
            objects.map(row).collect::<Vec<_>>()
        };
        assert_eq!(listed(lab), [(2, false, 0x0b), (3, true, 0x0c)]);
        let key = v1::NeighbourKey { vif: "up0".into(), address: vec![10, 0, 0, 2] };
        lab.rig().delete(Key::Neighbour(key));
        lab.put(RA, "udp4.vxlan");
        lab.advance(100);
        lab.expect(&[(UP, "underlay.ask-b")]);
        lab.put(UP, "underlay.b-says");
        lab.run();
        lab.expect(&[(UP, "udp4.vxlan.wire")]);
        assert_eq!(listed(lab), [(2, true, 0x0b), (3, true, 0x0c)]);
    });
}

#[test]
fn a_neighbour_is_probed_before_it_expires_and_traffic_never_waits() {
    scenario("probe", knows_c, |lab| {
        let mut probes = 0;
        for second in 0..60 {
            lab.pass(RA, "to-c.0", UP, "to-c.0.wire");
            for _ in 0..10 {
                lab.advance(100);
                for frame in lab.take(UP) {
                    assert!(is_like(&frame, "underlay.probe-c"), "second {second}: {frame:02x?}");
                    probes += 1;
                    lab.put(UP, "underlay.c-says");
                    lab.run();
                }
            }
        }
        assert!((2..=3).contains(&probes), "{probes} probes in a minute");
    });
}

#[test]
fn a_silent_neighbour_is_forgotten_and_packets_wait_again() {
    scenario("forget", knows_c, |lab| {
        lab.advance(30_000);
        let frames = lab.take(UP);
        assert_eq!(frames.iter().filter(|frame| is_like(frame, "underlay.probe-c")).count(), 3);
        lab.put(RA, "to-c.0");
        lab.run();
        let held = lab.rig().stats().conservation.unwrap().held;
        assert_eq!(held, 1);
        lab.take(UP);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "to-c.0.wire")]);
    });
}

#[test]
fn a_changed_mac_is_followed_without_judging_flows_anew() {
    scenario("mac-change", knows_c, |lab| {
        lab.pass(RA, "to-c.0", UP, "to-c.0.wire");
        let revalidated =
            |lab: &mut Lab| lab.rig().stats().workers.iter().map(|worker| worker.revalidated).sum::<u64>();
        let before = revalidated(lab);
        lab.put(UP, "underlay.c-moves");
        lab.run();
        lab.pass(RA, "to-c.0", UP, "to-c.moved.wire");
        assert_eq!(revalidated(lab), before);
        assert_eq!(lab.rig().flow().packets, 2);
    });
}

#[test]
fn a_tunnel_without_underlay_route_drops_by_name() {
    scenario("no-underlay-route", Lab::a, |lab| {
        lab.apply(
            r#"routes: [{vrf: red, prefix: 10.8.0.0/16, via: {vxlan: {remote: 198.51.100.9, vni: 100, mac: "02:0a:00:00:09:01"}}}]"#,
        );
        lab.dropped(RA, "nowhere", DropReason::NoUnderlayRoute);
    });
}

#[test]
fn tunnels_come_by_the_underlay_only() {
    scenario("other-fabric", Lab::a, |lab| {
        lab.apply(
            r#"
vrfs: [{name: storage, flows: off}]
vifs: [{name: st0, kind: fabric, port: p5, vrf: storage, mac: "52:00:00:00:0a:00", addresses: [10.9.0.1], subnets: [10.9.0.0/24]}]
"#,
        );
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        for name in ["udp4.vxlan.back", "udp4.mpls.back", "udp6.vxlan.back"] {
            lab.dropped((0, 5), name, DropReason::NotForUs);
        }
        // nor when the other VRF has the very address
        let same = r#"{name: st0, kind: fabric, port: p5, vrf: storage, mac: "52:00:00:00:0a:00", addresses: [10.0.0.1], subnets: [10.0.0.0/24]}"#;
        lab.apply(&format!("vifs: [{same}]"));
        lab.dropped((0, 5), "udp4.vxlan.back", DropReason::LocalUnanswered);
    });
}

/// Two neighbours are as many as it may have.
fn two_neighbours(workers: usize) -> Lab {
    let setup = Setup { network: network::a_dynamic(), neighbours: 2, ..Setup::default() };
    let mut lab = Lab::one(workers, &setup);
    lab.apply(r#"neighbours: [{vif: up0, address: 10.0.0.71, mac: "52:00:00:00:0b:71"}, {vif: up0, address: 10.0.0.72, mac: "52:00:00:00:0b:72"}]"#);
    lab
}

#[test]
fn a_gateway_that_the_full_model_refused_is_taken_once_there_is_room() {
    scenario("neighbour-refused", two_neighbours, |lab| {
        lab.advance(100);
        lab.expect(&[(UP, "underlay.ask-b")]);
        lab.put(UP, "underlay.b-says");
        lab.run();
        let key = v1::NeighbourKey { vif: "up0".into(), address: vec![10, 0, 0, 71] };
        lab.rig().delete(Key::Neighbour(key));
        let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
        let listed = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
        assert_eq!(listed.count(), 2);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    });
}
