//! What projects are expanded into, and what is refused where.

use super::super::{Files, Network};
use super::pools::{Pool, hash, overlap};
use super::sections;
use crate::api::position::FileError;
use crate::api::text::Prefix;

/// Two networks, tags, a policy between them, a database on another host.
const TENANTS: &str = "
projects:
  - name: acme
    domain: retail
    quota: {flows: 1000}
    networks:
      - {name: web, pools: [{prefix: 10.1.1.0/24}], vni: 100}
      - {name: data, pools: [{prefix: 10.1.2.0/24, gateway: 10.1.2.254}, {prefix: 'fd01::/64'}]}
    tags:
      - {name: front}
      - {name: office, prefixes: [10.9.0.0/16]}
    interfaces:
      - {name: web1, network: web, mac: 02:00:00:00:00:11, addresses: [10.1.1.11], tags: [front], port: vm-web1}
      - {name: web2, network: web, mac: 02:00:00:00:00:12, addresses: [10.1.1.12], tags: [front]}
      - {name: db, network: data, mac: 02:00:00:00:00:13, addresses: [10.1.2.13, 'fd01::13'], mtu: 1400}
    policies:
      - {name: ask, from: {tag: front}, to: {network: data}, protocol: tcp, ports: [5432, 6000-6010]}
      - {name: from-office, from: {tag: office}, to: {network: web, tag: front}, protocol: tcp, ports: 443}
      - {name: no-more, from: {prefix: 10.1.1.12/32}, action: deny}
";
const SITE: &str = "
settings: {vtep: 192.0.2.1}
vnis: [{vni: 200, vrf: retail.acme.data}]
hosts:
  - {name: one, vtep: 192.0.2.1, interfaces: [{name: retail/acme/web1}, {name: retail/acme/web2, port: trunk, vlan: 7}]}
  - {name: two, vtep: 192.0.2.2, interfaces: [{name: retail/acme/db, port: vm-db}]}
  - {name: gateway, vtep: 192.0.2.9}
";

/// What it says, without defaults, of the host `one`.
const PLAIN: &str = "
settings: {vtep: 192.0.2.1, tenant_quotas: [{tenant: retail/acme, quota: {flows: 1000}}]}
vnis: [{vni: 200, vrf: retail.acme.data}, {vni: 100, vrf: retail.acme.web}]
vrfs:
  - {name: retail.acme.data, tenant: retail/acme, acl: retail.acme.data, allowed_vteps: [192.0.2.2, 192.0.2.9]}
  - {name: retail.acme.web, tenant: retail/acme, acl: retail.acme.web, allowed_vteps: [192.0.2.2, 192.0.2.9]}
vifs:
  - {name: retail.acme.web1, port: vm-web1, vrf: retail.acme.web, mac: 02:00:00:00:00:11, addresses: [10.1.1.11], gateway_v4: 10.1.1.1}
  - {name: retail.acme.web2, port: trunk, vlan: 7, vrf: retail.acme.web, mac: 02:00:00:00:00:12, addresses: [10.1.1.12], gateway_v4: 10.1.1.1}
routes:
  - {vrf: retail.acme.data, prefix: 10.1.2.13/32, via: {vxlan: {remote: 192.0.2.2, vni: 200, mac: 02:c0:00:02:02:01}}}
  - {vrf: retail.acme.data, prefix: 'fd01::13/128', via: {vxlan: {remote: 192.0.2.2, vni: 200, mac: 02:c0:00:02:02:01}}}
  - {vrf: retail.acme.data, prefix: 10.1.1.0/24, via: {vrf: retail.acme.web}}
  - {vrf: retail.acme.web, prefix: 10.1.2.0/24, via: {vrf: retail.acme.data}}
  - {vrf: retail.acme.web, prefix: 'fd01::/64', via: {vrf: retail.acme.data}}
