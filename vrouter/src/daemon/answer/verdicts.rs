//! Who looks for live flows whose verdict changed.

use std::sync::Arc;

use super::{Control, refused};
use crate::api::v1;
use crate::control::{Made, Reply};
use crate::daemon::verdicts::{Foretold, Verdicts};
use crate::model::Batch;
use crate::tables::Snapshot;

impl Control {
    /// The search for flows whose verdict changed, for a thread that is to do it: from now on stepping this does not.
    pub fn give_verdicts(&mut self) -> Arc<Verdicts> {
        self.steps_verdicts = false;
        self.verdicts.clone()
    }

    /// Judges a batch only; with what it would do to live flows, if that is asked for.
    pub(super) fn plan(&mut self, begin: &v1::Begin, changes: &v1::Changes, reply: Reply<Result<Made, v1::Refused>>) {
        let kinds: Vec<v1::Kind> = begin.kinds().collect();
        let batch = &Batch {
            owner: &begin.owner,
            changes: changes.into(),
            take_over: begin.take_over,
            replace: begin.replace.then_some(&kinds),
            if_generation: begin.if_generation,
        };
        let checked = self.leases.check(&begin.owner, begin.lease_ms).map_err(|error| refused("", &error));
        let mut plan = match checked.and_then(|()| self.model.plan(batch)) {
            Ok(plan) if begin.flows => plan,
            judged => {
                // an answer that nobody waits for any more is dropped
                _ = reply.send(judged.map(Made::Plan));
                return;
            }
        };
        let (after, marks) = match self.model.foresee(batch, &plan) {
            Ok(foreseen) => foreseen,
            Err(refused) => {
                _ = reply.send(Err(refused));
                return;
            }
        };
        if !self.verdicts.has_room() {
            _ = reply.send(Err(refused("", "flows: other plans look at them already")));
            return;
        }
        let now = self.now.max(self.clock.millis());
        let asked = (marks, plan.steps.len());
        self.verdicts.ask(self.publisher.current(), &after, now, asked, move |foretold| {
            let Foretold { verdicts, moved, steps } = foretold;
            for (step, flows) in plan.steps.iter_mut().zip(steps) {
                step.flows = Some(flows);
            }
            plan.flows = Some(v1::FlowsPlanned { verdicts: Some(verdicts), moved });
            _ = reply.send(Ok(Made::Plan(plan)));
        });
    }

    /// Has it begun if this snapshot, which is to be published, permits something else.
    pub(super) fn look_for_verdicts(&self, snapshot: &Arc<Snapshot>) {
        let before = self.publisher.current();
        if snapshot.judged > before.judged {
            // a batch takes time, and flows begin meanwhile
            self.verdicts.change(before, snapshot, self.now.max(self.clock.millis()));
        }
    }
}
