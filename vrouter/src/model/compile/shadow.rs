//! Policies that are tried: what a batch changed, before it is taken back, compiled beside what is in force.

use std::sync::Arc;

use super::{Compiled, acls};
use crate::model::state::State;
use crate::tables::acl::Acl;
use crate::tables::{Found, Shadow};

impl Compiled {
    /// Which ACLs stand elsewhere by what has changed and is not committed.
    pub fn beside(&self, state: &State, found: Arc<Found>) -> Shadow {
        let (changed, mut users) = acls::beside(self, state, &state.dirty);
        users.vrfs.extend(&state.dirty.vrfs);
        users.vifs.extend(&state.dirty.vifs);
        let acl = |name: &Arc<str>| changed.get(name).or_else(|| self.acls.get(name).map(|in_force| &in_force.acl));
        let named = |name: &Option<Arc<str>>| name.as_ref().and_then(acl).cloned();
        let mut shadow = Shadow::new(found);
        for id in users.vifs {
            let (Some(record), Some(row)) = (state.vif_by_id.get(&id), self.snapshot.vifs.row(id.index())) else {
                continue;
            };
            let acls = [named(&record.from_vif), named(&record.to_vif)];
            if !is_same(&acls[0], &row.from_vif) || !is_same(&acls[1], &row.to_vif) {
                shadow.set_vif(id, acls);
            }
        }
        for id in users.vrfs {
            let (Some(record), Some(row)) = (state.vrf_by_id.get(&id), self.snapshot.vrfs.row(id.index())) else {
                continue;
            };
            let acl = named(&record.acl);
            if !is_same(&acl, &row.acl) {
                shadow.set_vrf(id, acl);
            }
        }
        shadow
    }
}

fn is_same(a: &Option<Arc<Acl>>, b: &Option<Arc<Acl>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}
