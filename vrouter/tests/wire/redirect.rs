//! Redirect: rules send flows by way of a service, or another VRF; both directions pass it.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{At, Lab, changes, scenario};
use super::network::{self, RA, UP};

/// VIFs left and right, in VRF svc.
const LEFT: At = (0, 4);
const RIGHT: At = (0, 5);

const SERVICE: &str = r#"
vrfs: [{name: svc}]
vifs:
  - {name: left, port: p4, vrf: svc, mac: "02:00:00:00:0a:04", addresses: [10.8.0.4], gateway_v4: 10.8.0.1, gateway_v6: "fd08::1", spoofing_allowed: true, service: true}
  - {name: right, port: p5, vrf: svc, mac: "02:00:00:00:0a:05", addresses: [10.8.1.5], gateway_v4: 10.8.1.1, gateway_v6: "fd08:1::1", spoofing_allowed: true, service: true}
routes:
  - {vrf: svc, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 400, mac: "02:0a:00:00:02:01"}}}
  - {vrf: svc, prefix: "fd01::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 400, mac: "02:0a:00:00:02:01"}}}
  - {vrf: svc, prefix: 10.1.1.10/32, drop: true}
  - {vrf: svc, prefix: "fd01::10/128", drop: true}
vnis: [{vni: 400, vrf: svc}]
"#;

const BY_LEFT: &str = "acls: [{name: by, rules: [{name: through, action: permit, protocol: udp, redirect: {vif: left}}, {action: permit}]}]";
const NOTHING: &str = "acls: [{name: nothing, rules: []}]";

/// One of its VIFs.
fn vif_of_service(name: &str) -> &'static str {
    let line = SERVICE.lines().find(|line| line.contains(&format!("name: {name},"))).expect("a line of its own");
    line.trim().trim_start_matches("- ")
}

/// There is a service, and ra receives nothing unasked.
fn service(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(SERVICE);
    lab.apply(NOTHING);
    lab
}

/// What ra sends by UDP goes by way of it.
fn through(workers: usize) -> Lab {
    let mut lab = service(workers);
    lab.apply(BY_LEFT);
    lab.apply(&network::ra("acl_from_vif: by, acl_to_vif: nothing"));
    lab
}

/// From ra by way of left and right to B, and back.
fn both_ways(lab: &mut Lab, n: &str) {
    lab.pass(RA, &format!("svc{n}"), LEFT, &format!("svc{n}.left"));
    lab.pass(RIGHT, &format!("svc{n}.from-right"), UP, &format!("svc{n}.wire"));
    lab.pass(UP, &format!("svc{n}.back"), RIGHT, &format!("svc{n}.back.right"));
    lab.pass(LEFT, &format!("svc{n}.back.from-left"), RA, &format!("svc{n}.back.out"));
}

#[test]
fn a_flow_and_its_answers_pass_a_service_between_two_vifs() {
    scenario("redirect", through, |lab| {
        for n in ["4", "6"] {
            both_ways(lab, n);
            both_ways(lab, n);
        }
        let flows = lab.rig().flows(v1::FlowsRequest::default());
        let mut places: Vec<_> = flows.iter().map(|flow| (&*flow.place, &*flow.reverse_place, flow.packets)).collect();
        places.sort();
        let (first, second) = (("vif ra", "vif left", 2), ("vif right", "tunnel svc", 2));
        assert_eq!(places, [first, first, second, second]);
        // answers that did not pass it are none
        lab.dropped(UP, "svc4.back-direct", DropReason::AclToVif);
        lab.dropped(RIGHT, "svc4.back.from-right", DropReason::RouteDrop);
    });
}

#[test]
fn a_service_may_have_one_vif() {
    scenario("redirect-one-arm", through, |lab| {
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.pass(LEFT, "svc4.from-left", UP, "svc4.wire");
        lab.pass(UP, "svc4.back", LEFT, "svc4.back.left");
        lab.pass(LEFT, "svc4.back.from-left", RA, "svc4.back.out");
        // an error about it goes the way of what it quotes
        lab.pass(LEFT, "svc4.error.from-left", RA, "svc4.error.out");
    });
}

