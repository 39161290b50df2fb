//! The control thread with its ledger, stepped by hand, on a disk that keeps apart what was written and what was synced.

use std::sync::Arc;

use flowtable::{Config, FlowTable, Region};
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::{Binder, Opened, Scribe};
use crate::api::state::v1 as state;
use crate::api::v1;
use crate::control::{Made, Request};
use crate::daemon::answer::{Control, Devices, Identity};
use crate::daemon::clock::Clock;
use crate::datapath::{Shared, shared};
use crate::durable::tests::disk::{Disk, Failure};
use crate::durable::{self, Files};
use crate::ids::Generation;
use crate::model::Model;
use crate::model::tests::answers::answers;
use crate::model::tests::network::{ports, put, vrf};
use crate::model::tests::properties::{DEFAULT, Event, events, happen, start};
use crate::model::tests::random::furniture;

const STEP: u64 = 2048;

fn opened(disk: &Disk) -> Opened {
    Opened::of(Arc::new(disk.clone()), 99, STEP).unwrap()
}

/// What a directory makes of an empty model.
fn restored(disk: &Disk) -> Model {
    let image = durable::read(disk).unwrap().unwrap().image;
    let mut model = Model::new(DEFAULT, ports());
    let mut open = |_: crate::model::NewPort| panic!("all ports are there");
    let objects = image.objects().map(|object| object.unwrap());
    model.restore(objects, &image.numbers(), Generation(image.generation + 1), &mut open).unwrap();
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Wherever it is cut: objects, numbers, rows and what is compiled of them are those of the process that did not die.
    #[test]
    fn what_is_restored_is_what_was(furnished: bool, events in events()) {
        let disk = Disk::default();
        let mut kept = opened(&disk);
        let mut model = start(false, DEFAULT);
        model.number_batches();
        let mut learnt = false;
        let first = furnished.then(|| Event::Batch(furniture()));
        for event in first.iter().chain(&events) {
            let happened = happen(&mut model, event);
            match event {
                Event::Batch(changes) if happened => {
                    let (generation, numbers) = (model.generation().0, Some(model.take_numbers()));
                    let changes = changes.clone();
                    kept.keep(state::Batch { generation, changes, numbers, ..Default::default() }).unwrap();
                }
                Event::Batch(_) => {}
                _ => learnt |= happened,
            }
        }
        let again = restored(&disk);
        prop_assert!(again.kept() == model.kept(), "{:#?}\n{:#?}", again.kept(), model.kept());
        if !learnt {
            prop_assert!(again.list(v1::Kind::All, "") == model.list(v1::Kind::All, ""));
            prop_assert_eq!(answers(&again), answers(&model));
            let rows = |model: &Model| model.snapshot().vifs.iter().map(|(id, vif)| (id, vif.slot)).collect::<Vec<_>>();
            prop_assert_eq!(rows(&again), rows(&model));
        }
        // the next new ones have the same numbers, too
        let (mut again, mut model) = (again, model);
        let more = put(v1::object::Kind::Vrf(vrf("brand-new")));
        prop_assert_eq!(again.apply("", std::slice::from_ref(&more)).is_ok(), model.apply("", &[more]).is_ok());
        prop_assert_eq!(again.vrf_id("brand-new"), model.vrf_id("brand-new"));
    }
}

struct NoDevices;

impl Devices for NoDevices {
    fn stats(&self) -> Vec<v1::PortStats> {
        Vec::new()
    }
}

/// A daemon's control thread and the two of the ledger.
struct Rig {
    control: Control,
    scribe: Scribe,
    binder: Binder,
    now: u64,
}

impl Rig {
    fn on(disk: &Disk, grown: u64) -> Rig {
        let kept = opened(disk);
        let mut model = Model::new(DEFAULT, ports());
        let mut open = |_: crate::model::NewPort| panic!("all ports are there");
        let image = &kept.recovered.image;
        let objects = image.objects().map(|object| object.unwrap());
        model.restore(objects, &image.numbers(), Generation(kept.generation()), &mut open).unwrap();
        let (ledger, scribe, binder) = kept.start(model.generation().0, grown).unwrap();
        let config = Config { narrow_pairs: 64, wide_pairs: 64, seed: 1, time_base: 0 };
        let flows = FlowTable::create(Region::heap(config.bytes().unwrap()).unwrap(), &config).unwrap();
        let limits = shared::Limits { vif_slots: 9, new_flows_per_second: 1 };
        let shared = Arc::new(Shared::new(model.snapshot(), flows, 0, limits));
        let identity = Identity { idle: String::new(), limits: Vec::new() };
        let mut control = Control::new(shared, model, Box::new(NoDevices), identity, Clock::standing(0));
        control.keep_in(ledger);
        Rig { control, scribe, binder, now: 0 }
    }

