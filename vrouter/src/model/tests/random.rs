//! Random changes over few names and addresses, so that they meet. Some are malformed.

use proptest::prelude::*;
use proptest::sample::select;

use super::network::*;
use crate::api::v1;
use v1::object::Kind;
use v1::object_key::Kind as Key;

const VRFS: [&str; 4] = ["underlay", "spare", "red", "blue"];
const VIFS: [&str; 6] = ["up0", "up1", "red1", "red2", "blue1", "x"];
const BRIDGES: [&str; 3] = ["lan", "lan2", "dmz"];
const ACLS: [&str; 3] = ["web", "dns", ""];
const FABRIC: [&str; 10] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.254",
    "10.0.1.1",
    "10.0.1.7",
    "10.1.2.3",
    "fd0f::1",
    "fd0f::7",
    "fe80::7",
];
pub const GUESTS: [&str; 5] = ["172.16.0.1", "172.16.0.2", "172.16.0.3", "fd00::1", "fd00::2"];
const PREFIXES: [&str; 10] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.1.0.0/16",
    "10.0.0.2/32",
    "172.16.0.0/30",
    "172.16.0.2/32",
    "fd00::/64",
    "fd0f::/48",
    "::/0",
];
const HOP_GROUPS: [&str; 3] = ["spines", "peers", "peers2"];
const OWNERS: [&str; 3] = ["", "bgp", "cni"];

/// Some of everything that random changes name, for a model to begin with.
pub(crate) fn furniture() -> Vec<v1::Change> {
    let mut changes = changes();
    let mut up1 =
        v1::Vif { name: "up1".into(), port: "p7".into(), addresses: vec![ip("10.0.1.1"), ip("fd0f::1")], ..uplink() };
    up1.subnets = vec![prefix("10.0.1.0/24"), prefix("fd0f::/64")];
    changes.extend([
        put(Kind::Vrf(vrf("spare"))),
        put(Kind::Bridge(Box::new(bridge("lan", "red")))),
        put(Kind::Bridge(Box::new(bridge("lan2", "red")))),
        put(Kind::Bridge(Box::new(bridge("dmz", "blue")))),
        put(Kind::Group(v1::AddressGroup { name: "all".into(), prefixes: vec![prefix("0.0.0.0/0"), prefix("::/0")] })),
        put(Kind::Acl(v1::Acl { name: "dns".into(), rules: web_acl().rules })),
        put(Kind::Vif(Box::new(up1))),
        put(Kind::Vif(Box::new(vif("red2", 3, "red", &["172.16.0.3"])))),
        put(Kind::Route(route("blue", "10.1.0.0/16", vxlan("10.0.1.7", 7)))),
        put(Kind::Route(route("blue", "172.16.0.0/30", via_vif("red2")))),
        put(Kind::NextHopGroup(hop_group(
            "peers",
            "red",
            vec![(1, "a", vxlan("10.0.0.2", 1)), (1, "b", via_vif("red2"))],
        ))),
        put(Kind::NextHopGroup(hop_group("spines", "underlay", vec![(1, "a", gateway("10.0.0.254"))]))),
        put(Kind::Route(route_to_group("red", "10.8.0.0/16", "peers"))),
    ]);
    changes
}

/// A batch of mostly one, at most three changes.
pub(crate) fn batch() -> impl Strategy<Value = Vec<v1::Change>> {
    prop_oneof![4 => prop::collection::vec(change(), 1), 1 => prop::collection::vec(change(), 2..4)]
}

fn change() -> impl Strategy<Value = v1::Change> {
    prop_oneof![
        8 => object().prop_map(put),
        2 => object().prop_map(create),
        3 => key().prop_map(delete),
    ]
}

