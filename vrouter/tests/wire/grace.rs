//! A change that concerns many live flows while packets wait: none is lost, each is decided anew in time, and none goes by what was before once
//! the worker says that the change is in force.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::daemon::clock::tick_at;
use vrouter::drops::DropReason;
use vrouter::port::BURST;
use vrouter::tables::Watched;

use super::frames::frame;
use super::lab::{Lab, Setup};
use super::network::{self, RA, RA2, UP};

const FLOWS: usize = 512;
const DENY: &str = "acls: [{name: out, rules: [{action: deny, protocol: udp}, {action: permit}]}]";
const PERMIT: &str = "acls: [{name: out, rules: [{action: permit, protocol: udp}, {action: deny}]}]";

/// A packet of flow number `flow`.
fn packet(flow: usize) -> Vec<u8> {
    let mut bytes = frame("udp4.vxlan").to_vec();
    // the source port; and the checksum, which nobody looks at
    bytes[34..36].copy_from_slice(&(20_000 + flow as u16).to_be_bytes());
    bytes[40..42].fill(0);
    bytes
}

/// The packet to another destination. The UDP checksum is not told of it: nobody looks at it.
fn to(mut packet: Vec<u8>, destination: [u8; 4]) -> Vec<u8> {
    packet[30..34].copy_from_slice(&destination);
    packet[24..26].fill(0);
    let sum: u32 = packet[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    packet[24..26].copy_from_slice(&(!((sum >> 16) as u16 + sum as u16)).to_be_bytes());
    packet
}

/// One worker, an ACL that permits, and all flows live.
fn lab() -> Lab {
    let mut lab = Lab::one(1, &Setup { flows: 4096, ..Setup::default() });
    lab.apply(PERMIT);
    lab.apply(&network::ra("acl_from_vif: out"));
    lab.run();
    put(&mut lab, 0..FLOWS);
    lab.run();
    lab.discard();
    settle(&mut lab);
    assert_eq!(lab.rig().flows(v1::FlowsRequest::default()).len(), FLOWS);
    lab
}

fn put(lab: &mut Lab, flows: impl Iterator<Item = usize>) {
    flows.for_each(|flow| lab.put_bytes(RA, &packet(flow)));
}

/// Until the newest change is in force, then busy again.
fn settle(lab: &mut Lab) {
    while lab.rig().shared.seen() < generation(lab) {
        poll(lab);
    }
    put(lab, 0..1);
    poll(lab);
    lab.discard();
}

fn generation(lab: &mut Lab) -> u64 {
    lab.rig().shared.snapshot.load().generation.0
}

fn poll(lab: &mut Lab) -> usize {
    let now = tick_at(lab.now);
    lab.rig().workers[0].poll(now)
}

/// Frames that left by the tunnel, and those that the ACL dropped, since the last look.
fn went(lab: &mut Lab, dropped: &mut u64) -> (usize, usize) {
    let (left, now) = (lab.take(UP).len(), lab.rig().dropped("ra", DropReason::AclFromVif));
    (left, (now - std::mem::replace(dropped, now)) as usize)
}

fn overlooked(lab: &mut Lab) -> u64 {
    lab.rig().stats().workers[0].overlooked
}

#[test]
fn while_packets_wait_outdated_flows_go_on_as_they_were() {
    let mut lab = lab();
    let mut dropped = 0;
    lab.rig().apply(DENY);
    put(&mut lab, 0..FLOWS);
    assert_eq!(poll(&mut lab), BURST);
    let (left, denied) = went(&mut lab, &mut dropped);
    assert_eq!((left, denied, overlooked(&mut lab)), (BURST, 0, BURST as u64));
    assert!(lab.rig().shared.seen() < generation(&mut lab), "told in force while packets go by what was before");
    while poll(&mut lab) > 0 {}
    went(&mut lab, &mut dropped);
    // when none waits, all are decided, and not overlooked from then on
    put(&mut lab, 0..8);
    poll(&mut lab);
    assert_eq!(went(&mut lab, &mut dropped), (0, 8));
    put(&mut lab, (0..8).cycle().take(BURST));
    poll(&mut lab);
    assert_eq!(went(&mut lab, &mut dropped), (0, BURST));
}

#[test]
fn a_worker_that_keeps_up_decides_all_that_comes() {
    let mut lab = lab();
    let mut dropped = 0;
    lab.rig().apply(DENY);
    for first in (0..FLOWS).step_by(BURST - 1) {
        put(&mut lab, first..FLOWS.min(first + BURST - 1));
        poll(&mut lab);
    }
    assert_eq!(went(&mut lab, &mut dropped), (0, FLOWS));
    assert_eq!(overlooked(&mut lab), 0);
}

/// Packets wait all the time, and all flows are outdated again and again: not one packet is lost, and none goes by what was before for longer than
/// six ticks.
#[test]
fn under_full_load_a_change_is_in_force_in_six_ticks() {
    let mut lab = lab();
    let start = lab.now;
    lab.rig().apply(&also_permits(0));
    let newest = generation(&mut lab);
    for turn in 1.. {
        put(&mut lab, (0..BURST).map(|at| (turn * BURST + at) % FLOWS));
        if turn % 8 == 0 {
            lab.rig().apply(&also_permits(turn));
        }
        // a tenth of a second has a hundred bursts
        if turn % 100 == 0 {
            lab.now += 100;
        }
        poll(&mut lab);
        assert_eq!(lab.take(UP).len(), BURST);
        if lab.rig().shared.seen() >= newest {
            break;
        }
        assert!(lab.now - start <= 600, "not in force");
    }
    assert!(lab.now - start > 300, "{} ms: it was over before", lab.now - start);
}

/// Each of them by one that had been there for three ticks, after six at most; what is in force is never the newest, but when they end.
#[test]
fn changes_that_go_on_are_in_force_one_after_the_other() {
    let mut lab = lab();
    let start = lab.now;
    // when each generation came
    let mut came = vec![(generation(&mut lab), start)];
    let (mut seen, mut advanced) = (lab.rig().shared.seen(), 0);
    for turn in 0..3000 {
        put(&mut lab, (0..BURST).map(|at| (turn * BURST + at) % FLOWS));
        if turn % 8 == 0 {
            lab.rig().apply(&also_permits(turn));
            came.push((generation(&mut lab), lab.now));
        }
        poll(&mut lab);
        assert_eq!(lab.take(UP).len(), BURST);
        let now = lab.rig().shared.seen();
        let late = came.iter().find(|(generation, at)| *generation > now && lab.now - at > 600);
        assert!(late.is_none(), "{late:?} is not in force by {}", lab.now);
        if now != seen {
            let (_, at) = came.iter().find(|(generation, _)| *generation == now).unwrap();
            assert!(lab.now - at >= 300, "in force after {} ms: {now}", lab.now - at);
            (seen, advanced) = (now, advanced + 1);
        }
        if turn % 100 == 99 {
            lab.now += 100;
        }
    }
    assert!((7..=10).contains(&advanced), "{advanced} times");
    settle(&mut lab);
    assert_eq!(lab.rig().shared.seen(), generation(&mut lab));
}

/// The ACL, with a rule more that permits nothing more.
fn also_permits(number: usize) -> String {
    PERMIT.replace("rules: [", &format!("rules: [{{action: permit, protocol: udp, source_ports: {}}}, ", 1000 + number))
}

/// The burst in which the worker takes the snapshot is the last one that may go by what was before.
#[test]
fn who_waits_for_a_change_urges() {
    let mut lab = lab();
    let mut dropped = 0;
    lab.rig().apply(DENY);
    let generation = generation(&mut lab);
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    lab.rig().control.answer(Request::Sync { generation, reply });
    let late = lab.now + 30;
    lab.rig().control.step_at(late);
    assert!(answer.try_recv().is_err());
    put(&mut lab, 0..2 * BURST);
    (0..2).for_each(|_| _ = poll(&mut lab));
    let (left, denied) = went(&mut lab, &mut dropped);
    assert!(left + denied == 2 * BURST && left <= BURST, "{left} {denied}");
    lab.rig().control.step_at(late);
    poll(&mut lab);
    lab.rig().control.step_at(late);
    assert_eq!(answer.try_recv().unwrap(), generation);
}

/// The one after it is not overlooked either: what was outdated before a change is decided anew, however full bursts are.
#[test]
fn what_was_outdated_before_the_change_is_decided_anew() {
    let mut lab = lab();
    let mut dropped = 0;
    lab.rig().apply(DENY);
    while lab.rig().shared.seen() < generation(&mut lab) {
        poll(&mut lab);
    }
    put(&mut lab, FLOWS..FLOWS + 1);
    poll(&mut lab);
    went(&mut lab, &mut dropped);
    lab.rig().apply(&DENY.replace("udp}", "udp, destination_ports: 1-65535}"));
    put(&mut lab, 0..FLOWS);
    poll(&mut lab);
    assert_eq!(went(&mut lab, &mut dropped), (0, BURST));
    assert_eq!(overlooked(&mut lab), 0);
}

#[test]
fn an_idle_worker_puts_a_change_in_force_at_once() {
    let mut lab = lab();
    let mut dropped = 0;
    (0..16).for_each(|_| _ = poll(&mut lab));
    lab.rig().apply(DENY);
    poll(&mut lab);
    assert_eq!(lab.rig().shared.seen(), generation(&mut lab));
    put(&mut lab, 0..FLOWS);
    lab.run();
    assert_eq!(went(&mut lab, &mut dropped), (0, FLOWS));
}

fn without_routes(lab: &mut Lab) {
    // both that lead there
    let host = |bytes: &[u8]| v1::Prefix { address: bytes.to_vec(), length: 8 * bytes.len() as u32 };
    let of_v6 = std::net::Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x20).octets();
    let changes = [host(&[10, 1, 1, 20]), host(&of_v6)].map(|prefix| {
        let key = v1::RouteKey { vrf: "red".into(), prefix: Some(prefix), owner: String::new() };
        v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(v1::object_key::Kind::Route(key)) })) }
    });
    lab.rig().try_apply(changes.into()).unwrap();
}

