//! BFD sessions with peers that scapy plays, and what follows when one fails.

use vrouter::api::v1;
use vrouter::api::v1::object::Kind;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{At, Lab, scenario};
use super::network::UP;
use super::uplinks::{FLOWS, UP1, count, known, only_left, uplinks};

/// Sessions with the gateway of up1, that of up0 by IPv6, and the far end of the tunnels.
const UP1_SESSION: &str = "bfd_sessions: [{name: s, vrf: underlay, remote: 10.0.1.2}]";
const SIX: &str = "bfd_sessions: [{name: s, vrf: underlay, remote: \"fd31::2\"}]";
const FAR: &str = "bfd_sessions: [{name: s, vrf: underlay, remote: 198.51.100.9, multihop: true}]";

/// A session with the gateway of up1, which was told of.
pub fn up1(workers: usize) -> Lab {
    let mut lab = one_hop(workers);
    lab.run();
    lab.take(UP1);
    lab
}

fn session(lab: &mut Lab) -> v1::BfdSession {
    let filter = v1::ListRequest { kind: v1::Kind::BfdSession.into(), ..v1::ListRequest::default() };
    let mut listed = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap();
    match listed.objects.next().expect("a session").kind {
        Some(Kind::BfdSession(session)) => *session,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn stands(lab: &mut Lab, state: &str, diagnostic: &str, failed: bool) {
    let session = session(lab);
    assert_eq!((&*session.state, &*session.diagnostic, session.failed), (state, diagnostic, failed));
}

/// The session of this peer comes up, and everybody knows of the other's pace.
fn come_up(lab: &mut Lab, at: At, peer: &str) {
    let name = |what: &str| format!("bfd.{peer}.{what}");
    lab.run();
    lab.expect(&[(at, &name("ours.down"))]);
    lab.pass(at, &name("hello"), at, &name("ours.init"));
    lab.pass(at, &name("up"), at, &name("ours.up"));
    lab.put(at, &name("final"));
    lab.run();
    lab.expect(&[]);
}

/// What the gateway of up1 says, one after the other; our answers are of no interest.
fn say(lab: &mut Lab, all: &[&str]) {
    for what in all {
        lab.put(UP1, &format!("bfd.up1.{what}"));
        lab.run();
        lab.discard();
    }
}

/// The peer goes on sending for so long, and gets what we send.
fn keep(lab: &mut Lab, at: At, peer: &str, tenths: usize) -> usize {
    let mut came = 0;
    for _ in 0..tenths {
        lab.put(at, &format!("bfd.{peer}.up"));
        lab.advance(100);
        let ours = lab.take(at);
        came += ours.len();
        for bytes in ours {
            assert!(super::frames::is_like(&bytes, &format!("bfd.{peer}.ours.steady")), "{bytes:02x?}");
        }
    }
    came
}

fn with(workers: usize, session: &str) -> Lab {
    let mut lab = known(workers);
    lab.apply("routes: [{vrf: underlay, prefix: 198.51.100.9/32, via: {gateway: 10.0.0.2}}]");
    lab.apply(session);
    lab
}

fn one_hop(workers: usize) -> Lab {
    with(workers, UP1_SESSION)
}

fn six(workers: usize) -> Lab {
    with(workers, SIX)
}

fn far(workers: usize) -> Lab {
    with(workers, FAR)
}

#[test]
fn a_session_comes_up_lives_and_ends() {
    type Made = fn(usize) -> Lab;
    let all: [(Made, &str, At); 3] = [(one_hop, "up1", UP1), (six, "six", UP), (far, "far", UP)];
    for (made, peer, at) in all {
        scenario(&format!("bfd-life-{peer}"), made, |lab| {
            stands(lab, "down", "none", false);
            come_up(lab, at, peer);
            stands(lab, "up", "none", false);
            let live = session(lab).live.unwrap();
            assert_eq!((live.local_discriminator, live.remote_discriminator), (0xd72e_329d, 0x0102_0304));
            assert_eq!((live.tx_interval_us, live.detection_time_us), (300_000, 900_000));
            assert_eq!((live.received, live.sent, live.refused, live.ups, live.failures), (3, 3, 0, 1, 0));
            // 10 seconds; a packet each 300 ms less jitter, in the steps of the lab's clock
            let came = keep(lab, at, peer, 100);
            assert!((33..=50).contains(&came), "{came}");
            lab.put(at, &format!("bfd.{peer}.poll"));
            lab.run();
            let ours = lab.take(at);
            assert!(ours.iter().any(|bytes| super::frames::is_like(bytes, &format!("bfd.{peer}.ours.final"))));
            // silence: the peer may miss three of its packets
            lab.advance(800);
            stands(lab, "up", "none", false);
            lab.take(at);
            lab.advance(100);
            stands(lab, "down", "detection_time_expired", true);
            lab.expect(&[(at, &format!("bfd.{peer}.ours.expired"))]);
            lab.advance(3000);
            let slow = lab.take(at).len();
            assert!((2..=5).contains(&slow), "{slow}: one a second");
            // who was switched off did not fail
            lab.pass(at, &format!("bfd.{peer}.hello"), at, &format!("bfd.{peer}.ours.init.expired"));
            lab.pass(at, &format!("bfd.{peer}.up"), at, &format!("bfd.{peer}.ours.up"));
            lab.put(at, &format!("bfd.{peer}.final"));
            lab.pass(at, &format!("bfd.{peer}.admin"), at, &format!("bfd.{peer}.ours.told"));
            stands(lab, "down", "neighbour_said_down", false);
            lab.advance(2000);
            lab.discard();
            lab.pass(at, &format!("bfd.{peer}.hello"), at, &format!("bfd.{peer}.ours.init.told"));
            lab.pass(at, &format!("bfd.{peer}.up"), at, &format!("bfd.{peer}.ours.up"));
            // what it says at its end
            lab.rig().delete(Key::BfdSession("s".into()));
            lab.run();
            lab.expect(&[(at, &format!("bfd.{peer}.ours.farewell"))]);
            lab.advance(3000);
            lab.expect(&[]);
            assert!(lab.rig().stats().drops.is_empty());
        });
    }
}

#[test]
fn the_flows_of_a_neighbour_whose_session_fails_leave_it() {
    let made = |workers| {
        let mut lab = known(workers);
        lab.apply(UP1_SESSION);
        lab
    };
    scenario("bfd-neighbour", made, |lab| {
        lab.run();
        lab.take(UP1);
        // one that was not up yet did not fail
        let first = uplinks(lab, "vxlan");
        assert!(count(&first, "up1") > 8);
        say(lab, &["hello", "up"]);
        assert_eq!(uplinks(lab, "vxlan"), first);
        say(lab, &["down"]);
        stands(lab, "down", "neighbour_said_down", true);
        let without = uplinks(lab, "vxlan");
        only_left(&first, &without, "up1");
        // back when it is up
        say(lab, &["hello", "up"]);
        stands(lab, "up", "none", false);
        assert_eq!(uplinks(lab, "vxlan"), first);
        // silent: up1's, whatever else is there
        lab.advance(1000);
        lab.discard();
        stands(lab, "down", "detection_time_expired", true);
        assert_eq!(uplinks(lab, "vxlan"), without);
        // and the peer says that it is its will
        say(lab, &["admin"]);
        assert_eq!(uplinks(lab, "vxlan"), first);
        assert!(lab.rig().stats().drops.is_empty());
        // of a session that is gone nothing stays
        say(lab, &["hello", "up", "down"]);
        assert_eq!(uplinks(lab, "vxlan"), without);
        lab.rig().delete(Key::BfdSession("s".into()));
        lab.run();
        lab.discard();
        assert_eq!(uplinks(lab, "vxlan"), first);
        let misses = lab.rig().stats().workers.iter().map(|worker| worker.flow_misses).sum::<u64>();
        assert!(misses <= FLOWS as u64, "flows did not notice");
    });
}

/// Two ways for red's 10.9/16, the far end and B; flows see which by VNI.
const GROUP: &str = r#"
next_hop_groups:
  - name: g
    vrf: red
    paths:
      - {vxlan: {remote: 198.51.100.9, vni: 504, mac: "02:0a:00:00:02:01"}, name: a}
      - {vxlan: {remote: 10.0.0.2, vni: 504, mac: "02:0a:00:00:02:01"}, name: bMORE}
routes: [{vrf: red, prefix: 10.9.0.0/16, via: {group: g}}]
"#;

#[test]
fn paths_to_a_far_end_whose_session_fails_are_down() {
    for more in ["", ", backup: true"] {
        scenario("bfd-far-end", far, |lab| {
            lab.apply(&GROUP.replace("bMORE", &format!("b{more}")));
            come_up(lab, UP, "far");
            let path = |lab: &mut Lab, n: usize| {
                lab.put(super::network::RA, &format!("far.vxlan.{n}"));
                lab.run();
                let came = lab.take(UP);
                let is = |name: &str| super::frames::is_like(&came[0], name);
                assert_eq!(came.len(), 1, "{:?}", lab.rig().stats().drops);
                match (is(&format!("far.vxlan.{n}.up0.wire")), is(&format!("far.vxlan.{n}.beside.wire"))) {
                    (true, _) => "a",
                    (_, true) => "b",
                    _ => panic!("{came:02x?}"),
                }
            };
            let paths = |lab: &mut Lab| (0..FLOWS).map(|n| path(lab, n)).collect::<Vec<_>>();
            let first = paths(lab);
            let on_b = count(&first, "b");
            assert!(if more.is_empty() { on_b > 16 && on_b < 48 } else { on_b == 0 }, "{first:?}");
            lab.pass(UP, "bfd.far.down", UP, "bfd.far.ours.told");
            assert_eq!(count(&paths(lab), "b"), FLOWS, "all that are left");
            let query = v1::ExplainRequest {
                place: Some(v1::explain_request::Place::Vif("ra".into())),
                source: vec![10, 1, 1, 10],
                destination: vec![10, 9, 0, 9],
                protocol: 17,
                source_port: 7100,
                destination_port: 53,
                ..v1::ExplainRequest::default()
            };
            let told = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
            assert!(told.steps.iter().any(|step| step.detail.contains("BFD")), "{told:#?}");
            lab.pass(UP, "bfd.far.hello", UP, "bfd.far.ours.init.told");
            lab.pass(UP, "bfd.far.up", UP, "bfd.far.ours.up");
            // who has moved stays, but for a backup's
            let expected = if more.is_empty() { FLOWS } else { 0 };
            assert_eq!(count(&paths(lab), "b"), expected);
            assert!(lab.rig().stats().drops.is_empty());
        });
    }
}

#[test]
fn what_is_not_the_session_s_is_refused_and_counted() {
    scenario("bfd-refused", one_hop, |lab| {
        come_up(lab, UP1, "up1");
        let malformed = [
            "version",
            "multipoint",
            "multiplier",
            "length",
            "length.more",
            "short",
            "empty",
            "mine",
            "unheard",
            "checksum",
        ];
        for what in malformed {
            lab.dropped(UP1, &format!("bfd.bad.{what}"), DropReason::BfdMalformed);
        }
        lab.dropped(UP1, "bfd.bad.authenticated", DropReason::BfdAuthenticated);
        lab.dropped(UP1, "bfd.bad.stranger", DropReason::BfdNoSession);
        lab.dropped(UP1, "bfd.bad.ttl", DropReason::BfdTtl);
        // from nobody, and by the port of the other kind
        lab.dropped(UP, "bfd.nobody", DropReason::LocalUnanswered);
        lab.dropped(UP, "bfd.far.up", DropReason::LocalUnanswered);
        stands(lab, "up", "none", false);
        let live = session(lab).live.unwrap();
        // what the datapath drops does not reach the session, nor does what is no sound UDP packet
        assert_eq!(live.refused, 11);
    });
    scenario("bfd-refused-far", far, |lab| {
        come_up(lab, UP, "far");
        lab.dropped(UP, "bfd.bad.ttl.far", DropReason::BfdTtl);
        lab.apply(&FAR.replace("multihop: true", "multihop: true, min_ttl: 253"));
        lab.put(UP, "bfd.bad.ttl.far");
        lab.run();
        lab.discard();
        assert_eq!(session(lab).live.unwrap().received, 4);
    });
    scenario("bfd-refused-six", six, |lab| {
        come_up(lab, UP, "six");
        lab.dropped(UP, "bfd.bad.six.unsummed", DropReason::BfdMalformed);
    });
}

/// By which uplink, and to which far end, the workers send flow `n`, with nobody else at work.
#[track_caller]
fn sent_by(lab: &mut Lab, n: usize) -> &'static str {
    lab.put(super::network::RA, &format!("far.vxlan.{n}"));
    let now = lab.now;
    lab.rig().poll_workers(now);
    let mut found = Vec::new();
    let ways = [(UP, "up0"), (UP, "beside"), (UP1, "up1"), ((0, 6), "up2")];
    for at in [UP, UP1, (0, 6)] {
        for bytes in lab.take(at) {
            let is = |(to, way): &&(At, &str)| {
                *to == at && super::frames::is_like(&bytes, &format!("far.vxlan.{n}.{way}.wire"))
            };
            found.extend(ways.iter().find(is).map(|(_, way)| *way));
        }
    }
    assert_eq!(found.len(), 1, "{n}: {:?}", lab.rig().stats().drops);
    found[0]
}

fn all_sent_by(lab: &mut Lab) -> Vec<&'static str> {
    (0..FLOWS).map(|n| sent_by(lab, n)).collect()
}

