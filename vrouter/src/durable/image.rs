//! All objects and numbers as the files say them: what batches come to, without judging them, since they were accepted.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use super::error::Fault;
use crate::api::state::v1 as state;
use crate::api::{Item, OPERATOR, v1};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// What a directory holds. Objects are kept encoded, since there may be a million.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    objects: BTreeMap<Place, Kept>,
    /// Batches so far.
    pub batches: u64,
    /// The highest generation that may have been published.
    pub generation: u64,
    /// Owners that are to be heard of, and within how many milliseconds.
    pub leases: BTreeMap<String, u32>,
    /// Batches that wait to be confirmed, by owner.
    pub unconfirmed: BTreeMap<String, state::Unconfirmed>,
    /// What goes from process to process: in a directory they have files.
    pub revisions: Vec<state::Revision>,
    numbers: Numbers,
}

/// The rank of the kind, and the key.
type Place = (u8, Box<[u8]>);
/// The owner, and the object.
type Kept = (Arc<str>, Box<[u8]>);

/// As [`state::Numbers`], by name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Numbers {
    vrfs: BTreeMap<String, u32>,
    vifs: BTreeMap<String, (u32, u32)>,
    bridges: BTreeMap<String, u32>,
    next_hop_groups: BTreeMap<String, u32>,
    bfd_sessions: BTreeMap<String, u32>,
    path_names: BTreeMap<u32, String>,
    tenants: Vec<String>,
    ports: BTreeMap<String, state::Device>,
    next: state::Next,
}

impl Image {
    /// Takes in the next batch.
    pub fn add(&mut self, batch: state::Batch) -> Result<(), Fault> {
        if batch.sequence != self.batches + 1 {
            return Err(Fault::Gap);
        }
        self.batches = batch.sequence;
        self.generation = self.generation.max(batch.generation);
        let owner: Arc<str> = if batch.owner.is_empty() { OPERATOR } else { &batch.owner }.into();
        keep_unconfirmed(&mut self.unconfirmed, &owner, &batch);
        let said = batch.said.iter().flat_map(v1::Changes::iter).map(Item::into_change);
        for change in batch.changes.into_iter().chain(said) {
            match change.op.ok_or(Fault::Payload)? {
                Op::Create(object) | Op::Put(object) => self.put(owner.clone(), object)?,
                Op::Delete(key) => {
                    let key = key.kind.ok_or(Fault::Payload)?;
                    self.objects.remove(&place(key, &owner));
                }
            }
        }
        self.number(batch.numbers.unwrap_or_default());
        keep_lease(&mut self.leases, &owner, batch.lease_ms);
        Ok(())
    }

    /// Takes in an object as this owner's.
    pub fn put(&mut self, owner: Arc<str>, mut object: v1::Object) -> Result<(), Fault> {
        // whose it is may be said in it
        let named = std::mem::take(&mut object.owner);
        let owner = if named.is_empty() { owner } else { named.into() };
        if let Some(Kind::Route(route)) = &mut object.kind
            && let Some(key) = &mut route.key
            && key.owner.is_empty()
        {
            key.owner = owner.to_string();
        }
        let place = place_of(&object, &owner)?;
        self.objects.insert(place, (owner, object.encode_to_vec().into()));
        Ok(())
    }

    /// The same of one that [`Image::encoded`] gave.
    pub fn put_encoded(&mut self, owner: Arc<str>, object: Vec<u8>) -> Result<(), Fault> {
        let place = place_of(&v1::Object::decode(&object[..]).map_err(|_| Fault::Payload)?, &owner)?;
        self.objects.insert(place, (owner, object.into()));
        Ok(())
    }

    /// The objects with their owners as they are kept, in the order of [`Image::objects`].
    pub fn encoded(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.objects.values().map(|(owner, object)| (&**owner, &**object))
    }

    /// Takes in numbers; what they do not name stays.
    pub fn number(&mut self, new: state::Numbers) {
        let numbers = &mut self.numbers;
        let into = |map: &mut BTreeMap<String, u32>, named: Vec<state::Named>| {
            map.extend(named.into_iter().map(|one| (one.name, one.number)));
        };
        into(&mut numbers.vrfs, new.vrfs);
        into(&mut numbers.bridges, new.bridges);
        into(&mut numbers.next_hop_groups, new.next_hop_groups);
        into(&mut numbers.bfd_sessions, new.bfd_sessions);
        numbers.vifs.extend(new.vifs.into_iter().map(|one| (one.name, (one.number, one.row))));
        new.path_names_gone.iter().for_each(|number| _ = numbers.path_names.remove(number));
        numbers.path_names.extend(new.path_names.into_iter().map(|one| (one.number, one.name)));
        if !new.tenants.is_empty() {
            numbers.tenants = new.tenants;
        }
        numbers.ports.extend(new.ports.into_iter().map(|port| (port.name.clone(), port)));
        numbers.next = new.next.unwrap_or(numbers.next);
    }