groups:
  - {name: retail.acme.network.data, prefixes: [10.1.2.0/24, 'fd01::/64']}
  - {name: retail.acme.tagged.data}
  - {name: retail.acme.network.web, prefixes: [10.1.1.0/24]}
  - {name: retail.acme.tagged.web, prefixes: [10.1.1.11/32, 10.1.1.12/32]}
  - {name: retail.acme.tag.front, prefixes: [10.1.1.11/32, 10.1.1.12/32]}
  - {name: retail.acme.tag.office, prefixes: [10.9.0.0/16]}
  - {name: retail.acme.network.web.tag.front, prefixes: [10.1.1.11/32, 10.1.1.12/32]}
acls:
  - name: retail.acme.data
    rules:
      - {name: policy ask, action: permit, protocol: tcp, source: {group: retail.acme.tag.front}, destination: {group: retail.acme.network.data}, destination_ports: [5432, 6000-6010]}
      - {name: policy from-office, action: permit, protocol: tcp, source: {group: retail.acme.tag.office}, destination: {group: retail.acme.network.web.tag.front}, destination_ports: 443}
      - {name: policy no-more, action: deny, source: 10.1.1.12/32}
      - {name: tagged, action: deny, destination: {group: retail.acme.tagged.data}}
      - {name: within, action: permit, source: {group: retail.acme.network.data}, destination: {group: retail.acme.network.data}}
  - name: retail.acme.web
    rules:
      - {name: policy ask, action: permit, protocol: tcp, source: {group: retail.acme.tag.front}, destination: {group: retail.acme.network.data}, destination_ports: [5432, 6000-6010]}
      - {name: policy from-office, action: permit, protocol: tcp, source: {group: retail.acme.tag.office}, destination: {group: retail.acme.network.web.tag.front}, destination_ports: 443}
      - {name: policy no-more, action: deny, source: 10.1.1.12/32}
      - {name: tagged, action: deny, destination: {group: retail.acme.tagged.web}}
      - {name: within, action: permit, source: {group: retail.acme.network.web}, destination: {group: retail.acme.network.web}}
";

fn merged(texts: &[&str]) -> Result<Network, FileError> {
    let named = ["site.yaml", "tenants.yaml", "more.yaml"].into_iter().zip(texts);
    let named: Vec<_> = named.map(|(name, text)| (name.to_owned(), (*text).to_owned())).collect();
    Files::parse(&named)?.merged()
}

/// Each kind's objects, in any order.
fn sorted(network: &Network) -> Vec<String> {
    let mut all: Vec<_> = network.changes().unwrap().iter().map(|(change, _)| format!("{change:?}")).collect();
    all.sort();
    all
}

fn told(network: &Network) -> String {
    serde_saphyr::to_string(network).unwrap()
}

#[test]
fn projects_are_plain_objects() {
    let made = merged(&[SITE, TENANTS]).unwrap();
    let wanted = Network::parse("plain.yaml", PLAIN).unwrap();
    for (made, wanted) in sorted(&made).iter().zip(&sorted(&wanted)) {
        assert_eq!(made, wanted);
    }
    assert_eq!(sorted(&made).len(), sorted(&wanted).len(), "{}", told(&made));
    // and the same again in another order of files
    assert_eq!(sorted(&made), sorted(&merged(&[TENANTS, SITE]).unwrap()));
    // one file of both, as in the daemon's configuration; and what is plain already
    let one = Network::parse("one.yaml", &[SITE, TENANTS].concat()).unwrap();
    assert_eq!(sorted(&made), sorted(&one));
    assert_eq!(made.expanded().unwrap(), made);
}

