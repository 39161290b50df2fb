//! What flows must notice raises stamps, and nothing else does; what did not change is shared.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network::*;
use crate::api::v1;
use crate::ids::{Generation, Mac, PortIndex};
use crate::model::{Limits, Model};
use crate::tables::NextHopKind;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// The stamps of VRFs, VIFs and next hops by what they are called.
fn stamps(model: &Model) -> BTreeMap<String, Generation> {
    let snapshot = model.snapshot();
    let vrfs = snapshot.vrfs.iter().map(|(_, vrf)| (format!("vrf {}", vrf.name), vrf.stamp));
    let vifs = snapshot.vifs.iter().map(|(_, vif)| (format!("vif {}", vif.name), vif.stamp));
    let text = |id: usize| {
        let text = model.next_hop_text(crate::ids::NextHopId(id as u32));
        // a group is the same whatever its ways are
        text.split_once(" of ecmp").map(|(group, _)| group.to_owned()).unwrap_or(text)
    };
    let hops = snapshot.next_hops.iter().map(|(id, row)| (format!("hop {id} {}", text(id)), row.stamp()));
    vrfs.chain(vifs).chain(hops).collect()
}

/// What a batch raises, without the numbers of next hops; sorted.
fn raised(model: &mut Model, batch: &[v1::Change]) -> Vec<String> {
    let before = stamps(model);
    let generation = model.apply("", batch).unwrap().generation;
    let after = stamps(model).into_iter().filter(|(name, stamp)| {
        assert!(*stamp == generation || before.get(name) == Some(stamp), "{name}");
        *stamp == generation
    });
    let plain = |name: String| match name.strip_prefix("hop ") {
        Some(hop) => format!("hop {}", hop.split_once(' ').unwrap().1),
        None => name,
    };
    let mut names: Vec<String> = after.map(|(name, _)| plain(name)).collect();
    names.sort();
    names
}

#[test]
fn routes_raise_their_vrf() {
    let mut model = model();
    let more = put(Kind::Route(route("red", "9.0.0.0/8", vxlan("10.0.0.2", 100))));
    assert_eq!(raised(&mut model, std::slice::from_ref(&more)), ["vrf red"]);
    assert!(raised(&mut model, &[more]).is_empty(), "the same again");
    let other = put(Kind::Route(route("red", "9.0.0.0/8", vxlan("10.0.0.2", 101))));
    assert_eq!(raised(&mut model, &[other]), ["hop vxlan 10.0.0.2 vni 101", "vrf red"]);
    assert_eq!(raised(&mut model, &[delete(Key::Route(route_key("red", "9.0.0.0/8", "")))]), ["vrf red"]);
    // Tunnels that go another way in the underlay are only rewritten.
    let way = put(Kind::Route(route("underlay", "10.1.0.0/16", gateway("10.0.0.253"))));
    assert_eq!(raised(&mut model, &[way]), ["hop gateway 10.0.0.253", "vrf underlay"]);
}

/// top leads into red, red into last, and by a VIF into blue; beside leads into last too.
#[test]
fn what_changes_in_a_vrf_raises_those_from_which_and_into_which_flows_go() {
    let mut model = model();
    let vrfs = ["top", "last", "beside", "alone"].map(|name| put(Kind::Vrf(vrf(name))));
    let led = [("top", via_vrf("red")), ("red", via_vrf("last")), ("beside", via_vrf("last"))];
    let led = led.map(|(from, into)| put(Kind::Route(route(from, "9.0.0.0/8", into))));
    let by_vif = put(Kind::Route(route("red", "11.0.0.0/8", via_vif("blue1"))));
    model.apply("", &[&vrfs[..], &led, &[by_vif]].concat()).unwrap();
    let mut vrfs_raised = |change: v1::Change| -> Vec<String> {
        let names = raised(&mut model, &[change]);
        names.iter().filter_map(|name| name.strip_prefix("vrf ")).map(String::from).collect()
    };
    let dropped = |vrf: &str| put(Kind::Route(route(vrf, "9.9.0.0/16", discard())));
    assert_eq!(vrfs_raised(dropped("last")), ["beside", "last", "red", "top"]);
    assert_eq!(vrfs_raised(dropped("red")), ["blue", "last", "red", "top"]);
    assert_eq!(vrfs_raised(dropped("top")), ["blue", "last", "red", "top"]);
    assert_eq!(vrfs_raised(dropped("blue")), ["blue"]);
    assert_eq!(vrfs_raised(dropped("alone")), ["alone"]);
    let judged = put(Kind::Vrf(v1::Vrf { acl: "web".into(), ..vrf("last") }));
    assert_eq!(vrfs_raised(judged), ["beside", "last", "red", "top"]);
    // of red's VIFs too, whose flows go into blue
    assert_eq!(vrfs_raised(put(Kind::Group(group(&["172.16.0.0/12"])))), ["beside", "blue", "last", "red", "top"]);
    // the last time that top has anything to do with red
    assert_eq!(vrfs_raised(delete(Key::Route(route_key("top", "9.0.0.0/8", "")))), ["blue", "last", "red", "top"]);
    assert_eq!(vrfs_raised(delete(Key::Route(route_key("red", "11.0.0.0/8", "")))), ["blue", "last", "red"]);
    assert_eq!(vrfs_raised(put(Kind::Route(route("red", "9.8.0.0/16", discard())))), ["last", "red"]);
}

