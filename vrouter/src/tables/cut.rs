//! What BFD's thread tells workers past the snapshot: that whom a next hop leads to is gone. The control thread says the same in the next
//! snapshot, but may be busy with a batch until then.
//!
//! A cut next hop's stamp is newer than any flow, so that each packet of its flows is decided anew, and who decides passes cut members of
//! groups over. A cut way of the underlay gives its shares of tunnels' flows to others. A row that was made anew is not cut: it is
//! made of what the control thread knows, which is told of every failure.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Group, Member, NextHopKind, Snapshot, Underlay, Watched};
use crate::ids::{Generation, NextHopId};

/// Above all generations.
const CUT: u64 = 1 << 63;

/// A generation, written by the control thread before it publishes it, and a bit that BFD's thread writes. Workers read both at once; relaxed, for
/// the bit carries nothing but itself.
#[derive(Default)]
pub(super) struct Stamp(AtomicU64);

impl Stamp {
    pub fn of(stamp: Generation) -> Stamp {
        Stamp(AtomicU64::new(stamp.0))
    }

    pub fn generation(&self) -> Generation {
        Generation(self.last() & !CUT)
    }

    #[inline(always)]
    pub fn last(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub fn is_cut(&self) -> bool {
        self.last() & CUT != 0
    }

    pub fn cut(&self, cut: bool) {
        // not written where it is so already: workers read the line for each packet
        if cut != self.is_cut() {
            if cut {
                self.0.fetch_or(CUT, Relaxed)
            } else {
                self.0.fetch_and(!CUT, Relaxed)
            };
        }
    }
}

impl Clone for Stamp {
    fn clone(&self) -> Stamp {
        Stamp(AtomicU64::new(self.last()))
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Stamp) -> bool {
        self.generation() == other.generation()
    }
}

impl Eq for Stamp {}

impl std::fmt::Debug for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.generation())
    }
}

impl Snapshot {
    /// Cuts what leads to whose session has failed, mends all else. What the snapshot itself says is not cut: who goes by it nevertheless has
    /// nowhere else to go. BFD's thread, never a worker: it looks at all next hops.
    pub fn cut(&self, failed: &BTreeSet<Watched>) {
        let has = |vrf, remote, multihop| failed.contains(&Watched { vrf, remote, multihop });
        let is_dead = |way: &Underlay| match way {
            Underlay::Resolved(adjacency) => {
                let vif = self.vifs.row(adjacency.vif.index());
                vif.is_some_and(|vif| has(vif.vrf, adjacency.neighbour, false))
            }
            Underlay::Resolving { .. } | Underlay::NoRoute => false,
        };
        let is_gone = |remote| self.local.underlay.is_some_and(|underlay| has(underlay, remote, true));
        for (_, row) in self.next_hops.iter() {
            match &row.kind {
                NextHopKind::Tunnel(tunnel) => {
                    let dead = || tunnel.ways.all().all(|(way, _)| is_dead(&way.underlay));
                    row.cut(tunnel.leads && (is_gone(tunnel.remote) || dead()));
                }
                NextHopKind::Fabric(way) => row.cut(is_dead(way)),
                _ => {}
            }
        }
        self.next_hops.iter().for_each(|(_, row)| self.share_out(&row.kind));
    }

    /// Gives the shares of cut ways of the underlay to others, and those of mended ones back.
    fn share_out(&self, kind: &NextHopKind) {
        let NextHopKind::Group(group) = kind else { return };
        let Some(slots) = group.slots() else { return };
        let alive = |member: &Member| Member { up: member.up && !self.is_cut(member.next_hop), ..*member };
        let now = Group::of_underlay(group.members().iter().map(alive).collect());
        now.slots().into_iter().for_each(|now| slots.take(now));
    }

    /// Whether a next hop is cut.
    #[inline]
    pub fn is_cut(&self, next_hop: NextHopId) -> bool {
        self.next_hops.row(next_hop.index()).is_some_and(|row| row.is_cut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stamp_is_above_all_and_the_same_again() {
        let stamp = Stamp::of(Generation(7));
        stamp.cut(true);
        assert!(stamp.last() > 1 << 40 && stamp.is_cut());
        assert_eq!((stamp.generation(), stamp.clone().is_cut()), (Generation(7), true));
        assert_eq!(stamp, Stamp::of(Generation(7)));
        stamp.cut(false);
        assert_eq!(stamp.last(), 7);
    }
}