#[test]
fn the_other_host_has_the_other_interfaces() {
    let two = SITE.replace("settings: {vtep: 192.0.2.1}", "settings: {vtep: 192.0.2.2}");
    let made = merged(&[&two, TENANTS]).unwrap();
    let vifs: Vec<_> = made.vifs.iter().map(|vif| (vif.name.as_str(), vif.port.as_str(), vif.mtu)).collect();
    assert_eq!(vifs, [("retail.acme.db", "vm-db", Some(1400))]);
    assert_eq!(made.vifs[0].gateway_v4, Some("10.1.2.254".parse().unwrap()));
    assert_eq!(made.vifs[0].gateway_v6, Some("fd01::1".parse().unwrap()));
    let routes: Vec<_> = made
        .routes
        .iter()
        .map(|route| (route.vrf.as_str(), route.prefix.to_string(), route.via.vxlan.as_ref().map(|to| to.vni)))
        .collect();
    let wanted = [
        ("retail.acme.web", "10.1.1.11/32", Some(100)),
        ("retail.acme.web", "10.1.1.12/32", Some(100)),
        ("retail.acme.data", "10.1.1.0/24", None),
        ("retail.acme.web", "10.1.2.0/24", None),
        ("retail.acme.web", "fd01::/64", None),
        // what passes between the two is carried in the first one
        ("retail.acme.data", "10.1.1.11/32", Some(200)),
        ("retail.acme.data", "10.1.1.12/32", Some(200)),
    ];
    assert_eq!(routes, wanted.map(|(vrf, prefix, vni)| (vrf, prefix.to_owned(), vni)));
    // the same by a word
    let said = format!("this_host: two{SITE}");
    assert_eq!(merged(&[&said, TENANTS]).unwrap().vifs, made.vifs);
}

#[test]
fn without_hosts_all_are_here() {
    let alone = merged(&["settings: {}", TENANTS]).unwrap();
    let ports: Vec<_> = alone.vifs.iter().map(|vif| vif.port.as_str()).collect();
    assert_eq!(ports, ["retail.acme.db", "vm-web1", "retail.acme.web2"]);
    assert!(alone.routes.iter().all(|route| route.via.vrf.is_some()), "{}", told(&alone));
    assert!(alone.vrfs.iter().all(|vrf| vrf.allowed_vteps.is_empty()));
    // one that no host has is nowhere
    let nowhere = SITE.replace("{name: retail/acme/web1}, ", "");
    let made = merged(&[&nowhere, TENANTS]).unwrap();
    assert_eq!(made.vifs.len(), 1);
    assert_eq!(made.groups, merged(&[SITE, TENANTS]).unwrap().groups);
}

#[test]
fn a_change_of_tags_changes_groups_alone() {
    let plain = |text: &str| sorted(&merged(&[SITE, text]).unwrap());
    let before = plain(TENANTS);
    for (from, to, groups) in [
        ("tags: [front]}", "tags: [front, office]}", 1),
        (", tags: [front]}", "}", 3),
        ("prefixes: [10.9.0.0/16]", "prefixes: [10.9.0.0/16, 10.8.0.0/16]", 1),
        (", tags: [front], port", ", port", 3),
    ] {
        let after = plain(&TENANTS.replacen(from, to, 1));
        assert_eq!(before.len(), after.len());
        let changed: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
        assert!(changed.iter().all(|one| one.contains("Group(")), "{changed:#?}");
        assert_eq!(changed.len(), groups, "{from}: {changed:#?}");
    }
}

