//! The virtual wire: ports in memory, for tests, simulation and benches. Allocates nothing once made, and takes no lock.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::{BURST, Frame, Port, RxReport, TxReport};

/// A port that hands over what its [`WireEnd`] put in, and collects what is sent.
pub struct WirePort {
    wire: Arc<Wire>,
    /// Its peer is a guest, which takes what is left undone.
    guest: bool,
}

/// The tester's end. Any thread.
#[derive(Clone)]
pub struct WireEnd {
    wire: Arc<Wire>,
}

struct Wire {
    to_worker: ArrayQueue<Frame>,
    sent: ArrayQueue<Frame>,
}

/// A wire that holds at most `room` frames in each direction; `tx` refuses the ones beyond.
pub fn wire(room: usize) -> (WirePort, WireEnd) {
    let wire = Arc::new(Wire { to_worker: ArrayQueue::new(room.max(1)), sent: ArrayQueue::new(room.max(1)) });
    (WirePort { wire: wire.clone(), guest: false }, WireEnd { wire })
}

/// The same whose other end is a guest's: frames leave as they are, with what is left undone.
pub fn wire_of_guest(room: usize) -> (WirePort, WireEnd) {
    let (port, end) = wire(room);
    (WirePort { guest: true, ..port }, end)
}

impl WireEnd {
    /// Lets the port receive this frame. False when the wire is full.
    pub fn put(&self, frame: Frame) -> bool {
        self.wire.to_worker.push(frame).is_ok()
    }

    /// The oldest frame that the port sent.
    pub fn take(&self) -> Option<Frame> {
        self.wire.sent.pop()
    }

    /// Frames that the port has not received yet.
    pub fn waiting(&self) -> usize {
        self.wire.to_worker.len()
    }
}

impl Port for WirePort {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let most = BURST.min(frames.capacity() - frames.len());
        let before = frames.len();
        frames.extend(std::iter::from_fn(|| self.wire.to_worker.pop()).take(most));
        let undone = frames[before..].iter().any(|frame| frame.undone.is_any());
        RxReport { frames: frames.len() - before, undone, ..RxReport::default() }
    }

    fn takes_segments(&self, _v6: bool) -> bool {
        self.guest
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        let mut report = TxReport::default();
        // from the end, so that taking the first frame moves no other one
        frames.reverse();
        while !self.wire.sent.is_full()
            && let Some(mut frame) = frames.pop()
        {
            if self.guest {
                frame.finish_outer_checksum();
            } else if !frame.finish() {
                frames.push(frame);
                break;
            }
            let bytes = frame.len();
            if let Err(frame) = self.wire.sent.push(frame) {
                frames.push(frame);
                break;
            }
            report.frames += 1;
            report.bytes += bytes;
        }
        frames.reverse();
        report
    }
}
