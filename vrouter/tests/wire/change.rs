//! Changes under live traffic: routes, VIFs, labels; and workers that see them at different times.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::datapath::Worker;
use vrouter::drops::DropReason;
use vrouter::ids::Tick;

use super::frames::{frame, is_like};
use super::lab::{Lab, Setup, scenario};
use super::network::{self, BA, RA, RA2, RB, RB2, UP};

/// The route to rb's address, by this way.
fn to_rb(via: &str) -> String {
    format!("routes: [{{vrf: red, prefix: 10.1.1.20/32, via: {via}}}]")
}

fn rb_key() -> Key {
    let prefix = v1::Prefix { address: vec![10, 1, 1, 20], length: 32 };
    Key::Route(v1::RouteKey { vrf: "red".into(), prefix: Some(prefix), owner: String::new() })
}

const BY_LABEL: &str = "{mpls_udp: {remote: 10.0.0.2, label: 1001}}";
const BY_VXLAN: &str = "{vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}";
const BY_101: &str = "{vxlan: {remote: 10.0.0.2, vni: 101, mac: \"02:0a:00:00:02:01\"}}";

/// ra receives only answers, so that a flow that is not found is a drop.
fn closed_ra(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply("acls: [{name: nothing, rules: []}]");
    lab.apply(&network::ra("acl_to_vif: nothing"));
    lab.apply(&network::ra2("spoofing_allowed: true"));
    lab
}

#[test]
fn a_changed_route_is_noticed_by_the_flows_there_and_by_no_others() {
    scenario("route-elsewhere", closed_ra, |lab| {
        let revalidated =
            |lab: &mut Lab| lab.rig().stats().workers.iter().map(|worker| worker.revalidated).sum::<u64>();
        let both = |lab: &mut Lab| {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        };
        let drop = |prefix: &str| format!("routes: [{{vrf: red, prefix: {prefix}, via: {{drop: true}}}}]");
        both(lab);
        for elsewhere in ["10.1.2.0/24", "10.2.0.0/16", "10.1.2.20/32", "fd00::/48"] {
            lab.apply(&drop(elsewhere));
            both(lab);
            assert_eq!(revalidated(lab), 0, "{elsewhere}");
        }
        // beside its own route, above it, and so wide that every flow looks again: each way once
        for (n, there) in (1..).zip(["10.1.1.21/32", "10.1.0.0/16", "0.0.0.0/4"]) {
            lab.apply(&drop(there));
            both(lab);
            both(lab);
            assert!((n..=2 * n).contains(&revalidated(lab)), "{there}: {}", revalidated(lab));
        }
    });
}

#[test]
fn a_live_flow_follows_its_route_and_loses_nothing() {
    scenario("route-change", closed_ra, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let back = |lab: &mut Lab| lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        back(lab);
        for (via, expected) in [(BY_LABEL, "udp4.by-label.wire"), (BY_101, "udp4.by-vni-101.wire")] {
            lab.apply(&to_rb(via));
            lab.pass(RA, "udp4.vxlan", UP, expected);
            back(lab);
        }
        lab.apply(&to_rb(BY_VXLAN));
        back(lab);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        let flow = lab.rig().flow();
        assert_eq!((flow.packets, flow.reverse_packets), (4, 4));
        assert!(lab.rig().stats().drops.is_empty());
    });
}

#[test]
fn a_flow_that_leaves_by_another_place_takes_its_answers_from_there() {
    scenario("rekey", closed_ra, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.apply(&to_rb("{vif: ra2}"));
        lab.pass(RA, "udp4.vxlan", RA2, "udp4.to-ra2.out");
        lab.pass(RA2, "udp4.vxlan.back.from-ra2", RA, "udp4.vxlan.back.from-ra2.out");
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
        let flow = lab.rig().flow();
        assert_eq!(&*flow.reverse_place, "vif ra2");
        // it is the same flow: what was counted before counts, and it stays answered
        assert_eq!((flow.packets, flow.reverse_packets), (2, 2));
    });
}

#[test]
fn an_answer_may_be_what_finds_the_flow_moved() {
    scenario("rekey-by-answer", closed_ra, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.apply(&to_rb("{vif: ra2}"));
        // from where the flow no longer leaves: judged as new, and refused
        lab.dropped(UP, "udp4.vxlan.back", DropReason::AclToVif);
        lab.pass(RA2, "udp4.vxlan.back.from-ra2", RA, "udp4.vxlan.back.from-ra2.out");
        assert_eq!(lab.rig().flow().state, "answered");
        lab.pass(RA, "udp4.vxlan", RA2, "udp4.to-ra2.out");
    });
}

