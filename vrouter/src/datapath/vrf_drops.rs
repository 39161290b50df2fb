//! Drops of what came out of tunnels, by the VRF that it was for. Frames of a tenant's VIF are all of its VRF, and need no counting here.

use super::tally::Tally;
use crate::drops::DropReason;
use crate::ids::{VifId, VrfId};
use crate::tables::Snapshot;

/// Rows of a worker: of fabric VIFs, VRFs and reasons together.
const ROWS: usize = 4096;

/// One worker's.
pub struct VrfDrops(Tally<2>);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// Where the frames entered: a fabric VIF.
    pub vif: VifId,
    pub vrf: VrfId,
    pub reason: DropReason,
}

impl Default for VrfDrops {
    fn default() -> VrfDrops {
        VrfDrops(Tally::new(ROWS))
    }
}

impl VrfDrops {
    /// Counts a frame; the owning worker only. What finds no row is in the counters of its VIF alone.
    pub fn add(&self, snapshot: &Snapshot, of: Of) {
        let is_there = |[places, _]: [u64; 2]| snapshot.vrfs.row(VrfId(places as u32).index()).is_some();
        self.0.add(of.key(), 1, is_there);
    }

    /// What was counted so far; any thread.
    pub fn read(&self) -> impl Iterator<Item = (Of, u64)> + '_ {
        self.0.read().filter_map(|(key, frames)| Some((Of::from_key(key)?, frames)))
    }
}

impl Of {
    /// vif (32 bits) | vrf (32 bits), and the reason and one.
    fn key(self) -> [u64; 2] {
        [u64::from(self.vif.0) << 32 | u64::from(self.vrf.0), self.reason as u64 + 1]
    }

    fn from_key([places, reason]: [u64; 2]) -> Option<Of> {
        let (vif, vrf) = (VifId((places >> 32) as u32), VrfId(places as u32));
        Some(Of { vif, vrf, reason: DropReason::numbered(reason.checked_sub(1)? as u8)? })
    }
}
