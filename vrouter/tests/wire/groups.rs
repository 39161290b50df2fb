//! Next-hop groups: ways that routes share and that change for all of them at once.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::ecmp::{RA3, served_by};
use super::frames::is_like;
use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};

const FLOWS: usize = 48;

/// Group `peers` of red with these paths: path `a` by VNI 601 and so on, with what follows in it.
fn peers(paths: &[(&str, &str)]) -> String {
    let path = |(name, more): &(&str, &str)| {
        let vni = match *name {
            "a2" => 611,
            name => 601 + u32::from(name.as_bytes()[0] - b'a'),
        };
        let mac = "02:0a:00:00:02:01";
        format!("{{vxlan: {{remote: 10.0.0.2, vni: {vni}, mac: \"{mac}\"}}, name: {}{more}}}", &name[..1])
    };
    let paths: Vec<_> = paths.iter().map(path).collect();
    format!("next_hop_groups: [{{name: peers, vrf: red, paths: [{}]}}]", paths.join(", "))
}

const A: (&str, &str) = ("a", "");
const A2: (&str, &str) = ("a2", "");
const B: (&str, &str) = ("b", "");
const C: (&str, &str) = ("c", "");
const D: (&str, &str) = ("d", "");

/// Twelve routes by the group, of three owners. Only answers come to ra: an answer that finds no flow is a drop.
fn lab(workers: usize, group: &str) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply("acls: [{name: nothing, rules: []}]");
    lab.apply(&network::ra("acl_to_vif: nothing"));
    lab.apply(group);
    let owner = |n: usize| ["operator", "bgp", "cni"][n % 3];
    let route = |n: usize| format!("{{vrf: red, prefix: 10.8.{n}.0/24, owner: {}, via: {{group: peers}}}}", owner(n));
    let routes: Vec<_> = (0..12).map(route).collect();
    lab.apply(&format!("routes: [{}]", routes.join(", ")));
    // what the group leads by has other users, and so stays when the group has other paths
    let pinned = |n: u32| {
        let vxlan = format!("{{remote: 10.0.0.2, vni: {}, mac: \"02:0a:00:00:02:01\"}}", 601 + n);
        format!("{{vrf: red, prefix: 10.77.{n}.0/24, via: {{vxlan: {vxlan}}}}}")
    };
    let pinned: Vec<_> = (0..4).map(pinned).collect();
    lab.apply(&format!("routes: [{}]", pinned.join(", ")));
    lab
}

fn closed(workers: usize) -> Lab {
    lab(workers, &peers(&[A, B, C, D]))
}

/// The path that flow `n` has, as what is on the wire shows it.
#[track_caller]
fn path(lab: &mut Lab, n: usize) -> &'static str {
    lab.put(RA, &format!("group.{n}"));
    lab.run();
    let came = lab.take(UP);
    assert_eq!(came.len(), 1, "flow {n}: {:?}", lab.rig().stats().drops);
    let found =
        ["a", "b", "c", "d", "a2"].into_iter().find(|path| is_like(&came[0], &format!("group.{n}.{path}.wire")));
    found.unwrap_or_else(|| panic!("flow {n} is on no path: {:02x?}", came[0]))
}

#[track_caller]
fn paths(lab: &mut Lab) -> Vec<&'static str> {
    (0..FLOWS).map(|n| path(lab, n)).collect()
}

fn count(paths: &[&str], path: &str) -> usize {
    paths.iter().filter(|found| **found == path).count()
}

/// Each flow's answer comes to ra.
#[track_caller]
fn answers(lab: &mut Lab) {
    for n in 0..FLOWS {
        lab.pass(UP, &format!("group.{n}.back"), RA, &format!("group.{n}.back.out"));
    }
    assert!(lab.rig().stats().drops.is_empty());
    assert_eq!(lab.rig().flows(Default::default()).len(), FLOWS);
}

#[test]
fn one_update_moves_every_route_that_names_the_group() {
    scenario("group-moves", closed, |lab| {
        let first = paths(lab);
        assert!(["a", "b", "c", "d"].iter().all(|path| count(&first, path) > 3), "{first:?}");
        assert_eq!(paths(lab), first);
        answers(lab);
        // where a leads, for the flows of all routes
        lab.apply(&peers(&[A2, B, C, D]));
        let moved: Vec<_> = first.iter().map(|path| if *path == "a" { "a2" } else { *path }).collect();
        assert_eq!(paths(lab), moved);
        answers(lab);
        for flow in lab.rig().flows(Default::default()) {
            assert_eq!((&*flow.path == "a", &*flow.reverse_place), (flow.next_hop.contains("vni 611"), "tunnel red"));
        }
        // all of them go
        lab.apply(&peers(&[D]));
        assert_eq!(count(&paths(lab), "d"), FLOWS);
        answers(lab);
    });
}

