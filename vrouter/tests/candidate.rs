//! Networks that no daemon has, held against expectations: what holds holds, and each thing that does not is told.

use vrouter::api::expect::Expectations;
use vrouter::candidate::{Bed, Candidate, Coverage, Tested, What, check, junit, tap};

#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

/// The host: what staging and production differ in.
const UNDERLAY: &str = "\
settings: {underlay_vrf: underlay, vtep: 172.31.0.1}
vrfs: [{name: underlay, flows: off}]
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [172.31.0.1], subnets: [172.31.0.0/24]}
routes: [{vrf: underlay, prefix: 0.0.0.0/0, via: {gateway: 172.31.0.254}}]
";

/// Tenants: red's web servers may ask its database, and who is in blue is nobody to red.
const TENANTS: &str = r#"
acls:
  - name: db
    rules:
      - {name: ask, action: permit, protocol: tcp, source: {group: webs}, destination_ports: 5432}
      - {name: ping, action: permit, protocol: icmp}
      - {action: deny, protocol: udp}
  - {name: through, rules: [{action: permit, protocol: udp, destination_ports: 53, redirect: {vif: fw}}, {action: permit}]}
groups: [{name: webs, prefixes: [10.1.1.11/32, 10.1.1.12/32, "fd01::11/128"]}]
vrfs: [{name: red}, {name: blue}, {name: svc}]
bridges: [{name: lan, vrf: red}]
vifs:
  - {name: web1, port: p1, vrf: red, mac: "02:00:00:00:00:11", addresses: [10.1.1.11, "fd01::11"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: web2, port: p2, vrf: red, mac: "02:00:00:00:00:12", addresses: [10.1.1.12], gateway_v4: 10.1.1.1, bridge: lan, acl_from_vif: through}
  - {name: db1, port: p3, vrf: red, mac: "02:00:00:00:00:13", addresses: [10.1.1.13, "fd01::13"], gateway_v4: 10.1.1.1, acl_to_vif: db}
  - {name: near, port: p4, vrf: red, mac: "02:00:00:00:00:14", addresses: [10.1.1.14], gateway_v4: 10.1.1.1, bridge: lan, vlan: 7, inner_vlan: 8}
  - {name: blue1, port: p5, vrf: blue, mac: "02:00:00:00:00:15", addresses: [10.1.1.15], gateway_v4: 10.1.1.1}
  - {name: fw, port: p6, vrf: svc, mac: "02:00:00:00:00:16", addresses: [10.8.0.16], gateway_v4: 10.8.0.1, spoofing_allowed: true, service: true}
routes:
  - {vrf: red, prefix: 10.1.2.0/24, via: {vxlan: {remote: 172.31.9.2, vni: 100, mac: "02:ac:1f:09:02:01"}}}
  - {vrf: red, prefix: 10.1.3.0/24, drop: true}
vnis: [{vni: 100, vrf: red}]
"#;

/// Who begins nothing, and may be asked.
const LOG: &str = r#"
acls: [{name: quiet}]
vrfs: [{name: empty}]
vifs:
  - {name: log, port: p7, vrf: red, mac: "02:00:00:00:00:17", addresses: [10.1.1.17], gateway_v4: 10.1.1.1, acl_from_vif: quiet}
"#;

fn files() -> Vec<(String, String)> {
    [("underlay.yaml", UNDERLAY), ("tenants.yaml", TENANTS), ("log.yaml", LOG)]
        .map(|(name, text)| (name.into(), text.into()))
        .into()
}

fn candidate() -> Candidate {
    Candidate::read(&files()).unwrap_or_else(|error| panic!("{error}"))
}

fn checked(text: &str) -> Vec<Tested> {
    let expectations = Expectations::parse("e.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    check(&candidate(), &expectations.expect).unwrap()
}

/// The one packet of one expectation.
fn one(expectation: &str) -> Tested {
    let mut tests = checked(&format!("expect: [{expectation}]"));
    assert_eq!(tests.len(), 1, "{expectation}");
    tests.remove(0)
}

const HOLD: &str = r#"
expect:
  - {name: web reaches the database, from: [web1, web2], to: db1, port: 5432}
  - {name: the database answers pings, from: web1, to: db1}
  - {name: blue reaches nothing in red, from_vrf: blue, to_vrf: red, result: drop}
  - {from: web1, to: "fd01::13", port: 5432}
  - {from: web1, source: "fd01::11", to: db1, port: 80, result: acl_to_vif}
  - {from: web1, to: 10.1.1.1, result: local}
  - {from: web1, to: 10.1.2.9, protocol: udp, port: 9, remote: 172.31.9.2}
  - {name: 1500 bytes are fragmented, from: web1, to: 10.1.2.9, protocol: udp, port: 9, length: 1500, pieces: 2}
  - {from: web1, to: 10.1.2.9, protocol: udp, port: 9, length: 1500, dont_fragment: true, result: mtu_exceeded}
  - {from: web1, to: 10.1.3.1, result: route_drop}
  - {from: web1, to: 10.9.9.9, result: no_route}
  - {from: web1, source: 10.1.1.99, to: db1, port: 5432, result: source_spoofed}
  - {name: names are looked up by way of the firewall, from: web2, to: web1, protocol: udp, port: 53, leaves_by: fw, reply_leaves_by: web2}
  - {name: within the bridge, from: [web2, near], to: [near, web2], protocol: udp, port: 7}
  - {name: a station that there is not, from: web2, to: 10.1.1.99, mac: "02:00:00:00:00:99", result: unknown_unicast}
  - {name: a far web asks the database, from_tunnel: red, source: 10.1.2.9, to: db1, port: 5432, result: acl_to_vif}
  - {name: a far host pings, from_tunnel: red, source: 10.1.2.9, to: web1, leaves_by: web1}
  - {name: who begins nothing answers, from_tunnel: red, source: 10.1.2.9, to: log, port: 514}
  - {from: web1, to: log, port: 514}
  - {from: log, to: web1, port: 514, result: acl_from_vif}
  - {name: answers alone are not let in, from: db1, to: web2, protocol: tcp, source_port: 5432, port: 49152}
  - {name: neither are they after a flow, from: web1, to: db1, protocol: udp, port: 9, result: acl_to_vif}
"#;

#[test]
fn what_the_network_does_is_met() {
    let checked = checked(HOLD);
    for test in &checked {
        assert!(test.holds(), "{}: {:#?}\n{:#?}", test.name, test.faults, test.steps);
    }
    assert_eq!(checked.len(), 28, "two of the first and of the bridge, five of red");
    let lines: Vec<_> = checked.iter().map(|test| test.position.line).collect();
    assert_eq!((lines[0], lines[1], lines[2]), (3, 3, 4));
}

/// Each with a part of what must be said.
const FAIL: &[(&str, &str)] = &[
    ("{from: blue1, to: db1, port: 5432}", "it is dropped (no_route) instead of forward"),
    (
        "{from: web1, to: db1, protocol: udp, port: 5432}",
        "it is dropped (acl_to_vif: acl db rule 2) instead of forward",
    ),
    ("{from: web1, to: db1, protocol: tcp, port: 80}", "it is dropped (acl_to_vif: acl db end) instead of forward"),
    ("{from: web1, to: db1, port: 5432, result: drop}", "it is forwarded by db1 instead of drop"),
    ("{from: web1, to: 10.1.3.1, result: no_route}", "it is dropped (route_drop) instead of no_route"),
    ("{from: web1, to: 10.1.1.1}", "it is for the vRouter itself instead of forward"),
    ("{from: web1, to: db1, port: 5432, leaves_by: web2}", "it is forwarded by db1 instead of by web2"),
    ("{from: web2, to: web1, protocol: udp, port: 53}", "it is forwarded by fw instead of by web1"),
    ("{from: web1, to: 10.1.2.9, remote: 172.31.9.3}", "it is forwarded to 172.31.9.2 instead of to 172.31.9.3"),
    ("{from: web1, to: 10.1.2.9, length: 1500}", "it leaves in 2 frames instead of 1"),
    ("{from: web1, to: 10.1.2.9, length: 1400, pieces: 2}", "it leaves in 1 frames instead of 2"),
    ("{from: web1, to: db1, port: 5432, reply: drop}", "its answer is forwarded by web1 instead of drop"),
    ("{from: web1, to: db1, port: 5432, reply_leaves_by: fw}", "its answer is forwarded by web1 instead of by fw"),
    ("{from: web9, to: db1}", "from: there is no VIF web9"),
    ("{from: web1, to: db9}", "to: there is no VIF db9"),
    ("{from_vrf: green, to: db1}", "from_vrf: there is no VRF green"),
    ("{from: web1, to_vrf: green}", "to_vrf: there is no VRF green"),
    ("{from_tunnel: green, source: 10.1.1.9, to: db1}", "from_tunnel: there is no VRF green"),
    ("{from: web1, to: db1, protocol: gre, port: 1}", "port: its protocol has no ports"),
    ("{from: web1, to: db1, protocol: gre, source_port: 1}", "source_port: its protocol has no ports"),
    ("{from: web1, to: db1, port: 5432, icmp_type: 8}", "icmp_type: its protocol is not ICMP"),
    ("{from: web1, to: db1, protocol: udp, icmp_code: 0}", "icmp_code: its protocol is not ICMP"),
    ("{from: web1, to: 10.1.3.1, result: drop, leaves_by: db1}", "leaves_by: only of what is to be forwarded"),
    ("{from: web1, to: 10.1.3.1, result: drop, remote: 172.31.9.2}", "remote: only of what is to be forwarded"),
    ("{from: web1, to: 10.1.3.1, result: drop, pieces: 1}", "pieces: only of what is to be forwarded"),
    ("{from: web1, to: 10.1.3.1, result: drop, reply: drop}", "reply: only of what is to be forwarded"),
    (
        "{from: web1, to: 10.1.3.1, result: drop, reply_leaves_by: db1}",
        "reply_leaves_by: only of what is to be forwarded",
    ),
    ("{from_tunnel: red, source: 10.1.2.9, to: web1, pieces: 1}", "pieces: what comes out of a tunnel is explained"),
    (
        "{from_tunnel: red, source: 10.1.2.9, to: web1, mac: \"02:00:00:00:00:11\"}",
        "mac: what comes out of a tunnel is explained",
    ),
    (
        "{from_tunnel: red, source: 10.1.2.9, to: web1, reply_leaves_by: web1}",
        "reply_leaves_by: what comes out of a tunnel is",
    ),
    ("{from: web1, to: web1}", "it is about no packet"),
    ("{from_vrf: empty, to: db1, result: drop}", "it is about no packet"),
    ("{from: web1, from_vrf: red, to: db1}", "exactly one of from, from_vrf and from_tunnel"),
    ("{to: db1}", "exactly one of from, from_vrf and from_tunnel"),
    ("{from: web1}", "exactly one of to and to_vrf"),
    ("{from: web2, to: \"fd01::13\"}", "neither end has an address of the other one's family"),
    ("{from_tunnel: red, to: db1}", "neither end has an address of the other one's family"),
];

#[test]
fn what_it_does_not_is_told() {
    for (expectation, wanted) in FAIL {
        let test = one(expectation);
        assert!(test.faults.iter().any(|fault| fault.contains(wanted)), "{expectation}: {:?}", test.faults);
    }
}

#[test]
fn what_an_expectation_did_is_gone_for_the_next_one() {
    // what comes back is let in by the flow alone
    let asked = "{from: db1, to: web1, protocol: udp, port: 9, source_port: 1000}";
    let back = "{from: web1, to: db1, protocol: udp, source_port: 9, port: 1000, result: acl_to_vif}";
    let tests = checked(&format!("expect: [{asked}, {back}, {asked}]"));
    assert!(tests.iter().all(Tested::holds), "{:#?}", tests.iter().map(|test| &test.faults).collect::<Vec<_>>());
    let met = |limit: &str| {
        let text = TENANTS.replace("name: db1,", &format!("name: db1, quota: {{flows: {limit}}},"));
        let candidate = Candidate::read(&[files()[0].clone(), ("t.yaml".into(), text)]).unwrap();
        let many = format!("expect: [{}]", [asked; 200].join(", "));
        let tests = check(&candidate, &Expectations::parse("e.yaml", &many).unwrap().expect).unwrap();
        tests.iter().filter(|test| test.holds()).count()
    };
    assert_eq!(met("1"), 200);
}

#[test]
fn a_thousand_expectations_are_one_sitting() {
    let many: Vec<_> = (0..1000)
        .map(|at| format!("{{from: web1, to: db1, protocol: tcp, port: {}, result: any}}", at + 5000))
        .collect();
    let checked = checked(&format!("expect: [{}]", many.join(", ")));
    assert_eq!(checked.iter().filter(|test| test.holds()).count(), 1000);
    let permitted = checked.iter().filter(|test| test.steps.iter().any(|step| step.object.contains("rule 0 (ask)")));
    assert_eq!(permitted.count(), 1, "the port of the ACL");
}

#[test]
fn rules_and_routes_that_decided_are_told_from_those_that_did_not() {
    let items = |text: &str| {
        let items = Coverage::of(&checked(text)).items(&candidate());
        let mut touched: Vec<_> = items.iter().filter(|item| item.is_touched).map(|item| item.text.clone()).collect();
        touched.sort();
        (items, touched)
    };
    let (all, touched) = items("expect: [{from: web1, to: db1, port: 5432}, {from: web1, to: 10.1.2.9}]");
    assert_eq!(touched, ["acl db rule 0 (ask)", "route 10.1.2.0/24 in vrf red"]);
    let count = |what| all.iter().filter(|item| item.what == what).count();
    assert_eq!((count(What::Rule), count(What::Route)), (5, 3));
    let place = |text: &str| all.iter().find(|item| item.text == text).unwrap().place.clone();
    assert_eq!(place("acl db rule 2"), "tenants.yaml:7:9");
    assert!(place("route 10.1.3.0/24 in vrf red").starts_with("tenants.yaml:"));
    // the ACL's end is no rule; the answer's way counts
    assert_eq!(items("expect: [{from: web1, to: db1, protocol: tcp, port: 80, result: drop}]").1, [""; 0]);
    let far = "expect: [{from_tunnel: red, source: 10.1.2.9, to: web1, leaves_by: web1}]";
    assert_eq!(items(far).1, ["route 10.1.2.0/24 in vrf red"]);
}

#[test]
fn a_network_that_a_daemon_refused_is_refused_where_it_is_wrong() {
    let wrong = |from: &str, to: &str| {
        let text = TENANTS.replacen(from, to, 1);
        assert_ne!(text, TENANTS, "{from}");
        let error = Candidate::read(&[files()[0].clone(), ("tenants.yaml".into(), text)]).err();
        error.map(|error| error.to_string()).unwrap_or_else(|| panic!("{to} was taken"))
    };
    let refused = wrong("acl_to_vif: db", "acl_to_vif: bd");
    assert!(refused.starts_with("tenants.yaml:15:5: vif db1: acl_to_vif: "), "{refused}");
    let refused = wrong("vrf: red, prefix: 10.1.3.0/24", "vrf: rde, prefix: 10.1.3.0/24");
    assert!(refused.starts_with("tenants.yaml:21:5: route"), "{refused}");
    let refused = wrong("protocol: icmp", "protocol: ipmc");
    assert!(refused.starts_with("tenants.yaml:6:") && refused.contains("ipmc"), "{refused}");
    let refused = wrong("port: p5, vrf: blue", "port: p1, vrf: blue");
    assert!(refused.starts_with("tenants.yaml:"), "{refused}");
}

#[test]
fn reports_for_programs_say_each_test_and_each_fault() {
    let text = "expect:\n- {name: \"a < b & \\\"c\\\" #1\", from: web1, to: db1, port: 5432}\n- {from: blue1, to: db1, port: 5432}\n";
    let checked = checked(text);
    let tests: Vec<_> = checked.iter().map(|test| ("e.yaml", test)).collect();
    let candidate = candidate();
    let tap = tap(&candidate, &tests);
    assert!(
        tap.starts_with(
            "TAP version 13\n1..2\nok 1 - a < b & \"c\" \\#1\nnot ok 2 - blue1 to db1 by tcp/5432: forward\n  ---\n"
        ),
        "{tap}"
    );
    assert!(
        tap.contains("at: \"e.yaml:3:3\"") && tap.contains("dropped (no_route)") && tap.ends_with("  ...\n"),
        "{tap}"
    );
    assert!(tap.contains("route: vrf blue: no route to 10.1.1.13 (tenants.yaml:10:21)"), "{tap}");
    let junit = junit(&candidate, &tests);
    assert!(junit.contains("no route to 10.1.1.13 (tenants.yaml:10:21)"), "{junit}");
    assert!(junit.contains("<testsuites tests=\"2\" failures=\"1\">"), "{junit}");
    assert!(junit.contains("name=\"a &lt; b &amp; &quot;c&quot; #1\""), "{junit}");
    assert!(junit.contains("line=\"3\">") && junit.contains("<failure message=\"it is dropped (no_route)"), "{junit}");
}

#[test]
fn a_bed_without_flows_explains() {
    use vrouter::api::v1;
    let candidate = candidate();
    let bed = Bed::new(&candidate).unwrap();
    let request = v1::ExplainRequest {
        source: vec![10, 1, 1, 11],
        destination: vec![10, 1, 2, 9],
        protocol: 17,
        place: Some(v1::explain_request::Place::Vif("web1".into())),
        ..v1::ExplainRequest::default()
    };
    let reply = bed.explain(&request).unwrap();
    assert_eq!((reply.verdict.as_str(), reply.exit_tunnel_vrf.as_str()), ("forward", "red"));
    assert_eq!((reply.remote, reply.exit_vif.as_str()), (vec![172, 31, 9, 2], ""));
    let route = reply.steps.iter().find(|step| step.name == "route").unwrap();
    let prefix = route.prefix.clone().unwrap();
    assert_eq!((route.vrf.as_str(), prefix.address, prefix.length), ("red", vec![10, 1, 2, 0], 24));
    let nowhere = bed.explain(&v1::ExplainRequest { place: None, ..request });
    assert!(nowhere.unwrap_err().starts_with("place:"));
}

/// Projects: a policy for both ends, one for a prefix, and what is without any.
const SHOP: &str = "\
projects:
  - name: shop
    networks:
      - {name: web, pools: [{prefix: 10.1.1.0/24}]}
      - {name: db, pools: [{prefix: 10.1.2.0/24}]}
    tags: [{name: base}]
    interfaces:
      - {name: web1, network: web, addresses: [10.1.1.11]}
      - {name: web2, network: web, addresses: [10.1.1.12]}
      - {name: db1, network: db, addresses: [10.1.2.11], tags: [base]}
    policies:
      - {name: not, from: {prefix: 10.1.1.12/32}, action: deny}
      - name: ask
        from: {network: web}
        to: {tag: base}
        protocol: tcp
        ports: 5432
";

/// Where what decided stands, step by step: name, object, file and line.
fn stands(files: &[(&str, &str)], from: &str, to: &str, port: u16) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let candidate = Candidate::read(&files).unwrap_or_else(|error| panic!("{error}"));
    let text = format!("expect: [{{from: {from}, to: {to}, protocol: tcp, port: {port}, result: any}}]");
    let expectations = Expectations::parse("e.yaml", &text).unwrap();
    let tested = check(&candidate, &expectations.expect).unwrap().remove(0);
    let line = |step| {
        let at = candidate.stands(step)?;
        Some(format!("{} {}:{}", step.name, candidate.files()[at.file].0, at.position.line))
    };
    tested.steps.iter().filter_map(line).collect()
}

#[test]
fn what_decided_is_told_by_file_and_line() {
    let files: Vec<_> = [("underlay.yaml", UNDERLAY), ("tenants.yaml", TENANTS), ("log.yaml", LOG)].into();
    let of = |from: &str, to: &str, port| stands(&files, from, to, port);
    // the VIF, its route, and the rule in its ACL
    let asked = of("web1", "db1", 5432);
    assert_eq!(asked[..3], ["anti_spoofing tenants.yaml:13", "route tenants.yaml:15", "acl_to_vif tenants.yaml:5"]);
    // the end of an ACL is where the ACL stands
    assert_eq!(of("web1", "db1", 80)[2], "acl_to_vif tenants.yaml:3");
    assert_eq!(of("log", "web1", 514).last().unwrap(), "acl_from_vif log.yaml:2");
    // a route of a file, and the VRF where there is none
    assert_eq!(of("web1", "10.1.3.1", 80)[1..], ["route tenants.yaml:21"]);
    assert_eq!(of("web1", "10.9.9.9", 80)[1..], ["route tenants.yaml:10"]);
    // a route that another one is preferred to
    let two = format!("{TENANTS}neighbours: []\n").replacen(
        "  - {vrf: red, prefix: 10.1.3.0/24, drop: true}\n",
        "  - {vrf: red, prefix: 10.1.3.0/24, drop: true, owner: a}\n  - {vrf: red, prefix: 10.1.3.0/24, drop: true, preference: 200, owner: b}\n",
        1,
    );
    let files = [("underlay.yaml", UNDERLAY), ("tenants.yaml", &two)];
    assert_eq!(stands(&files, "web1", "10.1.3.1", 80)[1..], ["route tenants.yaml:22"]);
}

#[test]
fn what_a_project_decided_is_told_by_its_policy_s_line() {
    let of = |from: &str, port| stands(&[("shop.yaml", SHOP)], from, "shop.db1", port);
    let asked = of("shop.web1", 5432);
    let want = [
        "anti_spoofing shop.yaml:8", // the interface
        "route shop.yaml:4",         // of the network to the other one
        "route shop.yaml:10",
        "acl_vrf shop.yaml:13",
        "acl_vrf shop.yaml:13",
    ];
    assert_eq!(asked[..5], want, "{asked:?}");
    assert_eq!(of("shop.web2", 5432).last().unwrap(), "acl_vrf shop.yaml:12");
    // nothing fits: the network's end
    assert_eq!(of("shop.web1", 80).last().unwrap(), "acl_vrf shop.yaml:4");
}

/// A file and what is put in place of what, a packet, what it says would have to change, and what is changed then.
struct Remedy {
    packet: &'static str,
    verdict: &'static str,
    says: &'static str,
    change: (&'static str, &'static str),
    then: &'static str,
}

const REMEDIES: &[Remedy] = &[
    Remedy {
        packet: "web1 10.1.1.11 10.1.1.13 6 80",
        verdict: "acl_to_vif",
        says: "to let it pass: a rule of acl db (acl_to_vif) that permits tcp from 10.1.1.11 to 10.1.1.13 port 80",
        change: (
            "      - {action: deny, protocol: udp}\n",
            "      - {action: deny, protocol: udp}\n      - {action: permit, protocol: tcp, source: 10.1.1.11, destination: 10.1.1.13, destination_ports: 80}\n",
        ),
        then: "forward",
    },
    Remedy {
        packet: "web1 10.1.1.11 10.1.1.13 17 80",
        verdict: "acl_to_vif",
        says: "to let it pass: a rule before acl db rule 2 (acl_to_vif) that permits udp from 10.1.1.11 to 10.1.1.13 port 80",
        change: (
            "      - {action: deny, protocol: udp}\n",
            "      - {action: permit, protocol: udp, source: 10.1.1.11, destination: 10.1.1.13, destination_ports: 80}\n      - {action: deny, protocol: udp}\n",
        ),
        then: "forward",
    },
    Remedy {
        packet: "web1 10.1.1.11 10.1.1.13 6 5432",
        verdict: "forward",
        says: "to have it dropped: without acl db rule 0 (ask) it is acl db end that denies",
        change: (
            "      - {name: ask, action: permit, protocol: tcp, source: {group: webs}, destination_ports: 5432}\n",
            "",
        ),
        then: "acl_to_vif",
    },
    Remedy {
        packet: "web1 10.1.1.11 10.1.2.9 6 80",
        verdict: "forward",
        says: "to have it dropped: no ACL judges it yet",
        change: ("name: web1,", "name: web1, acl_from_vif: db,"),
        then: "acl_from_vif",
    },
    Remedy {
        packet: "web2 10.1.1.12 10.1.1.11 17 53",
        verdict: "forward",
        says: "to have it dropped: not acl through rule 0 alone, acl through rule 1 permits it too",
        change: (
            "{action: permit, protocol: udp, destination_ports: 53, redirect: {vif: fw}}, {action: permit}",
            "{action: permit, protocol: tcp}",
        ),
        then: "acl_from_vif",
    },
    Remedy {
        packet: "web1 10.1.1.11 10.9.9.9 6 80",
        verdict: "no_route",
        says: "to let it pass: a route of vrf red to 10.9.9.9",
        change: ("prefix: 10.1.2.0/24", "prefix: 10.9.9.9/32"),
        then: "forward",
    },
    Remedy {
        packet: "web1 10.1.1.11 10.1.3.1 6 80",
        verdict: "route_drop",
        says: "to let it pass: the route 10.1.3.0/24 of vrf red another way, or one that is more specific",
        change: ("prefix: 10.1.2.0/24", "prefix: 10.1.3.1/32"),
        then: "forward",
    },
    Remedy {
        packet: "web1 10.1.1.99 10.1.1.12 6 80",
        verdict: "source_spoofed",
        says: "to let it pass: 10.1.1.99 among addresses or allowed_sources of vif web1, or spoofing_allowed there",
        change: ("name: web1,", "name: web1, allowed_sources: [10.1.1.99/32],"),
        then: "forward",
    },
];

#[test]
fn what_would_have_to_change_is_said_and_does_it() {
    use vrouter::api::v1;
    let explained = |tenants: &str, packet: &str| {
        let candidate = Candidate::read(&[files()[0].clone(), ("t.yaml".into(), tenants.into())]).unwrap();
        let [vif, source, destination, protocol, port] = packet.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{packet}")
        };
        let bytes = |address: &str| address.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec();
        let request = v1::ExplainRequest {
            source: bytes(source),
            destination: bytes(destination),
            protocol: protocol.parse().unwrap(),
            source_port: 1000,
            destination_port: port.parse().unwrap(),
            place: Some(v1::explain_request::Place::Vif(vif.into())),
            ..v1::ExplainRequest::default()
        };
        Bed::new(&candidate).unwrap().explain(&request).unwrap()
    };
    for Remedy { packet, verdict, says, change: (from, to), then } in REMEDIES {
        let reply = explained(TENANTS, packet);
        assert_eq!((reply.verdict.as_str(), reply.remedy.as_str()), (*verdict, *says), "{packet}");
        let tenants = TENANTS.replacen(from, to, 1);
        assert_ne!(tenants, TENANTS, "{packet}");
        assert_eq!(explained(&tenants, packet).verdict, *then, "{packet}");
    }
    let beyond = Candidate::read(&files()).unwrap();
    let big = v1::ExplainRequest {
        source: vec![10, 1, 1, 11],
        destination: vec![10, 1, 2, 9],
        protocol: 17,
        length: 1500,
        place: Some(v1::explain_request::Place::Vif("web1".into())),
        ..v1::ExplainRequest::default()
    };
    let bed = Bed::new(&beyond).unwrap();
    let ask = |request: v1::ExplainRequest| bed.explain(&request).unwrap();
    let says = "to let it pass: a packet of at most 1450 bytes, or one that may be cut (IPv4 without Don't Fragment)";
    assert_eq!(ask(big.clone()).remedy, says);
    assert_eq!(ask(v1::ExplainRequest { length: 1450, ..big.clone() }).verdict, "forward");
    assert_eq!(ask(v1::ExplainRequest { may_be_cut: true, ..big.clone() }).verdict, "forward");
    let mac = |from: [u8; 6]| v1::ExplainRequest {
        destination_mac: vec![0, 0, 0x5e, 0, 1, 0],
        source_mac: from.to_vec(),
        length: 64,
        ..big.clone()
    };
    let spoofed = ask(mac([2, 0, 0, 0, 0, 0x99]));
    assert_eq!(
        (spoofed.verdict.as_str(), ask(mac([2, 0, 0, 0, 0, 0x11])).verdict.as_str()),
        ("mac_spoofed", "forward")
    );
    assert_eq!(spoofed.remedy, "to let it pass: spoofing_allowed at vif web1, or its guest's own MAC");
}
