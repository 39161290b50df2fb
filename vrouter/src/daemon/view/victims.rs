//! The frames that workers dropped last.

use super::{next_hop_text, vif_name, vrf_name};
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::Tick;
use crate::tables::Snapshot;
use crate::tables::acl::Acl;

/// The victims that a request wants, newest first. Any thread.
pub fn victims(
    shared: &Shared,
    snapshot: &Snapshot,
    request: &v1::VictimsRequest,
    now: Tick,
) -> Result<v1::VictimsReply, String> {
    if !request.reason.is_empty() && DropReason::named(&request.reason).is_none() {
        return Err(format!("reason: there is no drop reason {}", request.reason));
    }
    let mut rows = Vec::new();
    let workers = shared.workers.iter().enumerate().map(|(worker, end)| (Some(worker), &end.victims));
    for (worker, victims) in workers.chain([(None, &shared.slow_path_victims)]) {
        for victim in victims.read() {
            let vif = victim.vif.map(|vif| vif_name(snapshot, vif)).unwrap_or_default();
            let row = victim.vif.and_then(|vif| snapshot.vifs.row(vif.index()));
            let vrf = victim.tunnel.or(row.map(|row| row.vrf));
            let vrf = vrf.map(|vrf| vrf_name(snapshot, vrf)).unwrap_or_default();
            let wanted = (request.reason.is_empty() || request.reason == victim.reason.name())
                && (request.vif.is_empty() || request.vif == vif)
                && (request.vrf.is_empty() || request.vrf == vrf);
            if wanted {
                rows.push(v1::Victim {
                    reason: victim.reason.name().into(),
                    vif,
                    vrf,
                    object: culprit(snapshot, victim.culprit),
                    length: victim.length.into(),
                    head: victim.head,
                    age_ms: u64::from(now.since(victim.when)) * u64::from(1000 / Tick::PER_SECOND),
                    worker: worker.unwrap_or(0) as u32,
                    slow_path: worker.is_none(),
                });
            }
        }
    }
    rows.sort_by_key(|row| row.age_ms);
    if request.limit > 0 {
        rows.truncate(request.limit as usize);
    }
    Ok(v1::VictimsReply { victims: rows })
}

/// Who decided, for people.
pub fn culprit(snapshot: &Snapshot, culprit: Culprit) -> String {
    let vif = |vif: crate::ids::VifId| snapshot.vifs.row(vif.index());
    match culprit {
        Culprit::Frame => String::new(),
        Culprit::AclFromVif(id, rule) => {
            rule_text(vif(id).and_then(|vif| vif.from_vif.as_deref()), rule.map(usize::from))
        }
        Culprit::AclToVif(id, rule) => rule_text(vif(id).and_then(|vif| vif.to_vif.as_deref()), rule.map(usize::from)),
        Culprit::AclVrf(id, rule) => {
            let vrf = snapshot.vrfs.row(id.index());
            rule_text(vrf.and_then(|vrf| vrf.acl.as_deref()), rule.map(usize::from))
        }
        Culprit::NextHop(next_hop) => next_hop_text(snapshot, next_hop),
        Culprit::Vrf(vrf) => format!("vrf {}", vrf_name(snapshot, vrf)),
    }
}

/// "acl NAME rule 2 (allow-http)", or "acl NAME end".
pub fn rule_text(acl: Option<&Acl>, rule: Option<usize>) -> String {
    let Some(acl) = acl else { return "an acl that is gone".into() };
    match rule {
        None => format!("acl {} end", acl.name),
        Some(rule) => match acl.rule(rule).map(|row| &*row.name).filter(|name| !name.is_empty()) {
            Some(name) => format!("acl {} rule {rule} ({name})", acl.name),
            None => format!("acl {} rule {rule}", acl.name),
        },
    }
}
