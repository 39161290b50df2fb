use super::*;

#[test]
fn routes() {
    let text = "route red 9.0.0.0/8 of operator";
    let keyless = v1::Route { key: None, ..route("red", "9.0.0.0/8", discard()) };
    let keyed = |change: fn(&mut v1::RouteKey)| {
        let mut route = route("red", "9.0.0.0/8", discard());
        change(route.key.as_mut().unwrap());
        put(Kind::Route(route))
    };
    let hopless = v1::Route { next_hop: None, ..route("red", "9.0.0.0/8", discard()) };
    let bad_mac = v1::next_hop::ViaVif { vif: "red1".into(), mac: vec![1; 6] };
    check(vec![
        (put(Kind::Route(keyless)), "route", "key", "is missing"),
        (put(Kind::Route(hopless)), text, "next_hop", "is missing"),
        (keyed(|key| key.vrf = "x".into()), "route x 9.0.0.0/8 of operator", "key.vrf", "no VRF x"),
        (keyed(|key| key.prefix = None), "route red  of operator", "key.prefix", "is missing"),
        (
            keyed(|key| key.prefix = Some(prefix("9.0.0.1/8"))),
            "route red 9.0.0.1/8 of operator",
            "key.prefix.address",
            "9.0.0.0/8 is meant",
        ),
        (
            keyed(|key| key.prefix = Some(prefix("9.0.0.0/33"))),
            "route red 9.0.0.0/33 of operator",
            "key.prefix.length",
            "0 to 32",
        ),
        (
            keyed(|key| key.prefix = Some(prefix("fd00::/129"))),
            "route red fd00::/129 of operator",
            "key.prefix.length",
            "0 to 128",
        ),
        (
            keyed(|key| key.prefix = Some(prefix("fe80::/64"))),
            "route red fe80::/64 of operator",
            "key.prefix",
            "link-local",
        ),
        (keyed(|key| key.owner = "vif".into()), "route red 9.0.0.0/8 of vif", "key.owner", "reserved"),
        (keyed(|key| key.owner = "a b".into()), "route red 9.0.0.0/8 of a b", "key.owner", "a name is"),
        (put_route("red", "9.0.0.0/8", via_vif("x")), text, "next_hop.vif.vif", "no VIF x"),
        (put_route("red", "9.0.0.0/8", via_vif("up0")), text, "next_hop.vif.vif", "no tenant VIF"),
        (put_route("red", "9.0.0.0/8", v1::next_hop::Kind::Vif(bad_mac)), text, "next_hop.vif.mac", "a group"),
        (
            put_route("red", "9.0.0.0/8", gateway("10.0.0.9")),
            text,
            "next_hop.gateway.address",
            "on no connected subnet",
        ),
    ]);
}

