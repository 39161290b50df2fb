//! Who is there: leases, and what owners have.

use super::{Control, refused};
use crate::api::state::v1 as state;
use crate::api::v1;
use crate::control::Reply;

impl Control {
    /// An owner is heard of. Answers when a lease that is another than before is kept.
    pub(super) fn keep_alive(
        &mut self,
        wanted: v1::KeepAliveRequest,
        reply: Reply<Result<v1::KeepAliveReply, v1::Refused>>,
    ) {
        let v1::KeepAliveRequest { owner, lease_ms } = wanted;
        let before = self.leases.of(&owner).map_or(0, |lease| lease.length);
        let new = lease_ms.is_some_and(|length| length != before);
        // unanswered: the server says why
        if self.frozen && new {
            return;
        }
        if let Err(error) = self.may_keep_alive(&owner, lease_ms, new) {
            _ = reply.send(Err(error));
            return;
        }
        let (length, expired) = self.leases.keep(&owner, lease_ms, self.now);
        let alive = v1::KeepAliveReply { lease_ms: length, expired };
        // an answer that nobody waits for any more is dropped
        let told = move |unkept: Option<String>| {
            _ = reply.send(match unkept {
                None => Ok(alive),
                Some(why) => Err(refused("", &format!("lease_ms: it is set, but does not outlive the daemon: {why}"))),
            });
        };
        if new {
            let generation = self.model.generation().0;
            self.keep(state::Batch { generation, owner, lease_ms, ..state::Batch::default() }, None, told);
        } else {
            told(None);
        }
    }

    fn may_keep_alive(&mut self, owner: &str, lease_ms: Option<u32>, new: bool) -> Result<(), v1::Refused> {
        if !self.model.is_owner_name(owner) {
            return Err(refused("", "owner: a name is 1 to 63 of A-Z a-z 0-9 . _ - and does not start with -"));
        }
        self.leases.check(owner, lease_ms).map_err(|error| refused("", &error))?;
        self.ledger.as_mut().filter(|_| new).map_or(Ok(()), |ledger| ledger.admit(&v1::Changes::default(), 0, 0))
    }

    /// What owners have who stayed away goes.
    pub(super) fn end_leases(&mut self, now: u64) {
        for owner in self.leases.due(now, self.model.generation().0) {
            if let Some(ledger) = &mut self.ledger
                && let Err(refused) = ledger.admit(&v1::Changes::default(), self.model.owned_by(&owner), 0)
            {
                tracing::warn!(
                    owner,
                    reason = refused.reason,
                    "the lease has run out, but what went could not be kept"
                );
                self.leases.try_again(&owner);
                continue;
            }
            let Some(accepted) = self.model.expire(&owner) else { continue };
            let (generation, swept) = (accepted.snapshot.generation.0, accepted.swept());
            tracing::info!(owner, objects = swept, "the lease has run out");
            self.numbers = self.model.take_numbers();
            self.publish_batch();
            // what waited to be confirmed is gone with all else
            let settled = self.unconfirmed.settle(&owner).is_some();
            let batch = state::Batch { generation, owner, changes: accepted.front, settled, ..state::Batch::default() };
            self.keep(batch, None, |_| {});
        }
    }

    /// All owners that have anything.
    pub(super) fn owners(&self) -> v1::OwnersReply {
        let mut owners = self.model.owners();
        for name in self.leases.owners() {
            owners.entry(name.to_owned()).or_default();
        }
        let told = owners.into_iter().map(|(name, (routes, objects))| {
            let lease = self.leases.of(&name);
            let remaining = lease.map_or(0, |lease| lease.until.saturating_sub(self.now));
            v1::Owner {
                routes,
                objects,
                lease_ms: lease.map_or(0, |lease| lease.length),
                remaining_ms: u32::try_from(remaining).unwrap_or(u32::MAX),
                expired: lease.is_some_and(|lease| lease.expired),
                name,
            }
        });
        v1::OwnersReply { generation: self.model.generation().0, owners: told.collect() }
    }
}
