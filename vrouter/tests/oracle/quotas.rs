//! Quotas: how many packets without a flow are judged, and how many fragments pass, in a second; of a VIF, of the tunnels into a VRF, of a tenant.

use std::collections::BTreeMap;

use super::Oracle;
use super::forward::Place;
use super::headers::Reason;

/// What is bounded; 0: not. By [`What`].
pub type Quota = [u64; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    NewFlows,
    Fragments,
}

/// Whose quota.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payer {
    Vif(u32),
    Tunnels(u32),
    Tenant(String),
}

/// What each has left, and the tenth of a second in which it was filled last. Who is not here has all.
pub type Buckets = BTreeMap<(Payer, What), (u64, u64)>;

impl Oracle {
    /// Takes one of what whoever sent this has, and its tenant. Who has one takes it, also where the tenant then has none.
    pub(super) fn spend(&mut self, place: Place, what: What) -> Result<(), Reason> {
        let (payer, own, vrf) = match place {
            Place::Vif(vif) => {
                let vif = &self.config.vifs[&vif];
                let default = self.config.settings.vif_quota;
                let own = if vif.quota[what as usize] == 0 { default } else { vif.quota };
                (Payer::Vif(vif.id), own, vif.vrf)
            }
            Place::Tunnel(vrf) => (Payer::Tunnels(vrf), self.config.vrfs[&vrf].tunnel_quota, vrf),
        };
        let tenant = self.config.vrfs[&vrf].tenant.clone();
        let shared = self.config.settings.tenant_quotas.get(&tenant).copied().unwrap_or_default();
        let bounds =
            [(payer, own[what as usize], "own_quota"), (Payer::Tenant(tenant), shared[what as usize], "tenant_quota")];
        for (payer, bound, feature) in bounds {
            if bound > 0 {
                self.feature(feature);
                if !self.take((payer, what), bound) {
                    return Err(if what == What::NewFlows { "new_flow_quota" } else { "fragment_quota" });
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, of: (Payer, What), bound: u64) -> bool {
        let now = self.now / 100;
        let (left, since) = self.buckets.get(&of).copied().unwrap_or((bound, now));
        let more = (now - since) * bound / 10;
        let left = bound.min(left + more);
        if left == 0 {
            return false;
        }
        self.buckets.insert(of, (left - 1, if more > 0 { now } else { since }));
        true
    }
}
