//! Quotas, as they are in YAML.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::v1;

/// What a VIF, a VRF's tunnels, or a tenant may take; what is absent is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Flow pairs held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,
    /// Packets without a flow that are decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_flows_per_second: Option<u32>,
    /// Copies to the slow path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub punts_per_second: Option<u32>,
    /// First and later fragments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragments_per_second: Option<u32>,
}

/// What all VRFs of a tenant, with their VIFs, may take together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantQuota {
    pub tenant: String,
    pub quota: Quota,
    /// Output only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
}

/// A quota that is nearly or wholly used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// flows, new_flows, punts or fragments.
    pub quota: String,
    /// 80 or 100.
    pub percent: u32,
}

impl From<Quota> for v1::Quota {
    fn from(quota: Quota) -> v1::Quota {
        v1::Quota {
            flows: quota.flows.unwrap_or(0),
            new_flows_per_second: quota.new_flows_per_second.unwrap_or(0),
            punts_per_second: quota.punts_per_second.unwrap_or(0),
            fragments_per_second: quota.fragments_per_second.unwrap_or(0),
        }
    }
}

impl From<v1::Quota> for Quota {
    fn from(quota: v1::Quota) -> Quota {
        let some = |number: u32| (number != 0).then_some(number);
        Quota {
            flows: some(quota.flows),
            new_flows_per_second: some(quota.new_flows_per_second),
            punts_per_second: some(quota.punts_per_second),
            fragments_per_second: some(quota.fragments_per_second),
        }
    }
}

impl From<&TenantQuota> for v1::TenantQuota {
    fn from(one: &TenantQuota) -> v1::TenantQuota {
        v1::TenantQuota { tenant: one.tenant.clone(), quota: Some(one.quota.into()), alarms: to_proto(&one.alarms) }
    }
}

impl From<&v1::TenantQuota> for TenantQuota {
    fn from(one: &v1::TenantQuota) -> TenantQuota {
        TenantQuota {
            tenant: one.tenant.clone(),
            quota: one.quota.unwrap_or_default().into(),
            alarms: from_proto(&one.alarms),
        }
    }
}

impl From<&v1::Alarm> for Alarm {
    fn from(alarm: &v1::Alarm) -> Alarm {
        Alarm { quota: alarm.quota.clone(), percent: alarm.percent }
    }
}

/// Alarms as the contract has them.
pub(super) fn to_proto(alarms: &[Alarm]) -> Vec<v1::Alarm> {
    alarms.iter().map(|alarm| v1::Alarm { quota: alarm.quota.clone(), percent: alarm.percent }).collect()
}

/// Alarms as the language has them.
pub(super) fn from_proto(alarms: &[v1::Alarm]) -> Vec<Alarm> {
    alarms.iter().map(Alarm::from).collect()
}
