//! Exception: frames between a fabric port and the host's kernel, which has the same MAC and addresses there. They pass as they are, but
//! for the VIF's 802.1Q tag, which the kernel does not see.

use super::victims::Culprit;
use super::{Fate, Work, act};
use crate::drops::DropReason;
use crate::packet::ether;
use crate::port::Frame;
use crate::tables::{Snapshot, Vif};

/// Frames a second that a worker passes out of one port, and at once.
pub const PER_SECOND: u32 = 100_000;
pub const AT_ONCE: u32 = PER_SECOND / 10;

/// Decides what the kernel sent, if it is the kernel that sends here: whether `port` is the exception port of a fabric VIF.
pub fn from_kernel(snapshot: &Snapshot, port: usize, frames: &mut [Frame], burst: &mut [Work]) -> bool {
    let fabric = snapshot.ports.get(port).and_then(|row| snapshot.vifs.row(row.exception_of?.index()));
    let Some(fabric) = fabric else { return false };
    for (frame, work) in frames.iter_mut().zip(burst) {
        work.fate = match check(fabric, frame).and_then(|()| act::tag(frame, fabric.vlan)) {
            Ok(()) => Fate::Except { port: fabric.port, learn: None },
            Err(reason) => Fate::Drop(reason, Culprit::Frame),
        };
    }
    true
}

/// That the link may take the frame for one of ours.
fn check(fabric: &Vif, frame: &Frame) -> Result<(), DropReason> {
    let header = ether::read(frame.bytes())?;
    if header.source != fabric.our_mac {
        return Err(DropReason::MacSpoofed);
    }
    if frame.len() - ether::HEADER > usize::from(fabric.mtu) {
        return Err(DropReason::MtuExceeded);
    }
    Ok(())
}
