use super::*;

pub(super) fn put_rule(change: impl FnOnce(&mut v1::Rule)) -> v1::Change {
    let mut acl = web_acl();
    acl.rules.push(v1::Rule::default());
    change(&mut acl.rules[1]);
    put(Kind::Acl(acl))
}

fn put_settings(change: impl FnOnce(&mut v1::Settings)) -> v1::Change {
    let mut settings = settings();
    change(&mut settings);
    put(Kind::Settings(Box::new(settings)))
}

#[test]
fn the_settings() {
    let lifetimes = |change: fn(&mut v1::Lifetimes)| {
        let mut lifetimes = v1::Lifetimes::default();
        change(&mut lifetimes);
        put_settings(|settings| settings.lifetimes = Some(lifetimes))
    };
    let headers = |change: fn(&mut v1::TunnelHeaders)| {
        let mut headers = v1::TunnelHeaders::default();
        change(&mut headers);
        put_settings(|settings| settings.tunnel_headers = Some(headers))
    };
    let uniform = v1::HeaderModel::Uniform;
    check(vec![
        (headers(|h| h.dscp = 7), "settings", "tunnel_headers.dscp", "no model 7"),
        (headers(|h| h.mpls_ttl = 3), "settings", "tunnel_headers.mpls_ttl", "no model 3"),
        (headers(|h| h.mpls_tc = -1), "settings", "tunnel_headers.mpls_tc", "no model -1"),
        (headers(|h| h.outer_dscp = 64), "settings", "tunnel_headers.outer_dscp", "0 to 63"),
        (headers(|h| h.outer_dscp = 46), "settings", "tunnel_headers.outer_dscp", "needs dscp: pipe"),
        (headers(|h| h.mpls_congestion_marked = 8), "settings", "tunnel_headers.mpls_congestion_marked", "1 to 7"),
        (
            put_settings(|s| {
                let headers =
                    v1::TunnelHeaders { mpls_congestion_marked: 3, mpls_tc: uniform.into(), ..Default::default() };
                s.tunnel_headers = Some(headers);
            }),
            "settings",
            "tunnel_headers.mpls_congestion_marked",
            "needs mpls_tc: pipe",
        ),
        (put_settings(|s| s.underlay_vrf = "x".into()), "settings", "underlay_vrf", "no VRF x"),
        (put_settings(|s| s.underlay_vrf = "red".into()), "settings", "underlay_vrf", "of tenants"),
        (put_settings(|s| s.underlay_vrf.clear()), "settings", "vtep", "need an underlay VRF"),
        (put_settings(|s| s.vtep = ip("10.0.0.9")), "settings", "vtep", "10.0.0.9 is no address of a fabric VIF"),
        (put_settings(|s| s.vtep = ip("fd00::1")), "settings", "vtep", "16 bytes, but 4"),
        (put_settings(|s| s.vtep_v6 = ip("fd31::9")), "settings", "vtep_v6", "fd31::9 is no address of a fabric VIF"),
        (put_settings(|s| s.vtep_v6 = ip("10.0.0.1")), "settings", "vtep_v6", "4 bytes, but 16"),
        (put_settings(|s| s.router_mac = vec![1; 6]), "settings", "router_mac", "a group"),
        (put_settings(|s| s.router_mac = vec![2; 7]), "settings", "router_mac", "7 bytes, but 6"),
        (put_settings(|s| s.gateway_mac = vec![0; 6]), "settings", "gateway_mac", "zero MAC"),
        (put_settings(|s| s.gateway_mac = vec![2, 0, 0, 0, 0, 1]), "settings", "gateway_mac", "the gateway's"),
        (put_settings(|s| s.icmp_per_second = 1_000_001), "settings", "icmp_per_second", "0 to 1000000"),
        (lifetimes(|l| l.tcp_established = 604_801), "settings", "lifetimes.tcp_established", "0 to 604800"),
        (lifetimes(|l| l.icmp = u32::MAX), "settings", "lifetimes.icmp", "0 to 604800"),
    ]);
    let acl = [put(Kind::Vrf(v1::Vrf { acl: "web".into(), ..vrf("green") }))];
    let green = put(Kind::Settings(Box::new(v1::Settings { underlay_vrf: "green".into(), ..Default::default() })));
    let refused = refusal(&mut model_with(&acl), "", &[green]);
    assert!(refused.reason.contains("it has ACL web"), "{refused:?}");
}