#[test]
fn a_path_that_goes_down_raises_its_own_flows_only() {
    let mut model = model();
    let far = || put(Kind::Route(route("underlay", "10.3.0.0/16", gateway("10.0.0.254"))));
    let ways = vec![(1, "a", vxlan("10.3.0.2", 1)), (2, "b", vxlan("10.0.0.2", 1))];
    model.apply("", &[far(), put(Kind::Route(route_by("red", "9.0.0.0/8", ways)))]).unwrap();
    let before = raised(&mut model, &[delete(Key::Route(route_key("underlay", "10.3.0.0/16", "")))]);
    assert_eq!(before, ["hop vxlan 10.3.0.2 vni 1", "vrf underlay"]);
    // it comes back: nobody is to move
    assert_eq!(raised(&mut model, &[far()]), ["vrf underlay"]);
}

#[test]
fn the_link_of_a_path_s_vif_is_what_it_is_up_by() {
    let mut model = model();
    let ways = vec![(1, "", via_vif("red1")), (1, "", vxlan("10.0.0.2", 1))];
    model.apply("", &[put(Kind::Route(route_by("red", "9.0.0.0/8", ways)))]).unwrap();
    let up = |model: &Model| {
        let snapshot = model.snapshot();
        let row = snapshot.vrfs.row(model.vrf_id("red").unwrap().index()).unwrap();
        let (_, id) = row.route("9.1.1.1".parse().unwrap()).unwrap();
        let NextHopKind::Group(group) = &snapshot.next_hops.row(id.index()).unwrap().kind else { panic!() };
        group
            .members()
            .iter()
            .map(|member| (member.up, snapshot.next_hops.row(member.next_hop.index()).unwrap().stamp()))
            .collect::<Vec<_>>()
    };
    let before = up(&model);
    assert!(before.iter().all(|(up, _)| *up));
    let down = model.link(PortIndex(1), false).unwrap().generation;
    assert_eq!(up(&model), [(false, down), before[1]]);
    assert!(model.link(PortIndex(1), false).is_none());
    assert!(model.link(PortIndex(2), false).is_some(), "of no path");
    model.link(PortIndex(1), true).unwrap();
    assert_eq!(up(&model), [(true, down), before[1]]);
}

#[test]
fn policies_raise_those_that_use_them() {
    let mut model = model();
    // and the VRF: answers may come back by a route that leads elsewhere than to the VIF
    let red1 = ["hop vif red1", "vif red1", "vrf red"];
    assert_eq!(raised(&mut model, &[put(Kind::Group(group(&["172.16.0.0/12"])))]), red1);
    assert!(raised(&mut model, &[put(Kind::Group(group(&["172.16.0.0/12"])))]).is_empty(), "the same again");
    let mut acl = web_acl();
    acl.rules.clear();
    assert_eq!(raised(&mut model, &[put(Kind::Acl(acl))]), red1);
    let judged = put(Kind::Vrf(v1::Vrf { acl: "web".into(), ..vrf("blue") }));
    assert_eq!(raised(&mut model, &[judged]), ["hop vif blue1", "vrf blue"]);
    let both = ["hop vif blue1", "hop vif red1", "vif red1", "vrf blue", "vrf red"];
    assert_eq!(raised(&mut model, &[put(Kind::Acl(web_acl()))]), both);
    let tenant = put(Kind::Vrf(v1::Vrf { acl: "web".into(), tenant: "b".into(), ..vrf("blue") }));
    assert!(raised(&mut model, &[tenant]).is_empty());
}

