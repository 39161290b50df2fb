use super::*;

pub(super) fn put_vif(change: impl FnOnce(&mut v1::Vif)) -> v1::Change {
    let mut vif = vif("web", 3, "red", &["192.168.0.33"]);
    change(&mut vif);
    put(Kind::Vif(Box::new(vif)))
}

fn put_uplink(change: impl FnOnce(&mut v1::Vif)) -> v1::Change {
    let mut vif = uplink();
    change(&mut vif);
    put(Kind::Vif(Box::new(vif)))
}

#[test]
fn vifs() {
    check(vec![
        (put_vif(|vif| vif.kind = 7), "vif web", "kind", "no kind 7"),
        (put_vif(|vif| vif.port = "x".into()), "vif web", "port", "no port x"),
        (put_vif(|vif| vif.port = "p1".into()), "vif web", "port", "has VIF red1 already"),
        (put_vif(|vif| vif.vrf = "x".into()), "vif web", "vrf", "no VRF x"),
        (put_vif(|vif| vif.vrf = "underlay".into()), "vif web", "vrf", "of the fabric"),
        (put_vif(|vif| vif.mac.clear()), "vif web", "mac", "is missing"),
        (put_vif(|vif| vif.mac = vec![2; 5]), "vif web", "mac", "5 bytes, but 6"),
        (put_vif(|vif| vif.mac = vec![3; 6]), "vif web", "mac", "a group or zero"),
        (put_vif(|vif| vif.mac = vec![0; 6]), "vif web", "mac", "a group or zero"),
        (put_vif(|vif| vif.mac = vec![0, 0, 0x5e, 0, 1, 0]), "vif web", "mac", "the gateway's"),
        (put_vif(|vif| vif.mtu = 575), "vif web", "mtu", "576 to 1500"),
        (put_vif(|vif| vif.mtu = 1501), "vif web", "mtu", "576 to 1500"),
        (put_vif(|vif| (vif.mtu, vif.gateway_v6) = (1279, ip("fd00::1"))), "vif web", "mtu", "1280 to 1500"),
        (put_vif(|vif| vif.acl_from_vif = "x".into()), "vif web", "acl_from_vif", "no ACL x"),
        (put_vif(|vif| vif.acl_to_vif = "x".into()), "vif web", "acl_to_vif", "no ACL x"),
        (put_vif(|vif| vif.subnets = vec![prefix("10.0.0.0/24")]), "vif web", "subnets", "only a fabric VIF"),
        (put_vif(|vif| vif.exception_port = "p7".into()), "vif web", "exception_port", "only a fabric VIF"),
        (
            put_vif(|vif| vif.allowed_sources = vec![prefix("10.0.0.1/24")]),
            "vif web",
            "allowed_sources[0].address",
            "10.0.0.0/24",
        ),
    ]);
    let mut model = model_with(&[put(Kind::Vrf(v1::Vrf { flows_off: true, ..vrf("bulk") }))]);
    for field in ["acl_from_vif", "acl_to_vif"] {
        let mut vif = vif("b", 3, "bulk", &[]);
        *(if field == "acl_to_vif" { &mut vif.acl_to_vif } else { &mut vif.acl_from_vif }) = "web".into();
        let refused = refusal(&mut model, "", &[put(Kind::Vif(Box::new(vif)))]);
        assert_eq!((&*refused.field, &*refused.reason), (field, "flows are off in VRF bulk"));
    }
}

#[test]
fn vlans_of_vifs() {
    check(vec![
        (put_vif(|vif| vif.vlan = 4095), "vif web", "vlan", "1 to 4094"),
        (put_vif(|vif| vif.inner_vlan = 7), "vif web", "vlan", "missing"),
        (put_uplink(|vif| (vif.vlan, vif.inner_vlan) = (5, 7)), "vif up0", "inner_vlan", "only a tenant VIF"),
        (put_uplink(|vif| vif.vlan = 4095), "vif up0", "vlan", "1 to 4094"),
    ]);
}