#[test]
fn a_path_that_goes_takes_its_own_flows_along_and_no_other() {
    scenario("group-resilient", closed, |lab| {
        let first = paths(lab);
        // others come, and the order changes
        lab.apply(&peers(&[D, ("b", ", weight: 9"), C, A]));
        assert_eq!(paths(lab), first);
        lab.apply(&peers(&[D, A, C]));
        let second = paths(lab);
        for (before, after) in first.iter().zip(&second) {
            assert!(if *before == "b" { *after != "b" } else { before == after }, "{before} {after}");
        }
        answers(lab);
        // it comes back: who has moved stays
        lab.apply(&peers(&[A, B, C, D]));
        assert_eq!(paths(lab), second);
        answers(lab);
        // it comes back as a backup, and then all others go
        lab.apply(&peers(&[A, ("b", ", backup: true")]));
        assert!(paths(lab).iter().zip(&second).all(|(now, before)| *now == "a" && *before != "b"));
        answers(lab);
    });
}

#[test]
fn without_flows_a_path_of_n_is_about_one_in_n() {
    let packet_mode = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply("vrfs: [{name: red, flows: off}]");
        lab.apply(&peers(&[A, B, C]));
        lab.apply("routes: [{vrf: red, prefix: 10.8.0.0/16, via: {group: peers}}]");
        lab
    };
    scenario("group-packet-mode", packet_mode, |lab| {
        let first = paths(lab);
        lab.apply(&peers(&[D, A, B, C]));
        let with_d = paths(lab);
        assert!((4..=24).contains(&count(&with_d, "d")), "{with_d:?}");
        assert!(first.iter().zip(&with_d).all(|(before, after)| before == after || *after == "d"), "{with_d:?}");
        lab.apply(&peers(&[A, B, C]));
        assert_eq!(paths(lab), first);
        lab.apply(&peers(&[C, B]));
        let without_a = paths(lab);
        assert!(first.iter().zip(&without_a).all(|(before, after)| before == after || *before == "a"), "{without_a:?}");
    });
}

#[test]
fn routes_go_into_a_group_and_out_of_it_with_their_flows() {
    scenario("group-in-out", closed, |lab| {
        let first = paths(lab);
        let inline = peers(&[C, A, D, B]);
        let (_, ways) = inline.split_once("paths: ").expect("paths");
        let own: Vec<_> = (0..12)
            .map(|n| {
                let owner = ["operator", "bgp", "cni"][n % 3];
                format!(
                    "{{vrf: red, prefix: 10.8.{n}.0/24, owner: {owner}, via: {{ecmp: {}}}}}",
                    ways.strip_suffix("}]").expect("the end")
                )
            })
            .collect();
        lab.apply(&format!("routes: [{}]", own.join(", ")));
        assert_eq!(paths(lab), first);
        lab.rig().delete(Key::NextHopGroup("peers".into()));
        assert_eq!(paths(lab), first);
        lab.apply(&peers(&[A, B, C, D]));
        lab.apply("routes: [{vrf: red, prefix: 10.8.3.0/24, via: {group: peers}}]");
        assert_eq!(paths(lab), first);
        answers(lab);
    });
}

#[test]
fn explain_tells_the_group() {
    scenario("group-explain", closed, |lab| {
        let query = v1::ExplainRequest {
            place: Some(v1::explain_request::Place::Vif("ra".into())),
            source: vec![10, 1, 1, 10],
            destination: vec![10, 8, 0, 9],
            protocol: 17,
            source_port: 7100,
            destination_port: 53,
            ..Default::default()
        };
        let reply = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
        assert_eq!(reply.verdict, "forward");
        let step = |name: &str| reply.steps.iter().find(|step| step.name == name).expect("a step");
        assert!(step("route").detail.contains("group peers of ecmp a x1, b x1, c x1, d x1"), "{:?}", step("route"));
        let path = path(lab, 0);
        assert!(step("path").object.starts_with(&format!("{path}: vxlan vni 60")), "{:?}", step("path"));
    });
}