/// Each with the place and a part of what must be said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("name: acme", "name: a.b", "tenants.yaml:3:5: project retail/a.b: name: \"a.b\" is no name"),
    ("{name: web,", "{name: data,", "tenants.yaml:8:9: project retail/acme: network data: is already there, at line 7"),
    (", pools: [{prefix: 10.1.1.0/24}]", ", pools: []", "network web: pools: is empty"),
    (
        "10.1.1.0/24",
        "10.1.0.0/16",
        "7:9: project retail/acme: network web: pools[0].prefix: overlaps with pool 10.1.2.0/24 of network data",
    ),
    ("gateway: 10.1.2.254", "gateway: 10.1.3.254", "pools[0].gateway: 10.1.3.254 is not an address of 10.1.2.0/24"),
    ("gateway: 10.1.2.254", "gateway: 10.1.2.255", "pools[0].gateway: 10.1.2.255 is not an address"),
    ("gateway: 10.1.2.254", "exclude: [10.1.3.0/28]", "pools[0].exclude: 10.1.3.0/28 is not in the pool"),
    (
        "network: data, mac",
        "network: dta, mac",
        "tenants.yaml:15:9: project retail/acme: interface db: network: there is no network dta, did you mean data?",
    ),
    (
        "addresses: [10.1.1.11]",
        "addresses: [10.1.3.11]",
        "interface web1: addresses: 10.1.3.11 is in no pool of network web",
    ),
    ("addresses: [10.1.1.11]", "addresses: [10.1.1.1]", "10.1.1.1 is no interface's"),
    (
        "addresses: [10.1.1.11]",
        "addresses: [10.1.1.12]",
        "interface web2: addresses: 10.1.1.12 is that of interface web1",
    ),
    ("02:00:00:00:00:12", "02:00:00:00:00:11", "interface web2: mac: 02:00:00:00:00:11 is that of interface web1"),
    (
        "tags: [front]}",
        "tags: [fornt]}",
        "tenants.yaml:14:9: project retail/acme: interface web2: tags: there is no tag fornt, did you mean front?",
    ),
    (
        "from: {tag: front}",
        "from: {tag: backend}",
        "tenants.yaml:17:9: project retail/acme: policy ask: from.tag: there is no tag backend",
    ),
    (
        "to: {network: data}",
        "to: {network: date}",
        "policy ask: to.network: there is no network date, did you mean data?",
    ),
    ("name: no-more", "name: ask", "tenants.yaml:19:9: project retail/acme: policy ask: is already there, at line 17"),
    (
        "{prefix: 10.1.1.12/32}",
        "{prefix: 10.1.1.12/32, tag: front}",
        "policy no-more: from.prefix: a prefix stands alone",
    ),
    (
        "{prefix: 10.1.1.12/32}, action",
        "{prefix: 10.1.1.12/32}, protocol: icmpv6, action",
        "policy no-more: from.prefix: both prefixes",
    ),
    ("protocol: tcp, ports: 443", "ports: 443", "policy from-office: ports: needs protocol tcp"),
    ("protocol: tcp, ports: 443", "protocol: tcp, icmp_type: 8", "policy from-office: icmp_type: needs protocol icmp"),
    ("protocol: tcp, ports: 443", "chain: fw", "policy from-office: chain: there is no chain fw"),
];

#[test]
fn what_is_wrong_is_refused_where_it_stands() {
    for (from, to, want) in WRONG {
        let text = TENANTS.replacen(from, to, 1);
        assert_ne!(text, TENANTS, "{from}");
        let error = merged(&[SITE, &text]).err().unwrap_or_else(|| panic!("{to} was taken")).to_string();
        assert!(error.starts_with("tenants.yaml:") && error.contains(want), "{error}\nnot\n{want}");
    }
    for (from, to, want) in [
        (
            "retail/acme/web1",
            "retail/acme/web9",
            "site.yaml:5:47: host one: interfaces: there is no interface retail/acme/web9, did you mean",
        ),
        (
            "name: retail/acme/db",
            "name: retail/acme/web1",
            "host two: interfaces: interface retail/acme/web1 is already on host one",
        ),
        (
            "settings: {vtep: 192.0.2.1}",
            "settings: {vtep: 192.0.2.3}",
            "no host has the VTEP of `settings`: say which one",
        ),
        (
            "settings: {vtep: 192.0.2.1}",
            "this_host: tow",
            "site.yaml:2:12: this_host: there is no host tow, did you mean two?",
        ),
        (
            "settings: {vtep: 192.0.2.1}",
            "this_host: one",
            "tenants.yaml:3:5: project retail/acme: quota: needs `settings`",
        ),
        (
            "vnis: [{vni: 200, vrf: retail.acme.data}]",
            "",
            "tenants.yaml:8:9: project retail/acme: network data: vni: is needed by tunnels to host two",
        ),
        (
            "vtep: 192.0.2.2,",
            "vtep: 192.0.2.2, encap: mpls_gre,",
            "network data: label: is needed by tunnels to host two",
        ),
        ("vtep: 192.0.2.9", "vtep: 'fd00::9'", "host gateway: router_mac: is needed"),
        ("name: gateway", "name: two", "host two: name: is already there"),
        (
            "settings: {vtep: 192.0.2.1}",
            "version: 2\nsettings: {vtep: 192.0.2.1}",
            "site.yaml:2:10: version: language version 2 is newer",
        ),
    ] {
        let text = SITE.replacen(from, to, 1);
        assert_ne!(text, SITE, "{from}");
        let error = merged(&[&text, TENANTS]).err().unwrap_or_else(|| panic!("{to} was taken")).to_string();
        assert!(error.contains(want), "{error}\nnot\n{want}");
    }
    let twice = merged(&[SITE, TENANTS, TENANTS]).unwrap_err().to_string();
    assert_eq!(twice, "more.yaml:3:5: project retail/acme: name: is already there, in another file");
}

