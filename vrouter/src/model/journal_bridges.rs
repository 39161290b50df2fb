//! The only ways to change bridges and their stations, VNIs and labels: as [`super::journal`] says.

use std::net::IpAddr;
use std::sync::Arc;

use super::journal::{Undo, replace, take_number};
use super::records::{Bridge, FdbEntry, LabelTarget, Learnt, VniTarget, Whose};
use super::refusal::Reason;
use super::state::{BridgeUse, State};
use crate::ids::{BridgeId, Label, Mac, NextHopId, VifId, Vni};

impl State {
    /// A number for a new bridge.
    pub fn number_bridge(&mut self, name: &str) -> Result<BridgeId, Reason> {
        if let Some(given) = self.given.bridges.get(name) {
            return Ok(BridgeId(*given));
        }
        self.journal.push(Undo::NextBridge(self.next_bridge));
        Ok(BridgeId(take_number(&mut self.next_bridge)?))
    }

    pub fn set_bridge(&mut self, name: Arc<str>, new: Option<Arc<Bridge>>) {
        let old = replace(&mut self.bridges, name.clone(), new.clone());
        new.iter().flat_map(|new| &new.vteps).for_each(|next_hop| self.hops.retain(next_hop.0));
        if let Some(old) = &old {
            self.bridge_by_id.remove(&old.id);
            self.dirty.bridges.insert(old.id);
            old.vteps.iter().for_each(|next_hop| self.hops.release(next_hop.0));
            self.of_vrf.entry(old.vrf).or_default().bridges -= 1;
            self.drop_unused_vrf(old.vrf);
        }
        if let Some(new) = new {
            self.dirty.bridges.insert(new.id);
            self.of_vrf.entry(new.vrf).or_default().bridges += 1;
            self.bridge_by_id.insert(new.id, new);
        }
        self.journal.push(Undo::Bridge(name, old));
    }

    /// An entry gets a user more of its next hop.
    pub fn set_fdb(&mut self, key: (BridgeId, Mac), new: Option<FdbEntry>) {
        let old = replace(&mut self.fdb, key, new.clone());
        for (entry, by) in [(&new, 1), (&old, -1)] {
            let Some(entry) = entry else { continue };
            if by > 0 {
                self.hops.retain(entry.next_hop.0);
            } else {
                self.hops.release(entry.next_hop.0);
            }
            self.use_bridge(key.0, |of| of.entries = of.entries.strict_add_signed(by));
            if let Some(vif) = entry.vif {
                let entries = &mut self.of_vif.entry(vif).or_default().fdb_entries;
                *entries = entries.strict_add_signed(by);
                self.drop_unused_vif(vif);
            }
        }
        for (entry, there) in [(&old, false), (&new, true)] {
            let addresses = entry.as_ref().map_or(&[][..], |entry| &entry.addresses);
            let by = addresses.len() as isize;
            self.fdb_addresses = self.fdb_addresses.strict_add_signed(if there { by } else { -by });
            self.pair(key.0, addresses, (true, key.1), there);
        }
        self.dirty.stations.insert(key);
        self.journal.push(Undo::Fdb(key, old));
    }

    /// Notes that a station has these addresses, or has them no more.
    pub(super) fn pair(&mut self, bridge: BridgeId, addresses: &[IpAddr], whose: Whose, there: bool) {
        for &address in addresses {
            let key = (bridge, address);
            let of = self.pairs.entry(key).or_default();
            if there {
                of.insert(whose);
            } else {
                of.remove(&whose);
            }
            if of.is_empty() {
                self.pairs.remove(&key);
            }
            self.dirty.pairs.insert(key);
        }
    }

    /// Notes where a station was seen. Its next hop is the bridge's own way to there, in use as long as the VIF or VTEP is of the bridge.
    pub fn set_learnt(&mut self, key: (BridgeId, Mac), new: Option<Learnt>) {
        let old = replace(&mut self.learnt, key, new);
        self.dirty.stations.insert(key);
        self.journal.push(Undo::Learnt(key, old));
    }

    /// A VIF's own MAC; it gets a user more of its next hop.
    pub fn set_station(&mut self, key: (BridgeId, Mac), new: Option<(VifId, NextHopId)>) {
        let old = replace(&mut self.stations, key, new);
        if let Some((_, next_hop)) = new {
            self.hops.retain(next_hop.0);
        }
        if let Some((_, next_hop)) = old {
            self.hops.release(next_hop.0);
        }
        self.dirty.stations.insert(key);
        self.journal.push(Undo::Station(key, old));
    }

    pub fn set_vni(&mut self, vni: Vni, new: Option<VniTarget>) {
        let old = replace(&mut self.vnis, vni, new);
        for (target, by) in [(old, -1), (new, 1)] {
            match target {
                Some(VniTarget::Vrf(vrf)) => {
                    let vnis = &mut self.of_vrf.entry(vrf).or_default().vnis;
                    *vnis = vnis.strict_add_signed(by);
                    self.drop_unused_vrf(vrf);
                }
                Some(VniTarget::Bridge(bridge)) => {
                    self.use_bridge(bridge, |of| of.vnis = of.vnis.strict_add_signed(by));
                }
                None => {}
            }
        }
        self.dirty.vnis.insert(vni);
        self.journal.push(Undo::Vni(vni, old));
    }

    /// A target that is a VIF gets a user more of its next hop.
    pub fn set_label(&mut self, label: Label, new: Option<LabelTarget>) {
        let old = replace(&mut self.labels, label, new);
        for (target, by) in [(new, 1), (old, -1)] {
            match target {
                Some(LabelTarget::Vrf(vrf)) => {
                    let labels = &mut self.of_vrf.entry(vrf).or_default().labels;
                    *labels = labels.strict_add_signed(by);
                    self.drop_unused_vrf(vrf);
                }
                Some(LabelTarget::Vif(vif, next_hop)) => {
                    let labels = &mut self.of_vif.entry(vif).or_default().labels;
                    *labels = labels.strict_add_signed(by);
                    self.drop_unused_vif(vif);
                    if by > 0 {
                        self.hops.retain(next_hop.0);
                    } else {
                        self.hops.release(next_hop.0);
                    }
                }
                Some(LabelTarget::Bridge(bridge)) => {
                    self.use_bridge(bridge, |of| of.labels = of.labels.strict_add_signed(by));
                }
                None => {}
            }
        }
        self.dirty.labels.insert(label);
        self.journal.push(Undo::Label(label, old));
    }

    /// Changes what refers to a bridge.
    pub(super) fn use_bridge<R>(&mut self, bridge: BridgeId, change: impl FnOnce(&mut BridgeUse) -> R) {
        let of = self.of_bridge.entry(bridge).or_default();
        change(of);
        if *of == BridgeUse::default() {
            self.of_bridge.remove(&bridge);
        }
    }
}