#[test]
fn tunnels() {
    let text = "route red 9.0.0.0/8 of operator";
    let tunnel = |change: fn(&mut v1::Tunnel)| {
        let v1::next_hop::Kind::Tunnel(mut tunnel) = vxlan("10.0.0.2", 1) else { unreachable!() };
        change(&mut tunnel);
        put_route("red", "9.0.0.0/8", v1::next_hop::Kind::Tunnel(tunnel))
    };
    let bad_inner = v1::tunnel::Vxlan { vni: 1, inner_mac: vec![1; 6] };
    let bad_inner = v1::Tunnel { remote: ip("10.0.0.2"), encap: Some(v1::tunnel::Encap::Vxlan(bad_inner)) };
    let gre = |label| v1::tunnel::Encap::MplsOverGre(v1::tunnel::MplsOverGre { label });
    let gre = |label| v1::Tunnel { remote: ip("10.0.0.2"), encap: Some(gre(label)) };
    let geneve = |remote, vni, inner_mac| {
        let encap = Some(v1::tunnel::Encap::Geneve(v1::tunnel::Geneve { vni, inner_mac }));
        put_route("red", "9.0.0.0/8", v1::next_hop::Kind::Tunnel(v1::Tunnel { remote: ip(remote), encap }))
    };
    check(vec![
        (geneve("10.0.0.2", 1 << 24, vec![2; 6]), text, "next_hop.tunnel.geneve.vni", "0 to 16777215"),
        (geneve("10.0.0.2", 1, vec![2; 5]), text, "next_hop.tunnel.geneve.inner_mac", "5 bytes, but 6"),
        (geneve("10.0.0.2", 1, vec![1; 6]), text, "next_hop.tunnel.geneve.inner_mac", "a group"),
        (geneve("fd00::1", 1, vec![2; 6]), text, "next_hop.tunnel.remote", "needs vtep_v6"),
        (
            put_route("red", "9.0.0.0/8", v1::next_hop::Kind::Tunnel(gre(15))),
            text,
            "next_hop.tunnel.mpls_over_gre.label",
            "16 to 1048575",
        ),
        (tunnel(|tunnel| tunnel.remote = ip("fd00::1")), text, "next_hop.tunnel.remote", "needs vtep_v6"),
        (tunnel(|tunnel| tunnel.remote = ip("fe80::1")), text, "next_hop.tunnel.remote", "link-local"),
        (tunnel(|tunnel| tunnel.remote = ip("240.0.0.1")), text, "next_hop.tunnel.remote", "no address of one host"),
        (tunnel(|tunnel| tunnel.remote = ip("224.0.0.1")), text, "next_hop.tunnel.remote", "no address of one host"),
        (tunnel(|tunnel| tunnel.remote = vec![]), text, "next_hop.tunnel.remote", "is missing"),
        (tunnel(|tunnel| tunnel.encap = None), text, "next_hop.tunnel.encap", "is missing"),
        (put_route("red", "9.0.0.0/8", vxlan("10.0.0.2", 1 << 24)), text, "next_hop.tunnel.vxlan.vni", "0 to 16777215"),
        (
            put_route("red", "9.0.0.0/8", v1::next_hop::Kind::Tunnel(bad_inner)),
            text,
            "next_hop.tunnel.vxlan.inner_mac",
            "a group",
        ),
        (
            put_route("red", "9.0.0.0/8", mpls("10.0.0.2", 15)),
            text,
            "next_hop.tunnel.mpls_over_udp.label",
            "16 to 1048575",
        ),
        (
            put_route("red", "9.0.0.0/8", mpls("10.0.0.2", 1 << 20)),
            text,
            "next_hop.tunnel.mpls_over_udp.label",
            "16 to 1048575",
        ),
    ]);
}

#[test]
fn routes_of_the_fabric() {
    let text = "route underlay 9.0.0.0/8 of operator";
    check(vec![
        (put_route("underlay", "9.0.0.0/8", via_vif("red1")), text, "next_hop.vif", "of the fabric"),
        (put_route("underlay", "9.0.0.0/8", vxlan("10.0.0.2", 1)), text, "next_hop.tunnel", "of the fabric"),
        (
            put_route("underlay", "9.0.0.0/8", gateway("10.9.0.1")),
            text,
            "next_hop.gateway.address",
            "on no connected subnet",
        ),
        (
            put_route("underlay", "9.0.0.0/8", gateway("10.0.0.1")),
            text,
            "next_hop.gateway.address",
            "10.0.0.1 is our own",
        ),
        (
            put_route("underlay", "9.0.0.0/8", gateway("fd00::1")),
            text,
            "next_hop.gateway.address",
            "another address family",
        ),
        (
            put_route("underlay", "fd00::/8", gateway("fd00::1")),
            "route underlay fd00::/8 of operator",
            "next_hop.gateway.address",
            "fd00::1 is on no connected subnet",
        ),
        (
            put_route("underlay", "fd00::/8", gateway("fe80::1")),
            "route underlay fd00::/8 of operator",
            "next_hop.gateway.address",
            "fe80::1 is on no connected subnet",
        ),
        (
            put_route("underlay", "fd00::/8", gateway("10.0.0.9")),
            "route underlay fd00::/8 of operator",
            "next_hop.gateway.address",
            "another address family",
        ),
        (put_route("underlay", "9.0.0.0/8", via_vrf("red")), text, "next_hop.vrf", "of the fabric"),
    ]);
    let mut model = model_with(&[put(Kind::Vrf(v1::Vrf { flows_off: true, ..vrf("bulk") }))]);
    let refused = refusal(&mut model, "", &[put_route("bulk", "9.0.0.0/8", via_vif("red1"))]);
    assert_eq!((&*refused.field, &*refused.reason), ("next_hop.vif.vif", "flows are off in VRF bulk"));
}

