//! Routes into another VRF: red reaches what VRF shared has.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;
use vrouter::tables::VRF_DEPTH;

use super::lab::{At, Lab, scenario};
use super::network::{self, RA, UP};

/// VIF sa, in VRF shared.
const SA: At = (0, 4);

const SHARED: &str = r#"
vrfs: [{name: shared}]
vifs:
  - {name: sa, port: p4, vrf: shared, mac: "02:00:00:00:0a:04", addresses: [10.7.0.11, "fd07::11"], gateway_v4: 10.7.0.1, gateway_v6: "fd07::1"}
routes:
  - {vrf: red, prefix: 10.7.0.0/16, via: {vrf: shared}}
  - {vrf: red, prefix: "fd07::/64", via: {vrf: shared}}
  - {vrf: shared, prefix: 10.7.0.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: shared, prefix: "fd07::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 700, mac: "02:0a:00:00:02:01"}}}
  - {vrf: shared, prefix: 10.7.0.21/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1700}}}
  - {vrf: shared, prefix: 10.1.1.0/24, via: {vrf: red}}
  - {vrf: shared, prefix: "fd01::/64", via: {vrf: red}}
vnis: [{vni: 700, vrf: shared}]
"#;

fn shared(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(SHARED);
    lab
}

/// ra receives only answers, so that an answer that finds no flow is a drop.
fn closed(workers: usize) -> Lab {
    let mut lab = shared(workers);
    lab.apply("acls: [{name: nothing, rules: []}, {name: all, rules: [{action: permit}]}]");
    lab.apply(&network::ra("acl_to_vif: nothing"));
    lab
}

fn key(vrf: &str, address: [u8; 4], length: u32) -> Key {
    let prefix = v1::Prefix { address: address.into(), length };
    Key::Route(v1::RouteKey { vrf: vrf.into(), prefix: Some(prefix), owner: String::new() })
}

#[test]
fn a_packet_goes_on_in_the_vrf_that_its_route_names() {
    scenario("vrfs", closed, |lab| {
        for (there, back) in [("vrf.far4", "vrf.far4.back"), ("vrf.far6", "vrf.far6.back")] {
            lab.pass(RA, there, UP, &format!("{there}.wire"));
            lab.pass(UP, back, RA, &format!("{back}.out"));
        }
        lab.pass(RA, "vrf.label", UP, "vrf.label.wire");
        for (there, back) in [("vrf.vif4", "vrf.vif4.back"), ("vrf.vif6", "vrf.vif6.back")] {
            lab.pass(RA, there, SA, &format!("{there}.out"));
            lab.pass(SA, back, RA, &format!("{back}.out"));
        }
        let flows = lab.rig().flows(v1::FlowsRequest { vrf: "shared".into(), ..Default::default() });
        let mut places: Vec<_> = flows.iter().map(|flow| (&*flow.place, &*flow.reverse_place)).collect();
        places.sort();
        let (vif, tunnel) = (("vif ra", "vif sa"), ("vif ra", "tunnel shared"));
        assert_eq!(places, [tunnel, tunnel, tunnel, vif, vif]);
    });
}

#[test]
fn answers_come_in_where_the_flow_left() {
    scenario("vrfs-answers", closed, |lab| {
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        lab.dropped(UP, "vrf.far4.back-in-red", DropReason::AclToVif);
        lab.pass(UP, "vrf.far4.back", RA, "vrf.far4.back.out");
        // without a route back in the last VRF the answers end there
        lab.rig().delete(key("shared", [10, 1, 1, 0], 24));
        lab.dropped(UP, "vrf.far4.back", DropReason::NoRoute);
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    });
}

#[test]
fn answers_notice_the_route_that_their_flow_has() {
    scenario("vrfs-answers-first", closed, |lab| {
        // far from where the answers go, so that no stripe of theirs tells of it
        for (there, prefix, wide) in
            [("vrf.far4", "10.7.0.20/32", "10.7.0.0/16"), ("vrf.far6", "fd07::20/128", "fd07::/64")]
        {
            let back = |lab: &mut Lab| lab.pass(UP, &format!("{there}.back"), RA, &format!("{there}.back.out"));
            lab.pass(RA, there, UP, &format!("{there}.wire"));
            back(lab);
            // an answer is the first packet after each change
            for (vrf, prefix) in [("shared", prefix), ("red", wide)] {
                lab.apply(&format!("routes: [{{vrf: {vrf}, prefix: \"{prefix}\", drop: true}}]"));
                lab.dropped(UP, &format!("{there}.back"), DropReason::RouteDrop);
                lab.apply(SHARED);
                back(lab);
            }
            lab.apply(&format!("routes: [{{vrf: shared, prefix: \"{prefix}\", via: {{vif: sa}}}}]"));
            lab.dropped(UP, &format!("{there}.back"), DropReason::AclToVif);
            lab.apply(SHARED);
            lab.pass(RA, there, UP, &format!("{there}.wire"));
            back(lab);
        }
    });
}