#[test]
fn vifs_raise_for_policy_and_not_for_rewrites() {
    let mut model = model();
    let with = |change: fn(&mut v1::Vif)| {
        let mut vif = vif("blue1", 2, "blue", &["192.168.0.11", "fd00::11"]);
        change(&mut vif);
        [put(Kind::Vif(Box::new(vif)))]
    };
    assert!(raised(&mut model, &with(|_| {})).is_empty());
    assert!(raised(&mut model, &with(|vif| vif.mtu = 1400)).is_empty());
    assert!(raised(&mut model, &with(|vif| vif.port = "p6".into())).is_empty());
    let policy = ["hop vif blue1", "vif blue1", "vrf blue"];
    assert_eq!(raised(&mut model, &with(|vif| vif.spoofing_allowed = true)), policy);
    assert_eq!(raised(&mut model, &with(|vif| vif.acl_from_vif = "web".into())), policy);
    assert_eq!(raised(&mut model, &with(|vif| vif.mac = vec![2, 0, 0, 0, 9, 9])), policy);
    assert_eq!(raised(&mut model, &with(|vif| vif.addresses.truncate(1))), policy);
    let gateway_mac = v1::Settings { gateway_mac: vec![2, 0, 0, 9, 9, 9], ..settings() };
    assert!(raised(&mut model, &[put(Kind::Settings(Box::new(gateway_mac)))]).is_empty());
    let snapshot = model.snapshot();
    assert_eq!(snapshot.vifs.row(model.vif_id("red1").unwrap().index()).unwrap().our_mac, Mac([2, 0, 0, 9, 9, 9]));
}

#[test]
fn numbers_are_never_reused_and_slots_are() {
    let mut model = model();
    let of = |model: &Model| {
        let id = model.vif_id("blue1").unwrap();
        (id, model.snapshot().vifs.row(id.index()).unwrap().slot)
    };
    let first = of(&model);
    let again = put(Kind::Vif(Box::new(vif("blue1", 2, "blue", &["192.168.0.11"]))));
    model.apply("", &[delete(Key::Vif("blue1".into())), again]).unwrap();
    let second = of(&model);
    assert!(second.0 > first.0);
    assert_eq!(second.1, first.1);
    assert!(model.snapshot().vifs.row(first.0.index()).is_none());
    let hops = model.snapshot().next_hops.iter().map(|(id, _)| id).max().unwrap();
    model.apply("", &[delete(Key::Route(route_key("red", "0.0.0.0/0", "")))]).unwrap();
    model.apply("", &[put(Kind::Route(route("red", "0.0.0.0/0", discard())))]).unwrap();
    assert!(model.snapshot().next_hops.iter().map(|(id, _)| id).max().unwrap() > hops);
}

#[test]
fn one_change_beside_100_000_routes_rebuilds_its_own_part() {
    let mut model = Model::new(Limits::default(), ports());
    model.apply("", &changes()).unwrap();
    let many: Vec<_> = (0..100_000_u32)
        .map(|at| {
            let address = Ipv4Addr::from_bits(20 << 24 | at << 8).octets().into();
            let mut route = route("red", "0.0.0.0/0", vxlan("10.0.0.2", at % 50));
            route.key.as_mut().unwrap().prefix = Some(v1::Prefix { address, length: 24 });
            put(Kind::Route(route))
        })
        .collect();
    model.apply("bgp", &many).unwrap();
    let before = model.snapshot();
    assert_eq!(before.vrfs.row(model.vrf_id("red").unwrap().index()).unwrap().v4.len(), 100_004);

    let after = model.apply("", &[put(Kind::Route(route("blue", "9.0.0.0/8", discard())))]).unwrap();
    let [red, blue] = ["red", "blue"].map(|name| model.vrf_id(name).unwrap().index());
    let same = |id: usize| Arc::ptr_eq(before.vrfs.shared(id).unwrap(), after.vrfs.shared(id).unwrap());
    assert!(same(red) && !same(blue));
    assert!(
        before.vifs.iter().all(|(id, _)| Arc::ptr_eq(before.vifs.shared(id).unwrap(), after.vifs.shared(id).unwrap()))
    );
    let hop = |id: usize| Arc::ptr_eq(before.next_hops.shared(id).unwrap(), after.next_hops.shared(id).unwrap());
    assert!(before.next_hops.iter().all(|(id, _)| hop(id)));
    assert!(Arc::ptr_eq(&before.vnis, &after.vnis) && Arc::ptr_eq(&before.labels, &after.labels));
    assert!(Arc::ptr_eq(&before.ports, &after.ports));

    // A refused batch over the large VRF touches nothing published.
    let bad = [put(Kind::Route(route("red", "9.0.0.0/8", discard()))), delete(Key::Vrf("red".into()))];
    assert!(model.apply("", &bad).is_err());
    assert!(Arc::ptr_eq(&after, &model.snapshot()));
}

