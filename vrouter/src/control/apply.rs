//! `Apply`: a client's stream of steps into batches, and each batch's answer.

use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::{Code, Status, Streaming};

use super::access::{Audit, Caller, Changes, Of, Place};
use super::request::{Made, Request};
use super::server::{Bounds, Stop, place};
use crate::api::{OPERATOR, v1};
use v1::apply_request::Step;

/// The longest lease: a week.
const LEASE: u32 = 7 * 24 * 3600 * 1000;
/// The longest time to confirm a batch: an hour.
const CONFIRM: u32 = 3600 * 1000;
/// Bytes of a batch's message.
const MESSAGE: usize = 200;

/// One call of `Apply`: at most one batch at a time is open.
pub(super) struct Batches {
    pub bounds: Bounds,
    /// Places of open batches, of all calls together.
    pub places: Arc<Semaphore>,
    caller: Arc<Caller>,
    audit: Audit,
    open: Option<Batch>,
    /// The generation that the last accepted batch rested on, and its own: a batch that rests on the same one rests on that batch too.
    rested: Option<(u64, u64)>,
}

struct Batch {
    begin: v1::Begin,
    changes: v1::Changes,
    bytes: usize,
    _place: Place,
}

impl Batches {
    pub(super) fn new(bounds: Bounds, places: Arc<Semaphore>, caller: Arc<Caller>, audit: Audit) -> Batches {
        Batches { bounds, places, caller, audit, open: None, rested: None }
    }

    /// Answers the stream's batches in order, until it ends, breaks the rules or the daemon stops. A batch that is open then
    /// leaves nothing.
    pub(super) async fn run(
        mut self,
        mut steps: Streaming<v1::ApplyRequest>,
        requests: mpsc::Sender<Request>,
        replies: mpsc::Sender<Result<v1::ApplyReply, Status>>,
        mut stop: Stop,
    ) {
        let told = stop.clone();
        loop {
            let next = tokio::select! {
                next = self.next(&mut steps, &requests, &told) => next,
                () = stop.come() => Err(told.status()),
                () = replies.closed() => return,
            };
            let reply = match next {
                Ok(None) => return,
                Ok(Some(reply)) => Ok(reply),
                Err(status) => Err(status),
            };
            let last = reply.is_err();
            if replies.send(reply).await.is_err() || last {
                return;
            }
        }
    }

    /// The next batch's answer; `None`: the stream ended between batches.
    async fn next(
        &mut self,
        steps: &mut Streaming<v1::ApplyRequest>,
        requests: &mpsc::Sender<Request>,
        stop: &Stop,
    ) -> Result<Option<v1::ApplyReply>, Status> {
        loop {
            let message = if self.open.is_some() {
                let late =
                    |_| Status::deadline_exceeded(format!("an open batch was silent for {:?}", self.bounds.stall));
                tokio::time::timeout(self.bounds.stall, steps.message()).await.map_err(late)?
            } else {
                steps.message().await
            };
            let Some(message) = message.map_err(by_contract)? else {
                return match self.open {
                    Some(_) => {
                        Err(Status::invalid_argument("the stream ended before Commit; its last batch left nothing"))
                    }
                    None => Ok(None),
                };
            };
            let Some(batch) = self.step(message)? else { continue };
            let (mut reply, answer) = oneshot::channel();
            let Batch { mut begin, changes, _place, .. } = batch;
            if self.audit.is_kept() {
                let (owner, replaces, what) = (begin.owner.clone(), begin.replace, Changes::of(&changes, &begin.owner));
                let (message, confirm_ms) = (begin.message.clone(), begin.confirm_ms);
                let told = move |made: &_| {
                    let mut told = told(made, replaces, &what);
                    if !message.is_empty() {
                        told["message"] = message.into();
                    }
                    if confirm_ms > 0 {
                        told["confirm_ms"] = confirm_ms.into();
                    }
                    told
                };
                reply = self.audit.hears(&self.caller, ("Apply", owner), reply, told);
            }
            let named = begin.if_generation;
            begin.if_generation = named.map(|named| self.rests_on(named));
            let wants = begin.keep_revision || begin.confirm_ms > 0 || begin.shadow;
            let by = if wants { self.caller.to_string() } else { String::new() };
            requests.send(Request::Apply { begin, changes, by, reply }).await.map_err(|_| stop.untaken())?;
            let made = answer.await.map_err(|_| stop.untaken())?;
            if let Ok(Made::Applied(applied)) = &made {
                self.rested = named.map(|named| (named, applied.generation));
            }
            return reply_of(made).map(Some);
        }
    }

    /// What a batch rests on that names this generation: the batch before it too, if that named the same.
    fn rests_on(&self, named: u64) -> u64 {
        self.rested.filter(|(before, _)| *before == named).map_or(named, |(_, generation)| generation)
    }

