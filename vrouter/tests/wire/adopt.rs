//! Flows that outlive their daemon: a vRouter that is killed, and one that adopts what it left.

use vrouter::api::v1;
use vrouter::daemon::flow_file::Refused;
use vrouter::drops::DropReason;

use super::bridge::L2;
use super::lab::{At, Lab, Setup, scenario};
use super::network::{self, BA, RA, RA2, UP};

/// A, where nobody may speak to ra unasked, and TCP begins with SYN.
fn strict() -> String {
    let strict = network::a().replace("vtep: 10.0.0.1}", "vtep: 10.0.0.1, tcp_strict: true}");
    strict.replace("{name: ra, ", "{name: ra, acl_to_vif: nothing, ") + "acls: [{name: nothing, rules: []}]\n"
}

/// The same objects under other numbers, with others before them.
fn renumbered(network: &str) -> String {
    let others =
        "  - {name: aa, kind: tenant, port: p6, vrf: other, mac: \"02:00:00:00:0a:77\", addresses: [10.1.1.10]}\n";
    let ba = network.lines().find(|line| line.contains("name: ba")).expect("there").to_owned() + "\n";
    let network = network.replace(&ba, "").replace("vifs:\n", &format!("vifs:\n{others}{ba}"));
    network.replace("vrfs:\n", "vrfs:\n  - {name: other}\n  - {name: blue}\n").replacen(
        "  - {name: blue}\nvifs",
        "vifs",
        1,
    )
}

fn setup(network: &str) -> Setup {
    Setup { network: network.into(), ..Setup::default() }
}

fn lab(network: &str) -> impl Fn(usize) -> Lab {
    let setup = setup(network);
    move |workers| Lab::with_flow_file(workers, &setup)
}

fn strict_lab(workers: usize) -> Lab {
    lab(&strict())(workers)
}

fn plain_lab(workers: usize) -> Lab {
    lab(&network::a())(workers)
}