#[test]
fn a_vrf_s_acl_redirects_what_its_vifs_send() {
    scenario("redirect-vrf", service, |lab| {
        lab.apply(BY_LEFT);
        lab.apply("vrfs: [{name: red, acl: by}]");
        both_ways(lab, "4");
        lab.pass(RA, "svc4.local", LEFT, "svc4.local.left");
        // it is asked also where the VIF's own rules redirect
        lab.apply("acls: [{name: own, rules: [{action: permit, redirect: {vif: left}}]}]");
        lab.apply(&network::ra("acl_from_vif: own"));
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.apply("vrfs: [{name: red, acl: nothing}]");
        lab.dropped(RA, "svc4", DropReason::AclVrf);
        lab.apply("vrfs: [{name: red, acl: by}]");
        // what comes by a tunnel was redirected where it was sent
        lab.pass(UP, "svc4.back-direct", RA, "svc4.back-direct.out");
        // and the gateway answers for itself
        lab.pass(RA, "svc4.gateway", RA, "svc4.gateway.reply");
    });
}

#[test]
fn a_to_vif_acl_redirects_what_is_for_its_vif() {
    scenario("redirect-to-vif", service, |lab| {
        lab.apply(BY_LEFT);
        lab.apply(&network::ra("acl_to_vif: by"));
        lab.apply("routes: [{vrf: svc, prefix: 10.1.1.10/32, via: {vrf: red}}]");
        lab.rig().delete(Key::Route(v1::RouteKey {
            vrf: "svc".into(),
            prefix: Some(v1::Prefix { address: vec![10, 1, 1, 20], length: 32 }),
            owner: String::new(),
        }));
        lab.pass(UP, "svc4.in", LEFT, "svc4.in.left");
        // the service sends it on, and the same rule lets it pass now
        lab.pass(LEFT, "svc4.in.from-left", RA, "svc4.in.out");
        lab.pass(RA, "svc4.in.back", LEFT, "svc4.in.back.left");
        lab.pass(LEFT, "svc4.in.back.from-left", UP, "svc4.in.back.wire");
    });
}

#[test]
fn a_service_may_answer_itself() {
    scenario("redirect-proxy", service, |lab| {
        lab.apply(BY_LEFT);
        lab.apply(&network::ra("acl_to_vif: by"));
        lab.pass(UP, "svc4.in", LEFT, "svc4.in.left");
        // by red's routes, though it enters in svc, from where nothing leads to red
        lab.pass(LEFT, "svc4.in.back.from-left", UP, "svc4.in.back.wire");
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, drop: true}]");
        lab.dropped(LEFT, "svc4.in.back.from-left", DropReason::RouteDrop);
    });
}

#[test]
fn a_rule_redirects_by_the_routes_of_another_vrf() {
    scenario("redirect-by-vrf", service, |lab| {
        lab.apply("acls: [{name: by, rules: [{action: permit, protocol: udp, redirect: {vrf: svc}}]}]");
        lab.apply(&network::ra("acl_from_vif: by, acl_to_vif: nothing"));
        lab.apply("routes: [{vrf: svc, prefix: 10.1.1.20/32, via: {vif: left}}]");
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.pass(LEFT, "svc4.back.from-left", RA, "svc4.back.out");
        // by a tunnel of svc; answers come in where it left, and go by the routes of red
        lab.apply("routes: [{vrf: svc, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}}]");
        lab.pass(RA, "svc4", UP, "svc4.direct.wire");
        lab.dropped(UP, "svc4.back-direct", DropReason::AclToVif);
        // nothing leads anywhere
        lab.apply("routes: [{vrf: svc, prefix: 10.1.1.20/32, drop: true}]");
        lab.dropped(RA, "svc4", DropReason::RouteDrop);
    });
}