    /// Takes a step; a commit hands the batch out.
    fn step(&mut self, message: v1::ApplyRequest) -> Result<Option<Batch>, Status> {
        let bytes = message.encoded_len();
        match (message.step, &mut self.open) {
            (None, _) => Err(Status::invalid_argument("a message without a step (begin, changes or commit)")),
            (Some(Step::Begin(_)), Some(_)) => Err(Status::invalid_argument("Begin in a batch that is already open")),
            (Some(Step::Begin(mut begin)), None) => {
                check(&begin).map_err(Status::invalid_argument)?;
                if begin.owner.is_empty() {
                    begin.owner = OPERATOR.to_owned();
                }
                let owner = begin.owner.clone();
                let denied = |why| self.audit.denied(&self.caller, "Apply", &owner, why);
                self.caller.may_begin(&mut begin).map_err(denied)?;
                let most = self.bounds.open_batches;
                let place = place(&self.places, most, &self.caller, Of::Batches, "batches are open")?;
                self.open = Some(Batch { begin, changes: v1::Changes::default(), bytes: 0, _place: place });
                Ok(None)
            }
            (Some(Step::Changes(_)), None) => Err(Status::invalid_argument("Changes before Begin")),
            (Some(Step::Changes(more)), Some(batch)) => {
                let denied = |why| self.audit.denied(&self.caller, "Apply", &batch.begin.owner, why);
                self.caller.may_change(&more).map_err(denied)?;
                batch.add(more, bytes, &self.bounds)?;
                Ok(None)
            }
            (Some(Step::Commit(_)), None) => Err(Status::invalid_argument("Commit before Begin")),
            (Some(Step::Commit(_)), Some(_)) => Ok(self.open.take()),
        }
    }
}

impl Batch {
    fn add(&mut self, more: v1::Changes, bytes: usize, bounds: &Bounds) -> Result<(), Status> {
        let exceeded = |what, most| Err(Status::resource_exhausted(format!("a batch of more than {most} {what}")));
        self.bytes += bytes;
        if self.bytes > bounds.batch_bytes {
            return exceeded("bytes", bounds.batch_bytes);
        }
        if self.changes.len() + more.len() > bounds.changes {
            return exceeded("changes", bounds.changes);
        }
        if let Some(at) = more.broken() {
            let at = self.changes.len() + at;
            return Err(Status::invalid_argument(format!(
                "change {at} has no operation, or one without an object or key"
            )));
        }
        self.changes.append(more);
        Ok(())
    }
}

/// What became of a batch, for its client.
pub(super) fn reply_of(made: Result<Made, v1::Refused>) -> Result<v1::ApplyReply, Status> {
    use v1::apply_reply::Result;
    let result = match made {
        Ok(Made::Applied(applied)) => Result::Applied(applied),
        Ok(Made::Unkept(v1::Applied { generation, .. }, why)) => {
            let text = format!("generation {generation} is made, but does not outlive the daemon: {why}");
            return Err(Status::data_loss(text));
        }
        Ok(Made::Plan(plan)) => Result::Plan(plan),
        Ok(Made::Shadowed(shadowed)) => Result::Shadowed(shadowed),
        Err(refused) => Result::Refused(refused),
    };
    Ok(v1::ApplyReply { result: Some(result) })
}

/// What became of a batch, for the audit log.
fn told(made: &Result<Made, v1::Refused>, replaces: bool, changes: &Changes) -> Value {
    let mut fields = outcome(made);
    fields.insert("replace".into(), json!(replaces));
    changes.tell(&mut fields);
    fields.into()
}

/// The same, whatever it says.
pub(super) fn outcome(made: &Result<Made, v1::Refused>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut tell = |name: &str, value: Value| fields.insert(name.into(), value);
    match made {
        Ok(Made::Applied(applied)) => {
            tell("result", "applied".into());
            tell("generation", json!(applied.generation));
            tell("swept", json!(applied.swept));
        }
        Ok(Made::Unkept(applied, why)) => {
            tell("result", "applied, not kept".into());
            tell("generation", json!(applied.generation));
            tell("reason", json!(why));
        }
        Ok(Made::Plan(plan)) => {
            tell("result", "planned".into());
            tell("generation", json!(plan.generation));
        }
        Ok(Made::Shadowed(shadowed)) => {
            tell("result", "shadowed".into());
            tell("generation", json!(shadowed.generation));
        }
        Err(refused) => {
            tell("result", "refused".into());
            let v1::Refused { object, field, reason, .. } = refused;
            tell("reason", json!(format!("{object}: {field}: {reason}")));
        }
    }
    fields
}