fn object() -> impl Strategy<Value = Kind> {
    prop_oneof![
        1 => any_settings().prop_map(|settings| Kind::Settings(Box::new(settings))),
        2 => any_vrf().prop_map(Kind::Vrf),
        4 => any_vif().prop_map(|vif| Kind::Vif(Box::new(vif))),
        6 => any_route().prop_map(Kind::Route),
        2 => (select(&VIFS[..3]), select(&FABRIC[..]), 0_u8..4).prop_map(|(vif, address, mac)| {
            Kind::Neighbour(neighbour(vif, address, [2, 0, 0, 0, 7, mac]))
        }),
        1 => (1_u32..4, select(&VRFS[..])).prop_map(|(vni, vrf)| Kind::Vni(v1::Vni { vni, vrf: vrf.into(), ..v1::Vni::default() })),
        1 => (15_u32..19, select(&VRFS[..])).prop_map(|(number, vrf)| {
            Kind::Label(label(number, v1::mpls_label::Target::Vrf(vrf.into())))
        }),
        1 => (15_u32..19, select(&VIFS[..])).prop_map(|(number, vif)| {
            Kind::Label(label(number, v1::mpls_label::Target::Vif(vif.into())))
        }),
        2 => any_bridge().prop_map(|bridge| Kind::Bridge(Box::new(bridge))),
        3 => any_hop_group().prop_map(Kind::NextHopGroup),
        2 => any_bfd_session().prop_map(|session| Kind::BfdSession(Box::new(session))),
        2 => (select(&VRFS[..]), select(&PREFIXES[..]), select(&HOP_GROUPS[..]))
            .prop_map(|(vrf, of, group)| Kind::Route(route_to_group(vrf, of, group))),
        3 => any_fdb_entry().prop_map(Kind::FdbEntry),
        1 => (1_u32..4, select(&BRIDGES[..])).prop_map(|(vni, bridge)| {
            Kind::Vni(v1::Vni { vni, bridge: bridge.into(), ..Default::default() })
        }),
        1 => (15_u32..19, select(&BRIDGES[..])).prop_map(|(number, bridge)| {
            Kind::Label(label(number, v1::mpls_label::Target::Bridge(bridge.into())))
        }),
        1 => any_acl().prop_map(Kind::Acl),
        1 => any_group().prop_map(Kind::Group),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        1 => select(&VRFS[..]).prop_map(|name| Key::Vrf(name.into())),
        2 => select(&VIFS[..]).prop_map(|name| Key::Vif(name.into())),
        4 => (select(&VRFS[..]), select(&PREFIXES[..]), select(&OWNERS[..]))
            .prop_map(|(vrf, of, owner)| Key::Route(route_key(vrf, of, owner))),
        1 => (select(&VIFS[..2]), select(&FABRIC[..]))
            .prop_map(|(vif, address)| Key::Neighbour(v1::NeighbourKey { vif: vif.into(), address: ip(address) })),
        1 => select(&BRIDGES[..]).prop_map(|name| Key::Bridge(name.into())),
        1 => select(&HOP_GROUPS[..]).prop_map(|name| Key::NextHopGroup(name.into())),
        1 => select(&["s1", "s2"][..]).prop_map(|name| Key::BfdSession(name.into())),
        1 => (select(&BRIDGES[..]), 0_u8..4).prop_map(|(bridge, mac)| Key::FdbEntry(fdb_key(bridge, mac))),
        1 => (1_u32..4).prop_map(Key::Vni),
        1 => (16_u32..19).prop_map(Key::Label),
        1 => select(&ACLS[..]).prop_map(|name| Key::Acl(name.into())),
        1 => select(&["clients", "all"][..]).prop_map(|name| Key::Group(name.into())),
    ]
}

fn any_settings() -> impl Strategy<Value = v1::Settings> {
    (select(&["underlay", "underlay", "spare", ""][..]), any::<bool>(), any::<bool>(), 0_u32..3, any::<bool>())
        .prop_map(|(underlay_vrf, vtep, gateway, icmp_per_second, tcp_strict)| v1::Settings {
            underlay_vrf: underlay_vrf.into(),
            vtep: if vtep { ip("10.0.0.1") } else { Vec::new() },
            gateway_mac: if gateway { vec![2, 0, 0, 9, 9, 9] } else { Vec::new() },
            lifetimes: Some(v1::Lifetimes { icmp: icmp_per_second, ..Default::default() }),
            tcp_strict,
            icmp_per_second,
            tunnel_headers: gateway
                .then(|| v1::TunnelHeaders { mpls_ttl: 1 + i32::from(tcp_strict), ..Default::default() }),
            vif_quota: gateway.then(|| quota(icmp_per_second)),
            tenant_quotas: (icmp_per_second > 0)
                .then(|| tenant_quota(tcp_strict, icmp_per_second))
                .into_iter()
                .collect(),
            ..Default::default()
        })
}