/// Answers enter where the flow was sent, and go by routes of where it began.
#[test]
fn answers_notice_a_change_where_their_flow_began() {
    scenario("redirect-began", service, |lab| {
        lab.apply("acls: [{name: by, rules: [{action: permit, protocol: udp, redirect: {vrf: svc}}]}]");
        lab.apply(&network::ra("acl_from_vif: by, acl_to_vif: nothing, allowed_sources: [10.1.5.0/24]"));
        lab.apply("routes: [{vrf: svc, prefix: 10.1.1.20/32, via: {vif: left}}, {vrf: red, prefix: 10.1.5.0/24, via: {vif: ra}}]");
        lab.pass(RA, "svc4.behind", LEFT, "svc4.behind.left");
        lab.pass(LEFT, "svc4.behind.back.from-left", RA, "svc4.behind.back.out");
        lab.apply("routes: [{vrf: red, prefix: 10.1.5.5/32, drop: true}]");
        lab.dropped(LEFT, "svc4.behind.back.from-left", DropReason::RouteDrop);
    });
}

#[test]
fn a_route_leads_by_way_of_a_service() {
    scenario("redirect-by-route", service, |lab| {
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vif: left}}, {vrf: red, prefix: \"fd01::20/128\", via: {vif: left}}]");
        lab.apply(&network::ra("acl_to_vif: nothing"));
        both_ways(lab, "4");
        both_ways(lab, "6");
        // what is no service answers by the routes of its own VRF
        let left = vif_of_service("left");
        lab.apply(&format!("vifs: [{}]", left.replace(", service: true", "")));
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.dropped(LEFT, "svc4.back.from-left", DropReason::RouteDrop);
    });
}

#[test]
fn a_service_sends_on_by_its_own_rules() {
    scenario("redirect-chain", through, |lab| {
        // left hands on to right, which goes on to B
        lab.apply("acls: [{name: next, rules: [{action: permit, redirect: {vif: right}}]}]");
        let left = vif_of_service("left");
        lab.apply(&format!("vifs: [{}, acl_from_vif: next}}]", left.trim_end_matches('}')));
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.pass(LEFT, "svc4.from-left", RIGHT, "svc4.chain");
        lab.pass(RIGHT, "svc4.chain.from-right", UP, "svc4.chain.wire");
        lab.pass(UP, "svc4.back", RIGHT, "svc4.back.right");
        lab.pass(RIGHT, "svc4.back.from-right", LEFT, "svc4.chain.back.left");
        lab.pass(LEFT, "svc4.chain.back.from-left", RA, "svc4.chain.back.out");
    });
}

#[test]
fn live_flows_follow_the_rules() {
    scenario("redirect-changes", through, |lab| {
        both_ways(lab, "4");
        // no rule redirects any more: the next packet goes straight, and answers are expected from there
        lab.apply("acls: [{name: by, rules: [{action: permit}]}]");
        lab.dropped(LEFT, "svc4.back.from-left", DropReason::RouteDrop);
        lab.pass(RA, "svc4", UP, "svc4.direct.wire");
        lab.pass(UP, "svc4.back-direct", RA, "svc4.back-direct.out");
        lab.apply(BY_LEFT);
        lab.pass(RA, "svc4", LEFT, "svc4.left");
        lab.dropped(UP, "svc4.back-direct", DropReason::AclToVif);
        lab.pass(LEFT, "svc4.back.from-left", RA, "svc4.back.out");
        // the routes by which answers go are those of red, though they enter in svc
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.10/32, owner: vip, drop: true}]");
        lab.pass(LEFT, "svc4.back.from-left", RA, "svc4.back.out");
        // right is no service any more: what answers what it sent goes by routes
        let right = vif_of_service("right");
        lab.apply(&format!("vifs: [{}]", right.replace(", service: true", "")));
        lab.dropped(UP, "svc4.back", DropReason::RouteDrop);
        lab.apply(&format!("vifs: [{right}]"));
        lab.pass(UP, "svc4.back", RIGHT, "svc4.back.right");
    });
}

#[test]
fn what_is_bridged_or_comes_by_a_vif_s_label_is_not_redirected() {
    scenario("redirect-named", service, |lab| {
        lab.apply(BY_LEFT);
        by_label(lab);
    });
}

/// A rule redirects what a label has named the VIF of already.
pub fn by_label(lab: &mut Lab) {
    lab.apply("labels: [{label: 3000, vif: ra2}]");
    lab.apply(&network::ra2("acl_to_vif: by"));
    lab.dropped(UP, "label.vif", DropReason::RedirectNotRouted);
}