    fn apply(&mut self, names: &[&str]) -> oneshot::Receiver<Result<Made, v1::Refused>> {
        self.apply_all(names.iter().map(|name| put(v1::object::Kind::Vrf(vrf(name)))).collect())
    }

    fn apply_all(&mut self, changes: Vec<v1::Change>) -> oneshot::Receiver<Result<Made, v1::Refused>> {
        self.batch(v1::Begin { owner: "bgp".into(), ..v1::Begin::default() }, changes)
    }

    fn batch(&mut self, begin: v1::Begin, changes: Vec<v1::Change>) -> oneshot::Receiver<Result<Made, v1::Refused>> {
        let (reply, answer) = oneshot::channel();
        self.control.answer(Request::Apply { begin, changes: changes.into(), by: "a test".into(), reply });
        answer
    }

    fn step(&mut self) {
        self.pass(600);
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.control.step_at(self.now);
        self.scribe.step();
        self.binder.step();
    }

    fn status(&mut self) -> v1::StateDir {
        let (reply, mut answer) = oneshot::channel();
        self.control.answer(Request::Status { reply });
        answer.try_recv().unwrap().state_dir.expect("there is one")
    }

    fn vrfs(&mut self) -> usize {
        let (reply, mut answer) = oneshot::channel();
        let filter = v1::ListRequest { kind: v1::Kind::Vrf.into(), ..Default::default() };
        self.control.answer(Request::List { filter, reply });
        answer.try_recv().unwrap().unwrap().objects.count()
    }
}

/// How many VRFs are kept.
fn vrfs(disk: &Disk) -> usize {
    let counts = durable::read(disk).unwrap().unwrap().image.counts();
    counts.into_iter().find(|(kind, _)| *kind == "vrfs").map_or(0, |(_, count)| count)
}

/// How many VRFs every crash of the disk leaves: least and most.
fn left(disk: &Disk) -> (usize, usize) {
    let crashes = disk.history().last().unwrap().crashes();
    let counts: Vec<usize> = crashes.iter().map(|files| vrfs(&Disk::of(files))).collect();
    (*counts.iter().min().unwrap(), *counts.iter().max().unwrap())
}

#[test]
fn a_batch_is_acknowledged_when_it_is_synced_and_forwarded_before() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    rig.step();
    let mut answer = rig.apply(&["red"]);
    assert_eq!(rig.vrfs(), 1, "it is made");
    assert!(answer.try_recv().is_err(), "and not kept");
    assert_eq!(left(&disk), (0, 0));
    rig.scribe.step();
    let made = answer.try_recv().unwrap().unwrap();
    assert_eq!(made.unkept(), None);
    assert_eq!(left(&disk).0, 1);
}

#[test]
fn no_acknowledgement_comes_before_its_sync_whatever_is_cut() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        // the write, the sync, the mark: each the last thing that the disk does
        for operation in 0..3 {
            let (before, mut answer) = (disk.operations(), rig.apply(&[name]));
            let reserved = disk.operations() - before;
            disk.fail(before + reserved + operation, Failure::Dead);
            rig.scribe.step();
            let told = answer.try_recv().unwrap().unwrap();
            if told.unkept().is_none() {
                assert_eq!(operation, 2);
                assert!(left(&disk).0 > at, "acknowledged, and lost by a crash");
            }
            disk.mend();
            for _ in 0..6 {
                rig.step();
            }
        }
    }
    assert_eq!(vrfs(&disk), 4);
}

/// Names of VRFs that are kept, with their owners.
fn owned(disk: &Disk) -> Vec<(String, String)> {
    let image = durable::read(disk).unwrap().unwrap().image;
    let named = |(owner, object): (Arc<str>, v1::Object)| match object.kind {
        Some(v1::object::Kind::Vrf(vrf)) => Some((vrf.name, owner.to_string())),
        _ => None,
    };
    image.objects().filter_map(|object| named(object.unwrap())).collect()
}