#[test]
fn workers_leave_who_failed_while_the_control_thread_is_busy() {
    let made = |workers| {
        let mut lab = known(workers);
        lab.apply(UP1_SESSION);
        lab
    };
    scenario("bfd-cut-neighbour", made, |lab| {
        come_up(lab, UP1, "up1");
        let first = all_sent_by(lab);
        assert!(count(&first, "up1") > 8);
        let bfd = lab.rig().control.give_bfd();
        lab.now += 901;
        bfd.step_at(lab.now * 1000);
        let generation = lab.rig().shared.snapshot.load().generation;
        let without = all_sent_by(lab);
        only_left(&first, &without, "up1");
        // it is back before anybody else has heard of it
        for what in ["hello", "up"] {
            lab.put(UP1, &format!("bfd.up1.{what}"));
            let now = lab.now;
            lab.rig().poll_workers(now);
            bfd.step_at(now * 1000);
        }
        assert_eq!(all_sent_by(lab), first);
        lab.now += 901;
        bfd.step_at(lab.now * 1000);
        assert_eq!(all_sent_by(lab), without);
        assert_eq!(lab.rig().shared.snapshot.load().generation, generation, "the control thread was busy");
        lab.run();
        assert!(lab.rig().shared.snapshot.load().generation > generation);
        assert_eq!(all_sent_by(lab), without);
        lab.discard();
        assert!(lab.rig().stats().drops.is_empty());
    });
    // whose flows have nowhere else to go stay
    scenario("bfd-cut-only-way", far, |lab| {
        come_up(lab, UP, "far");
        let bfd = lab.rig().control.give_bfd();
        lab.now += 901;
        bfd.step_at(lab.now * 1000);
        assert_eq!(count(&all_sent_by(lab), "up0"), FLOWS);
        assert_eq!(count(&all_sent_by(lab), "up0"), FLOWS);
        lab.run();
        assert_eq!(count(&all_sent_by(lab), "up0"), FLOWS);
        lab.discard();
        assert!(lab.rig().stats().drops.is_empty());
    });
    for more in ["", ", backup: true"] {
        scenario("bfd-cut-far-end", far, |lab| {
            lab.apply(&GROUP.replace("bMORE", &format!("b{more}")));
            come_up(lab, UP, "far");
            let first = all_sent_by(lab);
            assert!(count(&first, "up0") > 16, "{first:?}");
            let bfd = lab.rig().control.give_bfd();
            lab.now += 901;
            bfd.step_at(lab.now * 1000);
            assert_eq!(count(&all_sent_by(lab), "beside"), FLOWS);
            lab.run();
            assert_eq!(count(&all_sent_by(lab), "beside"), FLOWS);
            lab.discard();
            assert!(lab.rig().stats().drops.is_empty());
        });
    }
}

#[test]
fn the_host_s_kernel_has_the_packets_of_its_own_sessions() {
    const KERNEL: At = (0, 4);
    scenario("bfd-exception", super::exception::shared, |lab| {
        lab.pass(UP, "bfd.nobody", KERNEL, "bfd.nobody");
        lab.apply("bfd_sessions: [{name: s, vrf: underlay, remote: 10.0.0.2}]");
        lab.run();
        assert_eq!(lab.take(UP).len(), 1);
        lab.put(UP, "bfd.nobody");
        lab.run();
        assert!(lab.take(KERNEL).is_empty());
        stands(lab, "init", "none", false);
        lab.rig().delete(Key::BfdSession("s".into()));
        lab.run();
        lab.discard();
        lab.pass(UP, "bfd.nobody", KERNEL, "bfd.nobody");
    });
}
