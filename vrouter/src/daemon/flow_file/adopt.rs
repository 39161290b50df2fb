//! What of another process's flows is kept, and what is told of it.

use flowtable::{FlowTable, Judge, Key, Pair};
use hashbrown::HashMap;

use super::Names;
use super::numbering::Kind;
use crate::api::v1;
use crate::datapath::lifetime::{BRIDGED, LABELLED};
use crate::datapath::named::LOST_HOP;
use crate::datapath::quota::{Owner, Purse};
use crate::datapath::table::Decided;
use crate::ids::{Context, Generation, MemberId, NextHopId, Place, Tick, VifId, VrfId};
use crate::tables::{DecapTarget, NextHopKind, Snapshot};

/// Gives flows the numbers that their names have here. Of a pair stay its addresses, ports and protocol, who began it, TCP state, counters, when it
/// began and had its last packet, and the members of its routes. All else follows from the model: who is charged for it, and what was
/// decided, which is older than anything here, so that its next packet has it decided anew.
pub struct Renumber<'a> {
    snapshot: &'a Snapshot,
    vifs: HashMap<u32, u32>,
    vrfs: HashMap<u32, u32>,
    members: HashMap<u32, u32>,
    /// What labels that lead to VIFs name.
    labels: HashMap<VifId, NextHopId>,
    now: Tick,
}

/// Older than whatever a model has decided.
const BEFORE: Generation = Generation(0);

impl<'a> Renumber<'a> {
    /// From numbers that stood for these names to those of this snapshot.
    pub fn new(names: &Names, seed: u64, snapshot: &'a Snapshot, now: Tick) -> Renumber<'a> {
        let [vifs, vrfs, members] =
            [Kind::Vif, Kind::Vrf, Kind::Member].map(|kind| names.numbers(kind, seed, snapshot));
        let to_vif = |target: &DecapTarget| match *target {
            DecapTarget::Vif { next_hop, .. } => match snapshot.next_hops.row(next_hop.index())?.kind {
                NextHopKind::Vif { vif, .. } => Some((vif, next_hop)),
                _ => None,
            },
            _ => None,
        };
        let labels = snapshot.labels.values().filter_map(to_vif).collect();
        Renumber { snapshot, vifs, vrfs, members, labels, now }
    }

    /// All places have the numbers that they had, as far as they are there.
    pub fn keeps_keys(&self) -> bool {
        self.vifs.iter().chain(&self.vrfs).all(|(before, now)| before == now)
    }

    fn place(&self, context: u32) -> Option<Place> {
        match Place::from(Context(context)) {
            Place::Vif(vif) => self.vifs.get(&vif.0).map(|&vif| Place::Vif(VifId(vif))),
            Place::Tunnel(vrf) => self.vrfs.get(&vrf.0).map(|&vrf| Place::Tunnel(VrfId(vrf))),
        }
    }

    /// False: a place is gone.
    fn renumber<const K: usize>(&self, pair: &mut Pair<K>) -> bool {
        let context = |key: &Key<K>| self.place(key.words[K - 1] as u32);
        let (Some(there), Some(back)) = (context(&pair.forward.0), context(&pair.reverse.0)) else { return false };
        let holder = match (there, back) {
            (Place::Tunnel(_), Place::Vif(_)) => back,
            _ => there,
        };
        let Owner(owner) = Purse::of(self.snapshot, holder).owner;
        for ((key, entry), place) in [(&mut pair.forward, there), (&mut pair.reverse, back)] {
            let Context(context) = place.into();
            key.words[K - 1] = key.words[K - 1] & !0xffff_ffff | u64::from(context);
            let member = self.members.get(&Decided(entry.stamp).member().0).map_or(0, |&member| member);
            entry.stamp = Decided::new(BEFORE, MemberId(member)).0;
            entry.next_hop = self.next_hop(entry.state, back).0;
            entry.owner = owner;
            entry.last_seen = self.past(entry.last_seen);
        }
        pair.created = self.past(pair.created);
        true
    }

    /// What a label named is what a label to that VIF names here; bridges know again where stations are when they send.
    fn next_hop(&self, state: u16, exit: Place) -> NextHopId {
        match exit {
            Place::Vif(vif) if state & (LABELLED | BRIDGED) == LABELLED => {
                self.labels.get(&vif).copied().unwrap_or(LOST_HOP)
            }
            _ => LOST_HOP,
        }
    }

    /// Nothing happened later than now.
    fn past(&self, tick: u32) -> u32 {
        let later = self.now.0.wrapping_sub(tick).cast_signed() < 0;
        if later { self.now.0 } else { tick }
    }
}

impl Judge for Renumber<'_> {
    fn narrow(&self, pair: &mut Pair<2>) -> bool {
        self.renumber(pair)
    }

    fn wide(&self, pair: &mut Pair<5>) -> bool {
        self.renumber(pair)
    }
}

/// Where the table's file is.
pub fn path(table: &FlowTable) -> String {
    table.region().file().map(|file| file.path().display().to_string()).unwrap_or_default()
}

/// What became of the flows that were in the file.
pub fn told(table: &FlowTable, milliseconds: u32) -> v1::FlowFile {
    let adopted = table.adopted().unwrap_or_default();
    let dropped = [
        ("half_written", adopted.odd),
        ("damaged", adopted.strange),
        ("twice", adopted.twice),
        ("place_gone", adopted.unwanted),
    ];
    let dropped = dropped.into_iter().filter(|(_, flows)| *flows > 0);
    let dropped = dropped.map(|(cause, flows)| v1::DroppedFlows { cause: cause.into(), flows });
    v1::FlowFile {
        path: path(table),
        adopted: adopted.pairs,
        dropped: dropped.collect(),
        milliseconds,
        rebuilt: String::new(),
    }
}