/// 10.9.0.9 is behind ra2 and ra3.
fn anycast(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(r#"vifs: [{name: ra3, port: p4, vrf: red, mac: "02:00:00:00:0a:04", addresses: [10.1.1.12], gateway_v4: 10.1.1.1, allowed_sources: [10.9.0.9/32]}]"#);
    lab.apply("acls: [{name: nothing, rules: []}]");
    lab.apply(&network::ra2("allowed_sources: [10.9.0.9/32], acl_from_vif: nothing"));
    lab.apply("next_hop_groups: [{name: any, vrf: red, paths: [{vif: ra2}, {vif: ra3}]}]");
    lab.apply("routes: [{vrf: red, prefix: 10.9.0.9/32, via: {group: any}}]");
    lab
}

#[test]
fn vifs_of_a_group_come_and_go_with_their_answers() {
    scenario("group-vifs", anycast, |lab| {
        let first: Vec<_> = (0..32).map(|n| served_by(lab, n)).collect();
        let ra2 = first.iter().filter(|at| **at == RA2).count();
        assert!((5..=27).contains(&ra2), "{ra2}");
        // who is one of them and asks is answered
        lab.pass(RA3, "any.ask.ra3", UP, "any.ask.wire");
        lab.pass(UP, "any.answer", RA3, "any.answer.ra3.out");
        lab.apply("next_hop_groups: [{name: any, vrf: red, paths: [{vif: ra3}]}]");
        // an answer from where the flow no longer leaves is none, as with a route that changed: ra2 may send nothing else
        let n = first.iter().position(|at| *at == RA2).expect("some flow is on ra2");
        lab.dropped(RA2, &format!("any.{n}.ra2.back"), DropReason::AclFromVif);
        assert!((0..32).all(|n| served_by(lab, n) == RA3));
        lab.apply("next_hop_groups: [{name: any, vrf: red, paths: [{vif: ra2}, {vif: ra3}]}]");
        assert!((0..32).all(|n| served_by(lab, n) == RA3));
        // the link of one goes
        lab.carrier(4, false);
        assert!((0..32).all(|n| served_by(lab, n) == RA2));
    });
}

#[test]
fn the_underlay_s_routes_share_a_group() {
    let far = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply("neighbours: [{vif: up0, address: 10.0.0.9, mac: \"52:00:00:00:0b:09\"}]");
        lab.apply("next_hop_groups: [{name: spines, vrf: underlay, paths: [{gateway: 10.0.0.9}]}]");
        lab.apply(
            r#"routes:
  - {vrf: underlay, prefix: 198.51.100.0/25, via: {group: spines}}
  - {vrf: underlay, prefix: 198.51.0.0/16, via: {group: spines}}
  - {vrf: red, prefix: 10.9.0.0/16, via: {vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}}}"#,
        );
        lab
    };
    scenario("group-underlay", far, |lab| {
        lab.put(RA, "ecmp.0");
        lab.run();
        assert_eq!(lab.take(UP)[0][..6], [0x52, 0, 0, 0, 0x0b, 9]);
        lab.apply("next_hop_groups: [{name: spines, vrf: underlay, paths: [{gateway: 10.0.0.2}]}]");
        lab.pass(RA, "ecmp.0", UP, "ecmp.0.d.wire");
        // the flow did not notice
        let stats = lab.rig().stats();
        assert_eq!(stats.workers.iter().map(|worker| worker.revalidated).sum::<u64>(), 0);
    });
}

/// Flows to one address by those that they have in common: of UDP and of TCP.
fn by_address(paths: &[&'static str]) -> Vec<[Vec<&'static str>; 2]> {
    paths.chunks(4).map(|four| [four[..2].to_vec(), four[2..].to_vec()]).collect()
}

fn hashed(hash: &str) -> String {
    peers(&[A, B, C, D]).replace("paths:", &format!("hash: {hash}, paths:"))
}

#[test]
fn flows_that_have_the_hashed_fields_in_common_have_one_path() {
    let alike = |flows: &[&str]| flows.iter().all(|path| *path == flows[0]);
    let scattered = |lab: &mut Lab| {
        let paths = paths(lab);
        assert!(["a", "b", "c", "d"].iter().all(|path| count(&paths, path) > 3), "{paths:?}");
        paths
    };
    scenario("group-5-tuple", closed, |lab| {
        let flows = by_address(&scattered(lab));
        assert!(!flows.iter().flatten().all(|pair| alike(pair)));
        // who has one keeps it
        let before = paths(lab);
        lab.apply(&hashed("addresses"));
        assert_eq!(paths(lab), before);
        answers(lab);
    });
    scenario(
        "group-addresses",
        |workers| lab_of("addresses", workers),
        |lab| {
            let flows = by_address(&scattered(lab));
            assert!(flows.iter().all(|[udp, tcp]| alike(&[&udp[..], tcp].concat())), "{flows:?}");
            answers(lab);
        },
    );
    scenario(
        "group-protocol",
        |workers| lab_of("addresses_and_protocol", workers),
        |lab| {
            let flows = by_address(&scattered(lab));
            assert!(flows.iter().flatten().all(|pair| alike(pair)), "{flows:?}");
            assert!(!flows.iter().all(|[udp, tcp]| udp == tcp), "{flows:?}");
            answers(lab);
        },
    );
}

fn lab_of(hash: &str, workers: usize) -> Lab {
    lab(workers, &hashed(hash))
}