#[test]
fn what_a_replacement_deletes_and_who_owns_the_rest_is_kept() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    let named = |name: &str| put(v1::object::Kind::Vrf(vrf(name)));
    let by = |owner: &str| v1::Begin { owner: owner.into(), ..v1::Begin::default() };
    let mut others = named("other");
    if let Some(v1::change::Op::Put(object)) = &mut others.op {
        object.owner = "cni".into();
    }
    let mut answers = [
        rig.batch(by("bgp"), vec![named("a"), named("b"), others]),
        rig.batch(v1::Begin { replace: true, ..by("bgp") }, vec![named("b"), named("c")]),
        rig.batch(v1::Begin { take_over: true, ..by("operator") }, vec![named("c")]),
        rig.batch(v1::Begin { dry_run: true, ..by("bgp") }, vec![named("d")]),
    ];
    rig.step();
    answers.iter_mut().for_each(|answer| assert_eq!(answer.try_recv().unwrap().unwrap().unkept(), None));
    let own = |name: &str, owner: &str| (name.to_owned(), owner.to_owned());
    let kept = [own("b", "bgp"), own("c", "operator"), own("other", "cni")];
    assert_eq!(owned(&disk), kept);
    let vrfs_of =
        |model: &Model| model.list(v1::Kind::Vrf, "").into_iter().map(|object| object.owner).collect::<Vec<_>>();
    assert_eq!(vrfs_of(&restored(&disk)), ["bgp", "operator", "cni"]);
    // a snapshot of the model says the same
    disk.fail(disk.operations(), Failure::Dead);
    _ = rig.apply(&["lost"]);
    rig.scribe.step();
    disk.mend();
    for _ in 0..6 {
        rig.step();
    }
    assert_eq!(owned(&disk), [&kept[..2], &[own("lost", "bgp")], &kept[2..]].concat());
}

#[test]
fn a_lease_outlives_the_daemon_and_what_it_takes_is_gone_for_good() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    let leased = v1::Begin { owner: "cni".into(), lease_ms: Some(5000), ..v1::Begin::default() };
    _ = rig.batch(leased, vec![put(v1::object::Kind::Vrf(vrf("pods")))]);
    _ = rig.apply(&["red"]);
    rig.step();
    let mut rig = Rig::on(&Disk::of(disk.history().last().unwrap().crashes().last().unwrap()), 1 << 20);
    (0..30).for_each(|_| rig.pass(100));
    assert_eq!(rig.vrfs(), 2, "its time begins anew");
    (0..30).for_each(|_| rig.pass(100));
    assert_eq!(rig.vrfs(), 1, "nobody was heard of");

    let mut rig = Rig::on(&disk, 1 << 20);
    let (reply, _answer) = oneshot::channel();
    let wanted = v1::KeepAliveRequest { owner: "cni".into(), lease_ms: Some(0) };
    rig.control.answer(Request::KeepAlive { wanted, reply });
    rig.step();
    let mut rig = Rig::on(&disk, 1 << 20);
    (0..90).for_each(|_| rig.pass(100));
    assert_eq!((rig.vrfs(), vrfs(&disk)), (2, 2), "it needs no lease any more");
    let wanted = v1::KeepAliveRequest { owner: "cni".into(), lease_ms: Some(1000) };
    rig.control.answer(Request::KeepAlive { wanted, reply: oneshot::channel().0 });
    (0..20).for_each(|_| rig.pass(100));
    assert_eq!((rig.vrfs(), vrfs(&disk)), (1, 1), "it went, and is not kept");
}

/// A batch of bgp's that is to be confirmed.
fn unconfirmed(confirm_ms: u32) -> v1::Begin {
    v1::Begin { owner: "bgp".into(), confirm_ms, message: "try".into(), keep_revision: true, ..v1::Begin::default() }
}

fn confirm(rig: &mut Rig, generation: u64) -> oneshot::Receiver<Result<v1::ConfirmReply, v1::Refused>> {
    let (reply, answer) = oneshot::channel();
    rig.control.answer(Request::Confirm { wanted: v1::ConfirmRequest { owner: "bgp".into(), generation }, reply });
    answer
}