fn any_vrf() -> impl Strategy<Value = v1::Vrf> {
    (select(&VRFS[..]), select(&ACLS[..]), prop::bool::weighted(0.2), any::<bool>(), any::<bool>()).prop_map(
        |(name, acl, flows_off, proxy_by_default_route, vteps)| v1::Vrf {
            acl: acl.into(),
            flows_off,
            proxy_by_default_route,
            allowed_vteps: if vteps { vec![ip("10.0.0.2")] } else { Vec::new() },
            tenant: if vteps { "acme" } else { "ajax" }.into(),
            tunnel_quota: proxy_by_default_route.then(|| quota(7)),
            ..vrf(name)
        },
    )
}

fn quota(flows: u32) -> v1::Quota {
    v1::Quota { flows, ..Default::default() }
}

fn tenant_quota(acme: bool, flows: u32) -> v1::TenantQuota {
    let tenant = if acme { "acme" } else { "ajax" };
    v1::TenantQuota { tenant: tenant.into(), quota: Some(quota(flows)), alarms: Vec::new() }
}

fn any_vif() -> impl Strategy<Value = v1::Vif> {
    prop_oneof![any_fabric_vif(), any_tenant_vif(), any_tenant_vif()]
}

fn any_fabric_vif() -> impl Strategy<Value = v1::Vif> {
    let addresses =
        prop::sample::subsequence(vec!["10.0.0.1", "10.0.0.3", "10.0.1.1", "fd0f::1", "fd0f::9", "fe80::9"], 1..5);
    let subnets =
        prop::sample::subsequence(vec!["10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/16", "fd0f::/64", "fd0f::/48"], 1..3);
    let exception = select(&["", "", "p2", "p7"][..]);
    (select(&VIFS[..2]), 0_u8..3, select(&VRFS[..2]), addresses, subnets, select(&[0_u32, 1400, 100][..]), exception)
        .prop_map(|(name, at, vrf, addresses, subnets, mtu, exception)| v1::Vif {
            exception_port: exception.into(),
            name: name.into(),
            port: format!("p{at}"),
            vrf: vrf.into(),
            addresses: addresses.into_iter().map(ip).collect(),
            subnets: subnets.into_iter().map(prefix).collect(),
            mtu,
            ..uplink()
        })
}

fn bridge(name: &str, vrf: &str) -> v1::Bridge {
    v1::Bridge { name: name.into(), vrf: vrf.into(), ..Default::default() }
}

/// Perhaps that of a VIF, too.
fn fdb_key(bridge: &str, mac: u8) -> v1::FdbKey {
    v1::FdbKey { bridge: bridge.into(), mac: vec![2, 0, 0, 0, 0, mac] }
}

fn any_bridge() -> impl Strategy<Value = v1::Bridge> {
    let vtep = (select(&FABRIC[..]), 1_u32..3).prop_map(|(remote, vni)| {
        let encap = Some(v1::frame_tunnel::Encap::Vni(vni));
        v1::FrameTunnel { remote: ip(remote), encap, leaf: vni == 2 }
    });
    (select(&BRIDGES[..]), select(&VRFS[..]), prop::collection::vec(vtep, 0..3), any::<[bool; 2]>()).prop_map(
        |(name, vrf, vteps, [flood_unknown, suppress_off])| v1::Bridge {
            vteps,
            flood_unknown,
            suppress_off,
            learning: !suppress_off,
            ip_only: flood_unknown == suppress_off,
            ..bridge(name, vrf)
        },
    )
}

