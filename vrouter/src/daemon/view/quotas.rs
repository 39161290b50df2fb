//! Quotas as a packet would meet them: who pays, how much is left, and whether a worker would refuse it. Nothing is spent.

use super::steps::Steps;
use super::{vif_name, vrf_name};
use crate::datapath::Shared;
use crate::datapath::quota::{Purse, Rate, Scope};
use crate::drops::DropReason;
use crate::ids::{Place, Tick, VrfId};
use crate::tables::Snapshot;

/// Asks the quotas at a time.
pub struct Quotas<'a> {
    pub shared: &'a Shared,
    pub now: Tick,
}

impl Quotas<'_> {
    /// A packet without a flow enters here, to be decided.
    pub fn new_flow(&self, place: Place, steps: &mut Steps<'_>) -> Result<(), DropReason> {
        self.rate(place, (Rate::NewFlows, "new flows"), DropReason::NewFlowQuota, steps)
    }

    /// A copy of what entered here goes to the slow path.
    pub fn punt(&self, place: Place, steps: &mut Steps<'_>) -> Result<(), DropReason> {
        self.rate(place, (Rate::Punts, "punts"), DropReason::PuntQuota, steps)
    }

    /// A flow pair is set up, which this place holds.
    pub fn pair(&self, place: Place, steps: &mut Steps<'_>) -> Result<(), DropReason> {
        let purse = Purse::of(steps.snapshot, place);
        let accounts = &self.shared.accounts;
        let holders = holders(steps.snapshot, place).into_iter().zip(accounts.held(&purse));
        for ((holder, (held, bound)), scope) in holders.zip([Scope::Own, Scope::Tenant]) {
            if bound == 0 {
                continue;
            }
            let full = held >= bound;
            let searched = full && !accounts.may_search(purse.owner, scope, self.now);
            let then = match (full, searched) {
                (false, _) => "",
                (true, false) => {
                    ": one that is closing, unanswered or idle gives way, or where none is found nearby this one is refused"
                }
                (true, true) => ": none that may give way was found just now",
            };
            steps.add("quota", holder, format!("{held} of {bound} flow pairs held{then}"));
            if searched {
                return Err(DropReason::FlowQuota);
            }
        }
        Ok(())
    }

    fn rate(
        &self,
        place: Place,
        (rate, what): (Rate, &str),
        refusal: DropReason,
        steps: &mut Steps<'_>,
    ) -> Result<(), DropReason> {
        let purse = Purse::of(steps.snapshot, place);
        let left = self.shared.accounts.left(&purse, rate, self.now);
        for (holder, (left, bound)) in holders(steps.snapshot, place).into_iter().zip(left) {
            if bound == 0 {
                continue;
            }
            steps.add("quota", holder, format!("{left} of {bound} {what} a second left"));
            if left == 0 {
                return Err(refusal);
            }
        }
        Ok(())
    }
}

/// Who pays for what enters or is held there, and its tenant; by the names of `stats`.
fn holders(snapshot: &Snapshot, place: Place) -> [String; 2] {
    let tenant = |vrf: VrfId| {
        let vrf = snapshot.vrfs.row(vrf.index());
        let tenant = vrf.and_then(|vrf| snapshot.tenants.row(vrf.tenant.index()));
        format!("tenant {}", tenant.map_or("", |tenant| &*tenant.name))
    };
    match place {
        Place::Vif(vif) => {
            let vrf = snapshot.vifs.row(vif.index()).map(|vif| vif.vrf);
            [format!("vif {}", vif_name(snapshot, vif)), vrf.map(tenant).unwrap_or_default()]
        }
        Place::Tunnel(vrf) => [format!("tunnels {}", vrf_name(snapshot, vrf)), tenant(vrf)],
    }
}
