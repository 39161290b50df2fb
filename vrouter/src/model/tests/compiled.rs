//! What the objects become in the snapshot.

use std::net::{IpAddr, Ipv4Addr};

use super::network::*;
use crate::api::v1;
use crate::ids::{Generation, Label, Mac, PortIndex, Vni};
use crate::model::Model;
use crate::tables::{DecapTarget, NextHop, NextHopKind, Snapshot, Tunnel, Underlay, Vrf, Way};
use v1::object::Kind;
use v1::object_key::Kind as Key;

const NEIGHBOUR_MAC: Mac = Mac([0x52, 0, 0, 0, 1, 2]);

fn vrf_row<'a>(model: &Model, snapshot: &'a Snapshot, name: &str) -> &'a Vrf {
    snapshot.vrfs.row(model.vrf_id(name).unwrap().index()).unwrap()
}

fn route_to<'a>(model: &Model, snapshot: &'a Snapshot, vrf: &str, to: &str) -> Option<&'a NextHop> {
    let to: IpAddr = to.parse().unwrap();
    let (_, id) = vrf_row(model, snapshot, vrf).route(to)?;
    Some(snapshot.next_hops.row(id.index()).unwrap())
}

fn tunnel<'a>(model: &Model, snapshot: &'a Snapshot, vrf: &str, to: &str) -> &'a Tunnel {
    match &route_to(model, snapshot, vrf, to).unwrap().kind {
        NextHopKind::Tunnel(tunnel) => tunnel,
        other => panic!("{other:?}"),
    }
}

/// The one way of a tunnel.
fn way(tunnel: &Tunnel) -> &Way {
    assert_eq!(tunnel.ways.all().count(), 1);
    tunnel.ways.of(0)
}

