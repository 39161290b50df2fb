//! Ports and their VIFs come and go under traffic: nothing is lost elsewhere, and what is on its way to them is a counted drop.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::frame;
use super::lab::{At, Lab, MOST_PORTS, PORTS, scenario};
use super::network::{RA, RA2};

const HOT: At = (0, PORTS);
const PORT: &str = "ports: [{name: hot, devargs: wire8}]\n";
const VIF: &str = "vifs: [{name: rh, port: hot, vrf: red, mac: \"02:00:00:00:0a:08\", addresses: [10.1.1.18], gateway_v4: 10.1.1.1}]\n";

/// ra and ra2 exchange the numbered frames from here on; what came out is checked by [`close_numbered`].
fn numbered(lab: &mut Lab, numbers: std::ops::Range<usize>) {
    for number in numbers {
        lab.put(RA, &format!("numbered.{number:02}"));
    }
}

/// Each of the first `count` came out, once; in order where one worker moved them all.
#[track_caller]
fn close_numbered(lab: &mut Lab, count: usize) {
    let mut came = lab.take(RA2);
    let mut expected: Vec<_> = (0..count).map(|number| frame(&format!("numbered.{number:02}.out")).to_vec()).collect();
    if lab.rig().workers.len() > 1 {
        came.sort();
        expected.sort();
    }
    assert!(came == expected, "{} of {count} numbered frames came", came.len());
}

fn delete(lab: &mut Lab) {
    let key = |kind| v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) })) };
    lab.rig().try_apply(vec![key(Key::Vif("rh".into())), key(Key::Port("hot".into()))]).unwrap();
}

#[test]
fn a_port_and_its_vif_come_and_go_under_traffic() {
    scenario("hot-port", Lab::a, |lab| {
        numbered(lab, 0..10);
        lab.apply(&format!("{PORT}{VIF}"));
        numbered(lab, 10..20);
        lab.put(RA, "hot.to");
        lab.run();
        let at_port = lab.take(HOT);
        assert!(at_port == [frame("hot.to.out")], "{at_port:x?}");
        lab.pass_silently(HOT, "hot.back");
        let back = lab.take(RA);
        assert!(back == [frame("hot.back.out")], "{back:x?}");
        numbered(lab, 20..30);
        delete(lab);
        numbered(lab, 30..40);
        lab.run();
        close_numbered(lab, 40);
        assert!(lab.rig().added.lock().unwrap().is_empty(), "the device is open yet");
        assert!(lab.rig().stats().drops.is_empty(), "{:?}", lab.rig().stats().drops);
        lab.counts_drop(RA, frame("hot.to"), DropReason::NoRoute, "hot.to");
        lab.discard();
    });
}

#[test]
fn a_hundred_times_with_the_same_number() {
    scenario("hot-port-often", Lab::a, |lab| {
        for _ in 0..100 {
            lab.apply(&format!("{PORT}{VIF}"));
            lab.pass(RA, "hot.to", HOT, "hot.to.out");
            delete(lab);
            lab.run();
            lab.pass(RA, "numbered.00", RA2, "numbered.00.out");
        }
        assert!(lab.rig().stats().drops.is_empty());
    });
}

/// The worker has decided and not sent yet when the port goes: with its snapshot of then, the frame is sent before the end is given
/// back; the other worker's, which was handed over, is sent when the port is closed.
#[test]
fn what_was_handed_over_is_sent_before_the_device_is_closed() {
    scenario("hot-port-handover", Lab::a, |lab| {
        lab.apply(&format!("{}{VIF}", PORT.replace("wire8", "shared")));
        lab.run();
        let end = lab.rig().added.lock().unwrap()[0].1[0].clone();
        for _ in 0..4 {
            lab.put(RA, "hot.to");
        }
        // the worker without a queue goes first
        let now = vrouter::daemon::clock::tick_at(lab.now);
        lab.rig().workers.iter_mut().rev().for_each(|worker| _ = worker.poll(now));
        delete(lab);
        lab.run();
        let sent = std::iter::from_fn(|| end.take()).count() as u64;
        let full = lab.rig().dropped("ra", DropReason::TxHandoverFull);
        assert_eq!(sent + full, 4);
        assert!(sent >= 2, "{sent}");
    });
}