fn any_fdb_entry() -> impl Strategy<Value = v1::FdbEntry> {
    use v1::fdb_entry::Target;
    use v1::frame_tunnel::Encap;
    let encap = prop_oneof![
        (1_u32..3).prop_map(Encap::Vni),
        (1_u32..3).prop_map(Encap::Geneve),
        (15_u32..18).prop_map(Encap::MplsOverUdp),
        (15_u32..18).prop_map(Encap::MplsOverGre),
    ];
    let tunnel = (select(&FABRIC[..]), encap).prop_map(|(remote, encap)| {
        Target::Tunnel(v1::FrameTunnel { remote: ip(remote), encap: Some(encap), leaf: encap == Encap::Vni(1) })
    });
    let target = prop_oneof![select(&VIFS[..]).prop_map(|vif| Target::Vif(vif.into())), tunnel];
    let addresses = prop::sample::subsequence(GUESTS.to_vec(), 0..3);
    (select(&BRIDGES[..]), 0_u8..5, target, addresses, any::<bool>()).prop_map(
        |(bridge, mac, target, addresses, router)| v1::FdbEntry {
            key: Some(fdb_key(bridge, mac)),
            target: Some(target),
            addresses: addresses.into_iter().map(ip).collect(),
            router,
            sticky: !router,
            ..Default::default()
        },
    )
}

fn any_tenant_vif() -> impl Strategy<Value = v1::Vif> {
    let addresses = prop::sample::subsequence(GUESTS.to_vec(), 0..3);
    let policy = (select(&ACLS[..]), select(&ACLS[..]), any::<bool>(), any::<bool>());
    let tags = prop_oneof![3 => Just((0, 0)), 2 => select(&[(7, 0), (7, 8), (8, 7), (4095, 0)][..])];
    let links = (2_u8..7, tags, select(&VRFS[1..]), prop_oneof![2 => Just(""), 3 => select(&BRIDGES[..])]);
    (select(&VIFS[2..]), links, addresses, select(&["", "fd00::2"][..]), policy).prop_map(
        |(name, (at, tags, vrf, bridge), addresses, gateway_v6, (from, to, spoofing_allowed, sources))| v1::Vif {
            vlan: tags.0,
            inner_vlan: tags.1,
            bridge: bridge.into(),
            acl_from_vif: from.into(),
            acl_to_vif: to.into(),
            spoofing_allowed,
            service: spoofing_allowed,
            quota: spoofing_allowed.then(|| quota(u32::from(at))),
            allowed_sources: if sources { vec![prefix("10.1.0.0/16")] } else { Vec::new() },
            gateway_v4: ip("172.16.0.1"),
            router_advertisement: sources.then(|| v1::RouterAdvertisement {
                lifetime: spoofing_allowed.then_some(1200),
                prefixes: vec![v1::AdvertisedPrefix { prefix: Some(prefix("fd00::/64")), ..Default::default() }],
                ..Default::default()
            }),
            gateway_v6: if gateway_v6.is_empty() { Vec::new() } else { ip(gateway_v6) },
            ..vif(name, at, vrf, &addresses)
        },
    )
}

fn any_route() -> impl Strategy<Value = v1::Route> {
    prop_oneof![4 => one_way(), 2 => several_ways()]
}

fn several_ways() -> impl Strategy<Value = v1::Route> {
    let tenants = prop_oneof![
        4 => select(&FABRIC[..]).prop_map(|remote| vxlan(remote, 7)),
        2 => select(&FABRIC[..]).prop_map(|remote| mpls(remote, 70)),
        2 => select(&VIFS[2..5]).prop_map(via_vif),
        1 => Just(discard()),
    ];
    let gateways = select(&["10.0.0.2", "10.0.0.254", "10.0.1.7"][..]).prop_map(gateway);
    prop_oneof![2 => by(&VRFS[2..], tenants), 1 => by(&VRFS[..2], gateways)]
}

fn by(vrfs: &'static [&str], kind: impl Strategy<Value = v1::next_hop::Kind>) -> impl Strategy<Value = v1::Route> {
    let path = (0_u32..3, select(&["", "", "", "", "a", "b"][..]), kind);
    (select(vrfs), select(&PREFIXES[..]), select(&OWNERS[..]), prop::collection::vec(path, 1..4)).prop_map(
        |(vrf, of, owner, paths)| v1::Route { key: Some(route_key(vrf, of, owner)), ..route_by(vrf, of, paths) },
    )
}