fn talk(lab: &mut Lab, names: &[&str]) {
    for name in names {
        if name.contains(".in.") || name.ends_with(".back") {
            lab.pass(UP, name, RA, &format!("{name}.out"));
        } else {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
    }
}

fn flow_of(lab: &mut Lab, place: &str) -> v1::Flow {
    let flows = lab.rig().flows(v1::FlowsRequest::default());
    let mut of_place: Vec<_> = flows.into_iter().filter(|flow| flow.place == place).collect();
    assert_eq!(of_place.len(), 1, "of {place}: {of_place:#?}");
    of_place.remove(0)
}

fn dropped(told: &v1::FlowFile) -> Vec<(&str, u64)> {
    told.dropped.iter().map(|it| (&*it.cause, it.flows)).collect()
}

#[test]
fn a_connection_goes_on_under_strict_rules() {
    scenario("adopt-tcp", strict_lab, |lab| {
        talk(lab, &["tcp.out.S", "tcp.in.SA", "tcp.out.A", "tcp.in.PA"]);
        lab.advance(2000);
        let (before, generation) = (lab.rig().flow(), lab.rig().stats().generation);
        let told = lab.restart(&setup(&strict()), 700);
        assert_eq!((told.adopted, dropped(&told), &*told.rebuilt), (1, vec![], ""));
        assert!(lab.rig().stats().generation > generation, "generations do not go back");
        // the answerer speaks first
        talk(lab, &["tcp.in.PA", "tcp.out.PA", "tcp.out.A"]);
        let after = lab.rig().flow();
        assert_eq!((after.packets, after.reverse_packets), (before.packets + 2, before.reverse_packets + 1));
        assert_eq!(
            (&after.state, &after.place, &after.reverse_place),
            (&before.state, &before.place, &before.reverse_place)
        );
        assert_eq!((before.age_ms, after.age_ms), (2000, 2700), "it began before the daemon");
        assert!(lab.rig().stats().drops.is_empty());
        // and once more
        assert_eq!(lab.restart(&setup(&strict()), 100).adopted, 1);
        talk(lab, &["tcp.out.PA", "tcp.in.FA", "tcp.out.FA"]);
        assert_eq!(lab.rig().flow().state, "closing");
    });
}

#[test]
fn without_adoption_the_connection_breaks() {
    scenario("adopt-not", strict_lab, |lab| {
        talk(lab, &["tcp.out.S", "tcp.in.SA", "tcp.out.A", "tcp.in.PA"]);
        let empty = strict_lab(1).rig().left();
        assert_eq!(lab.succeed(&setup(&strict()), 700, &empty).adopted, 0);
        lab.dropped(UP, "tcp.in.PA", DropReason::TcpNotSyn);
        lab.dropped(RA, "tcp.out.PA", DropReason::TcpNotSyn);
    });
}

#[test]
fn numbers_are_those_of_the_names_whatever_they_were() {
    scenario("adopt-numbers", plain_lab, |lab| {
        // the same addresses in two VRFs
        for _ in 0..3 {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        }
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        lab.pass(UP, "label.vif", RA2, "label.vif.out");
        let told = lab.restart(&setup(&renumbered(&network::a())), 300);
        assert_eq!((told.adopted, dropped(&told)), (3, vec![]));
        let packets = [("vif ra", 3, "tunnel red"), ("vif ba", 1, "tunnel blue"), ("tunnel red", 1, "vif ra2")];
        for (place, packets, reverse) in packets {
            let flow = flow_of(lab, place);
            assert_eq!((flow.packets, &*flow.reverse_place), (packets, reverse));
        }
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.pass(UP, "udp4.blue.back", BA, "udp4.blue.back.out");
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        assert_eq!((flow_of(lab, "vif ra").packets, flow_of(lab, "vif ba").packets), (4, 2));
        // and back to the numbers of before
        assert_eq!(lab.restart(&setup(&network::a()), 300).adopted, 3);
        lab.pass(UP, "udp4.blue.back", BA, "udp4.blue.back.out");
        assert_eq!((flow_of(lab, "vif ba").reverse_packets, flow_of(lab, "vif ra").reverse_packets), (2, 1));
    });
}

#[test]
fn flows_of_places_that_are_gone_are_dropped_and_counted() {
    scenario("adopt-gone", plain_lab, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        let without = network::a();
        let ba = without.lines().find(|line| line.contains("name: ba")).expect("there");
        let told = lab.restart(&setup(&without.replace(ba, "")), 300);
        assert_eq!((told.adopted, dropped(&told)), (1, vec![("place_gone", 1)]));
        assert_eq!(lab.rig().flow().place, "vif ra");
        // the VIF is of another VRF now: another's
        let moved = without.replace(ba, "").replace("{name: ra, port: p1, vrf: red", "{name: ra, port: p1, vrf: blue");
        let told = lab.restart(&setup(&moved), 300);
        assert_eq!((told.adopted, dropped(&told)), (0, vec![("place_gone", 1)]));
        assert_eq!(lab.rig().stats().flows.unwrap_or_default().used_v4, 0);
    });
}

#[test]
fn what_is_adopted_is_decided_anew() {
    scenario("adopt-decides", plain_lab, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        // another way to the same place
        let by_label = network::a().replacen(
            "{vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}",
            "{mpls_udp: {remote: 10.0.0.2, label: 1001}}",
            1,
        );
        assert_eq!(lab.restart(&setup(&by_label), 300).adopted, 1);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        assert_eq!(lab.rig().flow().packets, 2);
        // nobody may send any more
        let denied = network::a().replace("{name: ra, ", "{name: ra, acl_from_vif: nothing, ")
            + "acls: [{name: nothing, rules: []}]\n";
        assert_eq!(lab.restart(&setup(&denied), 300).adopted, 1);
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclFromVif);
        lab.dropped(RA, "udp4.vxlan", DropReason::AclFromVif);
        // it goes on where it was
        assert_eq!(lab.restart(&setup(&network::a()), 300).adopted, 1);
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        let (flow, stats) = (lab.rig().flow(), lab.rig().stats());
        let revalidated: u64 = stats.workers.iter().map(|worker| worker.revalidated).sum();
        assert_eq!((flow.packets, flow.reverse_packets, revalidated), (3, 3, 1));
    });
}