#[test]
fn sub_interfaces_are_as_many_as_there_are_port_numbers() {
    let mut model = Model::new(Limits { ports: usize::from(u16::MAX), ..Limits::default() }, ports());
    model.apply("", &changes()).expect("accepted");
    let mut sub = vif("sub", 6, "red", &[]);
    sub.vlan = 7;
    let refused = refusal(&mut model, "", &[put(Kind::Vif(Box::new(sub)))]);
    assert_eq!((&*refused.field, &*refused.reason), ("vlan", "the limit of 0 sub-interfaces is reached"));
}

#[test]
fn vifs_of_the_fabric() {
    check(vec![
        (put_uplink(|vif| vif.kind = 0), "vif up0", "kind", "cannot change"),
        (put_uplink(|vif| vif.gateway_v4 = ip("10.0.0.9")), "vif up0", "gateway_v4", "only a tenant VIF"),
        (put_uplink(|vif| vif.gateway_v6 = ip("fd00::9")), "vif up0", "gateway_v6", "only a tenant VIF"),
        (
            put_uplink(|vif| vif.gateway_link_local = ip("fe80::9")),
            "vif up0",
            "gateway_link_local",
            "only a tenant VIF",
        ),
        (put_uplink(|vif| vif.acl_from_vif = "web".into()), "vif up0", "acl_from_vif", "only a tenant VIF"),
        (put_uplink(|vif| vif.acl_to_vif = "web".into()), "vif up0", "acl_to_vif", "only a tenant VIF"),
        (put_uplink(|vif| vif.exception_port = "x".into()), "vif up0", "exception_port", "no port x"),
        (put_uplink(|vif| vif.exception_port = "p0".into()), "vif up0", "exception_port", "has VIF up0 already"),
        (put_uplink(|vif| vif.exception_port = "p1".into()), "vif up0", "exception_port", "has VIF red1 already"),
        (put_uplink(|vif| vif.spoofing_allowed = true), "vif up0", "spoofing_allowed", "only a tenant VIF"),
        (
            put_uplink(|vif| vif.allowed_sources = vec![prefix("1.0.0.0/8")]),
            "vif up0",
            "allowed_sources",
            "only a tenant VIF",
        ),
        (put_uplink(|vif| vif.vrf = "red".into()), "vif up0", "vrf", "of tenants (it has VIF red1)"),
        (
            put_uplink(|vif| vif.subnets.push(prefix("fd00::/64"))),
            "vif up0",
            "subnets[1]",
            "none of the VIF's addresses",
        ),
        (put_uplink(|vif| vif.subnets.push(prefix("fe80::/64"))), "vif up0", "subnets[1]", "link-local"),
        (put_uplink(|vif| vif.addresses.push(ip("ff02::1"))), "vif up0", "addresses[1]", "no address of one host"),
        (
            put_uplink(|vif| (vif.mtu, vif.addresses) = (1279, vec![ip("10.0.0.1"), ip("fd00::1")])),
            "vif up0",
            "mtu",
            "1280 to 1500",
        ),
        (
            put_uplink(|vif| vif.subnets.push(prefix("10.3.0.0/24"))),
            "vif up0",
            "subnets[1]",
            "none of the VIF's addresses",
        ),
        (put_uplink(|vif| vif.subnets.push(prefix("10.0.0.0/24"))), "vif up0", "subnets[1]", "twice"),
        (put_uplink(|vif| vif.addresses = vec![ip("10.0.0.3")]), "vif up0", "addresses", "10.0.0.1 is the VTEP"),
        (put_uplink(|vif| vif.subnets.clear()), "vif up0", "subnets", "10.0.0.254 would be on no connected subnet"),
        (
            put_uplink(|vif| vif.addresses.push(ip("10.0.0.254"))),
            "vif up0",
            "addresses",
            "routes by gateway 10.0.0.254",
        ),
        (
            put_uplink(|vif| (vif.name, vif.port, vif.addresses) = ("up1".into(), "p5".into(), vec![ip("10.0.0.5")])),
            "vif up1",
            "subnets[0]",
            "connected subnet of VIF up0",
        ),
        (
            put_uplink(|vif| (vif.name, vif.port, vif.subnets) = ("up1".into(), "p5".into(), vec![])),
            "vif up1",
            "addresses[0]",
            "10.0.0.1 is an address of VIF up0",
        ),
    ]);
}

