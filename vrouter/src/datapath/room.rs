//! Room for a new flow: within its holder's quota and its tenant's, and in the table. What gives way is told by [`lifetime`].

use super::flows::Lookup;
use super::lifetime;
use super::quota::{Owner, Purse, Scope};
use super::table::FlowKey;
use crate::drops::DropReason;
use crate::ids::Tick;

/// Pairs that one eviction looks at.
const EVICT_SCAN: u32 = 128;
/// Searches in a row that find nothing for one owner, after which it is refused without a search until the next tick.
const BARREN: u32 = 64;

/// A worker's searches for pairs to evict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eviction {
    /// Where the next search goes on.
    pub cursor: u32,
    /// The same of searches for a holder's own pairs, by family.
    own: [u32; 2],
    /// Who found nothing last, when, and how often in a row: after [`BARREN`] searches there is none more in that tick.
    refused: (u32, Tick, u32),
}

impl Eviction {
    /// A search that begins at this pair.
    pub fn from(cursor: u32) -> Eviction {
        Eviction { cursor, own: [cursor; 2], ..Eviction::default() }
    }
}

impl Lookup<'_> {
    /// Another flow of the same holder, or of its tenant, whose quota is used up, gives way.
    pub(super) fn make_way(&mut self, key: &FlowKey, purse: &Purse, scope: Scope) -> Result<(), DropReason> {
        let owner = purse.owner;
        if self.accounts.may_search(owner, scope, self.now) {
            let (flows, accounts, now) = (self.flows, self.accounts, self.now);
            let mut search = |wide: bool| {
                let cursor = &mut self.eviction.own[usize::from(wide)];
                lifetime::evict_own(flows, accounts, (wide, cursor), (owner, scope), now)
            };
            let wide = key.is_wide();
            if search(wide) || search(!wide) {
                return Ok(());
            }
            self.accounts.searched_in_vain(owner, scope, self.now);
        }
        Err(DropReason::FlowQuota)
    }

    /// Makes room in the table.
    pub(super) fn evict(&mut self, key: &FlowKey, Owner(owner): Owner) -> Result<(), DropReason> {
        let (last, when, times) = self.eviction.refused;
        let times = if (last, when) == (owner, self.now) { times } else { 0 };
        if times < BARREN {
            let cursor = &mut self.eviction.cursor;
            if lifetime::evict(self.flows, self.accounts, key, (cursor, EVICT_SCAN), Owner(owner), self.now) {
                return Ok(());
            }
            self.eviction.refused = (owner, self.now, times + 1);
        }
        Err(DropReason::FlowTableFull)
    }
}