fn past(rig: &mut Rig) -> v1::RevisionsReply {
    let (reply, mut answer) = oneshot::channel();
    rig.control.answer(Request::Revisions { wanted: v1::RevisionsRequest::default(), reply });
    answer.try_recv().unwrap()
}

/// Every crash of the disk, as a disk.
fn crashed(disk: &Disk) -> Vec<Disk> {
    disk.history().last().unwrap().crashes().iter().map(Disk::of).collect()
}

#[test]
fn what_is_not_confirmed_is_undone_also_by_the_next_daemon() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    _ = rig.apply(&["red"]);
    let mut answer = rig.batch(unconfirmed(60_000), vec![put(v1::object::Kind::Vrf(vrf("blue")))]);
    rig.scribe.step();
    let generation = answer.try_recv().unwrap().unwrap().generation();
    let refused = rig.apply(&["green"]).try_recv().unwrap().unwrap_err();
    assert_eq!((&*refused.object, refused.unconfirmed), ("owner bgp", generation), "{refused:?}");
    let others = v1::Begin { owner: "cni".into(), ..v1::Begin::default() };
    assert!(
        rig.batch(others, vec![put(v1::object::Kind::Vrf(vrf("pods")))]).try_recv().is_err(),
        "it waits to be kept"
    );
    rig.scribe.step();
    assert_eq!(rig.vrfs(), 3);
    // killed: the next one knows, whether it has a journal or a snapshot
    for disk in crashed(&disk) {
        let mut rig = Rig::on(&disk, 1 << 20);
        assert_eq!(rig.vrfs(), 3);
        let waits = past(&mut rig).unconfirmed.remove(0);
        assert_eq!((&*waits.owner, waits.generation, &*waits.message), ("bgp", generation, "try"));
        assert!((1..=60_000).contains(&waits.remaining_ms), "{waits:?}");
        (0..590).for_each(|_| rig.pass(100));
        assert_eq!(rig.vrfs(), 3, "its time is not over");
        (0..15).for_each(|_| rig.pass(100));
        assert_eq!((rig.vrfs(), vrfs(&disk)), (2, 2), "it is, and what is kept says so");
        assert_eq!(past(&mut rig).unconfirmed, []);
        let mut rig = Rig::on(&disk, 1 << 20);
        (0..650).for_each(|_| rig.pass(100));
        assert_eq!((rig.vrfs(), past(&mut rig).unconfirmed.len()), (2, 0), "once");
        assert!(rig.apply(&["green"]).try_recv().is_err(), "it may go on");
    }
}

#[test]
fn what_is_confirmed_stays_and_is_a_revision() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    let mut answer = rig.batch(unconfirmed(1000), vec![put(v1::object::Kind::Vrf(vrf("blue")))]);
    rig.scribe.step();
    let generation = answer.try_recv().unwrap().unwrap().generation();
    let wrong = confirm(&mut rig, generation + 1).try_recv().unwrap().unwrap_err();
    assert_eq!(wrong.reason, format!("it is generation {generation} that waits"));
    let mut confirmed = confirm(&mut rig, 0);
    assert!(confirmed.try_recv().is_err(), "not kept");
    rig.scribe.step();
    assert_eq!(confirmed.try_recv().unwrap().unwrap().generation, generation);
    for disk in crashed(&disk) {
        let mut rig = Rig::on(&disk, 1 << 20);
        (0..20).for_each(|_| rig.pass(100));
        assert_eq!(rig.vrfs(), 1, "it stays");
        let kept = past(&mut rig).revisions;
        assert_eq!(kept.iter().map(|it| (it.generation, &*it.message)).collect::<Vec<_>>(), [(generation, "try")]);
    }
    assert_eq!(confirm(&mut rig, 0).try_recv().unwrap().unwrap_err().reason, "nothing waits to be confirmed");
}

