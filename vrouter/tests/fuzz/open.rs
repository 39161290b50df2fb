//! Calls that stay open: `Sync` until every worker is there, `Watch` for ever. Several at once, read at any pace, left at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use tokio::sync::oneshot;
use vrouter::api::v1;
use vrouter::control::log::Log;
use vrouter::control::{Course, Request, Wanted};

use super::input::counted;
use crate::lab::Rig;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Calls of each kind that are open at once; the oldest is left for a new one.
const MOST: usize = 6;

/// Objects by key.
type Table = BTreeMap<Vec<u8>, v1::Object>;

#[derive(Default)]
pub struct Open {
    syncs: Vec<(u64, oneshot::Receiver<u64>)>,
    watches: Vec<Watch>,
    /// What there was at some generations, for who resumes there.
    past: Vec<(u64, Table)>,
}

struct Watch {
    course: Course,
    log: Arc<Log>,
    kinds: Vec<i32>,
    /// What it was told adds up to; `None`: it began where we do not know what there was, or lost its place.
    table: Option<Table>,
    generation: u64,
}

impl Open {
    pub fn remember(&mut self, rig: &mut Rig) {
        let (generation, table) = list(rig);
        if self.past.last().is_none_or(|(last, _)| *last < generation) {
            self.past.push((generation, table));
        }
    }

    pub fn sync(&mut self, rig: &mut Rig, bytes: &[u8]) {
        let Ok(request) = v1::SyncRequest::decode(bytes) else { return };
        let newest = rig.shared.snapshot.load().generation.0;
        let (reply, answer) = oneshot::channel();
        rig.control.answer(Request::Sync { generation: request.generation, reply });
        if self.syncs.len() == MOST {
            self.syncs.remove(0);
        }
        self.syncs.push((if request.generation == 0 { newest } else { request.generation }, answer));
    }

    /// After the workers have run: who waited for what there is has an answer, others have none.
    pub fn wake(&mut self, rig: &Rig) {
        let newest = rig.shared.snapshot.load().generation.0;
        self.syncs.retain_mut(|(wanted, answer)| match answer.try_recv() {
            Ok(seen) => {
                assert!(*wanted <= seen && seen <= newest, "{seen} for {wanted}, {newest} being the newest");
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => {
                assert!(*wanted > newest, "{wanted} waits although every worker has {newest}");
                true
            }
            Err(oneshot::error::TryRecvError::Closed) => panic!("no answer to Sync {wanted}"),
        });
    }

    pub fn watch(&mut self, rig: &mut Rig, bytes: &[u8]) {
        let Ok(request) = v1::WatchRequest::decode(bytes) else { return };
        let known = request.kinds.iter().take(64).all(|&kind| v1::Kind::try_from(kind).is_ok());
        let (snapshot, after, mut kinds) = (request.snapshot, request.after, request.kinds.clone());
        kinds.truncate(64);
        let wanted = match Wanted::read(request) {
            Ok(wanted) => wanted,
            Err(reason) => {
                assert!(!reason.is_empty() && (!known || snapshot && after.is_some()));
                return;
            }
        };
        assert!(known && !(snapshot && after.is_some()));
        let watching = rig.ask(|reply| Request::Watch { snapshot, reply });
        let objects = watching.objects.map(|objects| objects.map(keyed).collect::<Table>());
        let (generation, present) = list(rig);
        assert_eq!(watching.generation, generation);
        assert!(objects.as_ref().is_none_or(|objects| *objects == present), "the snapshot is what is listed");
        let table = match after {
            Some(after) => self.past.iter().find(|(past, _)| *past == after).map(|(_, table)| table.clone()),
            None => Some(present),
        };
        if self.watches.len() == MOST {
            self.watches.remove(0);
        }
        let course = wanted.course(generation);
        let from = after.unwrap_or(generation);
        self.watches.push(Watch { course, log: watching.log, kinds, table, generation: from });
    }

    /// A few events of one of the watches: which, and how many.
    pub fn read_on(&mut self, bytes: &[u8]) {
        let [which, many, ..] = *bytes else { return };
        let count = self.watches.len().max(1);
        let Some(watch) = self.watches.get_mut(usize::from(which) % count) else { return };
        for _ in 0..many {
            let Some(event) = watch.course.next(&watch.log) else { break };
            watch.hear(event);
        }
    }

    /// All read to the end: they know what there is.
    pub fn end(mut self, rig: &mut Rig) {
        let (_, present) = list(rig);
        for watch in &mut self.watches {
            while let Some(event) = watch.course.next(&watch.log) {
                watch.hear(event);
            }
            let Some(mut table) = watch.table.take() else { continue };
            let mut present = present.clone();
            table.retain(|_, object| watch.wants(kind_of(object)));
            present.retain(|_, object| watch.wants(kind_of(object)));
            assert!(table == present, "told:\n{table:#?}\nlisted:\n{present:#?}");
        }
    }
}

impl Watch {
    fn wants(&self, kind: v1::Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&0) || self.kinds.contains(&kind.into())
    }