#[test]
fn a_flow_from_a_tunnel_passes_two_vrfs_too() {
    scenario("vrfs-in", shared, |lab| {
        lab.apply("acls: [{name: nothing, rules: []}, {name: all, rules: [{action: permit}]}]");
        lab.pass(UP, "vrf.in", SA, "vrf.in.out");
        lab.pass(SA, "vrf.in.back", UP, "vrf.in.back.wire");
        assert_eq!(lab.rig().flow().reverse_place, "vif sa");
        // a change in the VRF that it came from is obeyed by the answer, before any packet from there
        lab.apply("vrfs: [{name: red, acl: nothing}]");
        lab.dropped(SA, "vrf.in.back", DropReason::AclVrf);
        lab.apply("vrfs: [{name: red, acl: all}]");
        lab.pass(SA, "vrf.in.back", UP, "vrf.in.back.wire");
    });
}

#[test]
fn every_vrf_s_acl_is_asked_in_order() {
    scenario("vrfs-acls", closed, |lab| {
        for (vrf, object) in [("red", "acl nothing"), ("shared", "acl nothing")] {
            lab.apply(&format!("vrfs: [{{name: {vrf}, acl: nothing}}]"));
            lab.dropped(RA, "vrf.far4", DropReason::AclVrf);
            lab.dropped(RA, "vrf.vif4", DropReason::AclVrf);
            let filter = v1::VictimsRequest { reason: "acl_vrf".into(), ..Default::default() };
            let victims = lab.rig().ask(|reply| Request::Victims { filter, reply }).unwrap().victims;
            assert!(victims[0].object.starts_with(object), "{victims:?}");
            lab.apply(&format!("vrfs: [{{name: {vrf}, acl: all}}]"));
        }
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        let reply = explain(lab);
        let acls: Vec<_> = reply.steps.iter().filter(|step| step.name == "acl_vrf").map(|step| &*step.detail).collect();
        assert_eq!(acls, ["permits at vrf red", "permits at vrf shared"]);
    });
}

#[test]
fn a_change_in_the_last_vrf_is_obeyed_by_the_next_packet() {
    scenario("vrfs-change", closed, |lab| {
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        lab.pass(RA, "vrf.vif4", SA, "vrf.vif4.out");
        for denied in [true, false, true, false] {
            lab.apply(&format!("vrfs: [{{name: shared, acl: {}}}]", if denied { "nothing" } else { "all" }));
            if denied {
                lab.dropped(RA, "vrf.far4", DropReason::AclVrf);
                lab.dropped(RA, "vrf.vif4", DropReason::AclVrf);
            } else {
                lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
                lab.pass(RA, "vrf.vif4", SA, "vrf.vif4.out");
            }
        }
        // its rules
        lab.apply("acls: [{name: all, rules: [{action: deny}]}]");
        lab.dropped(RA, "vrf.far4", DropReason::AclVrf);
        lab.apply("acls: [{name: all, rules: [{action: permit}]}]");
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        // its routes
        lab.rig().delete(key("shared", [10, 7, 0, 20], 32));
        lab.dropped_and_told(RA, "vrf.far4", DropReason::NoRoute, "vrf.far4.no-route");
        lab.apply("routes: [{vrf: shared, prefix: 10.7.0.20/32, drop: true}]");
        lab.dropped(RA, "vrf.far4", DropReason::RouteDrop);
        lab.apply(SHARED);
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        lab.pass(UP, "vrf.far4.back", RA, "vrf.far4.back.out");
        // the route into it
        lab.rig().delete(key("red", [10, 7, 0, 0], 16));
        lab.dropped_and_told(RA, "vrf.far4", DropReason::NoRoute, "vrf.far4.no-route");
        assert_eq!(lab.rig().flows(Default::default()).len(), 2);
    });
}