#[test]
fn a_network_is_compiled() {
    let model = model();
    let snapshot = model.snapshot();
    assert_eq!(snapshot.generation, Generation(1));
    assert_eq!(snapshot.local.underlay, model.vrf_id("underlay"));
    assert_eq!(snapshot.local.router_mac, Mac([2, 10, 0, 0, 1, 1]));
    assert_eq!(snapshot.ports[1].vif, model.vif_id("red1"));
    assert_eq!(snapshot.ports[7].vif, None);

    for (vif, vrf) in [("red1", "red"), ("blue1", "blue")] {
        match route_to(&model, &snapshot, vrf, "192.168.0.11").unwrap().kind {
            NextHopKind::Vif { vif: to, src_mac, .. } => {
                assert_eq!(Some(to), model.vif_id(vif));
                assert_eq!(src_mac, Mac([0, 0, 0x5e, 0, 1, 0]));
            }
            ref other => panic!("{other:?}"),
        }
        assert_eq!(route_to(&model, &snapshot, vrf, "192.168.0.1").unwrap().kind, NextHopKind::Receive);
    }
    assert_eq!(route_to(&model, &snapshot, "red", "8.8.8.8").unwrap().kind, NextHopKind::Drop);
    assert!(route_to(&model, &snapshot, "blue", "8.8.8.8").is_none());
    assert_eq!(route_to(&model, &snapshot, "underlay", "10.0.0.1").unwrap().kind, NextHopKind::Receive);
    let up0 = model.vif_id("up0").unwrap();
    let connected = NextHopKind::Fabric(Underlay::Resolving { vif: up0, neighbour: None });
    assert_eq!(route_to(&model, &snapshot, "underlay", "10.0.0.77").unwrap().kind, connected);

    assert_eq!(snapshot.vnis.get(&Vni(100)).map(|target| target.vrf), model.vrf_id("red"));
    let blue = model.vrf_id("blue").unwrap();
    assert_eq!(snapshot.labels.get(&Label(1000)), Some(&DecapTarget::Vrf(blue)));
    match snapshot.labels[&Label(1001)] {
        DecapTarget::Vif { vrf, next_hop } => {
            assert_eq!(Some(vrf), model.vrf_id("red"));
            assert_eq!(model.next_hop_text(next_hop), "vif red1");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tunnels_follow_their_neighbours_in_place() {
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    let peer = IpAddr::from([10, 0, 0, 2]);
    let gateway = IpAddr::from([10, 0, 0, 254]);
    assert_eq!(model.needed_neighbours(), [(up0, peer), (up0, gateway)]);

    let since = model.needed_since();
    model.apply("", &[put(Kind::Route(route("red", "9.0.0.0/8", mpls("10.0.0.2", 77))))]).unwrap();
    assert_eq!(model.needed_since(), since, "the same far end");
    model.apply("", &[put(Kind::Neighbour(neighbour("up0", "10.0.0.254", [2; 6])))]).unwrap();
    assert_eq!((model.needed_neighbours(), model.needed_since()), (vec![(up0, peer)], model.generation()));
    let key = v1::NeighbourKey { vif: "up0".into(), address: ip("10.0.0.254") };
    model.apply("", &[delete(Key::Neighbour(key))]).unwrap();

    let before = model.snapshot();
    let red = tunnel(&model, &before, "red", "192.168.0.12");
    assert_eq!(way(red).underlay, Underlay::Resolving { vif: up0, neighbour: Some(peer) });
    assert!(way(red).template.headers().is_empty());
    assert_eq!(route_to(&model, &before, "red", "192.168.0.12").unwrap().mtu, 1450);
    assert_eq!(route_to(&model, &before, "blue", "192.168.0.12").unwrap().mtu, 1468);
    let far = tunnel(&model, &before, "blue", "fd00:1::1");
    assert_eq!(way(far).underlay, Underlay::Resolving { vif: up0, neighbour: Some(gateway) });

    let after = model.learn(up0, peer, NEIGHBOUR_MAC).unwrap();
    for vrf in ["red", "blue"] {
        let tunnel = tunnel(&model, &after, vrf, "192.168.0.12");
        assert!(
            matches!(way(tunnel).underlay, Underlay::Resolved(a) if a.dst_mac == NEIGHBOUR_MAC && a.port == PortIndex(0))
        );
        assert_eq!(way(tunnel).template.headers()[..6], NEIGHBOUR_MAC.0);
    }
    let host = route_to(&model, &after, "underlay", "10.0.0.2").unwrap();
    assert!(matches!(host.kind, NextHopKind::Fabric(Underlay::Resolved(a)) if a.dst_mac == NEIGHBOUR_MAC));
    assert!(model.learn(up0, peer, NEIGHBOUR_MAC).is_none());
    assert!(model.learn(up0, Ipv4Addr::new(10, 9, 0, 1), NEIGHBOUR_MAC).is_none(), "not connected");
    assert!(model.learn(up0, Ipv4Addr::new(10, 0, 0, 1), NEIGHBOUR_MAC).is_none(), "our own");
    assert!(model.learn(up0, gateway, Mac::BROADCAST).is_none());

    let moved = model.learn(up0, gateway, Mac([0x52, 0, 0, 0, 9, 9])).unwrap();
    assert_eq!(way(tunnel(&model, &moved, "blue", "fd00:1::1")).template.headers()[..6], [0x52, 0, 0, 0, 9, 9]);
    let again = model.forget(up0, peer).unwrap();
    assert!(model.forget(up0, peer).is_none());
    assert_eq!(*tunnel(&model, &again, "red", "192.168.0.12"), Tunnel { leads: false, ..red.clone() });
    for vrf in ["red", "blue", "underlay"] {
        assert_eq!(vrf_row(&model, &again, vrf).stamp, vrf_row(&model, &before, vrf).stamp, "{vrf}");
    }
    for (id, row) in before.next_hops.iter() {
        assert_eq!(again.next_hops.row(id).map(|row| row.stamp()), Some(row.stamp()), "next hop {id}");
    }
}

#[test]
fn ipv6_neighbours_resolve_gateways_and_give_way_like_ipv4_ones() {
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    let both = v1::Vif {
        addresses: vec![ip("10.0.0.1"), ip("fd0f::1")],
        subnets: vec![prefix("10.0.0.0/24"), prefix("fd0f::/64")],
        ..uplink()
    };
    let via = put(Kind::Route(route("underlay", "fd10::/16", gateway("fd0f::7"))));
    let before = model.apply("", &[put(Kind::Vif(Box::new(both))), via]).unwrap();
    let ours = before.vifs.row(up0.index()).unwrap().addresses.clone();
    assert_eq!(ours[2].to_string(), "fe80::5000:ff:fe00:0", "by the port's MAC, 52:00:00:00:00:00");
    assert_eq!(route_to(&model, &before, "underlay", "fd0f::1").unwrap().kind, NextHopKind::Receive);
    let connected = NextHopKind::Fabric(Underlay::Resolving { vif: up0, neighbour: None });
    assert_eq!(route_to(&model, &before, "underlay", "fd0f::5").unwrap().kind, connected);
    let peer: IpAddr = "fd0f::7".parse().unwrap();
    assert!(model.needed_neighbours().contains(&(up0, peer)));
    let resolving = NextHopKind::Fabric(Underlay::Resolving { vif: up0, neighbour: Some(peer) });
    assert_eq!(route_to(&model, &before, "underlay", "fd10::1").unwrap().kind, resolving);
    for bad in ["fd10::1", "fd0f::1", "fe80::7", "ff02::1", "::1"] {
        assert!(model.learn(up0, bad.parse::<IpAddr>().unwrap(), NEIGHBOUR_MAC).is_none(), "{bad}");
    }
    let after = model.learn(up0, peer, NEIGHBOUR_MAC).unwrap();
    for to in ["fd0f::7", "fd10::1"] {
        let kind = route_to(&model, &after, "underlay", to).unwrap().kind.clone();
        assert!(matches!(kind, NextHopKind::Fabric(Underlay::Resolved(a)) if a.dst_mac == NEIGHBOUR_MAC), "{to}");
    }
    let fixed = model.apply("", &[put(Kind::Neighbour(neighbour("up0", "fd0f::7", [2; 6])))]).unwrap();
    assert!(!model.needed_neighbours().contains(&(up0, peer)), "static");
    let kind = route_to(&model, &fixed, "underlay", "fd10::1").unwrap().kind.clone();
    assert!(matches!(kind, NextHopKind::Fabric(Underlay::Resolved(a)) if a.dst_mac == Mac([2; 6])));
}

#[test]
fn a_fabric_vif_has_the_link_local_address_that_it_is_given() {
    let mut model = model();
    let given = v1::Vif { addresses: vec![ip("10.0.0.1"), ip("fe80::1")], ..uplink() };
    let snapshot = model.apply("", &[put(Kind::Vif(Box::new(given)))]).unwrap();
    let up0 = model.vif_id("up0").unwrap();
    let row = snapshot.vifs.row(up0.index()).unwrap();
    assert_eq!(row.addresses[1..], ["fe80::1".parse::<IpAddr>().unwrap()]);
    assert!(route_to(&model, &snapshot, "underlay", "fe80::1").is_none(), "link-local addresses are not routed");
}

#[test]
fn a_changed_uplink_reaches_neighbours_gateways_and_tunnels() {
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    model.learn(up0, Ipv4Addr::new(10, 0, 0, 2), NEIGHBOUR_MAC).unwrap();
    model.learn(up0, Ipv4Addr::new(10, 0, 0, 254), NEIGHBOUR_MAC).unwrap();
    let moved = v1::Vif { mtu: 1400, port: "p6".into(), mac: vec![2, 0, 0, 0, 6, 6], ..uplink() };
    let after = model.apply("", &[put(Kind::Vif(Box::new(moved)))]).unwrap();
    assert_eq!((after.ports[0].vif, after.ports[6].vif), (None, Some(up0)));
    for (vrf, to, mtu) in [("red", "192.168.0.12", 1350), ("blue", "192.168.0.12", 1368), ("blue", "fd00:1::1", 1350)] {
        assert_eq!(route_to(&model, &after, vrf, to).unwrap().mtu, mtu);
        let tunnel = tunnel(&model, &after, vrf, to);
        assert!(matches!(way(tunnel).underlay, Underlay::Resolved(a) if a.port == PortIndex(6)), "{tunnel:?}");
        assert_eq!(way(tunnel).template.headers()[6..12], [2, 0, 0, 0, 6, 6]);
    }
    for to in ["10.0.0.2", "10.0.0.77", "10.1.0.1"] {
        assert_eq!(route_to(&model, &after, "underlay", to).unwrap().mtu, 1400, "{to}");
    }
}

#[test]
fn an_uplink_that_moves_forgets_its_neighbours() {
    let mut model = model();
    let up1 = v1::Vif {
        name: "up1".into(),
        port: "p5".into(),
        addresses: vec![ip("10.0.1.1")],
        subnets: vec![prefix("10.0.1.0/24")],
        ..uplink()
    };
    model.apply("", &[put(Kind::Vif(Box::new(up1.clone()))), put(Kind::Vrf(vrf("spare")))]).unwrap();
    model.learn(model.vif_id("up1").unwrap(), Ipv4Addr::new(10, 0, 1, 7), NEIGHBOUR_MAC).unwrap();
    let host = |vrf: &str, model: &Model| {
        let snapshot = model.snapshot();
        vrf_row(model, &snapshot, vrf).route("10.0.1.7".parse().unwrap()).map(|(length, _)| length)
    };
    assert_eq!((host("underlay", &model), host("spare", &model)), (Some(32), None));
    model.apply("", &[put(Kind::Vif(Box::new(v1::Vif { vrf: "spare".into(), ..up1 })))]).unwrap();
    assert_eq!((host("underlay", &model), host("spare", &model)), (None, Some(24)));
    assert!(model.list(v1::Kind::Neighbour, "").is_empty());
}

#[test]
fn a_neighbours_address_becomes_ours() {
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    model.learn(up0, Ipv4Addr::new(10, 0, 0, 3), NEIGHBOUR_MAC).unwrap();
    let both = v1::Vif { addresses: vec![ip("10.0.0.1"), ip("10.0.0.3")], ..uplink() };
    let after = model.apply("", &[put(Kind::Vif(Box::new(both)))]).unwrap();
    assert_eq!(route_to(&model, &after, "underlay", "10.0.0.3").unwrap().kind, NextHopKind::Receive);
    assert!(model.forget(up0, Ipv4Addr::new(10, 0, 0, 3)).is_none());
}

#[test]
fn an_address_is_taken_though_another_vif_had_learnt_it() {
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    model.learn(up0, Ipv4Addr::new(10, 0, 0, 3), NEIGHBOUR_MAC).unwrap();
    let spare = |name: &str, port: &str| {
        let addresses = vec![ip("10.0.0.3")];
        put(Kind::Vif(Box::new(v1::Vif {
            name: name.into(),
            port: port.into(),
            addresses,
            subnets: vec![],
            ..uplink()
        })))
    };
    let after = model.apply("", &[spare("up1", "p5")]).unwrap();
    assert_eq!(route_to(&model, &after, "underlay", "10.0.0.3").unwrap().kind, NextHopKind::Receive);
    assert!(model.learn(up0, Ipv4Addr::new(10, 0, 0, 3), Mac([2; 6])).is_none());
    let refused = model.apply("", &[spare("up2", "p6")]).map(drop).unwrap_err();
    assert_eq!(refused.reason, "10.0.0.3 is an address of VIF up1 in this VRF");
}

#[test]
fn the_best_owner_forwards_and_the_next_takes_over() {
    let mut model = model();
    let offer = |owner: &str, preference, next_hop| {
        let mut route = route("red", "172.16.0.0/12", next_hop);
        route.key.as_mut().unwrap().owner = owner.into();
        put(Kind::Route(v1::Route { preference, ..route }))
    };
    let text = |model: &Model| {
        let snapshot = model.snapshot();
        vrf_row(model, &snapshot, "red")
            .v4
            .lookup(u32::from_be_bytes([172, 16, 1, 1]))
            .map(|(_, id)| model.next_hop_text(id))
    };
    model.apply("bgp", &[offer("", 0, vxlan("10.0.0.2", 1))]).unwrap();
    model.apply("cni", &[offer("", 0, vxlan("10.0.0.2", 2))]).unwrap();
    assert_eq!(text(&model).unwrap(), "vxlan 10.0.0.2 vni 1");
    model.apply("", &[offer("cni", 101, vxlan("10.0.0.2", 2))]).unwrap();
    assert_eq!(text(&model).unwrap(), "vxlan 10.0.0.2 vni 2");
    let stamp = vrf_row(&model, &model.snapshot(), "red").stamp;
    model.apply("", &[offer("loser", 1, discard())]).unwrap();
    assert_eq!(vrf_row(&model, &model.snapshot(), "red").stamp, stamp, "flows need not notice a loser");
    for (owner, left) in [("cni", "vxlan 10.0.0.2 vni 1"), ("bgp", "drop")] {
        model.apply("", &[delete(Key::Route(route_key("red", "172.16.0.0/12", owner)))]).unwrap();
        assert_eq!(text(&model).unwrap(), left);
    }
    assert_eq!(model.list(v1::Kind::Route, "red").len(), 5);
}

#[test]
fn an_address_that_becomes_ours_is_no_neighbour_of_another_uplink() {
    let mut model = model();
    let up1 = v1::Vif {
        name: "up1".into(),
        port: "p5".into(),
        addresses: vec![ip("10.0.1.1")],
        subnets: vec![prefix("10.0.1.0/24")],
        ..uplink()
    };
    model.apply("", &[put(Kind::Vif(Box::new(up1)))]).unwrap();
    let up1 = model.vif_id("up1").unwrap();
    model.learn(up1, Ipv4Addr::new(10, 0, 1, 7), NEIGHBOUR_MAC).unwrap();
    let both = v1::Vif { addresses: vec![ip("10.0.0.1"), ip("10.0.1.7")], ..uplink() };
    let after = model.apply("", &[put(Kind::Vif(Box::new(both)))]).unwrap();
    assert!(model.list(v1::Kind::Neighbour, "").is_empty());
    assert_eq!(route_to(&model, &after, "underlay", "10.0.1.7").unwrap().kind, NextHopKind::Receive);
}
