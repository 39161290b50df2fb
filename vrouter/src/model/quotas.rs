//! Quotas and their alarms: read, told, and compiled to numbers of tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Model;
use super::read;
use super::records::{Settings, Vif, Vrf};
use super::refusal::{At, Reason, Refusal};
use crate::api::v1;
use crate::ids::{VifId, VrfId};
use crate::tables::{Quota, Rows, Snapshot, Tenant, TenantId};

/// The most flow pairs of a quota: as many as a table may have.
const MOST_FLOWS: u32 = 1 << 28;

/// Percents of flows, new flows, punts and fragments; 0: no alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms(pub [u8; 4]);

/// Whose quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    Vif(VifId),
    Tunnels(VrfId),
    Tenant(TenantId),
}

impl Alarms {
    /// The kinds by name.
    pub const KINDS: [&str; 4] = ["flows", "new_flows", "punts", "fragments"];

    /// Those that there are.
    pub fn told(&self) -> Vec<v1::Alarm> {
        let some = Alarms::KINDS.iter().zip(self.0).filter(|(_, percent)| *percent > 0);
        some.map(|(quota, percent)| v1::Alarm { quota: (*quota).into(), percent: percent.into() }).collect()
    }
}

pub(super) fn read(given: &v1::Quota) -> Result<Quota, Refusal> {
    Ok(Quota {
        flows: read::number(given.flows, 0, MOST_FLOWS).at("flows")?,
        new_flows: given.new_flows_per_second,
        punts: given.punts_per_second,
        fragments: given.fragments_per_second,
    })
}

/// Those of tenants; alarms are as they were.
pub(super) fn read_tenants(
    given: &[v1::TenantQuota],
    before: &BTreeMap<Arc<str>, (Quota, Alarms)>,
) -> Result<BTreeMap<Arc<str>, (Quota, Alarms)>, Refusal> {
    let read = |one: &v1::TenantQuota| {
        let tenant = read::text(&one.tenant).at("tenant")?;
        if tenant.is_empty() {
            return Err(Reason::Missing.at("tenant"));
        }
        let quota = self::read(&one.quota.unwrap_or_default()).at("quota")?;
        Ok((Arc::<str>::from(tenant), quota))
    };
    let rows = read::each("tenant_quotas", given, TenantId::MOST, read)?;
    let names: Vec<&str> = rows.iter().map(|(name, _)| &**name).collect();
    read::no_twins("tenant_quotas", &names)?;
    let alarms = |name: &str| before.get(name).map(|(_, alarms)| *alarms).unwrap_or_default();
    Ok(rows.into_iter().map(|(name, quota)| (name.clone(), (quota, alarms(&name)))).collect())
}

/// A quota as the contract has it.
pub fn quota_told(quota: Quota) -> v1::Quota {
    v1::Quota {
        flows: quota.flows,
        new_flows_per_second: quota.new_flows,
        punts_per_second: quota.punts,
        fragments_per_second: quota.fragments,
    }
}

/// Tenants' quotas as the contract has them.
pub(super) fn told_tenants(settings: &Settings) -> Vec<v1::TenantQuota> {
    let told = |(tenant, (quota, alarms)): (&Arc<str>, &(Quota, Alarms))| v1::TenantQuota {
        tenant: tenant.to_string(),
        quota: Some(quota_told(*quota)),
        alarms: alarms.told(),
    };
    settings.tenant_quotas.iter().map(told).collect()
}

/// The numbers that tenants with quotas have or had: a name keeps its number, since flows may hold it, while there are others.
#[derive(Clone, Default)]
pub(super) struct Numbers {
    by_name: HashMap<Arc<str>, TenantId>,
    names: Vec<Arc<str>>,
}

impl Numbers {
    /// Names in the order of their numbers.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().map(|name| name.to_string()).collect()
    }

    /// Before anything has a number: these have them in this order.
    pub fn go_on_with(&mut self, names: &[String]) {
        for (at, name) in names.iter().take(TenantId::MOST).enumerate() {
            let name: Arc<str> = name.as_str().into();
            self.by_name.insert(name.clone(), TenantId(at as u16 + 1));
            self.names.push(name);
        }
    }

    /// The number of a tenant, if it has one.
    pub fn of(&self, settings: &Settings, tenant: &str) -> TenantId {
        if !settings.tenant_quotas.contains_key(tenant) {
            return TenantId::NONE;
        }
        self.by_name.get(tenant).copied().unwrap_or_default()
    }

    /// The rows of these settings' tenants, each of which gets a number.
    pub fn rows(&mut self, settings: &Settings) -> Rows<Tenant> {
        let mut rows = Rows::default();
        for (name, (quota, _)) in &settings.tenant_quotas {
            let number = self.number(settings, name);
            rows.set(number.index(), Some(Arc::new(Tenant { name: name.clone(), quota: *quota })));
        }
        rows
    }

    fn number(&mut self, settings: &Settings, name: &Arc<str>) -> TenantId {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let at = match self.names.len() {
            len if len < TenantId::MOST => {
                self.names.push(name.clone());
                len
            }
            // there are no more tenants than numbers: one is nobody's now
            _ => self.names.iter().position(|name| !settings.tenant_quotas.contains_key(name)).unwrap_or(0),
        };
        self.by_name.remove(&self.names[at]);
        self.names[at] = name.clone();
        let number = TenantId(at as u16 + 1);
        self.by_name.insert(name.clone(), number);
        number
    }
}

impl Model {
    /// Notes the alarms of a holder, as a change of its object. `None`: nothing changed, or it is gone.
    pub fn alarm(&mut self, holder: Holder, alarms: Alarms) -> Option<Arc<Snapshot>> {
        let state = &mut self.state;
        match holder {
            Holder::Vif(vif) => {
                let old = state.vif_by_id.get(&vif).filter(|vif| vif.alarms != alarms)?.clone();
                state.set_vif(old.name.clone(), Some(Arc::new(Vif { alarms, ..Vif::clone(&old) })));
            }
            Holder::Tunnels(vrf) => {
                let old = state.vrf_by_id.get(&vrf).filter(|vrf| vrf.alarms != alarms)?.clone();
                state.set_vrf(old.name.clone(), Some(Arc::new(Vrf { alarms, ..Vrf::clone(&old) })));
            }
            Holder::Tenant(tenant) => {
                let name = self.compiled.snapshot.tenants.row(tenant.index())?.name.clone();
                let mut settings = Settings::clone(&state.settings);
                let row = settings.tenant_quotas.get_mut(&name).filter(|(_, old)| *old != alarms)?;
                row.1 = alarms;
                state.set_settings(Arc::new(settings));
            }
        }
        Some(self.publish(""))
    }

    /// The alarms of a holder.
    pub fn alarms(&self, holder: Holder) -> Alarms {
        let alarms = match holder {
            Holder::Vif(vif) => self.state.vif_by_id.get(&vif).map(|vif| vif.alarms),
            Holder::Tunnels(vrf) => self.state.vrf_by_id.get(&vrf).map(|vrf| vrf.alarms),
            Holder::Tenant(tenant) => {
                let row = self.compiled.snapshot.tenants.row(tenant.index());
                row.and_then(|row| self.state.settings.tenant_quotas.get(&row.name)).map(|(_, alarms)| *alarms)
            }
        };
        alarms.unwrap_or_default()
    }
}