/// A next hop that is no more is taken as it was, while the change is not in force.
#[test]
fn a_next_hop_that_is_gone_carries_on_for_a_while() {
    let mut lab = lab();
    without_routes(&mut lab);
    put(&mut lab, 0..BURST);
    poll(&mut lab);
    let left = lab.take(UP).len();
    assert_eq!(left, BURST);
    while lab.rig().shared.seen() < generation(&mut lab) {
        poll(&mut lab);
    }
    put(&mut lab, 0..BURST);
    poll(&mut lab);
    assert_eq!(lab.take(UP).len(), 0);
}

/// Not if its port is another VIF's by now.
#[test]
fn a_port_that_changed_hands_gets_nothing_of_what_was() {
    let mut lab = lab();
    // which is ra2, instead of 10.1.1.20
    let to_ra2 = |flow| to(packet(flow), [10, 1, 1, 11]);
    for _ in 0..2 {
        (0..BURST).for_each(|flow| lab.put_bytes(RA, &to_ra2(flow)));
        poll(&mut lab);
        assert_eq!(lab.take(RA2).len(), BURST);
    }
    let gone = [v1::object_key::Kind::Label(3000), v1::object_key::Kind::Vif("ra2".into())];
    let delete = |kind| v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) })) };
    lab.rig().try_apply(gone.map(delete).into()).unwrap();
    (0..BURST).for_each(|flow| lab.put_bytes(RA, &to_ra2(flow)));
    poll(&mut lab);
    assert_eq!((lab.take(RA2).len(), overlooked(&mut lab)), (0, 0));
}