#[test]
fn a_withdrawn_route_stops_the_flow_and_its_return_lets_it_go_on() {
    scenario("withdraw", closed_ra, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.rig().delete(rb_key());
        lab.dropped_and_told(RA, "udp4.vxlan", DropReason::NoRoute, "udp4.vxlan.no-route");
        lab.dropped_and_told(RA, "udp4.vxlan", DropReason::NoRoute, "udp4.vxlan.no-route");
        lab.apply(&to_rb("{drop: true}"));
        lab.dropped(RA, "udp4.vxlan", DropReason::RouteDrop);
        lab.apply(&to_rb(BY_VXLAN));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        assert_eq!(lab.rig().flows(Default::default()).len(), 1);
    });
}

#[test]
fn a_longer_prefix_takes_its_flows_and_gives_them_back() {
    scenario("longer-prefix", closed_ra, |lab| {
        lab.rig().delete(rb_key());
        lab.apply("routes: [{vrf: red, prefix: 10.1.1.0/24, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}}]");
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.apply(&to_rb(BY_LABEL));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.by-label.wire");
        lab.rig().delete(rb_key());
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    });
}

#[test]
fn a_route_of_many_networks_is_noticed_in_all_of_them() {
    scenario("wide-route", closed_ra, |lab| {
        lab.rig().delete(rb_key());
        // 10.1.1.20 is not in the first network of any
        for wide in ["10.0.0.0/8", "10.0.0.0/12", "10.1.0.0/16", "10.1.0.0/23"] {
            for (via, expected) in [(BY_VXLAN, "udp4.vxlan.wire"), (BY_LABEL, "udp4.by-label.wire")] {
                lab.apply(&format!("routes: [{{vrf: red, prefix: {wide}, via: {via}}}]"));
                lab.pass(RA, "udp4.vxlan", UP, expected);
            }
        }
    });
}

#[test]
fn a_label_that_is_given_to_another_vrf_takes_its_traffic_there() {
    scenario("label-moves", Lab::a, |lab| {
        lab.pass(UP, "udp4.vxlan.back.by-label", RA, "udp4.vxlan.back.by-label.out");
        lab.apply("labels: [{label: 1000, vrf: blue}]");
        lab.pass(UP, "udp4.vxlan.back.by-label", BA, "udp4.vxlan.back.other-vni.out");
        lab.rig().delete(Key::Label(1000));
        lab.dropped(UP, "udp4.vxlan.back.by-label", DropReason::LabelUnknown);
    });
}

#[test]
fn a_flow_by_a_label_that_names_its_vif_outlives_changes() {
    scenario("label-vif-change", Lab::a, |lab| {
        lab.apply(&network::ra2("spoofing_allowed: true"));
        lab.pass(UP, "label.vif", RA2, "label.vif.out");
        lab.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
        for octet in 1..4 {
            // something else in the VRF changes, and the answer comes first
            lab.apply(&format!("routes: [{{vrf: red, prefix: 10.200.{octet}.0/24, drop: true}}]"));
            lab.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
            lab.pass(UP, "label.vif", RA2, "label.vif.out");
        }
        assert_eq!(lab.rig().flow().packets, 4);
    });
}

#[test]
fn an_error_by_another_label_changes_nothing_of_the_flow_that_it_quotes() {
    scenario("label-vif-error", Lab::a, |lab| {
        lab.apply(&network::ra2("spoofing_allowed: true"));
        for _ in 0..3 {
            lab.pass(UP, "label.vif", RA2, "label.vif.out");
            lab.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
            lab.pass(UP, "label.vif.error", RA2, "label.vif.error.out");
        }
        let stats = lab.rig().stats();
        assert_eq!(stats.workers.iter().map(|worker| worker.revalidated).sum::<u64>(), 0);
        assert_eq!((lab.rig().flow().packets, lab.rig().flow().reverse_packets), (3, 3));
    });
}

#[test]
fn an_error_goes_where_a_packet_before_it_in_the_burst_moved_its_flow() {
    scenario("label-vif-error-behind-a-move", Lab::a, |lab| {
        lab.apply(&network::ra2("spoofing_allowed: true"));
        lab.apply("routes: [{vrf: red, prefix: 10.7.7.7/32, via: {vif: ra}}]");
        lab.pass(UP, "label.vif", RA2, "label.vif.out");
        lab.pass(RA2, "label.vif.back", UP, "label.vif.back.wire");
        let workers = lab.rig().workers.len();
        // in each worker's burst
        for name in ["unlabelled", "label.vif.error"] {
            (0..workers).for_each(|_| lab.put(UP, name));
        }
        lab.run();
        assert_eq!((lab.take(RA).len(), lab.take(RA2).len()), (2 * workers, 0));
    });
}

