//! Flows: TCP states, lifetimes, budgets, and a table that is full.

use vrouter::api::v1;
use vrouter::datapath::punt::RING;
use vrouter::drops::DropReason;

use super::lab::{Lab, Setup, scenario};
use super::network::{self, BA, RA, RA2, UP};

/// What goes on in a conversation that ra or its peer began: sent by ra, or by the peer.
fn talk(lab: &mut Lab, names: &[&str]) {
    for name in names {
        if name.contains(".in.") || name.ends_with(".in") || name.ends_with(".back") {
            lab.pass(UP, name, RA, &format!("{name}.out"));
        } else {
            lab.pass(RA, name, UP, &format!("{name}.wire"));
        }
    }
}

fn state(lab: &mut Lab) -> String {
    lab.rig().flow().state
}

#[test]
fn tcp_opens_establishes_and_closes() {
    scenario("tcp", Lab::a, |lab| {
        for (name, expected) in [
            ("tcp.out.S", "opening"),
            ("tcp.in.SA", "opening"),
            ("tcp.out.A", "established"),
            ("tcp.in.PA", "established"),
            ("tcp.in.FA", "established"),
            ("tcp.out.FA", "closing"),
            ("tcp.in.A", "closing"),
        ] {
            talk(lab, &[name]);
            assert_eq!(state(lab), expected, "after {name}");
        }
        // a new SYN is a new flow
        talk(lab, &["tcp.out.S"]);
        let flow = lab.rig().flow();
        assert_eq!((&*flow.state, flow.packets, flow.reverse_packets), ("opening", 1, 0));
        talk(lab, &["tcp.in.R"]);
        assert_eq!(state(lab), "closing");
        talk(lab, &["tcp.out.S", "tcp.in.SA", "tcp.out.A"]);
        assert_eq!(state(lab), "established");
    });
}

#[test]
fn what_tcp_has_seen_outlives_changes() {
    scenario("tcp-changes", Lab::a, |lab| {
        talk(lab, &["tcp.out.S", "tcp.in.SA", "tcp.out.A"]);
        let after_a_change = |lab: &mut Lab, name: &str, expected: &str| {
            for more in ["spoofing_allowed: true", ""] {
                lab.apply(&network::ra(more));
                talk(lab, &[name]);
                assert_eq!(state(lab), expected, "after {name}");
            }
        };
        after_a_change(lab, "tcp.out.A", "established");
        after_a_change(lab, "tcp.in.PA", "established");
        talk(lab, &["tcp.in.FA", "tcp.out.FA"]);
        after_a_change(lab, "tcp.out.A", "closing");
        after_a_change(lab, "tcp.in.A", "closing");
        let stats = lab.rig().stats();
        assert_eq!(stats.workers.iter().map(|worker| worker.revalidated).sum::<u64>(), 8);
    });
}

#[test]
fn a_peer_may_begin_and_both_sides_are_counted() {
    scenario("tcp-in", Lab::a, |lab| {
        talk(lab, &["ssh.in.S", "ssh.out.SA", "ssh.in.A", "ssh.out.PA"]);
        let flow = lab.rig().flow();
        assert_eq!((&*flow.place, &*flow.reverse_place), ("tunnel red", "vif ra"));
        assert_eq!((flow.packets, flow.reverse_packets, flow.bytes, flow.reverse_bytes), (2, 2, 80, 80));
        assert_eq!((flow.source_port, flow.destination_port, &*flow.state), (41000, 22, "established"));
    });
}

#[test]
fn strict_tcp_begins_with_syn() {
    scenario("strict", Lab::a, |lab| {
        talk(lab, &["ssh.out.A"]);
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}");
        for flags in ["A", "SA", "FA", "R"] {
            lab.dropped(RA, &format!("tcp.out.{flags}"), DropReason::TcpNotSyn);
            lab.dropped(UP, &format!("tcp.in.{flags}"), DropReason::TcpNotSyn);
        }
        talk(lab, &["tcp.out.S", "tcp.in.SA", "tcp.out.A", "ssh.out.A"]);
    });
}

#[test]
fn a_burst_that_opens_a_closed_connection_anew_goes_on_after_a_change() {
    scenario("burst-reopened", Lab::a, |lab| {
        // the peer began the first, ra begins the second
        talk(lab, &["ssh.in.S", "ssh.out.SA", "ssh.in.A", "ssh.in.R"]);
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}");
        // flows of red are judged again
        lab.apply("routes: [{vrf: red, prefix: 10.77.0.0/16, drop: true}]");
        lab.put(RA, "ssh.out.S");
        lab.put(RA, "ssh.out.A");
        lab.run();
        lab.expect(&[(UP, "ssh.out.S.wire"), (UP, "ssh.out.A.wire")]);
        assert_eq!(lab.rig().flow().packets, 2);
    });
}