fn any_bfd_session() -> impl Strategy<Value = v1::BfdSession> {
    let fields =
        (select(&["s1", "s2"][..]), select(&["underlay", "underlay", "spare", "red"][..]), select(&FABRIC[..]));
    (fields, any::<bool>(), 0_u32..3).prop_map(|((name, vrf, remote), multihop, timers)| v1::BfdSession {
        name: name.into(),
        vrf: vrf.into(),
        remote: ip(remote),
        multihop,
        min_tx: (timers > 0).then_some(timers * 50),
        ..Default::default()
    })
}

fn any_hop_group() -> impl Strategy<Value = v1::NextHopGroup> {
    let name = (any::<bool>(), select(&HOP_GROUPS[..]));
    (several_ways(), name, prop::bool::weighted(0.1)).prop_map(|(route, (home, name), empty)| {
        // mostly where it may be
        let own = if name == "spines" { "underlay" } else { "red" };
        let vrf = if home { own.into() } else { route.key.unwrap().vrf };
        let hash = if route.paths.len() == 2 { 1 } else { 0 };
        v1::NextHopGroup { name: name.into(), vrf, paths: if empty { Vec::new() } else { route.paths }, hash }
    })
}

fn one_way() -> impl Strategy<Value = v1::Route> {
    let next_hop = prop_oneof![
        select(&FABRIC[..]).prop_map(|remote| vxlan(remote, 7)),
        select(&FABRIC[..]).prop_map(|remote| mpls(remote, 70)),
        select(&FABRIC[..]).prop_map(gateway),
        select(&VIFS[..]).prop_map(via_vif),
        select(&VRFS[..]).prop_map(via_vrf),
        Just(discard()),
        Just(mpls("10.0.0.2", 1)),
    ];
    (select(&VRFS[..]), select(&PREFIXES[..]), select(&OWNERS[..]), 0_u32..3, next_hop).prop_map(
        |(vrf, of, owner, preference, next_hop)| v1::Route {
            key: Some(route_key(vrf, of, owner)),
            preference,
            ..route(vrf, of, next_hop)
        },
    )
}

pub(crate) fn any_rule() -> impl Strategy<Value = v1::Rule> {
    let side = prop_oneof![
        Just(None),
        select(&["clients", "all"][..]).prop_map(|name| Some(v1::address_match::By::Group(name.into()))),
        select(&PREFIXES[..]).prop_map(|of| Some(v1::address_match::By::Prefix(prefix(of)))),
    ];
    use v1::redirect::To;
    let to = prop_oneof![
        6 => Just(None),
        2 => select(&VIFS[2..]).prop_map(|vif| Some(To::Vif(vif.into()))),
        1 => select(&VRFS[1..]).prop_map(|vrf| Some(To::Vrf(vrf.into()))),
    ];
    let action = (any::<bool>(), to);
    (side, action, select(&[1_u32, 6, 17][..]), any::<bool>()).prop_map(|(by, (permit, to), protocol, ports)| {
        v1::Rule {
            redirect: to.filter(|_| permit).map(|to| v1::Redirect { to: Some(to) }),
            permit,
            protocol: Some(protocol),
            source: by.map(|by| v1::AddressMatch { by: Some(by) }),
            destination_ports: if ports { vec![v1::PortRange { first: 1, last: 80 }] } else { Vec::new() },
            ..Default::default()
        }
    })
}

fn any_acl() -> impl Strategy<Value = v1::Acl> {
    (select(&ACLS[..2]), prop::collection::vec(any_rule(), 0..4))
        .prop_map(|(name, rules)| v1::Acl { name: name.into(), rules })
}

fn any_group() -> impl Strategy<Value = v1::AddressGroup> {
    (select(&["clients", "all"][..]), prop::sample::subsequence(PREFIXES.to_vec(), 0..4))
        .prop_map(|(name, prefixes)| v1::AddressGroup { name: name.into(), ..group(&prefixes) })
}
