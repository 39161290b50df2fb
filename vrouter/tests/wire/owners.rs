//! Several owners of what packets go by: preference, what a replacement leaves alone, and leases.

use vrouter::api::v1;
use vrouter::control::{Made, Request};
use vrouter::drops::DropReason;

use super::lab::{Lab, changes, scenario};
use super::network::{self, RA, RA2, UP};

const BY_VXLAN: &str = "{vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}";
const BY_LABEL: &str = "{mpls_udp: {remote: 10.0.0.2, label: 1001}}";

/// A batch of this owner, which replaces.
fn all_of(owner: &str) -> v1::Begin {
    v1::Begin { owner: owner.into(), replace: true, ..v1::Begin::default() }
}

#[track_caller]
fn replace(lab: &mut Lab, owner: &str, yaml: &str) -> u64 {
    match lab.rig().batch(all_of(owner), changes(yaml)) {
        Ok(Made::Applied(applied)) => applied.swept,
        other => panic!("{other:?}"),
    }
}

/// The route to rb, as this owner offers it.
fn offer(owner: &str, preference: u32, via: &str) -> String {
    let more = format!("owner: {owner}, preference: {preference}, via: {via}");
    format!("routes: [{{vrf: red, prefix: 10.1.1.20/32, {more}}}]")
}

#[test]
fn the_same_prefix_of_several_owners_goes_by_preference_and_falls_back() {
    scenario("owners-preference", Lab::a, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(whose(lab), ["operator", "vif"]);
        // bgp prefers the way by a label: the packets of the live flow go there
        lab.apply(&offer("bgp", 200, BY_LABEL));
        assert_eq!(whose(lab), ["bgp", "vif"]);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        // a third one is in reserve, and withdraws
        lab.apply(&offer("cni", 150, "{vrf: blue}"));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        assert_eq!(replace(lab, "cni", ""), 1);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        assert_eq!(replace(lab, "bgp", ""), 1);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(whose(lab), ["operator", "vif"]);
        // among equals the first name
        lab.apply(&offer("aaa", 100, BY_LABEL));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        assert_eq!(whose(lab), ["aaa", "vif"]);
    });
}

/// As explain says it of a new flow of ra's to rb: the owners of its route, and of the one by which answers come.
fn whose(lab: &mut Lab) -> Vec<String> {
    let address = |last: u8| vec![10, 1, 1, last];
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: address(10),
        destination: address(20),
        protocol: 17,
        source_port: 4711,
        destination_port: 4712,
        ..v1::ExplainRequest::default()
    };
    let reply = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
    let routes = reply.steps.into_iter().filter(|step| step.name.ends_with("route"));
    routes.map(|step| step.owner).collect()
}

#[test]
fn a_controller_that_says_all_again_is_not_noticed_by_flows() {
    let closed = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&network::ra("acl_to_vif: nothing"));
        lab
    };
    scenario("owners-replace", closed, |lab| {
        let bound = "acl_to_vif: nothing, addresses: [10.1.1.10, \"fd01::10\"]";
        let network = network::a().replacen("addresses: [10.1.1.10, \"fd01::10\"]", bound, 1);
        let all = format!("acls: [{{name: nothing, rules: []}}]\n{network}");
        let both = |lab: &mut Lab| {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
            lab.pass(RA, "local4", RA2, "local4.out");
        };
        let seen = |lab: &mut Lab| {
            let workers = lab.rig().stats().workers;
            (
                workers.iter().map(|worker| worker.revalidated).sum::<u64>(),
                workers.iter().map(|worker| worker.flow_misses).sum::<u64>(),
            )
        };
        both(lab);
        let before = seen(lab);
        assert_eq!(replace(lab, "operator", &all), 0);
        both(lab);
        assert_eq!(seen(lab), before, "somebody noticed");
        // without what is elsewhere
        let less = all.replace("  - {vni: 200, vrf: blue}\n", "");
        assert_eq!(replace(lab, "operator", &less), 1);
        both(lab);
        assert_eq!(seen(lab), before, "somebody noticed");
        // without the route
        let route = "  - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}}\n";
        assert_eq!(replace(lab, "operator", &less.replace(route, "")), 1);
        lab.pass_silently(RA, "udp4.vxlan");
        assert_eq!((lab.rig().dropped("ra", DropReason::NoRoute), lab.take(UP).len()), (1, 0));
        lab.take(RA);
        lab.pass(RA, "local4", RA2, "local4.out");
    });
}

#[test]
fn who_stays_away_loses_what_he_has() {
    scenario("owners-lease", Lab::a, |lab| {
        let begin = v1::Begin { owner: "bgp".into(), lease_ms: Some(10_000), ..v1::Begin::default() };
        lab.rig().batch(begin, changes(&offer("bgp", 200, BY_LABEL))).unwrap();
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        lab.advance(9_000);
        let wanted = v1::KeepAliveRequest { owner: "bgp".into(), lease_ms: None };
        let kept = lab.rig().ask(|reply| Request::KeepAlive { wanted: wanted.clone(), reply }).unwrap();
        assert_eq!((kept.lease_ms, kept.expired), (10_000, false));
        lab.advance(9_000);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        let owners = lab.rig().ask(|reply| Request::Owners { reply }).owners;
        let bgp = owners.iter().find(|owner| owner.name == "bgp").unwrap();
        assert_eq!((bgp.routes, bgp.objects, bgp.expired), (1, 0, false));
        assert!((1..=1_000).contains(&bgp.remaining_ms), "{bgp:?}");
        lab.advance(1_100);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let kept = lab.rig().ask(|reply| Request::KeepAlive { wanted, reply }).unwrap();
        assert_eq!((kept.lease_ms, kept.expired), (10_000, true));
        assert_eq!(lab.rig().ask(|reply| Request::Owners { reply }).owners.len(), 2);
        lab.apply(&offer("bgp", 200, BY_VXLAN));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    });
}