#[test]
fn answers_by_a_label_that_names_the_vif_are_not_judged_again_and_again() {
    scenario("label-vif-answer", Lab::a, |lab| {
        lab.pass(RA2, "ra2.asks", UP, "ra2.asks.wire");
        (0..5).for_each(|_| lab.pass(UP, "ra2.answered", RA2, "ra2.answered.out"));
        let stats = lab.rig().stats();
        assert_eq!(stats.workers.iter().map(|worker| worker.revalidated).sum::<u64>(), 0);
        assert_eq!(lab.rig().flow().reverse_packets, 5);
    });
}

#[test]
fn a_vif_goes_and_comes_back_under_a_live_flow() {
    scenario("vif-returns", Lab::a, |lab| {
        lab.rig().delete(Key::Label(3000));
        lab.pass(RA, "local4", RA2, "local4.out");
        lab.pass(RA2, "local4.back", RA, "local4.back.out");
        lab.rig().delete(Key::Vif("ra2".into()));
        lab.dropped_and_told(RA, "local4", DropReason::NoRoute, "local4.no-route");
        lab.dropped(RA2, "local4.back", DropReason::NoVif);
        lab.apply(&network::ra2(""));
        lab.pass(RA, "local4", RA2, "local4.out");
        lab.pass(RA2, "local4.back", RA, "local4.back.out");
    });
}

#[test]
fn a_deleted_vif_gives_its_row_back_and_the_next_owner_begins_at_zero() {
    let full = |workers| Lab::one(workers, &Setup { vif_slots: 4, ..Setup::default() });
    scenario("slot-reuse", full, |lab| {
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        lab.dropped(BA, "bad.mac-spoofed", DropReason::MacSpoofed);
        let row = |lab: &mut Lab, vif: &str| lab.rig().stats().vifs.into_iter().find(|row| row.vif == vif).unwrap();
        assert_eq!((row(lab, "ba").rx_packets, row(lab, "ba").dropped), (2, 1));
        lab.rig().delete(Key::Vif("ba".into()));
        lab.dropped(BA, "udp4.blue", DropReason::NoVif);
        lab.apply(
            r#"vifs: [{name: nb, port: p2, vrf: blue, mac: "02:00:00:00:0a:02", addresses: [10.1.1.10], gateway_v4: 10.1.1.1}]"#,
        );
        let fresh = row(lab, "nb");
        assert_eq!((fresh.rx_packets, fresh.tx_packets, fresh.dropped), (0, 0, 0));
        lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
        assert_eq!(row(lab, "nb").rx_packets, 1);
        let flows = lab.rig().flows(v1::FlowsRequest { vif: "nb".into(), ..Default::default() });
        assert_eq!((flows.len(), flows[0].packets), (1, 1), "the old VIF's flow is not the new one's");
    });
}

#[test]
fn two_vrouters_change_their_tunnel_s_kind_under_traffic() {
    scenario("kind-change", Lab::pair, |lab| {
        for _ in 0..3 {
            lab.rigs[0].apply(&to_rb("{mpls_udp: {remote: 10.0.0.2, label: 1001}}"));
            lab.pass(RA, "udp4.vxlan", RB, "udp4.vxlan.out");
            lab.rigs[0].apply(&to_rb(BY_VXLAN));
            lab.pass(RA, "udp4.vxlan", RB, "udp4.vxlan.out");
            lab.pass(RA, "udp4.mpls", RB2, "udp4.mpls.out");
        }
        assert_eq!(lab.rigs[0].stats().conservation.unwrap().dropped, 0);
        assert_eq!(lab.rigs[1].stats().conservation.unwrap().dropped, 0);
    });
}

#[test]
fn sync_waits_for_every_worker() {
    let mut lab = Lab::a(2);
    let now = lab.now;
    let rig = lab.rig();
    let generation = rig.try_apply(Vec::new()).unwrap();
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    rig.control.answer(Request::Sync { generation, reply });
    rig.workers[0].poll(Tick(1));
    rig.control.step_at(now);
    assert!(answer.try_recv().is_err(), "worker 1 has not seen it");
    lab.rig().workers[1].poll(Tick(1));
    lab.rig().control.step_at(now);
    assert!(answer.try_recv().unwrap() >= generation);
}

