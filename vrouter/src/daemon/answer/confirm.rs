//! Batches that wait to be confirmed, and what owners' objects were.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use serde_json::json;

use super::{Control, RevisionLimits, Revisions, refused};
use crate::api::state::v1 as state;
use crate::api::{Item, OPERATOR, v1};
use crate::control::access::Audit;
use crate::control::{Listed, Reply};
use crate::daemon::ledger::{Owners, Revised};
use crate::daemon::revisions::OBJECTS;
use crate::model::{Accepted, Reverted};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Milliseconds since 1970, by the host's clock.
pub(super) fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Bytes that a batch takes in the journal for having to be confirmed.
pub(super) fn bytes_of(unconfirmed: &state::Unconfirmed) -> usize {
    unconfirmed.encoded_len() + 64
}

impl Control {
    /// What is kept of owners' past from now on.
    pub fn keep_revisions(&mut self, limits: RevisionLimits) {
        self.revisions = Revisions::new(limits);
    }

    /// Where the daemon's own doing is told.
    pub fn tell_audit(&mut self, audit: Audit) {
        self.audit = audit;
    }

    /// Leases, what waits to be confirmed, and revisions of another process.
    pub(super) fn go_on_with_owners(&mut self, owners: &Owners, revisions: Vec<state::Revision>) {
        // whoever was to be heard of before is, from now on
        for (owner, length) in &owners.leases {
            self.leases.keep(owner, Some(*length), self.now);
        }
        for (owner, unconfirmed) in &owners.unconfirmed {
            self.unconfirmed.go_on(owner, unconfirmed.clone(), self.now, wall_millis());
        }
        for revision in revisions {
            if let Err(why) = self.revisions.keep(&revision) {
                tracing::warn!(generation = revision.generation, why, "a kept revision is left out");
            }
        }
    }

    /// Refuses what would change objects that wait to be confirmed. For a batch that is to be confirmed: what its owner has before.
    pub(super) fn unconfirmed_of(
        &mut self,
        begin: &v1::Begin,
        changes: &v1::Changes,
        by: String,
    ) -> Result<Option<state::Unconfirmed>, v1::Refused> {
        let own = &*begin.owner;
        self.check_held(0, own)?;
        if !self.unconfirmed.is_empty() || begin.confirm_ms > 0 {
            for (at, item) in changes.iter().enumerate() {
                let Some(other) = other_owner(&item).filter(|other| other != own) else { continue };
                self.check_held(at, &other)?;
                if begin.confirm_ms > 0 {
                    let reason = format!("is {other}: what is to be confirmed changes objects of {own} alone");
                    let (change, field) = (at as u64, "owner".into());
                    return Err(v1::Refused { change, field, reason, ..v1::Refused::default() });
                }
            }
        }
        if begin.confirm_ms == 0 {
            return Ok(None);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.may_wait().map_err(|why| refused("", &format!("confirm_ms: {why}")))?;
        }
        let objects = self.model.owned_by(own);
        if objects > OBJECTS {
            return Err(refused(
                "",
                &format!("confirm_ms: {own} has {objects} objects, of more than {OBJECTS} no copy is kept"),
            ));
        }
        let now = wall_millis();
        let unconfirmed = state::Unconfirmed {
            generation: 0,
            until_ms: now + u64::from(begin.confirm_ms),
            confirm_ms: begin.confirm_ms,
            time_ms: now,
            by,
            message: begin.message.clone(),
            keep_revision: begin.keep_revision,
            before: self.model.before(own),
        };
        let (bytes, most) = (self.unconfirmed.bytes() + unconfirmed.encoded_len(), self.revisions.limits().bytes);
        if bytes > most {
            let reason =
                format!("confirm_ms: {bytes} bytes of objects would wait, beyond the {most} of limits.revision_mb");
            return Err(refused("", &reason));
        }
        Ok(Some(unconfirmed))
    }