/// A frame that waits on the wire of a port that goes was never received; one that a held-up worker forwards by an older snapshot still
/// leaves, and the device stays until that worker has seen the change.
#[test]
fn the_device_stays_until_every_worker_has_given_it_back() {
    scenario("hot-port-slow-worker", Lab::a, |lab| {
        lab.apply(&format!("{PORT}{VIF}"));
        lab.pass(RA, "hot.to", HOT, "hot.to.out");
        let ends = lab.rig().added.lock().unwrap()[0].1.clone();
        delete(lab);
        let generation = lab.rig().control.stats().generation;
        let (reply, mut synced) = tokio::sync::oneshot::channel();
        lab.rig().control.answer(Request::Sync { generation, reply });
        let now = lab.now;
        lab.rig().control.step_at(now);
        assert_eq!(lab.rig().added.lock().unwrap().len(), 1, "closed before any worker knew");
        // it cannot be added again meanwhile, nor its number be used: another gets the next one
        lab.apply("ports: [{name: other, devargs: wire9}]");
        assert_eq!(lab.rig().added.lock().unwrap()[1].0.index(), PORTS + 1);
        let refused = apply_refused(lab, "ports: [{name: third, devargs: wire10}]");
        assert_eq!((&*refused.object, &*refused.reason), ("port third", "the limit of 10 ports is reached"));
        let workers = lab.rig().workers.len();
        for worker in 0..workers {
            assert!(synced.try_recv().is_err(), "Sync answered while a worker has its end");
            // after a while without frames nothing goes by the older snapshot
            (0..20).for_each(|_| _ = lab.rig().workers[worker].poll(vrouter::daemon::clock::tick_at(now)));
            lab.rig().control.step_at(now);
            let open = lab.rig().added.lock().unwrap().iter().filter(|(port, _)| port.index() == PORTS).count();
            assert_eq!(open, usize::from(worker + 1 < workers));
        }
        assert!(synced.try_recv().unwrap() >= generation);
        assert!(ends.iter().all(|end| end.waiting() == 0));
        lab.apply("ports: [{name: third, devargs: wire10}]");
        assert_eq!(lab.rig().added.lock().unwrap()[1].0.index(), PORTS);
    });
}

fn apply_refused(lab: &mut Lab, yaml: &str) -> v1::Refused {
    let network = vrouter::api::yaml::Network::parse("test.yaml", yaml).unwrap();
    let changes = network.changes().unwrap().into_iter().map(|(change, _)| change).collect();
    lab.rig().try_apply(changes).expect_err(yaml)
}

#[test]
fn a_refused_batch_closes_what_it_opened() {
    scenario("hot-port-refused", Lab::a, |lab| {
        let refused = apply_refused(lab, "ports: [{name: hot, devargs: absent}]");
        assert_eq!((&*refused.field, &*refused.reason), ("devargs", "there is no such device"));
        let refused = apply_refused(lab, &format!("{PORT}{}", VIF.replace("vrf: red", "vrf: nowhere")));
        assert_eq!(&*refused.object, "vif rh");
        assert!(lab.rig().added.lock().unwrap().is_empty(), "the device is open yet");
        // added and deleted by one batch: opened and closed, no worker heard of it
        let put = vrouter::api::yaml::Network::parse("n", PORT).unwrap().changes().unwrap().remove(0).0;
        let gone =
            v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(Key::Port("hot".into())) })) };
        lab.rig().try_apply(vec![put, gone]).unwrap();
        assert!(lab.rig().added.lock().unwrap().is_empty(), "the device is open yet");
        // all numbers are free
        for _ in 0..3 {
            for at in PORTS..MOST_PORTS {
                lab.apply(&format!("ports: [{{name: n{at}, devargs: wire{at}}}]"));
            }
            for at in PORTS..MOST_PORTS {
                lab.rig().delete(Key::Port(format!("n{at}")));
            }
            lab.run();
        }
    });
}