#[test]
fn a_name_alone_gives_an_address_and_a_mac() {
    let project = |interfaces: &str| {
        format!(
            "projects: [{{name: p, networks: [{{name: n, pools: [{{prefix: 10.0.0.0/16}}, {{prefix: 'fd01::/64'}}]}}], interfaces: [{interfaces}]}}]"
        )
    };
    let made = |interfaces: &str| merged(&[&project(interfaces)]).unwrap().vifs;
    let interface = |name: &str| format!("{{name: {name}, network: n}}");
    let one = made(&interface("a"));
    assert_eq!((one[0].addresses.len(), one[0].mac.unwrap().0[0]), (2, 2));
    // which no other one changes
    let names = ["a", "b", "c", "d", "e", "f"].map(interface);
    let many = made(&names.join(", "));
    assert_eq!(many.len(), 6);
    assert_eq!(many[0], one[0]);
    let mut turned = names.clone();
    turned.reverse();
    assert_eq!(made(&turned.join(", ")), many);
    // what is made is a promise: it must never become another
    assert_eq!((hash("", 0), hash("acme.web1", 0)), (0x7bd3144f29c0cc9e, 0xef835491bd3e86f2));
    let taken = many[1].addresses[0];
    let said = format!("{}, {{name: z, network: n, addresses: [{taken}]}}", interface("b"));
    let error = merged(&[&project(&said)]).unwrap_err().to_string();
    let want = format!(
        "interface b: addresses: its name gives it {taken}, as it does interface z: give one of them addresses, 10.0.0.2 is free"
    );
    assert!(error.ends_with(&want), "{error}");
    let full = project(&interface("a")).replace("10.0.0.0/16", "10.0.0.0/30, exclude: [10.0.0.2/32]");
    let error = merged(&[&full]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "its name gives it no address of pool 10.0.0.0/30, of which nearly all is excluded: give it addresses"
        ),
        "{error}"
    );
}

#[test]
fn pools_keep_what_is_not_an_interface_s() {
    let prefix = |text: &str| text.parse::<Prefix>().unwrap();
    let given = sections::Pool { prefix: prefix("10.0.0.0/29"), gateway: None, exclude: vec![prefix("10.0.0.2/31")] };
    let pool = Pool::of(&given).ok().unwrap();
    let usable: Vec<_> = (0..8).filter(|at| pool.is_usable([10, 0, 0, *at].into())).collect();
    assert_eq!(usable, [4, 5, 6]);
    for at in 0..100 {
        assert!(pool.is_usable(pool.by_name(&at.to_string()).unwrap()));
    }
    assert!(
        overlap(prefix("10.0.0.0/8"), prefix("10.1.0.0/16")) && overlap(prefix("10.1.0.0/16"), prefix("10.0.0.0/8"))
    );
    assert!(!overlap(prefix("10.1.0.0/16"), prefix("10.2.0.0/16")) && !overlap(prefix("0.0.0.0/0"), prefix("::/0")));
}

