//! Who is there: leases, and what owners have.

use tokio::sync::oneshot;

use super::{Control, refused};
use crate::api::v1;

impl Control {
    /// An owner is heard of.
    pub(super) fn keep_alive(&mut self, wanted: &v1::KeepAliveRequest) -> Result<v1::KeepAliveReply, v1::Refused> {
        let owner = &wanted.owner;
        if !self.model.is_owner_name(owner) {
            return Err(refused("", "owner: a name is 1 to 63 of A-Z a-z 0-9 . _ - and does not start with -"));
        }
        self.leases.check(owner, wanted.lease_ms).map_err(|error| refused("", &error))?;
        let before = self.leases.of(owner).map_or(0, |lease| lease.length);
        let new = wanted.lease_ms.is_some_and(|length| length != before);
        if let Some(ledger) = self.ledger.as_mut().filter(|_| new) {
            ledger.admit(&[], 0)?;
        }
        let (lease_ms, expired) = self.leases.keep(owner, wanted.lease_ms, self.now);
        if new {
            let applied = v1::Applied { generation: self.model.generation().0, swept: 0 };
            self.keep(owner.clone(), Vec::new(), wanted.lease_ms, applied, oneshot::channel().0);
        }
        Ok(v1::KeepAliveReply { lease_ms, expired })
    }

    /// What owners have who stayed away goes.
    pub(super) fn end_leases(&mut self, now: u64) {
        for owner in self.leases.due(now, self.model.generation().0) {
            if let Some(ledger) = &mut self.ledger
                && let Err(refused) = ledger.admit(&[], self.model.owned_by(&owner))
            {
                tracing::warn!(
                    owner,
                    reason = refused.reason,
                    "the lease has run out, but what went could not be kept"
                );
                continue;
            }
            let Some(accepted) = self.model.expire(&owner) else { continue };
            let applied = v1::Applied { generation: accepted.snapshot.generation.0, swept: accepted.swept() };
            tracing::info!(owner, objects = applied.swept, "the lease has run out");
            self.numbers = self.model.take_numbers();
            self.publish_batch(accepted.snapshot);
            self.keep(owner, accepted.front, None, applied, oneshot::channel().0);
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
