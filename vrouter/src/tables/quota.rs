//! What one VIF, the tunnels of one VRF, or one tenant may take of what all share.

use std::sync::Arc;

/// Bounds; 0: none of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Flow pairs held.
    pub flows: u32,
    /// In a second, by all workers.
    pub new_flows: u32,
    pub punts: u32,
    pub fragments: u32,
}

/// The number of a tenant that has a quota; 0: none has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub u16);

/// A tenant with a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub name: Arc<str>,
    pub quota: Quota,
}

impl Quota {
    /// No bounds.
    pub const NONE: Quota = Quota { flows: 0, new_flows: 0, punts: 0, fragments: 0 };

    /// These bounds, and the other's where there is none.
    pub fn or(self, other: Quota) -> Quota {
        let or = |own: u32, other: u32| if own == 0 { other } else { own };
        Quota {
            flows: or(self.flows, other.flows),
            new_flows: or(self.new_flows, other.new_flows),
            punts: or(self.punts, other.punts),
            fragments: or(self.fragments, other.fragments),
        }
    }
}

impl TenantId {
    /// No tenant with a quota.
    pub const NONE: TenantId = TenantId(0);
    /// How many tenants may have quotas; their numbers are 1 to this.
    pub const MOST: usize = 4095;

    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
