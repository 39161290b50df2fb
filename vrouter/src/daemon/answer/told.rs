//! What is told of objects, and of the daemon.

use super::{Control, refused};
use crate::api::v1;
use crate::control::Listed;
use crate::daemon::ledger::Ledger;

impl Control {
    pub(super) fn list(&self, filter: &v1::ListRequest) -> Result<Listed, v1::Refused> {
        let kind = v1::Kind::try_from(filter.kind).map_err(|_| refused("list", "kind: unknown"))?;
        if !filter.vrf.is_empty() && self.model.vrf_id(&filter.vrf).is_none() {
            return Err(refused("list", &format!("vrf: there is no VRF {}", filter.vrf)));
        }
        let mut objects = self.model.list(kind, &filter.vrf);
        let probing = self.slow.probing();
        for object in &mut objects {
            if let Some(v1::object::Kind::BfdSession(session)) = &mut object.kind {
                session.live = self.model.watched(&session.name).and_then(|watched| self.bfd.live(&watched));
            }
            if let Some(v1::object::Kind::Neighbour(row)) = &mut object.kind
                && row.learnt
                && let Some(key) = &row.key
                && let (Some(vif), Ok(address)) = (self.model.vif_id(&key.vif), crate::api::text::address(&key.address))
                && probing.contains(&(vif, address))
            {
                row.state = "probing".into();
            }
        }
        Ok(Listed { generation: self.model.generation().0, objects: Box::new(objects.into_iter()) })
    }

    pub(super) fn status(&self) -> v1::StatusReply {
        let used = self.model.used();
        let flows = [self.shared.flows.narrow().used(), self.shared.flows.wide().used()];
        let used = used.named().map(|(name, used)| (name, used as u64));
        let kept = [self.revisions.count(), self.revisions.bytes() + self.unconfirmed.bytes()].map(|used| used as u64);
        let kept = [("revisions", kept[0]), ("revision_bytes", kept[1])];
        let captures = self.captures.count() as u64;
        let live = [("flows_v4", u64::from(flows[0])), ("flows_v6", u64::from(flows[1])), ("captures", captures)];
        let mut limits = self.identity.limits.clone();
        for limit in &mut limits {
            let found = used.iter().chain(&live).chain(&kept).find(|(name, _)| *name == limit.name);
            limit.used = found.map_or(0, |(_, used)| *used);
        }
        v1::StatusReply {
            version: env!("CARGO_PKG_VERSION").into(),
            generation: self.model.generation().0,
            limits,
            uptime_ms: self.now.saturating_sub(self.started),
            workers: self.shared.workers.len() as u32,
            idle: self.identity.idle.clone(),
            flow_file: self.flow_file.clone(),
            state_dir: self.ledger.as_ref().map(Ledger::told),
        }
    }
}
