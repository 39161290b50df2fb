use super::*;

fn peers(vrf: &str, paths: Vec<(u32, &str, v1::next_hop::Kind)>) -> v1::Change {
    put(Kind::NextHopGroup(hop_group("peers", vrf, paths)))
}

fn two() -> Vec<(u32, &'static str, v1::next_hop::Kind)> {
    vec![(1, "a", vxlan("10.0.0.2", 1)), (1, "b", vxlan("10.0.0.3", 1))]
}

#[test]
fn groups() {
    let text = "next-hop group peers";
    let of = |paths| peers("red", paths);
    let more = |kind| of([two(), vec![(1, "", kind)]].concat());
    let nameless = put(Kind::NextHopGroup(hop_group("", "red", two())));
    let mut backups = hop_group("peers", "red", two());
    backups.paths.iter_mut().for_each(|path| path.backup = true);
    let mut hopless = hop_group("peers", "red", two());
    hopless.paths[1].next_hop = None;
    let hashed = |vrf: &str, kind, hash| {
        put(Kind::NextHopGroup(v1::NextHopGroup { hash, ..hop_group("peers", vrf, vec![(1, "", kind)]) }))
    };
    let gateways = |other| peers("underlay", vec![(1, "", gateway("10.0.0.2")), (1, "", gateway(other))]);
    check(vec![
        (nameless, "next-hop group ", "name", "a name is"),
        (peers("x", two()), text, "vrf", "no VRF x"),
        (peers("", two()), text, "vrf", "no VRF "),
        (of(vec![]), text, "paths", "is missing"),
        (of(vec![(1, "", vxlan("10.0.0.2", 1)); 129]), text, "paths", "129 entries, at most 128"),
        (of(vec![(1, "a", vxlan("10.0.0.2", 1)); 2]), text, "paths[1].name", "given twice"),
        (of(vec![(1, "", vxlan("10.0.0.2", 1)); 2]), text, "paths[1].name", "given twice"),
        (of(vec![(65_536, "", vxlan("10.0.0.2", 1))]), text, "paths[0].weight", "0 to 65535"),
        (put(Kind::NextHopGroup(backups)), text, "paths", "at least one must not be"),
        (put(Kind::NextHopGroup(hopless)), text, "paths[1].next_hop", "is missing"),
        (more(discard()), text, "paths[2].next_hop", "a path is a tunnel"),
        (more(via_vrf("blue")), text, "paths[2].next_hop", "a path is a tunnel"),
        (more(via_vif("x")), text, "paths[2].next_hop.vif.vif", "no VIF x"),
        (more(gateway("10.0.0.9")), text, "paths[2].next_hop.gateway.address", "on no connected subnet"),
        (gateways("10.7.0.9"), text, "paths[1].next_hop.gateway.address", "on no connected subnet"),
        (gateways("fd00::9"), text, "paths[1].next_hop.gateway.address", "of another address family"),
        (peers("underlay", two()), text, "paths[0].next_hop.tunnel", "is of the fabric"),
        (hashed("red", vxlan("10.0.0.2", 1), 3), text, "hash", "there is no choice 3"),
        (hashed("underlay", gateway("10.0.0.2"), 1), text, "hash", "the tunnel's own hash"),
        (delete(Key::NextHopGroup("peers".into())), text, "", "does not exist"),
    ]);
}

/// A group of red, used by a route, and one of gateways.
fn with_groups() -> Model {
    let spines = hop_group("spines", "underlay", vec![(1, "", gateway("10.0.0.2"))]);
    model_with(&[
        peers("red", [two(), vec![(1, "c", via_vif("red1"))]].concat()),
        put(Kind::NextHopGroup(spines)),
        put(Kind::Route(route_to_group("red", "9.0.0.0/8", "peers"))),
        put(Kind::Route(route_to_group("underlay", "9.0.0.0/8", "spines"))),
    ])
}

#[test]
fn routes_and_their_groups() {
    let route = |change: &dyn Fn(&mut v1::Route)| {
        let mut route = route_to_group("red", "11.0.0.0/8", "peers");
        change(&mut route);
        put(Kind::Route(route))
    };
    let key = |vrf: &str, of: &str| Some(route_key(vrf, of, ""));
    let cases: Vec<(v1::Change, &str, &str)> = vec![
        (route(&|route| route.group = "x".into()), "group", "there is no next-hop group x"),
        (route(&|route| route.key = key("blue", "11.0.0.0/8")), "group", "next-hop group peers is of VRF red"),
        (route(&|route| route.paths = route_by("red", "1.0.0.0/8", two()).paths), "group", "exactly one of"),
        (
            route(&|route| route.next_hop = super::route("red", "1.0.0.0/8", discard()).next_hop),
            "group",
            "exactly one of",
        ),
        (put(Kind::Route(route_to_group("underlay", "fd00::/8", "spines"))), "group", "another address family"),
        (peers("blue", two()), "vrf", "cannot change"),
        (delete(Key::NextHopGroup("peers".into())), "", "still referred to by 1 routes"),
        (delete(Key::NextHopGroup("spines".into())), "", "still referred to by 1 routes"),
        (delete(Key::Vif("red1".into())), "", "still referred to by"),
    ];
    let mut model = with_groups();
    for (change, field, reason) in cases {
        let refused = refusal(&mut model, "", std::slice::from_ref(&change));
        assert_eq!(&*refused.field, field, "{refused:?} for {change:?}");
        assert!(refused.reason.contains(reason), "{refused:?} for {change:?}");
    }
    // a gateway that a group needs stays on a subnet
    let moved = v1::Vif { addresses: vec![ip("10.7.0.1")], subnets: vec![prefix("10.7.0.0/24")], ..uplink() };
    let refused = refusal(&mut model, "", &[put(Kind::Vif(Box::new(moved)))]);
    assert!(refused.reason.contains("10.0.0.2 would be on no connected subnet"), "{refused:?}");
    // without routes it can go, and nothing of it is left
    let routes = ["red", "underlay"].map(|vrf| delete(Key::Route(route_key(vrf, "9.0.0.0/8", ""))));
    let groups = ["peers", "spines"].map(|name| delete(Key::NextHopGroup(name.into())));
    model.apply("", &routes).unwrap();
    let refused = refusal(&mut model, "", &[delete(Key::Vif("red1".into()))]);
    assert!(refused.reason.contains("still referred to by"), "{refused:?}");
    model.apply("", &groups).unwrap();
    let fresh = super::model();
    assert_eq!((model.used(), model.list(v1::Kind::All, "")), (fresh.used(), fresh.list(v1::Kind::All, "")));
}

/// A VRF stays while it has a group.
#[test]
fn a_vrf_with_a_group_stays() {
    let green = [put(Kind::Vrf(vrf("green"))), put(Kind::NextHopGroup(hop_group("g", "green", two())))];
    let mut model = model_with(&green);
    let refused = refusal(&mut model, "", &[delete(Key::Vrf("green".into()))]);
    assert!(refused.reason.contains("1 next-hop groups"), "{refused:?}");
    let foreign = put(Kind::NextHopGroup(hop_group("g", "green", vec![(1, "", via_vif("red1"))])));
    model.apply("", &[foreign]).unwrap();
    let refused = refusal(&mut model, "", &[put(Kind::Vrf(v1::Vrf { flows_off: true, ..vrf("green") }))]);
    assert!(refused.reason.contains("lead to VIFs of other VRFs"), "{refused:?}");
    model.apply("", &[delete(Key::NextHopGroup("g".into())), delete(Key::Vrf("green".into()))]).unwrap();
}