    fn hear(&mut self, event: v1::Event) {
        let v1::Event { generation, changes, last, listed, lost, .. } = event;
        assert!(!listed);
        if lost {
            assert!(last && changes.is_empty());
            (self.table, self.generation) = (None, generation);
            return;
        }
        assert!(generation >= self.generation && (1..=1000).contains(&changes.len()), "{generation}: {changes:?}");
        self.generation = generation;
        for change in changes {
            let (key, object) = match change.op {
                Some(Op::Put(object)) => {
                    assert!(self.wants(kind_of(&object)), "{object:?}");
                    let (key, object) = keyed(object);
                    (key, Some(object))
                }
                Some(Op::Delete(key)) => (key.encode_to_vec(), None),
                other => panic!("neither put nor deleted: {other:?}"),
            };
            let Some(table) = &mut self.table else { continue };
            match object {
                Some(object) => _ = table.insert(key, object),
                None => assert!(table.remove(&key).is_some(), "deleted, and was not there"),
            }
        }
    }
}

fn list(rig: &mut Rig) -> (u64, Table) {
    let filter = v1::ListRequest::default();
    let listed = rig.ask(|reply| Request::List { filter, reply }).expect("all");
    (listed.generation, listed.objects.map(keyed).collect())
}

fn kind_of(object: &v1::Object) -> v1::Kind {
    match object.kind.as_ref().expect("listed") {
        Kind::Settings(_) => v1::Kind::Settings,
        Kind::Vrf(_) => v1::Kind::Vrf,
        Kind::Vif(_) => v1::Kind::Vif,
        Kind::Route(_) => v1::Kind::Route,
        Kind::Neighbour(_) => v1::Kind::Neighbour,
        Kind::Vni(_) => v1::Kind::Vni,
        Kind::Label(_) => v1::Kind::Label,
        Kind::Acl(_) => v1::Kind::Acl,
        Kind::Group(_) => v1::Kind::Group,
        Kind::Port(_) => v1::Kind::Port,
        Kind::Bridge(_) => v1::Kind::Bridge,
        Kind::FdbEntry(_) => v1::Kind::FdbEntry,
        Kind::NextHopGroup(_) => v1::Kind::NextHopGroup,
        Kind::BfdSession(_) => v1::Kind::BfdSession,
    }
}

fn keyed(mut object: v1::Object) -> (Vec<u8>, v1::Object) {
    // as listed, not as watched
    if let Some(Kind::BfdSession(session)) = &mut object.kind {
        session.live = None;
    }
    let key = match object.kind.clone().expect("listed") {
        // never deleted
        Kind::Settings(_) => None,
        Kind::Vrf(vrf) => Some(Key::Vrf(vrf.name)),
        Kind::Vif(vif) => Some(Key::Vif(vif.name)),
        Kind::Route(route) => Some(Key::Route(route.key.expect("listed"))),
        Kind::Neighbour(neighbour) => Some(Key::Neighbour(neighbour.key.expect("listed"))),
        Kind::Vni(vni) => Some(Key::Vni(vni.vni)),
        Kind::Label(label) => Some(Key::Label(label.label)),
        Kind::Acl(acl) => Some(Key::Acl(acl.name)),
        Kind::Group(group) => Some(Key::Group(group.name)),
        Kind::Port(port) => Some(Key::Port(port.name)),
        Kind::Bridge(bridge) => Some(Key::Bridge(bridge.name)),
        Kind::FdbEntry(entry) => Some(Key::FdbEntry(entry.key.expect("listed"))),
        Kind::NextHopGroup(group) => Some(Key::NextHopGroup(group.name)),
        Kind::BfdSession(session) => Some(Key::BfdSession(session.name)),
    };
    (v1::ObjectKey { kind: key }.encode_to_vec(), object)
}

/// Watches that begin in all ways, changes, and reading in between.
pub fn seeds() -> Vec<Vec<u8>> {
    let message = |kind: u8, bytes: Vec<u8>| [&[kind][..], &counted(&bytes)].concat();
    let watch = |snapshot, after, kinds: &[i32]| {
        message(
            15,
            v1::WatchRequest { snapshot, after, kinds: kinds.to_vec(), not_owner: String::new(), verdicts: false }
                .encode_to_vec(),
        )
    };
    let sync = |generation| message(12, v1::SyncRequest { generation, timeout_ms: 7 }.encode_to_vec());
    let vrf = v1::Vrf { name: "extra".into(), ..Default::default() };
    let put = Op::Put(v1::Object::from(Kind::Vrf(vrf)));
    let delete = Op::Delete(v1::ObjectKey { kind: Some(Key::Vrf("extra".into())) });
    let batch = |op: &Op| message(0, v1::Changes::from(vec![v1::Change { op: Some(op.clone()) }]).encode_to_vec());
    let (add, remove) = (batch(&put), batch(&delete));
    let some = message(14, vec![0, 1]);
    let bodies = [
        vec![watch(true, None, &[]), add.clone(), some.clone(), remove.clone()],
        vec![watch(false, None, &[2]), add.clone(), remove.clone(), some.clone()],
        vec![add.clone(), remove.clone(), watch(false, Some(3), &[]), watch(false, Some(2), &[2, 4]), some.clone()],
        vec![watch(false, Some(1), &[]), watch(false, Some(u64::MAX), &[]), watch(true, Some(1), &[]), some.clone()],
        vec![watch(false, None, &[77]), watch(false, None, &[1, 0]), add.clone(), some],
        vec![sync(0), sync(3), sync(4), add.clone(), sync(u64::MAX), remove, add],
        vec![message(13, Vec::new())],
    ];
    bodies.into_iter().flat_map(|body| [0, 1].map(|shape| [vec![shape], body.concat()].concat())).collect()
}