/// Two workers in threads of their own, one flow in both directions, and routes that change all the while: each packet leaves by one
/// of the ways that there were, and none is lost.
#[test]
fn nothing_is_lost_while_workers_see_changes_at_different_times() {
    let mut lab = closed_ra(2);
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    let mut workers = std::mem::take(&mut lab.rig().workers);
    let stop = AtomicBool::new(false);
    let now = lab.now;
    let (mut sent, mut there, mut back) = (0, 0, 0);
    std::thread::scope(|scope| {
        for worker in &mut workers {
            let stop = &stop;
            scope.spawn(move || {
                worker.settle();
                while !stop.load(Ordering::Relaxed) {
                    worker.poll(Tick((now / 100) as u32));
                    std::thread::yield_now();
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..400 {
                lab.apply(&to_rb([BY_LABEL, BY_101, BY_VXLAN][round % 3]));
                for _ in 0..4 {
                    lab.put(RA, "udp4.vxlan");
                    lab.put(UP, "udp4.vxlan.back");
                    sent += 1;
                }
                lab.rig().control.step_at(now);
                while there < sent || back < sent {
                    for bytes in lab.take(UP) {
                        let ways = ["udp4.vxlan.wire", "udp4.by-label.wire", "udp4.by-vni-101.wire"];
                        assert!(ways.iter().any(|way| is_like(&bytes, way)), "{bytes:02x?}");
                        there += 1;
                    }
                    let came = lab.take(RA);
                    assert!(came.iter().all(|bytes| bytes == frame("udp4.vxlan.back.out")));
                    back += came.len();
                    let drops = lab.rig().stats().drops;
                    assert!(drops.is_empty(), "round {round}: {drops:?}");
                    std::thread::yield_now();
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    lab.rig().workers = workers;
    lab.run();
    assert_eq!((there, back), (1600, 1600));
    assert_eq!(lab.rig().flow().packets, 1601);
    super::books::close(&mut lab);
}

/// Lets a worker poll as soon as watchers are told of a change: while the control thread is still at it.
struct Eager(Mutex<Worker>, Tick);

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().poll(self.1);
    }
}

#[test]
fn the_first_packets_of_a_new_vif_are_in_its_counters() {
    let mut lab = Lab::a(1);
    let rises = lab.rig().ask(|reply| Request::Watch { snapshot: false, reply }).rises;
    let worker = lab.rig().workers.remove(0);
    let eager = Arc::new(Eager(Mutex::new(worker), Tick((lab.now / 100) as u32)));
    let vif = r#"vifs: [{name: late, port: p4, vrf: red, mac: "02:00:00:00:0a:04", addresses: [10.1.1.12]}]"#;
    for round in 1..=3 {
        let mut rises = rises.clone();
        rises.mark_unchanged();
        let mut changed = pin!(rises.changed());
        assert!(changed.as_mut().poll(&mut Context::from_waker(&eager.clone().into())).is_pending());
        (0..8).for_each(|_| lab.put((0, 4), "any.ask.ra3"));
        lab.apply(vif);
        let row = lab.rig().stats().vifs.into_iter().find(|row| row.vif == "late").unwrap();
        assert_eq!((row.rx_packets, row.dropped), (8, 8), "round {round}");
        lab.rig().delete(Key::Vif("late".into()));
        eager.0.lock().unwrap().poll(eager.1);
    }
}

/// After `Sync` no worker forwards by the rules from before, whichever direction's packet comes first.
#[test]
fn the_first_packets_after_sync_obey() {
    let mut lab = Lab::a(2);
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    let mut workers = std::mem::take(&mut lab.rig().workers);
    let stop = AtomicBool::new(false);
    let now = lab.now;
    std::thread::scope(|scope| {
        for worker in &mut workers {
            let stop = &stop;
            scope.spawn(move || {
                worker.settle();
                while !stop.load(Ordering::Relaxed) {
                    worker.poll(Tick((now / 100) as u32));
                    std::thread::yield_now();
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..200 {
                let permitted = round % 2 == 1;
                let action = if permitted { "permit" } else { "deny" };
                lab.apply(&format!("acls: [{{name: out, rules: [{{action: {action}}}]}}]"));
                lab.apply(&network::ra("acl_from_vif: out"));
                let (reply, mut synced) = tokio::sync::oneshot::channel();
                lab.rig().control.answer(Request::Sync { generation: 0, reply });
                while synced.try_recv().is_err() {
                    lab.rig().control.step_at(now);
                    std::thread::yield_now();
                }
                let counted = |lab: &mut Lab| lab.rig().stats().conservation.unwrap();
                let before = counted(&mut lab);
                lab.put(RA, "udp4.vxlan");
                lab.put(UP, "udp4.vxlan.back");
                loop {
                    let after = counted(&mut lab);
                    let (sent, dropped) = (after.sent - before.sent, after.dropped - before.dropped);
                    if sent + dropped == 2 {
                        assert_eq!((sent, dropped), if permitted { (2, 0) } else { (0, 2) }, "round {round}");
                        break;
                    }
                    std::thread::yield_now();
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    lab.rig().workers = workers;
    lab.run();
    lab.discard();
    super::books::close(&mut lab);
}
