//! Batches: judged, made, and answered when they are kept.

use super::confirm::{bytes_of, wall_millis};
use super::{Control, refused};
use crate::api::state::v1 as state;
use crate::api::{OPERATOR, v1};
use crate::control::{Made, Reply};
use crate::daemon::ledger::Revised;
use crate::model::{Accepted, Batch};

impl Control {
    /// Judges a batch, or makes it and answers when it is kept: where nothing is, at once.
    pub(super) fn apply(
        &mut self,
        mut begin: v1::Begin,
        changes: v1::Changes,
        by: String,
        reply: Reply<Result<Made, v1::Refused>>,
    ) {
        if begin.owner.is_empty() {
            begin.owner = OPERATOR.to_owned();
        }
        if begin.shadow {
            _ = reply.send(self.try_policies(begin, changes, by).map(Made::Shadowed));
            return;
        }
        if begin.dry_run {
            self.plan(&begin, &changes, reply);
            return;
        }
        // an answer that nobody waits for any more is dropped
        self.make_and_keep(begin, changes, by, move |made| _ = reply.send(made));
    }

    /// Makes a batch, whose owner is filled in; `told` is called when it is kept, or refused. True: it is made.
    pub(super) fn make_and_keep(
        &mut self,
        begin: v1::Begin,
        changes: v1::Changes,
        by: String,
        told: impl FnOnce(Result<Made, v1::Refused>) + Send + 'static,
    ) -> bool {
        let kinds: Vec<v1::Kind> = begin.kinds().collect();
        let batch = Batch {
            owner: &begin.owner,
            changes: (&changes).into(),
            take_over: begin.take_over,
            replace: begin.replace.then_some(&kinds),
            if_generation: begin.if_generation,
        };
        let made = self.unconfirmed_of(&begin, &changes, by.clone()).and_then(|unconfirmed| {
            let accepted = self.make(&batch, &changes, begin.lease_ms, unconfirmed.as_ref())?;
            Ok((accepted, unconfirmed))
        });
        match made {
            Ok((accepted, unconfirmed)) => {
                let (generation, swept) = (accepted.snapshot.generation.0, accepted.swept());
                tracing::debug!(owner = begin.owner, changes = changes.len(), swept, generation, "applied");
                let mut said = v1::Changes::from(accepted.front);
                said.append(changes);
                accepted.behind.iter().for_each(|change| said.push(change));
                let v1::Begin { owner, lease_ms, keep_revision, message, .. } = begin;
                // what could not be undone yet of one before stays
                let settled = self.unconfirmed.settle(&owner).is_some();
                let unconfirmed = unconfirmed.map(|it| state::Unconfirmed { generation, ..it });
                if let Some(unconfirmed) = &unconfirmed {
                    self.unconfirmed.begin(&owner, unconfirmed.clone(), self.now);
                }
                let keeps = keep_revision && unconfirmed.is_none();
                let (revised, no_revision) = self.revise(keeps, (&owner, generation), wall_millis(), by, message);
                let said = Some(said);
                let batch =
                    state::Batch { generation, owner, said, lease_ms, unconfirmed, settled, ..state::Batch::default() };
                let applied = v1::Applied { generation, swept, no_revision };
                self.keep(batch, revised, move |unkept| {
                    told(Ok(match unkept {
                        None => Made::Applied(applied),
                        Some(why) => Made::Unkept(applied, why),
                    }));
                });
                true
            }
            Err(refused) => {
                told(Err(refused));
                false
            }
        }
    }

    /// Has a batch that was made kept, and a revision that it makes; `told` is called then, or with why it is not: where nothing is kept, at once.
    pub(super) fn keep(
        &mut self,
        batch: state::Batch,
        revised: Option<Revised>,
        told: impl FnOnce(Option<String>) + Send + 'static,
    ) {
        let numbers = Some(std::mem::take(&mut self.numbers));
        match &mut self.ledger {
            Some(ledger) => ledger.keep(state::Batch { numbers, ..batch }, revised, told),
            None => told(None),
        }
    }

    fn make(
        &mut self,
        batch: &Batch,
        changes: &v1::Changes,
        lease_ms: Option<u32>,
        unconfirmed: Option<&state::Unconfirmed>,
    ) -> Result<Accepted, v1::Refused> {
        self.leases.check(batch.owner, lease_ms).map_err(|error| refused("", &error))?;
        if let Some(ledger) = &mut self.ledger {
            let swept = if batch.replace.is_some() { self.model.owned_by(batch.owner) } else { 0 };
            ledger.admit(changes, swept, unconfirmed.map_or(0, bytes_of))?;
        }
        let ports = &mut self.ports;
        let accepted = match self.model.apply_batch(batch, &mut |wanted| ports.open(&wanted)) {
            Ok(accepted) => accepted,
            Err(refused) => {
                ports.undo();
                return Err(refused);
            }
        };
        self.numbers = self.model.take_numbers();
        self.leases.keep(batch.owner, lease_ms, self.now);
        self.publish_batch();
        Ok(accepted)
    }
}