fn peers(paths: &[(&str, v1::next_hop::Kind)]) -> v1::Change {
    let paths = paths.iter().map(|(name, kind)| (1, *name, kind.clone())).collect();
    put(Kind::NextHopGroup(hop_group("peers", "red", paths)))
}

/// Of tunnels: the flows of the ways that are no more notice it; of VIFs: all of the VRF.
#[test]
fn a_group_raises_the_ways_that_are_no_more() {
    let mut model = model();
    let [a, b, c] = [2, 3, 4].map(|host| vxlan(&format!("10.0.0.{host}"), 100));
    model.apply("", &[peers(&[("a", a.clone()), ("b", b.clone())])]).unwrap();
    let to = |prefix: &str| put(Kind::Route(route_to_group("red", prefix, "peers")));
    let pinned =
        [route("red", "11.0.0.0/8", a.clone()), route("red", "12.0.0.0/8", b.clone())].map(|one| put(Kind::Route(one)));
    model.apply("", &[&[to("9.0.0.0/8"), to("10.0.0.0/8")][..], &pinned].concat()).unwrap();
    let one = model.snapshot();
    let row = |model: &Model| {
        model.snapshot().vrfs.row(model.vrf_id("red").unwrap().index()).unwrap().v4.exact(9 << 24, 8).unwrap()
    };
    let group = row(&model);
    // one comes: nothing that a live flow rests on
    let (hop_a, hop_b, hop_c) =
        ("hop vxlan 10.0.0.2 vni 100", "hop vxlan 10.0.0.3 vni 100", "hop vxlan 10.0.0.4 vni 100");
    let more = peers(&[("a", a.clone()), ("b", b.clone()), ("c", c.clone())]);
    assert_eq!(raised(&mut model, std::slice::from_ref(&more)), [hop_c]);
    assert!(raised(&mut model, &[more]).is_empty(), "the same again");
    // another order, another name, another weight
    assert!(raised(&mut model, &[peers(&[("c", c.clone()), ("b", b.clone()), ("a", a.clone())])]).is_empty());
    assert_eq!(raised(&mut model, &[peers(&[("c", c.clone()), ("b2", b.clone()), ("a", a.clone())])]), [hop_b]);
    let swapped = peers(&[("c", c.clone()), ("b2", a.clone()), ("a", b.clone())]);
    assert_eq!(raised(&mut model, &[swapped]), [hop_a, hop_b]);
    // ways that go
    assert_eq!(raised(&mut model, &[peers(&[("b2", a.clone()), ("c", c.clone())])]), [hop_b]);
    assert_eq!(raised(&mut model, &[peers(&[("c", c.clone())])]), [hop_a]);
    // the routes have the number that they had
    assert_eq!(row(&model), group);
    let fib = |of: &crate::tables::Snapshot| of.vrfs.row(model.vrf_id("red").unwrap().index()).unwrap().stamp;
    assert_eq!(fib(&one), fib(&model.snapshot()));
    // which ACL judges, and where answers come from, is another matter with VIFs
    let with_vif = peers(&[("c", c.clone()), ("d", via_vif("red1"))]);
    assert_eq!(raised(&mut model, &[with_vif]), ["vrf red"]);
    assert_eq!(raised(&mut model, &[peers(&[("c", c.clone())])]), ["hop vif red1", "vrf red"]);
    assert!(raised(&mut model, &[delete(Key::Route(route_key("red", "9.0.0.0/8", "")))]).contains(&"vrf red".into()));
}