#[test]
fn flows_that_a_label_delivers_are_answered_first() {
    fn network() -> String {
        network::a().replace("{name: ra2, ", "{name: ra2, spoofing_allowed: true, ")
    }
    scenario(
        "adopt-label",
        |workers| lab(&network())(workers),
        |lab| {
            lab.pass(UP, "label.vif", RA2, "label.vif.out");
            assert_eq!(lab.restart(&setup(&renumbered(&network())), 300).adopted, 1);
            lab.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
            lab.pass(UP, "label.vif", RA2, "label.vif.out");
            let flow = lab.rig().flow();
            assert_eq!((flow.packets, flow.reverse_packets), (2, 1));
        },
    );
}

/// A with a bridge, of which ra, ra2 and l2 are ports.
fn bridged() -> String {
    let network = network::a()
        .replace("{name: ra, ", "{name: ra, bridge: lan, ")
        .replace("{name: ra2, ", "{name: ra2, bridge: lan, ");
    let l2 = "  - {name: l2, port: p4, vrf: red, bridge: lan, mac: \"02:00:00:00:0a:05\", addresses: [10.1.1.15]}\n";
    network.replace("vifs:\n", &format!("vifs:\n{l2}")) + "bridges: [{name: lan, vrf: red}]\n"
}

#[test]
fn bridged_flows_find_their_stations_again() {
    scenario(
        "adopt-bridge",
        |workers| lab(&bridged())(workers),
        |lab| {
            let there: [(At, &str, At); 2] = [(RA, "br.local", RA2), (RA, "br.to-l2", L2)];
            for (from, name, to) in there {
                lab.pass(from, name, to, name);
            }
            assert_eq!(lab.restart(&setup(&bridged()), 300).adopted, 2);
            // one goes on with its answer, one with its initiator
            lab.pass(RA2, "br.local.back", RA, "br.local.back");
            lab.pass(RA, "br.to-l2", L2, "br.to-l2");
            lab.pass(RA, "br.local", RA2, "br.local");
            lab.pass(L2, "br.from-l2", RA, "br.from-l2");
            assert!(lab.rig().stats().drops.is_empty());
            assert_eq!(lab.rig().flows(Default::default()).len(), 2);
        },
    );
}

#[test]
fn flows_keep_their_members_by_name() {
    fn by(paths: &[&str]) -> String {
        let far = "  - {vrf: underlay, prefix: 198.51.100.0/24, via: {gateway: 10.0.0.2}}";
        let ways = paths.join(", ");
        let route = format!("routes:\n{far}\n  - {{vrf: red, prefix: 10.9.0.0/16, via: {{ecmp: [{ways}]}}}}\n");
        network::a().replace("routes:\n", &route)
    }
    const A: &str = r#"{vxlan: {remote: 10.0.0.2, vni: 501, mac: "02:0a:00:00:02:01"}, name: a}"#;
    const B: &str = r#"{vxlan: {remote: 10.0.0.2, vni: 502, mac: "02:0a:00:00:02:01"}, name: b}"#;
    const C: &str = "{mpls_udp: {remote: 10.0.0.2, label: 1503}, name: c}";
    let before = by(&[A, B]);
    scenario(
        "adopt-ecmp",
        |workers| lab(&by(&[A, B]))(workers),
        |lab| {
            let paths = |lab: &mut Lab| {
                (0..32).for_each(|n| lab.pass_silently(RA, &format!("ecmp.{n}")));
                lab.discard();
                let mut flows = lab.rig().flows(Default::default());
                flows.sort_by_key(|flow| flow.source_port);
                flows.into_iter().map(|flow| flow.path).collect::<Vec<_>>()
            };
            assert_eq!(lab.rig().flow_file(), v1::FlowFile::default());
            let first = paths(lab);
            let of = |name: &str| first.iter().filter(|path| *path == name).count();
            assert!(of("a") > 4 && of("b") > 4, "{first:?}");
            // other numbers, and one more that would have a share of new flows
            assert_eq!(lab.restart(&setup(&by(&[C, B, A])), 300).adopted, 32);
            assert_eq!(paths(lab), first);
            assert_eq!(lab.restart(&setup(&before), 300).adopted, 32);
            assert_eq!(paths(lab), first);
        },
    );
}