#[test]
fn routes_into_vrfs() {
    let text = "route red 9.0.0.0/8 of operator";
    check(vec![
        (put_route("red", "9.0.0.0/8", via_vrf("x")), text, "next_hop.vrf", "no VRF x"),
        (put_route("red", "9.0.0.0/8", via_vrf("red")), text, "next_hop.vrf", "into itself"),
        (put_route("red", "9.0.0.0/8", via_vrf("underlay")), text, "next_hop.vrf", "of the fabric"),
    ]);
    let led = [put(Kind::Vrf(vrf("shared"))), put_route("red", "9.0.0.0/8", via_vrf("shared"))];
    let mut model = model_with(&led);
    let mut refused = |change: v1::Change| {
        let refused = refusal(&mut model, "", &[change]);
        (refused.field, refused.reason)
    };
    let of_tenants = "VRF shared is of tenants (it has 1 routes of other VRFs that lead into it)";
    let in_use = (String::new(), "still referred to by 1 routes of other VRFs".into());
    assert_eq!(refused(delete(Key::Vrf("shared".into()))), in_use);
    let uplink = v1::Vif { name: "up1".into(), port: "p6".into(), vrf: "shared".into(), ..uplink() };
    assert_eq!(refused(put(Kind::Vif(Box::new(uplink)))), ("vrf".into(), of_tenants.into()));
    let underlay = v1::Settings { underlay_vrf: "shared".into(), ..Default::default() };
    assert_eq!(refused(put(Kind::Settings(Box::new(underlay)))), ("underlay_vrf".into(), of_tenants.into()));
    model.apply("", &[delete(Key::Route(route_key("red", "9.0.0.0/8", "")))]).unwrap();
    model.apply("", &[delete(Key::Vrf("shared".into()))]).unwrap();
}

#[test]
fn routes_by_several_ways() {
    let text = "route red 9.0.0.0/8 of operator";
    let by = |paths| put(Kind::Route(route_by("red", "9.0.0.0/8", paths)));
    let two = || vec![(1, "a", vxlan("10.0.0.2", 1)), (1, "b", vxlan("10.0.0.3", 1))];
    let both =
        v1::Route { next_hop: route("red", "9.0.0.0/8", discard()).next_hop, ..route_by("red", "9.0.0.0/8", two()) };
    let mut hopless = route_by("red", "9.0.0.0/8", two());
    hopless.paths[1].next_hop = None;
    let mut backups = route_by("red", "9.0.0.0/8", two());
    backups.paths.iter_mut().for_each(|path| path.backup = true);
    let more = |kind| by([two(), vec![(1, "", kind)]].concat());
    check(vec![
        (put(Kind::Route(both)), text, "paths", "exactly one of"),
        (put(Kind::Route(backups)), text, "paths", "at least one must not be"),
        (put(Kind::Route(hopless)), text, "paths[1].next_hop", "is missing"),
        (by(vec![(1, "", vxlan("10.0.0.2", 1)); 129]), text, "paths", "129 entries, at most 128"),
        (by(vec![(65_536, "", vxlan("10.0.0.2", 1))]), text, "paths[0].weight", "0 to 65535"),
        (by(vec![(1, "a b", vxlan("10.0.0.2", 1))]), text, "paths[0].name", "a name is"),
        (by(vec![(1, "a", vxlan("10.0.0.2", 1)); 2]), text, "paths[1].name", "given twice"),
        (by(vec![(1, "", vxlan("10.0.0.2", 1)); 2]), text, "paths[1].name", "given twice"),
        (more(discard()), text, "paths[2].next_hop", "a path is a tunnel"),
        (more(via_vrf("blue")), text, "paths[2].next_hop", "a path is a tunnel"),
        (more(via_vif("x")), text, "paths[2].next_hop.vif.vif", "no VIF x"),
        (more(mpls("10.0.0.2", 1)), text, "paths[2].next_hop.tunnel.mpls_over_udp.label", "16 to"),
        (more(gateway("10.0.0.9")), text, "paths[2].next_hop.gateway.address", "on no connected subnet"),
    ]);
    // what is referred to by a path stays, and is free when the last such route has gone
    let mut model = model();
    let shared = [(1, "a", via_vif("blue1")), (1, "b", vxlan("10.0.0.3", 1))];
    let of = |prefix: &str| put(Kind::Route(route_by("red", prefix, shared.to_vec())));
    model.apply("", &[of("9.0.0.0/8"), of("11.0.0.0/8")]).unwrap();
    for prefix in ["9.0.0.0/8", "11.0.0.0/8"] {
        let refused = refusal(&mut model, "", &[delete(Key::Vif("blue1".into()))]);
        assert_eq!(refused.reason, "still referred to by 1 routes");
        let off = put(Kind::Vrf(v1::Vrf { flows_off: true, ..vrf("red") }));
        assert!(refusal(&mut model, "", &[off]).reason.contains("flows cannot be off"));
        model.apply("", &[delete(Key::Route(route_key("red", prefix, "")))]).unwrap();
    }
    model.apply("", &[delete(Key::Vif("blue1".into()))]).unwrap();
}