#[test]
fn router_advertisements() {
    let with = |change: fn(&mut v1::RouterAdvertisement)| {
        let mut given = v1::RouterAdvertisement::default();
        let mut one = v1::AdvertisedPrefix { prefix: Some(prefix("fd00::/64")), ..Default::default() };
        one.preferred_lifetime = Some(1);
        given.prefixes = vec![one];
        change(&mut given);
        put_vif(|vif| (vif.gateway_v6, vif.router_advertisement) = (ip("fd00::1"), Some(given)))
    };
    let of = |text: &str| Some(prefix(text));
    let field = |name: &str| format!("router_advertisement.{name}");
    let cases: Vec<(v1::Change, &str, &str)> = vec![
        (with(|ra| ra.max_interval = 3), "max_interval", "3 is not within 4 to 1800"),
        (with(|ra| ra.max_interval = 1801), "max_interval", "4 to 1800"),
        (with(|ra| ra.lifetime = Some(65536)), "lifetime", "4 to 65535"),
        (with(|ra| (ra.lifetime, ra.max_interval) = (Some(29), 30)), "lifetime", "30 to 65535"),
        (with(|ra| ra.prefixes = vec![ra.prefixes[0].clone(); 17]), "prefixes", "17 entries, at most 16"),
        (with(|ra| ra.prefixes = vec![ra.prefixes[0].clone(); 2]), "prefixes[1]", "given twice"),
        (with(|ra| ra.prefixes[0].prefix = None), "prefixes[0].prefix", "is missing"),
        (
            with(|ra| ra.prefixes[0].valid_lifetime = Some(0)),
            "prefixes[0].preferred_lifetime",
            "1 is not within 0 to 0",
        ),
    ];
    for (change, name, reason) in cases {
        check(vec![(change, "vif web", field(name).leak(), reason)]);
    }
    for (text, name, reason) in [
        ("10.0.0.0/8", "prefixes[0].prefix.address", "another address family"),
        ("::/0", "prefixes[0].prefix.length", "1 to 128"),
        ("fe80::/64", "prefixes[0].prefix", "link-local"),
        ("ff02::/16", "prefixes[0].prefix.address", "no address of one host"),
        ("fd00::1/64", "prefixes[0].prefix.address", "fd00::/64 is meant"),
    ] {
        let prefixes = vec![v1::AdvertisedPrefix { prefix: of(text), ..Default::default() }];
        let given = v1::RouterAdvertisement { prefixes, ..Default::default() };
        let change = put_vif(|vif| (vif.gateway_v6, vif.router_advertisement) = (ip("fd00::1"), Some(given)));
        check(vec![(change, "vif web", field(name).leak(), reason)]);
    }
    let some = Some(v1::RouterAdvertisement::default());
    check(vec![
        (
            put_vif(|vif| vif.router_advertisement = some.clone()),
            "vif web",
            "router_advertisement",
            "needs gateway_v6 or gateway_link_local",
        ),
        (put_uplink(|vif| vif.router_advertisement = some), "vif up0", "router_advertisement", "only a tenant VIF"),
    ]);
}