    /// Notes that generations up to this one may have been published.
    pub fn reserve(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// How many objects of each kind, by the kinds' names; kinds without any are left out.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts = vec![0; KINDS.len()];
        self.objects.keys().for_each(|(rank, _)| counts[usize::from(*rank)] += 1);
        KINDS.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// The objects with their owners, in an order in which they can be put to an empty model.
    pub fn objects(&self) -> impl Iterator<Item = Result<(Arc<str>, v1::Object), Fault>> {
        let decode = |bytes: &[u8]| v1::Object::decode(bytes).map_err(|_| Fault::Payload);
        self.objects.values().map(move |(owner, bytes)| Ok((owner.clone(), decode(bytes)?)))
    }

    /// The numbers of what is there, and those that come next.
    pub fn numbers(&self) -> state::Numbers {
        let Numbers { vrfs, vifs, bridges, next_hop_groups, bfd_sessions, path_names, tenants, ports, next } =
            &self.numbers;
        let there = |key: fn(String) -> Key, name: &String| self.objects.contains_key(&place(key(name.clone()), ""));
        let named = |key: fn(String) -> Key, of: &BTreeMap<String, u32>| {
            let of = of.iter().filter(|(name, _)| there(key, name));
            of.map(|(name, number)| state::Named { name: name.clone(), number: *number, row: 0 }).collect()
        };
        let vifs = vifs.iter().filter(|(name, _)| there(Key::Vif, name));
        let path_names = path_names.iter();
        state::Numbers {
            vrfs: named(Key::Vrf, vrfs),
            vifs: vifs
                .map(|(name, (number, row))| state::Named { name: name.clone(), number: *number, row: *row })
                .collect(),
            bridges: named(Key::Bridge, bridges),
            next_hop_groups: named(Key::NextHopGroup, next_hop_groups),
            bfd_sessions: named(Key::BfdSession, bfd_sessions),
            path_names: path_names
                .map(|(number, name)| state::Named { name: name.clone(), number: *number, row: 0 })
                .collect(),
            path_names_gone: Vec::new(),
            tenants: tenants.clone(),
            ports: ports.values().filter(|port| there(Key::Port, &port.name)).cloned().collect(),
            next: Some(*next),
        }
    }
}

const SETTINGS: u8 = 6;

/// Notes that an owner is to be heard of within so many milliseconds; 0: it need not be any more.
pub fn keep_lease(leases: &mut BTreeMap<String, u32>, owner: &str, lease_ms: Option<u32>) {
    match lease_ms {
        Some(0) => _ = leases.remove(owner),
        Some(length) => _ = leases.insert(owner.to_owned(), length),
        None => {}
    }
}

/// Notes that a batch waits to be confirmed, or that none of its owner does any more.
pub fn keep_unconfirmed(all: &mut BTreeMap<String, state::Unconfirmed>, owner: &str, batch: &state::Batch) {
    if batch.settled {
        all.remove(owner);
    }
    if let Some(unconfirmed) = &batch.unconfirmed {
        all.insert(owner.to_owned(), unconfirmed.clone());
    }
}

/// In the order in which they can be put; an object's place begins with its kind's rank here.
const KINDS: [&str; 14] = [
    "ports",
    "groups",
    "acls",
    "vrfs",
    "bridges",
    "vifs",
    "settings",
    "neighbours",
    "next_hop_groups",
    "bfd_sessions",
    "fdb_entries",
    "vnis",
    "labels",
    "routes",
];

fn place(key: Key, owner: &str) -> Place {
    let (rank, key) = match key {
        Key::Port(name) => (0, Key::Port(name)),
        Key::Group(name) => (1, Key::Group(name)),
        Key::Acl(name) => (2, Key::Acl(name)),
        Key::Vrf(name) => (3, Key::Vrf(name)),
        Key::Bridge(name) => (4, Key::Bridge(name)),
        Key::Vif(name) => (5, Key::Vif(name)),
        Key::Neighbour(key) => (7, Key::Neighbour(key)),
        Key::NextHopGroup(name) => (8, Key::NextHopGroup(name)),
        Key::BfdSession(name) => (9, Key::BfdSession(name)),
        Key::FdbEntry(key) => (10, Key::FdbEntry(key)),
        Key::Vni(vni) => (11, Key::Vni(vni)),
        Key::Label(label) => (12, Key::Label(label)),
        Key::Route(mut key) => {
            if key.owner.is_empty() {
                key.owner = owner.to_owned();
            }
            (13, Key::Route(key))
        }
    };
    (rank, v1::ObjectKey { kind: Some(key) }.encode_to_vec().into())
}

fn place_of(object: &v1::Object, owner: &str) -> Result<Place, Fault> {
    match object.kind.as_ref().ok_or(Fault::Payload)? {
        Kind::Settings(_) => Ok((SETTINGS, Box::default())),
        kind => Ok(place(kind.key().ok_or(Fault::Payload)?, owner)),
    }
}
