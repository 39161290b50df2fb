//! How many ICMP errors a place may cause (RFC 4443, section 2.4 f; RFC 1812, section 4.3.2.8).

use hashbrown::HashMap;

use crate::ids::Place;

/// Errors in a second when the snapshot names no number.
const DEFAULT_PER_SECOND: u32 = 1000;
const SECOND_MS: u64 = 1000;

/// A count per place and second.
#[derive(Default)]
pub(super) struct Budget {
    windows: HashMap<Place, Window>,
    cleared_at: u64,
}

struct Window {
    since: u64,
    used: u32,
}

impl Budget {
    /// Whether one more is allowed; counts it if so. `per_second` 0: the default.
    pub(super) fn spend(&mut self, place: Place, per_second: u32, now: u64) -> bool {
        let limit = if per_second == 0 { DEFAULT_PER_SECOND } else { per_second };
        let window = self.windows.entry(place).or_insert(Window { since: now, used: 0 });
        if now.saturating_sub(window.since) >= SECOND_MS {
            *window = Window { since: now, used: 0 };
        }
        let allowed = window.used < limit;
        window.used += u32::from(allowed);
        allowed
    }

    /// Drops the places that caused nothing lately, so that deleted VIFs leave nothing behind.
    pub(super) fn forget_idle(&mut self, now: u64) {
        if now.saturating_sub(self.cleared_at) >= 10 * SECOND_MS {
            self.cleared_at = now;
            self.windows.retain(|_, window| now.saturating_sub(window.since) < SECOND_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{VifId, VrfId};

    #[test]
    fn a_place_spends_its_own_budget_and_a_second_later_again() {
        let mut budget = Budget::default();
        let (noisy, quiet) = (Place::Vif(VifId(1)), Place::Tunnel(VrfId(1)));
        let spent = (0..10).filter(|_| budget.spend(noisy, 3, 5000)).count();
        assert_eq!(spent, 3);
        assert!(budget.spend(quiet, 3, 5000));
        assert!(!budget.spend(noisy, 3, 5999));
        assert!(budget.spend(noisy, 3, 6000));
        budget.forget_idle(20_000);
        assert!(budget.windows.is_empty());
    }
}