/// A firewall between two networks.
const CHAINED: &str = "
projects:
  - name: p
    networks:
      - {name: a, pools: [{prefix: 10.0.1.0/24}], vni: 1}
      - {name: b, pools: [{prefix: 10.0.2.0/24}], vni: 2}
    interfaces:
      - {name: a1, network: a, addresses: [10.0.1.11]}
      - {name: b1, network: b, addresses: [10.0.2.11]}
      - {name: left, network: a, addresses: [10.0.1.20]}
      - {name: right, network: b, addresses: [10.0.2.20]}
    chains:
      - {name: fw, instances: [{left: left, right: right}]}
    policies:
      - {name: through, from: {network: a}, to: {network: b}, protocol: tcp, ports: 80, chain: fw}
";
const HOSTS: &str = "
settings: {vtep: 192.0.2.1}
hosts:
  - {name: one, vtep: 192.0.2.1, interfaces: [{name: p/a1}, {name: p/left}, {name: p/right}]}
  - {name: two, vtep: 192.0.2.2, interfaces: [{name: p/b1}]}
";

#[test]
fn a_chain_is_the_redirect_of_its_policy_s_rule() {
    let made = merged(&[CHAINED]).unwrap();
    let redirects: Vec<_> = made.acls.iter().map(|acl| (acl.name.as_str(), acl.rules[0].redirect.clone())).collect();
    let left = super::super::Redirect::Vif("p.left".into());
    assert_eq!(redirects, [("p.a", Some(left)), ("p.b", None)]);
    let services: Vec<_> = made
        .vifs
        .iter()
        .filter(|vif| vif.service)
        .map(|vif| (vif.name.as_str(), vif.allowed_sources.iter().map(Prefix::to_string).collect::<Vec<_>>().join(" ")))
        .collect();
    let both = "10.0.1.0/24 10.0.2.0/24".to_owned();
    assert_eq!(services, [("p.left", both.clone()), ("p.right", both)]);
    // with several hosts the network to which it leads carries it
    let made = merged(&[HOSTS, CHAINED]).unwrap();
    let tunnels: Vec<_> = made.routes.iter().filter(|route| route.via.vxlan.is_some()).collect();
    let tunnels: Vec<_> = tunnels.iter().map(|route| (route.vrf.as_str(), route.prefix.to_string())).collect();
    assert_eq!(tunnels, [("p.b", "10.0.2.11/32".to_owned())]);
    let two = HOSTS.replace("settings: {vtep: 192.0.2.1}", "settings: {vtep: 192.0.2.2}");
    let made = merged(&[&two, CHAINED]).unwrap();
    assert!(made.acls.iter().all(|acl| acl.rules.iter().all(|rule| rule.redirect.is_none())));
    let to_a1 = made.routes.iter().find(|route| route.vrf == "p.b" && route.prefix.to_string() == "10.0.1.11/32");
    assert_eq!(to_a1.unwrap().via.vxlan.as_ref().map(|to| to.vni), Some(2));
}