pub fn with_service(workers: usize) -> Lab {
    let mut lab = service(workers);
    lab.apply(BY_LEFT);
    lab
}

#[test]
fn references_hold_at_the_end_of_a_batch() {
    let mut lab = service(1);
    let refused = |lab: &mut Lab, text: &str| {
        let refused = lab.rig().try_apply(changes(text)).expect_err(text);
        let field = if refused.field.is_empty() { String::new() } else { format!("{}: ", refused.field) };
        format!("{}: {field}{}", refused.object, refused.reason)
    };
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: permit, redirect: {vif: nobody}}]}]"),
        "acl by: redirect: there is no VIF nobody"
    );
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: permit, redirect: {vrf: nowhere}}]}]"),
        "acl by: redirect: there is no VRF nowhere"
    );
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: permit, redirect: {vrf: underlay}}]}]"),
        "acl by: redirect: VRF underlay is of the fabric (the underlay of the settings)"
    );
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: permit, redirect: {vif: ra}}]}]"),
        "acl by: redirect: VIF ra is no service"
    );
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: deny, redirect: {vif: left}}]}]"),
        "acl by: rules[0].redirect: only a rule that permits redirects"
    );
    lab.apply("vrfs: [{name: plain, flows: off}]");
    assert_eq!(
        refused(&mut lab, "acls: [{name: by, rules: [{action: permit, redirect: {vrf: plain}}]}]"),
        "acl by: redirect: flows are off in VRF plain"
    );
    lab.apply("acls: [{name: into, rules: [{action: permit, redirect: {vrf: blue}}]}]");
    assert_eq!(
        refused(&mut lab, "vrfs: [{name: blue, flows: off}]"),
        "vrf blue: still referred to by ACL into, which redirects to it"
    );
    lab.apply(BY_LEFT);
    let left = vif_of_service("left");
    assert_eq!(
        refused(&mut lab, &format!("vifs: [{}]", left.replace(", service: true", ""))),
        "vif left: still referred to by ACL by, which redirects to it"
    );
    assert_eq!(
        refused(&mut lab, &format!("vifs: [{}]", left.replace("vrf: svc", "vrf: red"))),
        "vif left: vrf: still referred to by ACL by, which redirects to it"
    );
    assert_eq!(
        refused(&mut lab, "vrfs: [{name: svc, flows: off}]"),
        "vrf svc: flows_off: flows cannot be off: a service is behind VIF left"
    );
}

#[test]
fn explain_tells_of_a_redirect() {
    scenario("redirect-explain", through, |lab| {
        let mut explain = |destination: [u8; 4]| {
            let query = v1::ExplainRequest {
                place: Some(v1::explain_request::Place::Vif("ra".into())),
                source: vec![10, 1, 1, 10],
                destination: destination.into(),
                protocol: 17,
                source_port: 5000,
                destination_port: 7053,
                ..Default::default()
            };
            let reply = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
            let steps: Vec<_> = reply.steps.into_iter().map(|step| (step.name, step.object)).collect();
            (steps, reply.verdict, reply.result)
        };
        let (steps, verdict, result) = explain([10, 1, 1, 20]);
        let step = |name: &str, object: &str| (name.to_owned(), object.to_owned());
        let rule = step("acl_from_vif", "acl by rule 0 (through)");
        let at = steps.iter().position(|step| *step == rule).unwrap_or_else(|| panic!("{steps:?}"));
        assert_eq!(steps[at + 1], step("redirect", "vif left"), "{steps:?}");
        assert!(result.contains("left"), "{result}");
        assert_eq!(verdict, "forward");
        // what is for us is judged, once, and goes nowhere else
        let (steps, verdict, _) = explain([10, 1, 1, 1]);
        assert_eq!(steps.iter().filter(|step| **step == rule).count(), 1, "{steps:?}");
        assert!(steps.iter().all(|(name, _)| name != "redirect"), "{steps:?}");
        assert_eq!(verdict, "local");
    });
}