#[test]
fn vifs_with_static_neighbours() {
    let static_neighbour = put(Kind::Neighbour(neighbour("up0", "10.0.0.9", [2; 6])));
    let mut model = model_with(&[static_neighbour, put(Kind::Vrf(vrf("empty")))]);
    let mut refuse = |change, field: &str, reason: &str| {
        let refused = refusal(&mut model, "", &[change]);
        assert_eq!(&*refused.field, field);
        assert!(refused.reason.contains(reason), "{refused:?}");
    };
    refuse(put_uplink(|vif| vif.addresses.push(ip("10.0.0.9"))), "addresses", "10.0.0.9 is neighbour of VIF up0");
    let moved = |vif: &mut v1::Vif| vif.vrf = "empty".into();
    refuse(put_uplink(moved), "vrf", "1 static neighbours");
    let narrow = |vif: &mut v1::Vif| {
        vif.addresses = vec![ip("10.0.0.1"), ip("10.0.0.253")];
        vif.subnets = vec![prefix("10.0.0.252/30")];
    };
    refuse(put_uplink(narrow), "subnets", "10.0.0.9 would be on no connected subnet");
    let other = |vif: &mut v1::Vif| {
        (vif.name, vif.port, vif.subnets) = ("up1".into(), "p5".into(), vec![]);
        vif.addresses = vec![ip("10.0.0.9")];
    };
    refuse(put_uplink(other), "addresses[0]", "10.0.0.9 is neighbour of VIF up0");
    // the same in IPv6
    let both = |vif: &mut v1::Vif| {
        vif.addresses.push(ip("fd0f::1"));
        vif.subnets.push(prefix("fd0f::/64"));
    };
    let mut model = model_with(&[
        put_uplink(both),
        put(Kind::Neighbour(neighbour("up0", "fd0f::9", [2; 6]))),
        put(Kind::Route(route("underlay", "fd10::/16", gateway("fd0f::7")))),
    ]);
    let mut refuse = |change, field: &str, reason: &str| {
        let refused = refusal(&mut model, "", &[change]);
        assert_eq!((&*refused.field, &*refused.reason), (field, reason));
    };
    let more = |vif: &mut v1::Vif, address: &str| {
        both(vif);
        vif.addresses.push(ip(address));
    };
    refuse(put_uplink(|vif| more(vif, "fd0f::9")), "addresses", "fd0f::9 is neighbour of VIF up0 in this VRF");
    refuse(put_uplink(|vif| more(vif, "fd0f::7")), "addresses", "still referred to by routes by gateway fd0f::7");
    refuse(put_uplink(|_| ()), "subnets", "fd0f::9 would be on no connected subnet, but a static neighbour needs it");
    let key = v1::NeighbourKey { vif: "up0".into(), address: ip("fd0f::9") };
    model.apply("", &[delete(Key::Neighbour(key))]).unwrap();
    let refused = refusal(&mut model, "", &[put_uplink(|_| ())]);
    assert_eq!(refused.reason, "fd0f::7 would be on no connected subnet, but a route by this gateway needs it");
}

