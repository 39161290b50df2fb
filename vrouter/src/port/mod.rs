//! Frames and the ports that they come from and leave by.
//!
//! [`Frame`] is one concrete type: a window of bytes with headroom, which owns its memory (an mbuf of a DPDK port, or a boxed
//! room of the virtual wire and of the slow path). [`Port`] is one worker's end of a device: a virtual call per burst.

#[cfg(feature = "dpdk")]
pub mod dpdk;
mod frame;
pub mod handover;
pub mod listener;
mod rooms;
pub mod stopwatch;
pub mod traffic;
pub mod wire;

use crate::drops::DropReason;
pub use crate::packet::checksum::IpChecksum;
pub use crate::packet::offload::Undone;
pub use frame::{Frame, HEADROOM, HeapRoom, LARGE_ROOM, NoHeadroom, ROOM, Store};
pub use rooms::Rooms;

/// Frames that a worker takes from a queue at once: so many that what some wait for comes while others are looked at
/// (`scripts/bench --scenario bench/scenarios/acl-vxlan.yaml` shows what fewer cost).
pub const BURST: usize = 64;

/// One worker's rx and tx queue of one device. Used by that worker's thread only.
pub trait Port: Send {
    /// Appends up to `BURST` received frames and returns how many; frames for which no buffer is large enough are dropped here and
    /// counted in [`RxReport::multi_segment`]. Never blocks, never grows `frames` past its capacity.
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport;

    /// Takes frames from the front of `frames` and sends them, completing what [`Frame::finish_outer_checksum`] asks for and, but for what its
    /// peer takes so, what [`Frame::undone`] says.
    /// What the device refuses stays in `frames` (the caller counts and drops it). Returns what was sent.
    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport;

    /// Sends what still waits here, as far as the device takes it at once. Whoever closes the port calls it, when nobody polls it any more.
    fn settle(&mut self) {}

    /// Whether the peer takes frames from this queue: a guest says of which it does.
    fn is_open(&self) -> bool {
        true
    }

    /// Whether the peer takes TCP segments that are larger than its link's, over IPv6 or IPv4.
    fn takes_segments(&self, _v6: bool) -> bool {
        false
    }

    /// The drop reason of what `tx` leaves.
    fn refusal(&self) -> DropReason {
        DropReason::TxRefused
    }
}

/// What one `rx` brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxReport {
    /// Frames appended.
    pub frames: usize,
    /// Frames in several segments that no one buffer was there for, received and dropped.
    pub multi_segment: usize,
    /// Frames of other workers that were sent on this occasion.
    pub handed_over: usize,
    /// Something is left undone in some of the frames.
    pub undone: bool,
}

/// What one `tx` took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxReport {
    /// Frames sent.
    pub frames: usize,
    /// Bytes sent, from the Ethernet header on, without FCS.
    pub bytes: usize,
}