/// Errors: what makes no sense, for people.
fn check(begin: &v1::Begin) -> Result<(), String> {
    if let Some(kind) = begin.kinds.iter().find(|kind| v1::Kind::try_from(**kind).is_err()) {
        return Err(format!("kinds: there is no kind {kind}"));
    }
    if !begin.kinds.is_empty() && !begin.replace {
        return Err("kinds: only what is replaced has kinds".into());
    }
    if begin.flows && !begin.dry_run {
        return Err("flows: only a dry run tells of them".into());
    }
    check_commit(&begin.message, begin.confirm_ms)?;
    if begin.shadow && (begin.dry_run || begin.lease_ms.is_some() || begin.confirm_ms > 0) {
        let given = [(begin.dry_run, "dry_run"), (begin.lease_ms.is_some(), "lease_ms"), (true, "confirm_ms")];
        let what = given.into_iter().find(|(given, _)| *given).map_or("", |(_, what)| what);
        return Err(format!("shadow: what is tried is not made, as {what} wants"));
    }
    if begin.confirm_ms > 0 && (begin.take_over || begin.lease_ms.is_some()) {
        let what = if begin.take_over { "take_over" } else { "lease_ms" };
        return Err(format!("confirm_ms: cannot be undone together with {what}"));
    }
    lease(begin.lease_ms)
}

/// What is said of how a batch is committed.
pub(super) fn check_commit(message: &str, confirm_ms: u32) -> Result<(), String> {
    if message.len() > MESSAGE || message.chars().any(char::is_control) {
        return Err(format!("message: has more than {MESSAGE} bytes or control characters"));
    }
    if confirm_ms > CONFIRM {
        return Err(format!("confirm_ms: {confirm_ms} is more than {CONFIRM}"));
    }
    Ok(())
}

/// That a lease is no longer than it may be.
pub(super) fn lease(given: Option<u32>) -> Result<(), String> {
    match given.filter(|lease| *lease > LEASE) {
        Some(lease) => Err(format!("lease_ms: {lease} is more than {LEASE}")),
        None => Ok(()),
    }
}

/// What the transport says of a message, in the contract's words: too large is a bound exceeded, not decodable a malformed request.
fn by_contract(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        Code::Internal => Status::invalid_argument(status.message()),
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn is_whole(change: &v1::Change) -> bool {
        use v1::change::Op;
        match &change.op {
            None => false,
            Some(Op::Create(object) | Op::Put(object)) => object.kind.is_some(),
            Some(Op::Delete(key)) => key.kind.is_some(),
        }
    }

    fn message() -> impl Strategy<Value = v1::ApplyRequest> {
        use v1::change::Op;
        let key = |name: String| v1::ObjectKey { kind: Some(v1::object_key::Kind::Vrf(name)) };
        let change = prop_oneof![
            8 => "[a-z]{0,20}".prop_map(move |name| v1::Change { op: Some(Op::Delete(key(name))) }),
            1 => Just(v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: None })) }),
            1 => Just(v1::Change { op: None }),
        ];
        let step = prop_oneof![
            3 => "[a-z]{0,3}".prop_map(|owner| Some(Step::Begin(v1::Begin { owner, ..v1::Begin::default() }))),
            5 => prop::collection::vec(change, 0..4).prop_map(|changes| Some(Step::Changes(changes.into()))),
            3 => Just(Some(Step::Commit(v1::Commit {}))),
            1 => Just(None),
        ];
        step.prop_map(|step| v1::ApplyRequest { step })
    }

    proptest! {
        /// Against a twin that says the rules in one line each.
        #[test]
        fn steps_are_judged_by_their_order_and_bounds(messages in prop::collection::vec(message(), 0..20)) {
            let bounds = Bounds { changes: 5, batch_bytes: 150, ..Bounds::default() };
            let places = Arc::new(Semaphore::new(1));
            let mut batches = Batches::new(bounds, places.clone(), Caller::admin(), Audit::default());
            let mut twin: Option<(String, Vec<v1::Change>, usize)> = None;
            for message in messages {
                let bytes = message.encoded_len();
                let want = match (message.step.clone(), twin.take()) {
                    (Some(Step::Begin(begin)), None) => {
                        let owner = if begin.owner.is_empty() { OPERATOR.into() } else { begin.owner };
                        twin = Some((owner, vec![], 0));
                        Ok(None)
                    }
                    (Some(Step::Changes(more)), Some((owner, mut all, sum))) => {
                        let more = Vec::from(more);
                        all.extend(more.iter().cloned());
                        if sum + bytes > 150 || all.len() > 5 {
                            Err(Code::ResourceExhausted)
                        } else if !more.iter().all(is_whole) {
                            Err(Code::InvalidArgument)
                        } else {
                            twin = Some((owner, all, sum + bytes));
                            Ok(None)
                        }
                    }
                    (Some(Step::Commit(_)), Some((owner, all, _))) => Ok(Some((owner, all))),
                    _ => Err(Code::InvalidArgument),
                };
                let got = batches.step(message).map_err(|status| status.code());
                let got = got.map(|batch| batch.map(|batch| (batch.begin.owner, Vec::from(batch.changes))));
                let failed = got.is_err();
                prop_assert_eq!(got, want);
                if failed {
                    break;
                }
                prop_assert_eq!(places.available_permits(), usize::from(twin.is_none()));
            }
            drop(batches);
            prop_assert_eq!(places.available_permits(), 1);
        }
    }
}
