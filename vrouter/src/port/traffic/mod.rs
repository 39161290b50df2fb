//! Sources and sinks: ports that make traffic and check what comes of it, for measurements without a NIC.
//!
//! Devargs `source0,flows=1000000,...` and `sink0`, numbers 0 to 15; the contract's Port object lists the arguments. A source makes
//! frames by a [`Profile`](profile::Profile): no memory a flow, a number from which its addresses and port follow ([`walk`],
//! [`template`]). Each frame ends in a [`stamp`]. Paced, frames wait in a ring of 1,024 descriptors and are missed when it is full
//! ([`pace`]). What a worker sends to a source or sink is checked and freed: order and loss by stream ([`order`]), [`latency`].

pub mod args;
pub mod counts;
pub mod latency;
pub mod order;
pub mod overflows;
pub mod pace;
pub mod profile;
mod sink;
mod source;
pub mod stamp;
pub mod template;
pub mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Frame, Port, Rooms, RxReport, TxReport};
use args::{ArgumentError, Device};
use counts::{Counts, Totals};
use sink::Sink;
use source::Source;

/// Queues of a source or sink at most: workers beyond them send by hand-over.
pub const QUEUES: u16 = 16;

/// Where a worker's frames come from and go back to. A worker's own.
pub trait Buffers: Send {
    /// Appends up to `count` empty frames, as far as there are buffers. Never grows `frames`.
    fn take(&mut self, frames: &mut Vec<Frame>, count: usize);

    /// Frees all of them.
    fn give_back(&mut self, frames: &mut Vec<Frame>);
}

/// Cycles since some time, and how many a second has.
#[derive(Clone, Copy, Debug)]
pub struct Cycles {
    pub now: fn() -> u64,
    pub hertz: u64,
}

/// Control side of a source or sink. Any thread but workers.
pub struct TrafficDevice {
    device: Device,
    ends: Arc<[Counts]>,
    cycles: Cycles,
}

/// One worker's end.
pub struct TrafficPort<B> {
    buffers: B,
    source: Option<Source>,
    sink: Sink,
    ends: Arc<[Counts]>,
    queue: usize,
    now: fn() -> u64,
}

/// What these devargs ask for, with an end for each queue, whose frames are of the buffers that `buffers` gives.
pub fn open<B: Buffers>(
    devargs: &str,
    queues: u16,
    cycles: Cycles,
    buffers: impl Fn() -> B,
) -> Result<(TrafficDevice, Vec<TrafficPort<B>>), ArgumentError> {
    let device = args::parse(devargs)?;
    let queues = usize::from(queues.clamp(1, QUEUES));
    let ends: Arc<[Counts]> = (0..queues).map(|_| Counts::new()).collect();
    let end = |queue: usize| {
        let stream = stamp::stream(device.number, queue as u8);
        let share = (queue as u64, queues as u64);
        let source = device.profile.as_ref().map(|profile| Source::new(profile, stream, share, cycles.hertz));
        TrafficPort { buffers: buffers(), source, sink: Sink::new(), ends: ends.clone(), queue, now: cycles.now }
    };
    let ports = (0..queues).map(end).collect();
    Ok((TrafficDevice { device, ends, cycles }, ports))
}

impl TrafficDevice {
    /// What was asked for.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What its ends counted.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.ends)
    }

    /// How long ago it was so many cycles, in nanoseconds.
    pub fn ago(&self, cycles: u64) -> u64 {
        self.nanoseconds((self.cycles.now)().saturating_sub(cycles))
    }

    /// Cycles as nanoseconds.
    pub fn nanoseconds(&self, cycles: u64) -> u64 {
        (u128::from(cycles) * 1_000_000_000 / u128::from(self.cycles.hertz.max(1))) as u64
    }
}

impl<B: Buffers> Port for TrafficPort<B> {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let TrafficPort { buffers, source: Some(source), ends, queue, now, .. } = self else {
            return RxReport::default();
        };
        let stamped = || ends.iter().map(|end| end.stamped.now()).sum();
        let made = source.make(now(), stamped, frames, buffers, &ends[*queue]);
        RxReport { frames: made, ..RxReport::default() }
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        // as a device without offloads would have it
        frames.iter_mut().filter(|frame| frame.tx_ip_checksum.is_some()).for_each(Frame::finish_outer_checksum);
        let bytes = self.sink.see((self.now)(), frames, &self.ends[self.queue]);
        let sent = frames.len();
        self.buffers.give_back(frames);
        TxReport { frames: sent, bytes }
    }
}

/// Rooms that a test shares among ends.
impl Buffers for Arc<Rooms> {
    fn take(&mut self, frames: &mut Vec<Frame>, count: usize) {
        let count = count.min(frames.capacity() - frames.len());
        frames.extend(std::iter::from_fn(|| self.copy(&[])).take(count));
    }

    fn give_back(&mut self, frames: &mut Vec<Frame>) {
        frames.clear();
    }
}