    /// That nothing of this owner waits to be confirmed.
    fn check_held(&self, at: usize, owner: &str) -> Result<(), v1::Refused> {
        let Some((generation, rest)) = self.unconfirmed.holds(owner, self.now) else { return Ok(()) };
        let rest = rest.div_ceil(1000);
        Err(v1::Refused {
            change: at as u64,
            object: format!("owner {owner}"),
            field: String::new(),
            reason: format!(
                "generation {generation} waits to be confirmed, and is rolled back in {rest} s if it is not"
            ),
            unconfirmed: generation,
        })
    }

    /// What waits stays.
    pub(super) fn confirm(&mut self, wanted: &v1::ConfirmRequest, reply: Reply<Result<v1::ConfirmReply, v1::Refused>>) {
        let owner = if wanted.owner.is_empty() { OPERATOR } else { &wanted.owner };
        let object = format!("owner {owner}");
        let checked = self.unconfirmed.check(owner, wanted.generation).map_err(|error| refused(&object, &error));
        let admitted = checked.and_then(|generation| {
            let admit = |ledger: &mut super::Ledger| ledger.admit(&v1::Changes::default(), 0, 64);
            self.ledger.as_mut().map_or(Ok(()), admit).map(|()| generation)
        });
        let generation = match admitted {
            Ok(generation) => generation,
            Err(refused) => {
                _ = reply.send(Err(refused));
                return;
            }
        };
        let Some(state::Unconfirmed { time_ms, by, message, keep_revision, .. }) = self.unconfirmed.settle(owner)
        else {
            return;
        };
        tracing::info!(owner, generation, "confirmed");
        let (revised, no_revision) = self.revise(keep_revision, (owner, generation), time_ms, by, message);
        let confirmed = v1::ConfirmReply { generation, no_revision };
        let now = self.model.generation().0;
        let batch = state::Batch { generation: now, owner: owner.into(), settled: true, ..state::Batch::default() };
        // an answer that nobody waits for any more is dropped
        self.keep(batch, revised, move |unkept| {
            _ = reply.send(match unkept {
                None => Ok(confirmed),
                Some(why) => Err(refused(
                    &object,
                    &format!("generation: it is confirmed, but that does not outlive the daemon: {why}"),
                )),
            });
        });
    }

    /// What was not confirmed in time is undone.
    pub(super) fn roll_back(&mut self, now: u64) {
        for owner in self.unconfirmed.due(now, self.model.generation().0) {
            let before = self.unconfirmed.before(&owner).to_vec();
            let unconfirmed = self.unconfirmed.told(&owner, now).first().map_or(0, |told| told.generation);
            let bytes = before.iter().map(Message::encoded_len).sum::<usize>() + 16 * before.len();
            if let Some(ledger) = &mut self.ledger
                && let Err(refused) = ledger.admit(&v1::Changes::default(), self.model.owned_by(&owner), bytes)
            {
                tracing::warn!(
                    owner,
                    reason = refused.reason,
                    "a batch is not confirmed, but its end could not be kept"
                );
                self.unconfirmed.tried(&owner, None);
                continue;
            }
            let ports = &mut self.ports;
            let mut reverted = self.model.revert(&owner, &before, false, &mut |wanted| ports.open(&wanted));
            if reverted.is_err() {
                ports.undo();
                reverted = self.model.revert(&owner, &before, true, &mut |wanted| ports.open(&wanted));
            }
            let (accepted, left) = match reverted {
                Ok(Reverted { accepted, left }) => (accepted, left),
                Err(why) => {
                    ports.undo();
                    (None, vec![why])
                }
            };
            self.rolled_back((&owner, unconfirmed), accepted, &left);
        }
    }