#[test]
fn addresses_of_vifs() {
    let with = |address: &str| put_vif(|vif| vif.addresses.push(ip(address)));
    check(vec![
        (put_vif(|vif| vif.addresses = vec![vec![1, 2, 3]]), "vif web", "addresses[0]", "3 bytes, but 4 or 16"),
        (put_vif(|vif| vif.addresses = vec![vec![]]), "vif web", "addresses[0]", "is missing"),
        (with("0.0.0.0"), "vif web", "addresses[1]", "0.0.0.0 is no address of one host"),
        (with("0.1.2.3"), "vif web", "addresses[1]", "0.1.2.3 is no address of one host"),
        (with("240.0.0.1"), "vif web", "addresses[1]", "240.0.0.1 is no address of one host"),
        (with("127.0.0.1"), "vif web", "addresses[1]", "no address of one host"),
        (with("224.0.0.5"), "vif web", "addresses[1]", "no address of one host"),
        (with("255.255.255.255"), "vif web", "addresses[1]", "no address of one host"),
        (with("::"), "vif web", "addresses[1]", "no address of one host"),
        (with("::1"), "vif web", "addresses[1]", "no address of one host"),
        (with("ff02::1"), "vif web", "addresses[1]", "no address of one host"),
        (with("fe80::5"), "vif web", "addresses[1]", "link-local"),
        (with("192.168.0.33"), "vif web", "addresses[1]", "twice"),
        (with("192.168.0.11"), "vif web", "addresses[1]", "192.168.0.11 is an address of VIF red1"),
        (with("192.168.0.1"), "vif web", "addresses[1]", "is a gateway of VIF web"),
        (
            put_vif(|vif| (vif.gateway_v4, vif.addresses) = (vec![], vec![ip("192.168.0.1")])),
            "vif web",
            "addresses[0]",
            "is a gateway of VIF red1",
        ),
        (put_vif(|vif| vif.gateway_v4 = ip("192.168.0.11")), "vif web", "gateway_v4", "an address of VIF red1"),
        (put_vif(|vif| vif.gateway_v4 = ip("fd00::1")), "vif web", "gateway_v4", "16 bytes, but 4"),
        (put_vif(|vif| vif.gateway_v4 = ip("224.0.0.1")), "vif web", "gateway_v4", "no address of one host"),
        (put_vif(|vif| vif.gateway_v6 = ip("10.0.0.1")), "vif web", "gateway_v6", "4 bytes, but 16"),
        (put_vif(|vif| vif.gateway_v6 = ip("fe80::1")), "vif web", "gateway_v6", "link-local"),
        (
            put_vif(|vif| vif.gateway_link_local = ip("fd00::1")),
            "vif web",
            "gateway_link_local",
            "fd00::1 is not link-local",
        ),
        (
            put_vif(|vif| (vif.vrf, vif.gateway_v6) = ("blue".into(), ip("fd00::11"))),
            "vif web",
            "gateway_v6",
            "an address of VIF blue1",
        ),
    ]);
}

#[test]
fn a_vif_that_is_referred_to_stays_in_its_vrf() {
    let mut moved = vif("red1", 1, "blue", &["192.168.0.44"]);
    check(vec![(put(Kind::Vif(Box::new(moved.clone()))), "vif red1", "vrf", "by 1 labels")]);
    let mut model = model_with(&[delete(Key::Label(1001)), put_route("blue", "1.0.0.0/8", via_vif("red1"))]);
    let refused = refusal(&mut model, "", &[put(Kind::Vif(Box::new(moved.clone())))]);
    assert_eq!((&*refused.field, &*refused.reason), ("vrf", "still referred to by 1 routes"));
    moved.acl_to_vif = "web".into();
    model
        .apply("", &[delete(Key::Route(route_key("blue", "1.0.0.0/8", ""))), put(Kind::Vif(Box::new(moved)))])
        .unwrap();
}

#[test]
fn an_exception_port_is_nobody_else_s() {
    let shared = put_uplink(|vif| vif.exception_port = "p7".into());
    let mut model = model_with(std::slice::from_ref(&shared));
    let refused = refusal(&mut model, "", &[put_vif(|vif| vif.port = "p7".into())]);
    assert_eq!((&*refused.field, &*refused.reason), ("port", "port p7 has VIF up0 already"));
    let second = put_uplink(|vif| {
        (vif.name, vif.port, vif.exception_port) = ("up1".into(), "p6".into(), "p7".into());
        (vif.addresses, vif.subnets) = (Vec::new(), Vec::new());
    });
    let refused = refusal(&mut model, "", &[second]);
    assert_eq!((&*refused.field, &*refused.reason), ("exception_port", "port p7 has VIF up0 already"));
    // The two may change places, and what is given up is free.
    model.apply("", &[put_uplink(|vif| (vif.port, vif.exception_port) = ("p7".into(), "p0".into()))]).unwrap();
    model.apply("", &[shared, put_uplink(|_| {}), put_vif(|vif| vif.port = "p7".into())]).unwrap();
}