/// Idle this long in this phase, a flow is still there a second before its lifetime's end, and gone after it.
fn lives(names: &'static [&'static str], phase: &str, seconds: u64) {
    scenario(&format!("lifetime-{phase}-{}", names[0]), Lab::a, |lab| {
        talk(lab, names);
        assert_eq!(state(lab), phase, "{names:?}");
        lab.now += (seconds - 11) * 1000;
        lab.sweep();
        assert_eq!(lab.rig().flows(v1::FlowsRequest::default()).len(), 1, "{names:?} died early");
        lab.now += 1200;
        lab.sweep();
        assert_eq!(lab.rig().flows(v1::FlowsRequest::default()).len(), 0, "{names:?} outlived {seconds} s");
        assert_eq!(lab.rig().stats().flows.unwrap().aged, 1);
    });
}

#[test]
fn each_state_has_its_lifetime() {
    lives(&["tcp.out.S"], "opening", 30);
    lives(&["tcp.out.S", "tcp.in.SA", "tcp.out.A"], "established", 7200);
    lives(&["tcp.out.S", "tcp.in.R"], "closing", 15);
    lives(&["udp4.vxlan"], "unanswered", 30);
    lives(&["udp4.vxlan", "udp4.vxlan.back"], "answered", 180);
    lives(&["udp6.vxlan", "udp6.vxlan.back"], "answered", 180);
    lives(&["ping4.out", "ping4.in"], "answered", 30);
    lives(&["ping6.out", "ping6.in"], "answered", 30);
    lives(&["gre.out"], "unanswered", 30);
}

#[test]
fn one_way_traffic_keeps_both_directions_and_lifetimes_are_settable() {
    scenario("one-way", Lab::a, |lab| {
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, lifetimes: {udp_answered: 20}}");
        talk(lab, &["udp4.vxlan", "udp4.vxlan.back"]);
        for _ in 0..5 {
            lab.sweep();
            talk(lab, &["udp4.vxlan"]);
        }
        assert_eq!(lab.rig().flow().reverse_packets, 1);
        for _ in 0..5 {
            lab.sweep();
            talk(lab, &["udp4.vxlan.back"]);
        }
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets), (6, 6), "answers alone keep it, too");
        lab.now += 20_000;
        lab.sweep();
        assert!(lab.rig().flows(v1::FlowsRequest::default()).is_empty());
    });
}

#[test]
fn packet_mode_keeps_no_flows() {
    scenario("packet-mode", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, flows: off}]");
        talk(lab, &["udp4.vxlan", "udp4.vxlan.back", "udp6.mpls", "udp6.mpls.back", "tcp.out.A"]);
        lab.pass(RA, "local4", RA2, "local4.out");
        lab.pass(UP, "label.vif", RA2, "label.vif.out");
        lab.pass(RA, "echo4.gateway", RA, "echo4.gateway.reply");
        lab.dropped_and_told(RA, "no-route4", DropReason::NoRoute, "no-route4.error");
        lab.dropped_and_told(RA, "ttl4.1", DropReason::TtlExpired, "ttl4.1.error");
        assert!(lab.rig().flows(v1::FlowsRequest::default()).is_empty());
        // and back
        lab.apply("vrfs: [{name: red}]");
        talk(lab, &["udp4.vxlan"]);
        assert_eq!(lab.rig().flow().packets, 1);
    });
}

fn with_budget(workers: usize) -> Lab {
    Lab::one(workers, &Setup { new_flows_per_second: 10, ..Setup::default() })
}

#[test]
fn a_vif_s_new_flows_are_budgeted_and_others_keep_theirs() {
    scenario("flow-budget", with_budget, |lab| {
        let workers = lab.rig().workers.len();
        (0..100).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 10 * workers);
        assert_eq!(lab.rig().dropped("ra2", DropReason::FlowBudget), 100 - 10 * workers as u64);
        talk(lab, &["udp4.vxlan", "udp4.vxlan.back"]);
        // flows that are there are not charged
        lab.put(RA2, "flood.0");
        lab.put(RA2, "flood.1");
        lab.run();
        lab.expect(&[(UP, "flood.0.wire"), (UP, "flood.1.wire")]);
        lab.now += 1000;
        (100..100 + 10 * workers).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        assert_eq!(lab.take(UP).len(), 10 * workers);
    });
}

#[test]
fn a_burst_of_one_new_flow_is_one_new_flow() {
    scenario("burst-budget", with_budget, |lab| {
        (0..40).for_each(|_| lab.put(RA, "udp4.vxlan"));
        lab.run();
        assert_eq!(lab.take(UP).len(), 40);
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.bytes), (40, 40 * 92));
    });
}

fn small_table(workers: usize) -> Lab {
    Lab::one(workers, &Setup { flows: 64, network: network::a(), ..Setup::default() })
}

/// So many answered flows of ra, one after the other by a tenth of a second.
fn answered(lab: &mut Lab, count: usize) {
    for n in 0..count {
        talk(lab, &[&format!("quiet.{n}"), &format!("quiet.{n}.back")]);
        lab.now += 100;
    }
}