    /// What was made of it is published, kept and told.
    fn rolled_back(&mut self, (owner, unconfirmed): (&str, u64), accepted: Option<Accepted>, left: &[String]) {
        let changes = accepted.map(|accepted| {
            self.numbers = self.model.take_numbers();
            self.publish_batch();
            accepted.front
        });
        let generation = self.model.generation().0;
        let settled = left.is_empty();
        tracing::warn!(owner, unconfirmed, generation, ?left, "a batch was not confirmed in time: rolled back");
        let result = if settled { "rolled back" } else { "rolled back in part" };
        self.audit.own(
            "RollBack",
            owner,
            json!({ "result": result, "generation": generation, "unconfirmed": unconfirmed, "left": left }),
        );
        if settled {
            self.unconfirmed.settle(owner);
        } else {
            self.unconfirmed.tried(owner, Some(generation));
        }
        if settled || changes.is_some() {
            let changes = changes.unwrap_or_default();
            let batch = state::Batch { generation, owner: owner.into(), changes, settled, ..state::Batch::default() };
            self.keep(batch, None, |_| {});
        }
    }

    /// Keeps what an owner's objects are now as a revision, if one is wanted; or why there is none.
    pub(super) fn revise(
        &mut self,
        wanted: bool,
        (owner, generation): (&str, u64),
        time_ms: u64,
        by: String,
        message: String,
    ) -> (Option<Revised>, String) {
        if !wanted {
            return (None, String::new());
        }
        let count = self.model.owned_by(owner);
        if let Err(why) = self.revisions.check(0) {
            return (None, why);
        }
        if count > OBJECTS {
            return (None, format!("{owner} has {count} objects, of more than {OBJECTS} no revision is kept"));
        }
        let objects = self.model.objects_of(owner);
        let new = state::Revision { version: 0, owner: owner.into(), generation, time_ms, by, message, objects };
        match self.revisions.keep(&new) {
            Ok(gone) => (Some(Revised { new, gone }), String::new()),
            Err(why) => (None, why),
        }
    }

    /// Revisions of an owner (empty: of all), and what waits.
    pub(super) fn kept(&self, owner: &str) -> v1::RevisionsReply {
        v1::RevisionsReply {
            generation: self.model.generation().0,
            revisions: self.revisions.told(owner),
            unconfirmed: self.unconfirmed.told(owner, self.now),
        }
    }

    /// The objects of a revision.
    pub(super) fn list_revision(&self, filter: &v1::ListRequest) -> Result<Listed, v1::Refused> {
        let generation = filter.revision;
        let Some(revision) = self.revisions.of(generation) else {
            return Err(refused("list", &format!("revision: none of generation {generation} is kept")));
        };
        let kind = v1::Kind::try_from(filter.kind).map_err(|_| refused("list", "kind: unknown"))?;
        let is_wanted = |object: &v1::Object| {
            let of = object.kind.as_ref().map(Kind::of);
            let in_vrf = match &object.kind {
                Some(Kind::Route(route)) => route.key.as_ref().is_some_and(|key| key.vrf == filter.vrf),
                _ => true,
            };
            (kind == v1::Kind::All || of == Some(kind)) && (filter.vrf.is_empty() || in_vrf)
        };
        let objects: Vec<_> = revision.objects.into_iter().filter(is_wanted).collect();
        Ok(Listed { generation, objects: Box::new(objects.into_iter()) })
    }
}

/// In whose name a change is made, if it says so.
fn other_owner(item: &Item) -> Option<String> {
    let named = |owner: &str| (!owner.is_empty()).then(|| owner.to_owned());
    let of_key = |key: &Option<v1::RouteKey>| key.as_ref().and_then(|key| named(&key.owner));
    match item {
        Item::Route(route) => named(route.owner()),
        Item::Other(change) => match &change.op {
            Some(Op::Put(object) | Op::Create(object)) => named(&object.owner).or_else(|| match &object.kind {
                Some(Kind::Route(route)) => of_key(&route.key),
                _ => None,
            }),
            Some(Op::Delete(v1::ObjectKey { kind: Some(Key::Route(key)) })) => named(&key.owner),
            _ => None,
        },
    }
}