#[test]
fn quotas_are_charged_anew_and_idle_flows_age() {
    fn quota() -> String {
        network::a().replace("{name: ra, ", "{name: ra, quota: {flows: 5}, ")
    }
    scenario(
        "adopt-quota",
        |workers| lab(&quota())(workers),
        |lab| {
            for n in 0..5 {
                talk(lab, &[&format!("quiet.{n}"), &format!("quiet.{n}.back")]);
                lab.now += 100;
            }
            lab.pass(RA2, "flood.0", UP, "flood.0.wire");
            // ra2 has the row of accounts that ra had
            let other = renumbered(&quota());
            assert_eq!(lab.restart(&setup(&other), 300).adopted, 6);
            let used = |lab: &mut Lab, holder: &str| {
                let all = lab.rig().stats().quotas;
                all.into_iter().find(|one| one.holder == holder).map(|one| one.flows)
            };
            assert_eq!((used(lab, "vif ra"), used(lab, "vif ra2"), used(lab, "vif ba")), (Some(5), Some(1), Some(0)));
            // a sixth of ra's takes the place of its oldest
            talk(lab, &["quiet.5"]);
            assert_eq!((used(lab, "vif ra"), lab.rig().flows(Default::default()).len()), (Some(5), 6));
            // nobody spoke for three minutes, and there was nobody to see it
            lab.restart(&setup(&other), 185_000);
            lab.sweep();
            assert_eq!(lab.rig().flows(Default::default()).len(), 0);
            assert_eq!(used(lab, "vif ra"), Some(0));
        },
    );
}

#[test]
fn what_came_and_went_while_it_ran_is_known() {
    scenario("adopt-churn", plain_lab, |lab| {
        // numbers that were given and taken back, and one that is another's by name
        for round in 0..150 {
            lab.apply(&format!("vrfs: [{{name: v{round}}}]"));
            lab.rig().delete(v1::object_key::Kind::Vrf(format!("v{round}")));
        }
        lab.rig().delete(v1::object_key::Kind::Vif("ra".into()));
        lab.apply(&network::ra(""));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let told = lab.restart(&setup(&network::a()), 300);
        assert_eq!((told.adopted, dropped(&told)), (1, vec![]));
        assert_eq!(lab.rig().flow().place, "vif ra");
    });
}