#[test]
fn what_waits_outlives_a_new_snapshot_and_a_failure() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    _ = rig.batch(unconfirmed(3_600_000), vec![put(v1::object::Kind::Vrf(vrf("blue")))]);
    rig.step();
    // begun anew from the model
    disk.fail(disk.operations(), Failure::Dead);
    let others = v1::Begin { owner: "cni".into(), ..v1::Begin::default() };
    _ = rig.batch(others, vec![put(v1::object::Kind::Vrf(vrf("pods")))]);
    rig.scribe.step();
    disk.mend();
    (0..6).for_each(|_| rig.step());
    let mut rig = Rig::on(&disk, 3000);
    assert_eq!(past(&mut rig).unconfirmed.len(), 1);
    // and from the journal
    for round in 0..60 {
        let others = v1::Begin { owner: "cni".into(), ..v1::Begin::default() };
        _ = rig.batch(others, vec![put(v1::object::Kind::Vrf(vrf(&format!("pods{}", round % 4))))]);
        rig.pass(100);
    }
    let mut rig = Rig::on(&disk, 3000);
    assert_eq!(past(&mut rig).unconfirmed.len(), 1);
}

#[test]
fn revisions_have_files_and_a_damaged_one_is_left_out() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    let said = |name: &str| v1::Begin { confirm_ms: 0, message: name.into(), ..unconfirmed(0) };
    let names: Vec<_> = (0..12).map(|at| format!("v{at}")).collect();
    for name in &names {
        let renamed = v1::Vrf { tenant: name.clone(), ..vrf("v") };
        _ = rig.batch(said(name), vec![put(v1::object::Kind::Vrf(renamed))]);
    }
    // a controller that asks for none has none
    _ = rig.apply(&["quick"]);
    rig.step();
    let told = |rig: &mut Rig| past(rig).revisions.into_iter().map(|it| (it.message, it.objects)).collect::<Vec<_>>();
    let newest: Vec<_> = (2..12).rev().map(|at| (names[at].clone(), 1)).collect();
    assert_eq!(told(&mut rig), newest, "the last ten");
    let files: Vec<_> = disk.list().unwrap().into_iter().filter(|name| name.starts_with("revision-")).collect();
    assert_eq!(files.len(), 10, "{files:?}");
    assert_eq!(told(&mut Rig::on(&disk, 1 << 20)), newest);
    let mut bytes = disk.read(&files[3]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.create(&files[3]).unwrap().write_at(0, &bytes).unwrap();
    let mut rig = Rig::on(&disk, 1 << 20);
    assert_eq!(told(&mut rig).len(), 9);
    assert_eq!(rig.vrfs(), 2, "all else is there");
}

#[test]
fn a_lease_is_acknowledged_when_it_is_kept_and_ends_when_there_is_space() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    let leased = |length| v1::KeepAliveRequest { owner: "cni".into(), lease_ms: Some(length) };
    let by_cni = v1::Begin { owner: "cni".into(), ..v1::Begin::default() };
    _ = rig.batch(by_cni, vec![put(v1::object::Kind::Vrf(vrf("pods")))]);
    rig.scribe.step();
    let ask = |rig: &mut Rig, wanted| {
        let (reply, answer) = oneshot::channel();
        rig.control.answer(Request::KeepAlive { wanted, reply });
        answer
    };
    let mut answer = ask(&mut rig, leased(1000));
    assert!(answer.try_recv().is_err(), "not kept");
    rig.scribe.step();
    assert_eq!(answer.try_recv().unwrap().unwrap().lease_ms, 1000);
    let heard = v1::KeepAliveRequest { lease_ms: None, ..leased(0) };
    assert!(ask(&mut rig, heard).try_recv().unwrap().is_ok(), "nothing is to be kept");
    // no space, not even for what goes
    disk.fill();
    while rig.apply(&[]).try_recv().is_err() {
        rig.scribe.step();
    }
    assert!(ask(&mut rig, leased(2000)).try_recv().unwrap().is_err(), "a longer one is refused");
    (0..40).for_each(|_| rig.pass(100));
    assert_eq!((rig.vrfs(), vrfs(&disk)), (1, 1), "it ran out");
    disk.mend();
    (0..20).for_each(|_| rig.pass(100));
    assert_eq!((rig.vrfs(), vrfs(&disk)), (0, 0), "and goes, although nothing else changed");
}

#[test]
fn batches_that_come_together_share_a_sync() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    rig.step();
    let mut answers: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(|name| rig.apply(&[name])).collect();
    let before = disk.operations();
    rig.scribe.step();
    assert_eq!(disk.operations() - before, 3, "a write, a sync, a mark");
    answers.iter_mut().for_each(|answer| assert_eq!(answer.try_recv().unwrap().unwrap().unkept(), None));
}