#[test]
fn neighbours() {
    let object = "neighbour up0 10.0.0.9";
    let with = |change: fn(&mut v1::Neighbour)| {
        let mut neighbour = neighbour("up0", "10.0.0.9", [2; 6]);
        change(&mut neighbour);
        put(Kind::Neighbour(neighbour))
    };
    let one = |vif: &str, address: &str| put(Kind::Neighbour(neighbour(vif, address, [2; 6])));
    check(vec![
        (with(|neighbour| neighbour.key = None), "neighbour", "key", "is missing"),
        (with(|neighbour| neighbour.learnt = true), object, "learnt", "cannot be written"),
        (with(|neighbour| neighbour.mac = vec![]), object, "mac", "is missing"),
        (with(|neighbour| neighbour.mac = vec![0xff; 6]), object, "mac", "a group"),
        (one("x", "10.0.0.9"), "neighbour x 10.0.0.9", "key.vif", "no VIF x"),
        (one("red1", "10.0.0.9"), "neighbour red1 10.0.0.9", "key.vif", "no fabric VIF"),
        (one("up0", "fd00::9"), "neighbour up0 fd00::9", "key.address", "on no connected subnet"),
        (one("up0", "10.0.0.1"), "neighbour up0 10.0.0.1", "key.address", "our own address"),
        (one("up0", "10.9.0.1"), "neighbour up0 10.9.0.1", "key.address", "on no connected subnet"),
    ]);
    let mut model = model();
    let up0 = model.vif_id("up0").unwrap();
    model.learn(up0, std::net::Ipv4Addr::new(10, 0, 0, 9), crate::ids::Mac([2; 6])).unwrap();
    let key = v1::NeighbourKey { vif: "up0".into(), address: ip("10.0.0.9") };
    let refused = refusal(&mut model, "", &[delete(Key::Neighbour(key))]);
    assert_eq!(refused.reason, "learnt neighbours cannot be written");
}

#[test]
fn arrivals() {
    let vni = |vni, vrf: &str| put(Kind::Vni(v1::Vni { vni, vrf: vrf.into(), ..v1::Vni::default() }));
    check(vec![
        (vni(1 << 24, "red"), "vni 16777216", "vni", "0 to 16777215"),
        (vni(5, "x"), "vni 5", "vrf", "no VRF x"),
        (vni(5, "underlay"), "vni 5", "vrf", "of the fabric"),
        (put(Kind::Label(label(15, Target::Vrf("red".into())))), "label 15", "label", "16 to 1048575"),
        (put(Kind::Label(label(1 << 20, Target::Vrf("red".into())))), "label 1048576", "label", "16 to 1048575"),
        (put(Kind::Label(v1::MplsLabel { label: 16, target: None })), "label 16", "target", "is missing"),
        (put(Kind::Label(label(16, Target::Vrf("x".into())))), "label 16", "vrf", "no VRF x"),
        (put(Kind::Label(label(16, Target::Vrf("underlay".into())))), "label 16", "vrf", "of the fabric"),
        (put(Kind::Label(label(16, Target::Vif("x".into())))), "label 16", "vif", "no VIF x"),
        (put(Kind::Label(label(16, Target::Vif("up0".into())))), "label 16", "vif", "no tenant VIF"),
    ]);
}