#[test]
fn what_is_not_ours_to_read_is_refused_by_name() {
    let mut lab = plain_lab(1);
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    let words = lab.rig().left();
    let spare = lab.rig().shared.flows.config().bytes().unwrap() / 8;
    let setup = setup(&network::a());
    assert!(lab.refusal(&setup, &words).is_none());
    let refused = |at: usize, to: u64| {
        let mut words = words.clone();
        words[at] = to;
        lab.refusal(&setup, &words).expect("refused")
    };
    assert!(matches!(refused(0, 1), Refused::Table(_)), "no table");
    assert!(matches!(refused(1, 3), Refused::Table(flowtable::AdoptError::Version { found: 3, .. })));
    assert!(matches!(refused(4, 3), Refused::Table(flowtable::AdoptError::Header)));
    assert!(matches!(refused(spare, 0), Refused::Unfinished));
    assert!(matches!(refused(spare + 1, 9), Refused::Meaning { found: 9, .. }));
    assert!(matches!(refused(spare + 2, 9), Refused::Boot));
    assert!(matches!(refused(spare + 3, 1 << 40), Refused::Numbering), "a generation that no stamp holds");
    assert!(matches!(refused(spare + 4, 9), Refused::Numbering));
    assert!(matches!(refused(spare + 4, u64::MAX), Refused::Numbering));
    let fewer = Setup { flows: 512, ..setup.clone() };
    assert!(matches!(lab.refusal(&fewer, &words), Some(Refused::Limits)));
    assert!(lab.refusal(&setup, &words[..words.len() / 2]).is_some());
}

/// What is left has bits that changed, anywhere: it is refused, or what is adopted does no harm.
#[test]
fn whatever_bits_changed_packets_go_their_way() {
    let random = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    };
    let (mut state, mut refused, mut adopted) = (1, 0, 0);
    for round in 0..32 {
        let setup = Setup { flows: 64, ..setup(&bridged()) };
        let mut lab = Lab::with_flow_file(1 + round % 2, &setup);
        let all = |lab: &mut Lab| {
            let names = ["udp4.vxlan", "udp4.mpls", "br.local", "tcp.out.S", "tcp.out.A", "ssh.out.SA"];
            for name in names {
                lab.pass_silently(RA, name);
            }
            for name in ["label.vif", "udp4.vxlan.back", "tcp.in.SA", "ssh.in.S", "ssh.in.A"] {
                lab.pass_silently(UP, name);
            }
            lab.pass_silently(BA, "udp4.blue");
            lab.pass_silently(RA2, "br.local.back");
            lab.discard();
        };
        all(&mut lab);
        let mut words = lab.rig().left();
        let live: Vec<usize> = (8..words.len()).filter(|&at| words[at] != 0).collect();
        for _ in 0..1 << (round % 8) {
            let (at, bit) = (random(&mut state) as usize, random(&mut state) % 64);
            // what is there more often than what is not
            let at = if bit % 4 == 0 { at % words.len() } else { live[at % live.len()] };
            words[at] ^= 1 << bit;
        }
        if lab.refusal(&setup, &words).is_some() {
            refused += 1;
            continue;
        }
        adopted += lab.succeed(&setup, 100, &words).adopted;
        for _ in 0..2 {
            all(&mut lab);
        }
        lab.apply("routes: [{vrf: red, prefix: 10.77.0.0/16, via: {drop: true}}]");
        all(&mut lab);
        lab.sweep();
        lab.discard();
        super::books::close(&mut lab);
    }
    assert!(refused > 0 && adopted > 50, "{refused} refused, {adopted} adopted");
}

/// The numbering with bits that changed: a record that is not as it was written is none.
#[test]
fn a_damaged_record_is_none() {
    let mut lab = plain_lab(1);
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
    let words = lab.rig().left();
    let records = lab.rig().shared.flows.config().bytes().unwrap() / 8 + 8;
    let mut gone = 0;
    for at in 0..4 * 16 {
        for bit in [0, 1, 2, 31, 32, 33, 63] {
            let mut words = words.clone();
            words[records + at] ^= 1 << bit;
            let told = lab.succeed(&setup(&network::a()), 0, &words);
            assert_eq!(told.adopted + dropped(&told).iter().map(|(_, flows)| flows).sum::<u64>(), 2);
            gone += 2 - told.adopted;
            for flow in lab.rig().flows(Default::default()) {
                let place = (&*flow.place, &*flow.reverse_place);
                assert!([("vif ra", "tunnel red"), ("vif ba", "tunnel blue")].contains(&place), "{place:?}");
            }
        }
    }
    assert!(gone > 0);
}