/// red, then d1 to dN, the last of which has the tunnel.
fn chain(lab: &mut Lab, more: usize) {
    let name = |at: usize| if at == 0 { "red".into() } else { format!("d{at}") };
    lab.apply(SHARED);
    for at in 1..=more {
        lab.apply(&format!("vrfs: [{{name: {}}}]", name(at)));
        lab.apply(&format!("routes: [{{vrf: {}, prefix: 10.7.0.20/32, via: {{vrf: {}}}}}]", name(at - 1), name(at)));
    }
    let vxlan = "{vxlan: {remote: 10.0.0.2, vni: 700, mac: \"02:0a:00:00:02:01\"}}";
    lab.apply(&format!("routes: [{{vrf: {}, prefix: 10.7.0.20/32, via: {vxlan}}}]", name(more)));
}

#[test]
fn chains_are_as_deep_as_the_limit_and_no_deeper() {
    scenario("vrfs-depth", Lab::a, |lab| {
        chain(lab, VRF_DEPTH - 1);
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        // the last of the chain is obeyed
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply(&format!("vrfs: [{{name: d{}, acl: nothing}}]", VRF_DEPTH - 1));
        lab.dropped(RA, "vrf.far4", DropReason::AclVrf);
        lab.apply(&format!("vrfs: [{{name: d{}}}]", VRF_DEPTH - 1));
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        chain(lab, VRF_DEPTH);
        lab.dropped(RA, "vrf.far4", DropReason::VrfDepth);
        assert_eq!(explain(lab).verdict, "vrf_depth");
    });
}

#[test]
fn circles_end() {
    scenario("vrfs-circle", shared, |lab| {
        lab.apply("routes: [{vrf: shared, prefix: 10.7.0.20/32, via: {vrf: red}}]");
        lab.dropped(RA, "vrf.far4", DropReason::VrfDepth);
        lab.apply("vrfs: [{name: red, flows: off}, {name: shared, flows: off}]");
        lab.dropped(RA, "vrf.far4", DropReason::VrfDepth);
        lab.apply(SHARED);
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
    });
}

#[test]
fn packet_mode_passes_vrfs_too() {
    scenario("vrfs-packet-mode", shared, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}, {name: shared, flows: off}]");
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        lab.pass(UP, "vrf.far4.back", RA, "vrf.far4.back.out");
        lab.pass(RA, "vrf.vif4", SA, "vrf.vif4.out");
        lab.pass(SA, "vrf.vif4.back", RA, "vrf.vif4.back.out");
        assert!(lab.rig().flows(Default::default()).is_empty());
        // a VRF on the way that has flows has its say
        lab.apply("acls: [{name: nothing, rules: []}]");
        lab.apply("vrfs: [{name: shared}]");
        lab.pass(RA, "vrf.far4", UP, "vrf.far4.wire");
        lab.pass(UP, "vrf.far4.back", RA, "vrf.far4.back.out");
        assert_eq!(lab.rig().flow().packets, 1);
        lab.apply("vrfs: [{name: shared, acl: nothing}]");
        lab.dropped(RA, "vrf.far4", DropReason::AclVrf);
        lab.dropped(RA, "vrf.vif4", DropReason::AclVrf);
    });
}

#[test]
fn gateways_and_proxies_see_through() {
    scenario("vrfs-local", shared, |lab| {
        lab.pass(RA, "vrf.echo", RA, "vrf.echo.reply");
        lab.pass(RA, "vrf.arp", RA, "vrf.arp.reply");
    });
}

fn explain(lab: &mut Lab) -> v1::ExplainReply {
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 7, 0, 20],
        protocol: 17,
        source_port: 5000,
        destination_port: 7053,
        ..Default::default()
    };
    lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap()
}

#[test]
fn explain_shows_each_vrf_passed() {
    scenario("vrfs-explain", shared, |lab| {
        let reply = explain(lab);
        let steps: Vec<_> =
            reply.steps.iter().map(|step| format!("{}|{}|{}", step.name, step.object, step.detail)).collect();
        assert!(steps.contains(&"route|vrf red|10.7.0.20 matches a /16: vrf shared".into()), "{steps:#?}");
        let then =
            steps.iter().position(|step| step.starts_with("route|vrf shared|10.7.0.20 matches a /32: vxlan vni 700"));
        let first = steps.iter().position(|step| step.starts_with("route|vrf red"));
        assert!(first < then, "{steps:#?}");
        assert!(steps.contains(&"reverse_route|vrf shared|10.1.1.10 matches a /24: vrf red".into()), "{steps:#?}");
        assert_eq!(reply.verdict, "forward");
    });
}
