//! The shadow: a batch of policies that is tried, promoted or discarded here.

use super::confirm::wall_millis;
use super::{Control, refused};
use crate::api::v1;
use crate::control::{Made, May, NotPromoted, Reply};
use crate::daemon::shadow::Trial;

impl Control {
    /// Tries a batch: new flows are judged by it too from the generation on that is told.
    pub(super) fn try_policies(
        &mut self,
        mut begin: v1::Begin,
        changes: v1::Changes,
        by: String,
    ) -> Result<v1::Shadowed, v1::Refused> {
        if let Some(other) = self.trial.as_ref().filter(|trial| trial.begin.owner != begin.owner) {
            return Err(refused("shadow", &format!("owner: {}", other.holder())));
        }
        begin.shadow = false;
        let mut trial = Trial::new((begin, changes), by, wall_millis(), self.shared.workers.len());
        let shadow = trial.renew(&mut self.model)?;
        let (vifs, vrfs) = trial.places();
        tracing::info!(owner = trial.begin.owner, vifs, vrfs, "a shadow is on");
        let snapshot = self.model.judge_by_shadow(Some(shadow));
        let generation = snapshot.generation.0;
        self.trial = Some(trial);
        self.publisher.publish(snapshot);
        Ok(v1::Shadowed { generation, vifs, vrfs })
    }

    /// Where a batch that was made changed policies: the shadow is applied to them before anybody forwards by them.
    pub(super) fn renew_shadow(&mut self) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.is_old(&self.model)) {
            let shadow = trial.renew(&mut self.model);
            if let Err(refused) = &shadow {
                tracing::warn!(object = refused.object, reason = refused.reason, "the shadow stands still");
            }
            self.model.set_shadow(shadow.ok());
        }
    }

    /// Takes what workers found; returns how much.
    pub(super) fn hear_of_shadow(&mut self) -> usize {
        self.trial.as_mut().map_or(0, |trial| trial.hear(self.publisher.current(), wall_millis()))
    }

    pub(super) fn shadow_report(&mut self) -> Result<v1::ShadowReportReply, v1::Refused> {
        let trial = self.trial.as_mut().ok_or_else(no_shadow)?;
        trial.hear_all(self.publisher.current(), wall_millis());
        Ok(trial.report(self.model.generation()))
    }

    /// Makes the batch that is tried, as any other. It stays on trial when that is refused.
    pub(super) fn promote(
        &mut self,
        wanted: &v1::PromoteShadowRequest,
        (by, may): (String, May),
        reply: Reply<Result<Made, NotPromoted>>,
    ) {
        // an answer that nobody waits for any more is dropped
        let trial = match self.trial_of(&wanted.owner) {
            Ok(trial) => trial,
            Err(refused) => {
                _ = reply.send(Err(NotPromoted::Refused(refused)));
                return;
            }
        };
        let mut begin = v1::Begin { confirm_ms: wanted.confirm_ms, ..trial.begin.clone() };
        if !wanted.message.is_empty() {
            begin.message.clone_from(&wanted.message);
        }
        if begin.take_over && begin.confirm_ms > 0 {
            let refused = refused("shadow", "confirm_ms: cannot be undone together with take_over");
            _ = reply.send(Err(NotPromoted::Refused(refused)));
            return;
        }
        if let Err(why) = may(&mut begin, &trial.changes) {
            _ = reply.send(Err(NotPromoted::Denied(why)));
            return;
        }
        let changes = trial.changes.clone();
        let (shadow, trial) = (self.model.set_shadow(None), self.trial.take());
        let told = move |made: Result<Made, v1::Refused>| _ = reply.send(made.map_err(NotPromoted::Refused));
        if self.make_and_keep(begin, changes, by, told) {
            tracing::info!(generation = self.model.generation().0, "the shadow is promoted");
        } else {
            self.model.set_shadow(shadow);
            self.trial = trial;
        }
    }

    pub(super) fn discard(&mut self, wanted: &v1::DiscardShadowRequest) -> Result<v1::DiscardShadowReply, v1::Refused> {
        self.trial_of(&wanted.owner)?;
        self.trial = None;
        let snapshot = self.model.judge_by_shadow(None);
        let generation = snapshot.generation.0;
        self.publisher.publish(snapshot);
        tracing::info!(owner = wanted.owner, "the shadow is discarded");
        Ok(v1::DiscardShadowReply { generation })
    }

    fn trial_of(&self, owner: &str) -> Result<&Trial, v1::Refused> {
        let trial = self.trial.as_ref().ok_or_else(no_shadow)?;
        if trial.begin.owner == owner {
            return Ok(trial);
        }
        Err(refused("shadow", &format!("owner: {}", trial.holder())))
    }
}

fn no_shadow() -> v1::Refused {
    refused("shadow", "none is on")
}
