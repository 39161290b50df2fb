//! What is known of one frame of the burst, and how it becomes known.

use flowtable::{Entry, Handle};

use super::classify::{Classified, Exit, classify};
use super::flood::Flood;
use super::quota::{Accounts, Purse, Rate, TUNNEL_ROWS};
use super::table::FlowKey;
use super::victims::Culprit;
use super::{Fate, bridge};
use crate::drops::DropReason;
use crate::ids::{Place, Tick, VifId, VrfId};
use crate::port::Frame;
use crate::tables::Snapshot;

/// What is known of one frame of the burst.
#[derive(Clone, Copy)]
pub struct Work {
    /// The VIF that it entered by, and its row of counters; `None` in the row of no VIF.
    pub vif: Option<VifId>,
    pub slot: usize,
    /// Whose budgets it spends: its VIF's row, or one of the rows of VRFs' tunnel sides.
    pub charge: usize,
    pub classified: Option<Classified>,
    pub key: Option<FlowKey>,
    pub hash: u64,
    pub found: Option<(Handle, Entry)>,
    /// Ours, or on its way again: no TTL step, nobody to tell of errors.
    pub originated: bool,
    pub fate: Fate,
}

impl Work {
    /// A frame of this VIF, not looked at yet.
    pub(super) fn new(vif: Option<VifId>, slot: usize) -> Work {
        Work {
            vif,
            slot,
            charge: slot,
            classified: None,
            key: None,
            hash: 0,
            found: None,
            originated: false,
            fate: Fate::Pending,
        }
    }

    /// The VRF that its tunnel is for, if it came by one, as far as that is known.
    pub(super) fn tunnel(&self) -> Option<VrfId> {
        match self.classified.as_ref()?.place {
            Place::Tunnel(vrf) => Some(vrf),
            Place::Vif(_) => None,
        }
    }

    /// Fragments cost more than whole packets, and there are quotas of them.
    pub(super) fn spend_fragment(&mut self, snapshot: &Snapshot, accounts: &Accounts, now: Tick) {
        let Some(found) = self.classified.as_ref().filter(|found| found.packet.fragment) else { return };
        if !accounts.take(&Purse::of(snapshot, found.place), Rate::Fragments, now) {
            self.fate = Fate::Drop(DropReason::FragmentQuota, Culprit::Frame);
        }
    }

    pub(super) fn classify(&mut self, snapshot: &Snapshot, frame: &Frame, vif_slots: usize) {
        let row = self.vif.and_then(|vif| snapshot.vifs.row(vif.index()));
        self.fate = match row.ok_or(Exit::Drop(DropReason::NoVif)).and_then(|vif| classify(snapshot, vif, frame)) {
            Ok(classified) => {
                self.classified = Some(classified);
                match Flood::of(&classified) {
                    None => Fate::Pending,
                    Some(flood) => {
                        self.hash = bridge::hash(&frame.bytes()[usize::from(flood.from)..]);
                        Fate::Flood(flood)
                    }
                }
            }
            Err(Exit::Drop(reason)) => Fate::Drop(reason, Culprit::Frame),
            Err(Exit::Punt { place, why, tunnel, from, l3 }) => Fate::PuntUnread { place, why, tunnel, from, l3 },
            Err(Exit::Assemble { l3, unless }) => Fate::Assemble { l3, unless },
            Err(Exit::Except { port, learn }) => Fate::Except { port, learn },
            Err(Exit::Flood(flood)) => {
                self.hash = bridge::hash(&frame.bytes()[usize::from(flood.from)..]);
                Fate::Flood(flood)
            }
            Err(Exit::Carry { place, next_hop, from, length, tunnel }) => {
                self.hash = bridge::hash(&frame.bytes()[usize::from(from)..]);
                Fate::Carry { place, next_hop, from, length, tunnel }
            }
        };
        // one tenant's tunnels do not spend another's budget, though they share the fabric VIF
        let place = match (&self.classified, self.fate) {
            (Some(found), _) => Some(found.place),
            (None, Fate::Flood(Flood { place, .. }) | Fate::PuntUnread { place, .. } | Fate::Carry { place, .. }) => {
                Some(place)
            }
            _ => None,
        };
        if let Some(Place::Tunnel(vrf)) = place {
            self.charge = vif_slots + 1 + vrf.index() % TUNNEL_ROWS;
        }
    }
}
