//! Who gave flows other verdicts, as far as it is kept apart.

use hashbrown::HashMap;

use crate::api::v1;
use crate::daemon::view::{vif_name, vrf_name};
use crate::datapath::victims::Culprit;
use crate::drops::DropReason;
use crate::tables::Snapshot;
use crate::tables::acl::Acl;

/// Causes that are kept apart; flows of others are in the sums alone.
const KEPT: usize = 1024;
/// Causes that are told.
const TOLD: usize = 64;

/// Flows denied and permitted, by who refuses them now or did before.
#[derive(Default)]
pub(super) struct Causes {
    denied: HashMap<(DropReason, Culprit), u64>,
    permitted: HashMap<(DropReason, Culprit), u64>,
}

impl Causes {
    /// One more flow is refused, by this reason and object.
    pub fn denies(&mut self, reason: DropReason, culprit: Culprit) {
        add(&mut self.denied, reason, culprit);
    }

    /// One more was refused.
    pub fn denied(&mut self, reason: DropReason, culprit: Culprit) {
        add(&mut self.permitted, reason, culprit);
    }

    /// Most flows first; named as in the snapshots of before and after.
    pub fn told(&self, before: &Snapshot, after: &Snapshot) -> Vec<v1::VerdictCause> {
        // several objects of one name, or without any, are one
        let mut rows: HashMap<(DropReason, String, String), [u64; 2]> = HashMap::new();
        for (at, (counts, snapshot)) in [(&self.denied, after), (&self.permitted, before)].into_iter().enumerate() {
            for (&(reason, culprit), count) in counts {
                let (by, acl) = named(snapshot, culprit);
                rows.entry((reason, by, acl)).or_default()[at] += count;
            }
        }
        let row = |((reason, by, acl), [now_denied, now_permitted]): ((DropReason, String, String), [u64; 2])| {
            v1::VerdictCause { reason: reason.name().into(), by, acl, now_denied, now_permitted }
        };
        let mut rows: Vec<_> = rows.into_iter().map(row).collect();
        rows.sort_by(|a, b| {
            let flows = |row: &v1::VerdictCause| row.now_denied + row.now_permitted;
            let name = |row: &v1::VerdictCause| (row.reason.clone(), row.by.clone(), row.acl.clone());
            flows(b).cmp(&flows(a)).then_with(|| name(a).cmp(&name(b)))
        });
        rows.truncate(TOLD);
        rows
    }
}

/// Rules are not kept apart: of 10,000 each may have a flow.
fn add(counts: &mut HashMap<(DropReason, Culprit), u64>, reason: DropReason, culprit: Culprit) {
    let key = match culprit {
        Culprit::AclFromVif(vif, _) => Culprit::AclFromVif(vif, None),
        Culprit::AclToVif(vif, _) => Culprit::AclToVif(vif, None),
        Culprit::AclVrf(vrf, _) => Culprit::AclVrf(vrf, None),
        Culprit::Vrf(vrf) => Culprit::Vrf(vrf),
        Culprit::Frame | Culprit::NextHop(_) => Culprit::Frame,
    };
    if counts.len() < KEPT || counts.contains_key(&(reason, key)) {
        *counts.entry((reason, key)).or_default() += 1;
    }
}

/// Whose ACL, and its name.
fn named(snapshot: &Snapshot, culprit: Culprit) -> (String, String) {
    let name = |acl: Option<&Acl>| acl.map(|acl| acl.name.to_string()).unwrap_or_default();
    match culprit {
        Culprit::AclFromVif(id, _) => {
            let acl = snapshot.vifs.row(id.index()).and_then(|vif| vif.from_vif.as_deref());
            (format!("vif {}", vif_name(snapshot, id)), name(acl))
        }
        Culprit::AclToVif(id, _) => {
            let acl = snapshot.vifs.row(id.index()).and_then(|vif| vif.to_vif.as_deref());
            (format!("vif {}", vif_name(snapshot, id)), name(acl))
        }
        Culprit::AclVrf(id, _) => {
            let acl = snapshot.vrfs.row(id.index()).and_then(|vrf| vrf.acl.as_deref());
            (format!("vrf {}", vrf_name(snapshot, id)), name(acl))
        }
        Culprit::Vrf(id) => (format!("vrf {}", vrf_name(snapshot, id)), String::new()),
        Culprit::Frame | Culprit::NextHop(_) => Default::default(),
    }
}