#[test]
fn a_flood_beyond_capacity_leaves_answered_flows_of_others_alone() {
    scenario("flood", small_table, |lab| {
        answered(lab, 32);
        for n in 0..300 {
            lab.pass(RA2, &format!("flood.{n}"), UP, &format!("flood.{n}.wire"));
            if n % 10 == 0 {
                let n = n / 10;
                talk(lab, &[&format!("quiet.{n}"), &format!("quiet.{n}.back")]);
            }
        }
        for n in 0..32 {
            let request = v1::FlowsRequest { port: Some(20_000 + n), ..Default::default() };
            assert_eq!(lab.rig().flows(request).len(), 1, "quiet.{n} was evicted");
        }
        let table = lab.rig().stats().flows.unwrap();
        assert_eq!((table.used_v4, table.inserted), (64, 332));
        assert_eq!(table.evicted, 332 - 64);
    });
}

#[test]
fn a_table_full_of_answered_flows_refuses_others_but_its_owner_evicts_its_oldest() {
    scenario("table-full", small_table, |lab| {
        answered(lab, 64);
        lab.dropped(RA2, "flood.0", DropReason::FlowTableFull);
        let there = |lab: &mut Lab, port| {
            !lab.rig().flows(v1::FlowsRequest { port: Some(port), ..Default::default() }).is_empty()
        };
        talk(lab, &["udp4.vxlan"]);
        assert!(!there(lab, 20_000) && there(lab, 20_001));
        // ra2's next flow takes the place of the unanswered one
        lab.pass(RA2, "flood.1", UP, "flood.1.wire");
        assert!(!there(lab, 5000) && there(lab, 20_001));
    });
}

#[test]
fn closing_flows_go_first_then_unanswered_ones() {
    scenario("evict-order", small_table, |lab| {
        answered(lab, 62);
        talk(lab, &["udp4.vxlan"]);
        lab.now += 1000;
        talk(lab, &["tcp.out.S", "tcp.in.R"]);
        let there = |lab: &mut Lab, port| {
            !lab.rig().flows(v1::FlowsRequest { port: Some(port), ..Default::default() }).is_empty()
        };
        lab.pass(RA2, "flood.0", UP, "flood.0.wire");
        assert!(!there(lab, 40_000) && there(lab, 5000));
        lab.now += 1000;
        lab.pass(RA2, "flood.1", UP, "flood.1.wire");
        assert!(!there(lab, 5000) && there(lab, 10_000));
    });
}

#[test]
fn a_flood_of_punts_is_bounded_by_vif_and_spares_others_and_the_underlay() {
    scenario("punt-flood", Lab::a, |lab| {
        lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, icmp_per_second: 20}");
        let workers = lab.rig().workers.len();
        (0..200).for_each(|_| lab.put(RA, "arp.gateway"));
        lab.run();
        lab.expect(&vec![(RA, "arp.gateway.reply"); 20 * workers]);
        assert_eq!(lab.rig().dropped("ra", DropReason::PuntBudget), 200 - 20 * workers as u64);
        lab.pass(RA2, "echo4.from-ra2", RA2, "echo4.from-ra2.reply");
        lab.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply");
        lab.now += 1000;
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
    });
}

#[test]
fn a_full_tenant_ring_does_not_hold_up_the_underlay() {
    scenario("punt-ring", Lab::a, |lab| {
        let workers = lab.rig().workers.len();
        let now = lab.now;
        // a VIF's ARP fills a quarter of a ring at most, its other punts another: two VIFs fill it
        (0..RING * workers / 2).for_each(|n| lab.put(RA, ["arp.gateway", "echo4.gateway"][n / workers % 2]));
        (0..RING * workers / 2).for_each(|n| lab.put(BA, ["ba.arp", "ba.echo"][n / workers % 2]));
        lab.rig().poll_workers(now);
        assert!(lab.rig().stats().drops.is_empty());
        (0..5 * workers).for_each(|_| lab.put(RA2, "echo4.from-ra2"));
        (0..workers).for_each(|_| lab.put(UP, "underlay.ask-us"));
        lab.rig().poll_workers(now);
        assert_eq!(lab.rig().dropped("ra2", DropReason::PuntRingFull), 5 * workers as u64);
        assert_eq!(lab.rig().stats().conservation.unwrap().dropped, 5 * workers as u64);
        // answered before the tenants' that wait
        lab.step();
        lab.step();
        let came = lab.take(UP);
        assert_eq!(came, vec![super::frames::frame("underlay.ask-us.reply"); workers]);
        let first = lab.take(RA).len() + lab.take(BA).len();
        lab.run();
        assert_eq!(first + lab.take(RA).len() + lab.take(BA).len(), RING * workers);
        assert!(first <= RING * workers / 2);
    });
}
