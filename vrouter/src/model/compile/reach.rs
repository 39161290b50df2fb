//! Which VRFs a packet comes to from which: what changes in one, flows that entered in another must notice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Touched;
use crate::ids::{Generation, NextHopId, VrfId};
use crate::model::records::{Hop, Prefix};
use crate::model::state::State;
use crate::tables::{Snapshot, Vrf};

/// Routes between VRFs, by their next hops.
#[derive(Clone, Default)]
pub(super) struct Reach {
    /// VRFs that routes of this VRF lead into, and the other way round.
    into: BTreeMap<VrfId, BTreeSet<VrfId>>,
    from: BTreeMap<VrfId, BTreeSet<VrfId>>,
    /// Next hops of this VRF to VIFs of other VRFs.
    vifs: BTreeMap<VrfId, BTreeMap<NextHopId, VrfId>>,
    /// VRFs that rules of this VRF, or of its VIFs, redirect into, and the other way round.
    sent: BTreeMap<VrfId, BTreeSet<VrfId>>,
    sent_from: BTreeMap<VrfId, BTreeSet<VrfId>>,
}

/// Prefixes of a VRF whose routes lead elsewhere now.
#[derive(Default)]
pub(super) struct Noticed {
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
}

impl Noticed {
    pub fn push(&mut self, prefix: Prefix) {
        match prefix.address {
            IpAddr::V4(address) => self.v4.push((address.to_bits(), prefix.length)),
            IpAddr::V6(address) => self.v6.push((address.to_bits(), prefix.length)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Raises their stripes in this VRF; false: one is too wide.
    fn raise(&self, vrf: VrfId, next: &Snapshot) -> bool {
        let (stripes, now) = (&next.stripes, next.generation);
        self.v4.iter().all(|&(address, length)| stripes.raise_v4(vrf, address, length, now))
            && self.v6.iter().all(|&(address, length)| stripes.raise_v6(vrf, address, length, now))
    }
}

impl Reach {
    /// Adds a next hop, or puts one to a VIF where the VIF is now.
    pub fn add(&mut self, state: &State, id: NextHopId, vrf: VrfId, hop: Hop) {
        match hop {
            Hop::Vrf(other) => {
                self.into.entry(vrf).or_default().insert(other);
                self.from.entry(other).or_default().insert(vrf);
            }
            Hop::Vif { vif, .. } => match state.vif_by_id.get(&vif).map(|vif| vif.vrf).filter(|other| *other != vrf) {
                Some(other) => drop(self.vifs.entry(vrf).or_default().insert(id, other)),
                None => self.remove(id, vrf, hop),
            },
            _ => {}
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: NextHopId, vrf: VrfId, hop: Hop) {
        match hop {
            Hop::Vrf(other) => {
                take_out(&mut self.into, vrf, other);
                take_out(&mut self.from, other, vrf);
            }
            Hop::Vif { .. } => {
                if let Some(hops) = self.vifs.get_mut(&vrf) {
                    hops.remove(&id);
                    if hops.is_empty() {
                        self.vifs.remove(&vrf);
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds the VRFs that rules of these VRFs redirect into now to those that they did; returns both, for [`Reach::settle`].
    pub fn widen(&mut self, state: &State, vrfs: BTreeSet<VrfId>) -> Vec<(VrfId, BTreeSet<VrfId>)> {
        if state.of_redirect.is_empty() && self.sent.is_empty() {
            return Vec::new();
        }
        let now: Vec<_> = vrfs.into_iter().map(|vrf| (vrf, redirected(state, vrf))).collect();
        for (vrf, into) in now.iter().filter(|(_, into)| !into.is_empty()) {
            self.sent.entry(*vrf).or_default().extend(into);
            into.iter().for_each(|other| _ = self.sent_from.entry(*other).or_default().insert(*vrf));
        }
        now
    }

    /// Forgets those that they did.
    pub fn settle(&mut self, now: Vec<(VrfId, BTreeSet<VrfId>)>) {
        for (vrf, into) in now {
            let before = self.sent.remove(&vrf).unwrap_or_default();
            before.difference(&into).for_each(|other| take_out(&mut self.sent_from, *other, vrf));
            if !into.is_empty() {
                self.sent.insert(vrf, into);
            }
        }
    }

    /// Raises, beside the VRFs whose change flows must notice, those from where flows come into them (their packets rest on that
    /// change), and those where such flows leave (their answers do). Of changed routes the stripes, where they are not too wide.
    pub fn raise(&self, next: &mut Snapshot, touched: &mut Touched) {
        let mut narrow = Vec::new();
        for (vrf, prefixes) in std::mem::take(&mut touched.routes) {
            let concerned = self.concerned(BTreeSet::from([vrf]));
            if concerned.iter().all(|vrf| prefixes.raise(*vrf, next)) {
                narrow.extend(concerned);
            } else {
                touched.vrfs.insert(vrf);
            }
        }
        for vrf in self.concerned(touched.vrfs.clone()) {
            change(next, vrf, |row, now| row.raise(now));
        }
        for vrf in narrow {
            change(next, vrf, |row, now| row.stamp = now);
        }
    }

    /// The VRFs whose flows notice a change in these, themselves included.
    fn concerned(&self, vrfs: BTreeSet<VrfId>) -> BTreeSet<VrfId> {
        if self.into.is_empty() && self.vifs.is_empty() && self.sent.is_empty() {
            return vrfs;
        }
        let mut raised = closure([&self.from, &self.sent_from], &vrfs);
        let below = closure([&self.into, &self.sent], &vrfs);
        let exits = below.iter().filter_map(|vrf| self.vifs.get(vrf)).flat_map(|hops| hops.values());
        raised.extend(exits.copied());
        raised.extend(&below);
        raised
    }
}

fn take_out(map: &mut BTreeMap<VrfId, BTreeSet<VrfId>>, key: VrfId, value: VrfId) {
    if let Some(set) = map.get_mut(&key) {
        set.remove(&value);
        if set.is_empty() {
            map.remove(&key);
        }
    }
}

/// The other VRFs that rules of a VRF, or of its VIFs, redirect into.
fn redirected(state: &State, vrf: VrfId) -> BTreeSet<VrfId> {
    let own = state.vrf_by_id.get(&vrf).and_then(|record| record.acl.as_ref());
    let vifs = state.of_vrf.get(&vrf).into_iter().flat_map(|of| &of.vifs).filter_map(|vif| state.vif_by_id.get(vif));
    let acls = vifs.flat_map(|vif| [&vif.from_vif, &vif.to_vif]).flatten().chain(own);
    let redirects = acls.filter_map(|acl| state.acls.get(acl)).flat_map(|acl| &acl.redirects);
    redirects.filter_map(|to| state.redirect_vrf(to)).filter(|other| *other != vrf).collect()
}

fn change(next: &mut Snapshot, vrf: VrfId, change: impl FnOnce(&mut Vrf, Generation)) {
    if let Some(mut row) = next.vrfs.shared(vrf.index()).cloned() {
        change(Arc::make_mut(&mut row), next.generation);
        next.vrfs.set(vrf.index(), Some(row));
    }
}

/// Everything that is reached from these, themselves included.
fn closure(edges: [&BTreeMap<VrfId, BTreeSet<VrfId>>; 2], start: &BTreeSet<VrfId>) -> BTreeSet<VrfId> {
    let mut reached = start.clone();
    let mut ahead: Vec<VrfId> = start.iter().copied().collect();
    while let Some(vrf) = ahead.pop() {
        let next = edges.iter().filter_map(|edges| edges.get(&vrf)).flatten();
        ahead.extend(next.filter(|vrf| reached.insert(**vrf)));
    }
    reached
}