#[test]
fn a_full_disk_refuses_a_batch_whole_until_there_is_space() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    rig.step();
    // longer than what is spare
    let rules = (0..60).map(|at| v1::Rule { name: format!("{at:0>60}"), ..Default::default() }).collect();
    let long = put(v1::object::Kind::Acl(v1::Acl { name: "long".into(), rules }));
    let many = |rig: &mut Rig| {
        let mut answers = Vec::new();
        for _ in 0..20 {
            let mut answer = rig.apply_all(vec![long.clone()]);
            rig.scribe.step();
            answers.push(answer.try_recv().unwrap());
        }
        // what was made was kept
        assert!(answers.iter().flatten().all(|made| made.unkept().is_none()), "{answers:?}");
        answers
    };
    disk.fill();
    let refused = many(&mut rig).into_iter().find_map(Result::err).expect("a full disk shows");
    assert!(refused.reason.contains("no space"), "{refused:?}");
    let there = (rig.vrfs(), rig.control_generation());
    let (before, image) = (there, durable::read(&disk).unwrap().unwrap().image.len());
    assert!(rig.apply(&["another"]).try_recv().unwrap().is_err());
    assert_eq!((rig.vrfs(), rig.control_generation()), before, "a refused batch changes nothing");
    assert_eq!(durable::read(&disk).unwrap().unwrap().image.len(), image);
    disk.mend();
    assert!(many(&mut rig).iter().all(Result::is_ok), "there is space again");
}

#[test]
fn a_failed_sync_is_told_and_changes_are_taken_again_with_a_new_snapshot() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 1 << 20);
    rig.step();
    let mut first = rig.apply(&["a"]);
    rig.scribe.step();
    assert_eq!(first.try_recv().unwrap().unwrap().unkept(), None);
    let mut lost = rig.apply(&["b"]);
    disk.fail(disk.operations() + 1, Failure::Io);
    rig.scribe.step();
    assert!(lost.try_recv().unwrap().unwrap().unkept().unwrap().contains("EIO"));
    assert!(rig.status().refuses.contains("EIO"), "{:?}", rig.status());
    let refused = rig.apply(&["c"]).try_recv().unwrap().unwrap_err();
    assert!(refused.reason.contains("the state directory failed"), "{refused:?}");
    assert_eq!(rig.vrfs(), 2);
    (0..6).for_each(|_| rig.step());
    let mut again = rig.apply(&["c"]);
    rig.scribe.step();
    assert_eq!(again.try_recv().unwrap().unwrap().unkept(), None);
    assert_eq!(left(&disk).0, 3);
    drop(rig);
    assert_eq!(Rig::on(&disk, 1 << 20).vrfs(), 3);
}

#[test]
fn a_grown_journal_becomes_a_snapshot_while_batches_come() {
    let disk = Disk::default();
    let mut rig = Rig::on(&disk, 3000);
    for round in 0..60 {
        let mut answer = rig.apply(&[&format!("vrf{}", round % 8)]);
        rig.step();
        assert_eq!(answer.try_recv().unwrap().unwrap().unkept(), None);
    }
    let names = disk.list().unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with("00000000")), "{names:?}");
    assert_eq!(durable::read(&disk).unwrap().unwrap().image.batches, 60);
    assert_eq!(Rig::on(&disk, 3000).vrfs(), 8);
}

#[test]
fn generations_do_not_go_back_whatever_was_learnt() {
    let disk = Disk::default();
    let mut last = 0;
    for _ in 0..3 {
        let mut rig = Rig::on(&disk, 1 << 20);
        let first = rig.control_generation();
        assert!(first > last, "{first} after {last}");
        // before anything is published the directory knows of more
        assert!(durable::read(&disk).unwrap().unwrap().image.generation > first);
        rig.step();
        // what is published is within what the directory knows
        last = durable::read(&disk).unwrap().unwrap().image.generation;
        assert!(last >= rig.control_generation() + super::AHEAD / 2);
    }
}

impl Rig {
    fn control_generation(&mut self) -> u64 {
        let (reply, mut answer) = oneshot::channel();
        self.control.answer(Request::Status { reply });
        answer.try_recv().unwrap().generation
    }
}
