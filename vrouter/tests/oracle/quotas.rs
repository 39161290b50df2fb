//! Quotas: how many packets without a flow are judged, how many fragments pass and how many packets go to the slow path in a second, and how
//! many flow pairs are held; of a VIF, of the tunnels into a VRF, of a tenant.

use std::collections::BTreeMap;

use super::Oracle;
use super::config::Kind;
use super::flows::Pair;
use super::forward::{Arrived, Place};
use super::headers::Reason;

/// What is bounded; 0: not. By [`What`].
pub type Quota = [u64; 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    NewFlows,
    Fragments,
    Punts,
    Pairs,
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

/// Who holds a pair: a VIF by its row, which the next VIF has when it is gone, or the tunnels of a VRF; and the tenant, if it had a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    row: Payer,
    tenant: Option<Payer>,
}

/// Pairs of a holder of which the one to go is chosen: those that are found first, in an order of the table's own.
const COMPARED: usize = 8;
/// How often room is looked for before a new flow is refused.
const TRIES: usize = 4;

impl Oracle {
    /// Takes one of what whoever sent this has, and its tenant. Who has one takes it, also where the tenant then has none.
    pub(super) fn spend(&mut self, place: Place, what: What) -> Result<(), Reason> {
        for (payer, bound, feature) in self.bounds(place, what) {
            if bound > 0 {
                self.feature(feature);
                if !self.take((payer, what), bound) {
                    return Err(match what {
                        What::NewFlows => "new_flow_quota",
                        What::Fragments => "fragment_quota",
                        What::Punts => "punt_quota",
                        What::Pairs => "flow_quota",
                    });
                }
            }
        }
        Ok(())
    }

    /// The same for a packet that waits for a neighbour. One that waits again is of the VIF that it came in by, or of nobody.
    pub(super) fn spend_waiting(&mut self, arrived: &Arrived) -> Result<(), Reason> {
        match arrived.entered {
            _ if !arrived.waited => self.spend(arrived.place, What::Punts),
            Some(vif) => self.spend(Place::Vif(vif), What::Punts),
            None => Ok(()),
        }
    }

    /// Who pays, and how much it may take: the sender itself, then its tenant. Nobody pays for the fabric, nor for who is gone.
    fn bounds(&self, place: Place, what: What) -> Vec<(Payer, u64, &'static str)> {
        let settings = &self.config.settings;
        let (payer, own, vrf) = match place {
            Place::Vif(vif) => {
                let Some(vif) = self.config.vifs.get(&vif) else { return Vec::new() };
                let [own, default] = [vif.quota, settings.vif_quota].map(|quota| quota[what as usize]);
                let of_tenant = if own == 0 && vif.kind == Kind::Tenant { default } else { own };
                (Payer::Vif(vif.id), of_tenant, vif.vrf)
            }
            Place::Tunnel(vrf) => {
                let Some(row) = self.config.vrfs.get(&vrf) else { return Vec::new() };
                (Payer::Tunnels(vrf), row.tunnel_quota[what as usize], vrf)
            }
        };
        let tenant = self.config.vrfs[&vrf].tenant.clone();
        let shared = settings.tenant_quotas.get(&tenant).map_or(0, |quota| quota[what as usize]);
        vec![(payer, own, "own_quota"), (Payer::Tenant(tenant), shared, "tenant_quota")]
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

    /// Who holds pairs that this place is charged for.
    pub(super) fn holder(&self, place: Place) -> Holder {
        let (row, vrf) = match place {
            Place::Vif(vif) => (Payer::Vif(self.config.vifs[&vif].row), self.config.vifs[&vif].vrf),
            Place::Tunnel(vrf) => (Payer::Tunnels(vrf), vrf),
        };
        let tenant = &self.config.vrfs[&vrf].tenant;
        let has_quota = self.config.settings.tenant_quotas.contains_key(tenant);
        Holder { row, tenant: (has_quota && !tenant.is_empty()).then(|| Payer::Tenant(tenant.clone())) }
    }

    /// Makes room for one more pair, of IPv6 or not, that this place is charged for: within its own bound, then its tenant's, others of the
    /// same give way one by one. `stale`: ends what else is in the way, if something is.
    pub(super) fn make_room(
        &mut self,
        place: Place,
        v6: bool,
        mut stale: impl FnMut(&mut Oracle) -> bool,
    ) -> Result<(), Reason> {
        let holder = self.holder(place);
        let bounds = self.bounds(place, What::Pairs);
        for _ in 0..TRIES {
            let of: [&dyn Fn(&Pair) -> bool; 2] = [&|pair: &Pair| pair.holder.row == holder.row, &|pair: &Pair| {
                holder.tenant.is_some() && pair.holder.tenant == holder.tenant
            }];
            let full = of.into_iter().zip(&bounds).find(|(of, (_, bound, _))| {
                *bound > 0 && self.flows.iter().filter(|pair| of(pair)).count() as u64 >= *bound
            });
            match full {
                Some((of, (_, _, feature))) => {
                    self.feature(feature);
                    let goes = self.gives_way(v6, of);
                    self.feature(if *feature == "own_quota" {
                        "own_pair_gives_way"
                    } else {
                        "pair_of_tenant_gives_way"
                    });
                    self.forget(goes);
                }
                None if stale(self) => {}
                None => return Ok(()),
            }
        }
        Err("flow_quota")
    }

    /// Which pair of a holder gives way: one of the family that is asked for if there is one; a closing one, else one without answers, else
    /// one that has them; of those the one that is idle the longest.
    fn gives_way(&mut self, v6: bool, of: &dyn Fn(&Pair) -> bool) -> usize {
        let own = || self.flows.iter().enumerate().filter(|(_, pair)| of(pair));
        assert!(own().all(|(_, pair)| self.now < self.ends(pair)), "unmodelled: a pair in limbo of who needs room");
        let rank = |pair: &Pair| {
            let class = match pair.state() {
                "closing" => 2,
                "opening" | "unanswered" => 1,
                _ => 0,
            };
            (class, self.now / 100 - pair.last_seen() / 100)
        };
        let family = own().any(|(_, pair)| pair.is_v6() == v6);
        let ranked: Vec<_> =
            own().filter(|(_, pair)| !family || pair.is_v6() == v6).map(|(at, pair)| (at, rank(pair))).collect();
        let least = ranked.len().min(COMPARED);
        let not_after = |rank| ranked.iter().filter(|(_, other)| *other <= rank).count();
        let may_go: Vec<usize> =
            ranked.iter().filter(|(_, rank)| not_after(*rank) >= least).map(|(at, _)| *at).collect();
        if !family {
            self.outcome.features.insert("pair_of_other_family_gives_way");
        }
        may_go[self.choice(may_go.len())]
    }
}
