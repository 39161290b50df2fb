//! What is used of quotas, looked at once a second: told by `vrctl stats`, and alarms when one is nearly or wholly used.

use std::collections::HashMap;

use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::quota::{Rate, Used};
use crate::model::{Alarms, Holder, Model, quota_told};
use crate::tables::{Quota, Snapshot, TenantId, VifKind};

/// Milliseconds between two looks.
const EVERY: u64 = 1000;
/// The percents that are alarms, falling.
const LEVELS: [u8; 2] = [100, 80];
/// An alarm ends when so many percent less are used.
const SLACK: u64 = 10;

/// What was seen last.
#[derive(Default)]
pub struct Quotas {
    due: u64,
    seen: HashMap<Holder, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    used: Used,
    /// Within the second before: what was taken, and whether more was wanted.
    taken: [u32; 3],
    refused: [bool; 3],
}

impl Quotas {
    /// The holders whose alarms have changed; nothing when it is not time yet. `now` in milliseconds.
    pub fn look(&mut self, shared: &Shared, snapshot: &Snapshot, model: &Model, now: u64) -> Vec<(Holder, Alarms)> {
        if now < self.due {
            return Vec::new();
        }
        self.due = now + EVERY;
        let before = std::mem::take(&mut self.seen);
        let mut changed = Vec::new();
        for (holder, quota) in holders(snapshot) {
            let old = model.alarms(holder);
            if quota == Quota::NONE && old == Alarms::default() {
                continue;
            }
            let used = used(shared, snapshot, holder);
            let last = before.get(&holder).map_or(used, |seen| seen.used);
            let taken = std::array::from_fn(|at| used.taken[at].wrapping_sub(last.taken[at]));
            let refused = std::array::from_fn(|at| used.refused[at] != last.refused[at]);
            let seen = Seen { used, taken, refused };
            self.seen.insert(holder, seen);
            let new = seen.alarms(&quota, old);
            if new != old {
                changed.push((holder, new));
            }
        }
        changed
    }

    /// What everybody uses who has a quota, and all tenant VIFs.
    pub fn all(&self, shared: &Shared, snapshot: &Snapshot, model: &Model) -> Vec<v1::QuotaUse> {
        let some = |(holder, quota): &(Holder, Quota)| matches!(holder, Holder::Vif(_)) || *quota != Quota::NONE;
        let told = |(holder, quota): (Holder, Quota)| {
            let [new_flows, punts, fragments] = self.seen.get(&holder).map(|seen| seen.taken).unwrap_or_default();
            v1::QuotaUse {
                holder: name(snapshot, holder),
                flows: used(shared, snapshot, holder).held.into(),
                new_flows: new_flows.into(),
                punts: punts.into(),
                fragments: fragments.into(),
                quota: Some(quota_told(quota)),
                alarms: model.alarms(holder).told(),
            }
        };
        holders(snapshot).filter(some).map(told).collect()
    }
}

impl Seen {
    /// Alarms by what is used, and by what there were.
    fn alarms(&self, quota: &Quota, old: Alarms) -> Alarms {
        let rates = Rate::ALL.map(|rate| (rate.of(quota), self.taken[rate as usize], self.refused[rate as usize]));
        let [new_flows, punts, fragments] = rates;
        let all = [(quota.flows, self.used.held, false), new_flows, punts, fragments];
        let mut alarms = Alarms::default();
        for (at, (bound, count, refused)) in all.into_iter().enumerate() {
            if bound == 0 {
                continue;
            }
            let percent = if refused { 100 } else { u64::from(count) * 100 / u64::from(bound) };
            let held = |level: u8| old.0[at] >= level && percent + SLACK > u64::from(level);
            let level = LEVELS.into_iter().find(|&level| percent >= u64::from(level) || held(level));
            alarms.0[at] = level.unwrap_or(0);
        }
        alarms
    }
}

/// Everybody who may have a quota, with what is in force.
fn holders(snapshot: &Snapshot) -> impl Iterator<Item = (Holder, Quota)> {
    let vifs = snapshot.vifs.iter().filter(|(_, vif)| vif.kind == VifKind::Tenant);
    let vifs = vifs.map(|(_, vif)| (Holder::Vif(vif.id), vif.quota));
    let tunnels = snapshot.vrfs.iter().map(|(_, vrf)| (Holder::Tunnels(vrf.id), vrf.tunnel_quota));
    let tenants = snapshot.tenants.iter().map(|(at, tenant)| (Holder::Tenant(TenantId(at as u16)), tenant.quota));
    vifs.chain(tunnels).chain(tenants)
}

fn used(shared: &Shared, snapshot: &Snapshot, holder: Holder) -> Used {
    match holder {
        Holder::Vif(vif) => snapshot.vifs.row(vif.index()).map(|vif| shared.accounts.of_vif(vif)).unwrap_or_default(),
        Holder::Tunnels(vrf) => shared.accounts.of_tunnels(vrf),
        Holder::Tenant(tenant) => shared.accounts.of_tenant(tenant),
    }
}

fn name(snapshot: &Snapshot, holder: Holder) -> String {
    match holder {
        Holder::Vif(vif) => format!("vif {}", super::view::vif_name(snapshot, vif)),
        Holder::Tunnels(vrf) => format!("tunnels {}", snapshot.vrfs.row(vrf.index()).map_or("", |vrf| &*vrf.name)),
        Holder::Tenant(id) => format!("tenant {}", snapshot.tenants.row(id.index()).map_or("", |tenant| &*tenant.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_rise_at_once_and_end_ten_percent_below() {
        let quota = Quota { flows: 50, new_flows: 10, ..Quota::NONE };
        let seen = |held, taken, refused| Seen {
            used: Used { held, ..Used::default() },
            taken: [taken, 0, 0],
            refused: [refused, true, true],
        };
        let mut alarms = Alarms::default();
        for (held, taken, refused, expected) in [
            (39, 7, false, [0, 0]),
            (40, 8, false, [80, 80]),
            (50, 8, true, [100, 100]),
            (46, 9, false, [100, 80]),
            (45, 10, false, [80, 100]),
            (36, 0, false, [80, 0]),
            (35, 0, false, [0, 0]),
        ] {
            alarms = seen(held, taken, refused).alarms(&quota, alarms);
            assert_eq!(alarms.0, [expected[0], expected[1], 0, 0], "{held} held, {taken} taken");
        }
    }
}