#[test]
fn the_ipv6_vtep_stays_while_tunnels_need_it() {
    let both = |uplink: &mut v1::Vif| {
        uplink.addresses.push(ip("fd31::1"));
        uplink.subnets.push(prefix("fd31::/64"));
    };
    let mut with_v6 = uplink();
    both(&mut with_v6);
    let given = put(Kind::Settings(Box::new(v1::Settings { vtep_v6: ip("fd31::1"), ..settings() })));
    let route = put_route("red", "9.0.0.0/8", vxlan("fd31::2", 7));
    let mut model = model_with(&[put(Kind::Vif(Box::new(with_v6))), given, route.clone()]);
    let refused = refusal(&mut model, "", &[put_settings(|_| {})]);
    assert_eq!((&*refused.object, &*refused.field), ("settings", "vtep_v6"), "{refused:?}");
    assert!(refused.reason.contains("tunnels to IPv6 remotes"), "{refused:?}");
    let refused = refusal(&mut model, "", &[put(Kind::Vif(Box::new(uplink())))]);
    assert!(refused.reason.contains("fd31::1 is the VTEP"), "{refused:?}");
    let key = v1::RouteKey { vrf: "red".into(), prefix: Some(prefix("9.0.0.0/8")), owner: String::new() };
    model.apply("", &[delete(Key::Route(key)), put_settings(|_| {})]).unwrap();
    let refused = refusal(&mut model, "", &[route]);
    assert!(refused.reason.contains("needs vtep_v6"), "{refused:?}");
}

#[test]
fn rules_and_groups() {
    let ports = |first, last| vec![v1::PortRange { first, last }];
    let by = |text: &str| Some(v1::AddressMatch { by: Some(v1::address_match::By::Prefix(prefix(text))) });
    let unknown = Some(v1::AddressMatch { by: Some(v1::address_match::By::Group("x".into())) });
    let check_rule = |change: Box<dyn FnOnce(&mut v1::Rule)>, field, reason| {
        check(vec![(put_rule(|rule| change(rule)), "acl web", field, reason)]);
    };
    check_rule(Box::new(|rule| rule.protocol = Some(256)), "rules[1].protocol", "0 to 255");
    check_rule(Box::new(move |rule| rule.source_ports = ports(1, 2)), "rules[1].source_ports", "needs protocol 6, 17");
    check_rule(
        Box::new(move |rule| (rule.protocol, rule.destination_ports) = (Some(1), ports(1, 2))),
        "rules[1].destination_ports",
        "needs protocol 6, 17",
    );
    check_rule(
        Box::new(move |rule| (rule.protocol, rule.source_ports) = (Some(6), ports(2, 1))),
        "rules[1].source_ports[0].last",
        "first is greater than last",
    );
    check_rule(
        Box::new(move |rule| (rule.protocol, rule.source_ports) = (Some(6), ports(1, 65_536))),
        "rules[1].source_ports[0].last",
        "0 to 65535",
    );
    check_rule(Box::new(|rule| rule.icmp_type = Some(8)), "rules[1].icmp_type", "needs protocol 1 or 58");
    check_rule(
        Box::new(|rule| (rule.protocol, rule.icmp_type) = (Some(6), Some(8))),
        "rules[1].icmp_type",
        "needs protocol 1 or 58",
    );
    check_rule(
        Box::new(|rule| (rule.protocol, rule.icmp_type) = (Some(1), Some(256))),
        "rules[1].icmp_type",
        "0 to 255",
    );
    check_rule(
        Box::new(|rule| (rule.protocol, rule.icmp_code) = (Some(1), Some(0))),
        "rules[1].icmp_code",
        "needs icmp_type",
    );
    check_rule(
        Box::new(move |rule| (rule.source, rule.destination) = (by("1.0.0.0/8"), by("fd00::/8"))),
        "rules[1].destination.prefix",
        "another address family",
    );
    check_rule(
        Box::new(move |rule| (rule.protocol, rule.source) = (Some(58), by("1.0.0.0/8"))),
        "rules[1].source.prefix",
        "another address family",
    );
    check_rule(Box::new(move |rule| rule.source = by("1.0.0.1/8")), "rules[1].source.prefix.address", "1.0.0.0/8");
    check_rule(Box::new(move |rule| rule.source = unknown), "rules[1].source.group", "no address group x");
    let empty = Some(v1::AddressMatch { by: None });
    check_rule(Box::new(move |rule| rule.destination = empty), "rules[1].destination.by", "is missing");
    check(vec![
        (put(Kind::Group(group(&["1.0.0.0/8", "2.0.0.1/8"]))), "group clients", "prefixes[1].address", "2.0.0.0/8"),
        (put(Kind::Group(group(&["1.0.0.0/8", "1.0.0.0/8"]))), "group clients", "prefixes[1]", "twice"),
    ]);
}