/// More next hops in a burst than are remembered of it: each packet goes by its own.
#[test]
fn each_packet_of_a_burst_goes_by_its_own_next_hop() {
    let mut lab = lab();
    let route = |n| {
        format!(
            "\n  - {{vrf: red, prefix: 30.0.{n}.0/24, via: {{vxlan: {{remote: 10.0.0.2, vni: {}, mac: \"02:0a:00:00:02:01\"}}}}}}",
            500 + n
        )
    };
    lab.apply(&format!("routes:{}", (0..8).map(route).collect::<String>()));
    let burst = |lab: &mut Lab| {
        (0..BURST).for_each(|flow| lab.put_bytes(RA, &to(packet(flow), [30, 0, flow as u8 % 8, 9])));
        poll(lab);
        let mut left: Vec<_> = lab.take(UP).into_iter().collect();
        left.sort();
        left
    };
    let before = burst(&mut lab);
    settle(&mut lab);
    assert_eq!(before.len(), BURST);
    lab.rig().apply(DENY);
    assert_eq!(burst(&mut lab), before);
    assert_eq!(overlooked(&mut lab), BURST as u64);
}

/// Few flows are outdated: the change is in force after some hundred frames, whether packets wait or not.
#[test]
fn a_change_that_concerns_few_flows_is_in_force_soon() {
    let mut lab = lab();
    lab.rig().apply("routes:\n  - {vrf: red, prefix: 30.0.0.0/24, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: \"02:0a:00:00:02:01\"}}}");
    let mut turns = 0;
    while lab.rig().shared.seen() < generation(&mut lab) {
        put(&mut lab, 0..BURST);
        poll(&mut lab);
        turns += 1;
    }
    assert!(turns <= 512 / BURST + 1, "{turns}");
    assert_eq!((lab.take(UP).len(), overlooked(&mut lab)), (turns * BURST, 0));
}

/// Whom the next hop leads to is known to be gone: nothing more is sent there.
#[test]
fn what_is_cut_is_not_overlooked() {
    let mut lab = lab();
    let mut dropped = 0;
    // with another rewrite, so that the newer snapshot's row is its own
    lab.rig().apply(&format!("{DENY}\nneighbours: [{{vif: up0, address: 10.0.0.2, mac: \"52:00:00:00:0b:09\"}}]"));
    let snapshot = lab.rig().shared.snapshot.load_full();
    let vrf = snapshot.local.underlay.expect("an underlay");
    let failed = Watched { vrf, remote: [10, 0, 0, 2].into(), multihop: true };
    snapshot.cut(&[failed].into());
    put(&mut lab, 0..FLOWS);
    poll(&mut lab);
    assert_eq!(went(&mut lab, &mut dropped), (0, BURST));
    assert_eq!(overlooked(&mut lab), 0);
}