#[test]
fn a_chain_that_cannot_be_is_refused() {
    for (from, to, want) in [
        (
            "left: left, right",
            "left: lft, right",
            ":13:9: project p: chain fw: instances: there is no interface lft, did you mean left?",
        ),
        ("instances: [{left: left, right: right}]", "instances: []", "chain fw: instances: has no instance"),
        (
            "left: left, right: right",
            "left: left",
            "chain fw: interface left is not in network b, which policy through names",
        ),
        ("chain: fw", "chain: fww", ":15:9: project p: policy through: chain: there is no chain fww, did you mean fw?"),
        ("chain: fw", "chain: fw, action: deny", "policy through: chain: needs action permit"),
        ("from: {network: a}", "from: {prefix: 10.0.1.0/24}", "policy through: from.network: is needed with a chain"),
        ("to: {network: b}", "to: {}", "policy through: to.network: is needed with a chain"),
    ] {
        let text = CHAINED.replacen(from, to, 1);
        assert_ne!(text, CHAINED, "{from}");
        let error = merged(&[HOSTS, &text]).err().unwrap_or_else(|| panic!("{to} was taken")).to_string();
        assert!(error.starts_with("tenants.yaml:") && error.contains(want), "{error}\nnot\n{want}");
    }
    let refused = |hosts: &str, text: &str| merged(&[hosts, text]).unwrap_err().to_string();
    let split = HOSTS.replace(", {name: p/right}", "").replace("{name: p/b1}", "{name: p/b1}, {name: p/right}");
    assert!(refused(&split, CHAINED).contains("chain fw: instances: interfaces left and right are on different hosts"));
    let away = HOSTS.replace(", {name: p/left}, {name: p/right}", "");
    let away = away.replace("{name: p/b1}", "{name: p/b1}, {name: p/left}, {name: p/right}");
    let error = refused(&away, CHAINED);
    assert!(
        error.contains(
            "chain fw: has no instance on this host, where network a has interface a1 whose flows policy through sends"
        ),
        "{error}"
    );
    let cross = CHAINED
        .replace("right: right}]}", "right: right}]}\n      - {name: back, instances: [{left: right, right: left}]}");
    let cross = format!("{cross}      - {{name: other, from: {{network: b}}, to: {{network: a}}, chain: back}}\n");
    let error = refused(HOSTS, &cross);
    assert!(
        error.contains("policy other: chain: goes from network b to a, and policy through the other way"),
        "{error}"
    );
    assert!(merged(&[&cross]).is_ok(), "on one host they may");
}

#[test]
fn a_network_that_is_l2_too_has_a_bridge() {
    let text = TENANTS.replace("vni: 100}", "vni: 100, bridge: {vni: 1100, label: 1100}}");
    let two = SITE.replace("settings: {vtep: 192.0.2.1}", "this_host: two\nsettings: {}");
    let made = merged(&[&two, &text]).unwrap();
    let plain = "
bridges: [{name: retail.acme.web, vrf: retail.acme.web, ip_only: true, vteps: [{vxlan: {remote: 192.0.2.1, vni: 1100}}]}]
fdb:
  - {bridge: retail.acme.web, mac: 02:00:00:00:00:11, vxlan: {remote: 192.0.2.1, vni: 1100}, addresses: [10.1.1.11]}
  - {bridge: retail.acme.web, mac: 02:00:00:00:00:12, vxlan: {remote: 192.0.2.1, vni: 1100}, addresses: [10.1.1.12]}
labels: [{label: 1100, bridge: retail.acme.web}]
vnis: [{vni: 1100, bridge: retail.acme.web}]
";
    let plain = Network::parse("plain.yaml", plain).unwrap();
    assert_eq!((&made.bridges, &made.fdb, &made.labels), (&plain.bridges, &plain.fdb, &plain.labels));
    assert_eq!(made.vnis.last(), plain.vnis.last());
    let one = merged(&[SITE, &text]).unwrap();
    assert!(one.vifs.iter().all(|vif| vif.bridge.as_deref() == Some("retail.acme.web")) && one.fdb.is_empty());
    assert_eq!(one.bridges[0].vteps, []);
    let error = merged(&[&two, &text.replace("bridge: {vni: 1100, ", "bridge: {")]).unwrap_err().to_string();
    assert!(
        error
            .ends_with("network web: bridge.vni: is needed by tunnels to host one: give the bridge of network web one"),
        "{error}"
    );
    let within = CHAINED
        .replace("vni: 1}", "vni: 1, bridge: {}}")
        .replace("right, network: b, addresses: [10.0.2.20]", "right, network: a, addresses: [10.0.1.21]");
    let error = merged(&[&within.replace("to: {network: b}", "to: {network: a}")]).unwrap_err().to_string();
    assert!(error.contains("policy through: chain: a has a bridge, whose frames no chain takes"), "{error}");
}
