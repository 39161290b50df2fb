//! The virtual wire: ports in memory, for tests, simulation and benches. Allocates nothing once made.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{BURST, Frame, Port, RxReport, TxReport};

/// A port that hands over what its [`WireEnd`] put in, and collects what is sent.
pub struct WirePort {
    shared: Arc<Mutex<Wire>>,
}

/// The tester's end. Any thread.
#[derive(Clone)]
pub struct WireEnd {
    shared: Arc<Mutex<Wire>>,
}

struct Wire {
    to_worker: VecDeque<Frame>,
    sent: VecDeque<Frame>,
    room: usize,
}

/// A wire that holds at most `room` frames in each direction; `tx` refuses the ones beyond.
pub fn wire(room: usize) -> (WirePort, WireEnd) {
    let wire = Wire { to_worker: VecDeque::with_capacity(room), sent: VecDeque::with_capacity(room), room };
    let shared = Arc::new(Mutex::new(wire));
    (WirePort { shared: shared.clone() }, WireEnd { shared })
}

impl WireEnd {
    /// Lets the port receive this frame. False when the wire is full.
    pub fn put(&self, frame: Frame) -> bool {
        let mut wire = self.shared.lock();
        let fits = wire.to_worker.len() < wire.room;
        if fits {
            wire.to_worker.push_back(frame);
        }
        fits
    }

    /// The oldest frame that the port sent.
    pub fn take(&self) -> Option<Frame> {
        self.shared.lock().sent.pop_front()
    }

    /// Frames that the port has not received yet.
    pub fn waiting(&self) -> usize {
        self.shared.lock().to_worker.len()
    }
}

impl Port for WirePort {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let mut wire = self.shared.lock();
        let count = wire.to_worker.len().min(BURST).min(frames.capacity() - frames.len());
        frames.extend(wire.to_worker.drain(..count));
        RxReport { frames: count, ..RxReport::default() }
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        let mut wire = self.shared.lock();
        let count = (wire.room - wire.sent.len()).min(frames.len());
        let mut report = TxReport { frames: count, bytes: 0 };
        for mut frame in frames.drain(..count) {
            frame.finish_outer_checksum();
            report.bytes += frame.len();
            wire.sent.push_back(frame);
        }
        report
    }
}
