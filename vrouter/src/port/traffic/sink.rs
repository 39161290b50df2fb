//! One end of what is sent to a source or sink: looks at the stamps.

use super::args::DEVICES;
use super::counts::Counts;
use super::latency::bucket;
use super::order::{Order, Seen};
use super::stamp::Stamp;
use crate::port::Frame;

/// Streams that can be told apart: sixteen devices of sixteen queues.
const STREAMS: usize = DEVICES as usize * 16;

/// Used by one worker.
pub struct Sink {
    /// By stream.
    streams: Box<[Order]>,
    lost: u64,
}

impl Sink {
    /// Nothing has come.
    pub fn new() -> Sink {
        Sink { streams: vec![Order::default(); STREAMS].into(), lost: 0 }
    }

    /// Takes note of frames. Returns their bytes. `now` in cycles.
    #[inline]
    pub fn see(&mut self, now: u64, frames: &[Frame], counts: &Counts) -> usize {
        let (mut bytes, mut stamped) = (0, 0);
        // frames of a burst often have one time: a latency and how often it was seen
        let mut same = (0, 0);
        for frame in frames {
            let frame = frame.bytes();
            bytes += frame.len();
            let Some(stamp) = Stamp::read(frame) else { continue };
            let Some(stream) = self.streams.get_mut(usize::from(stamp.stream)) else { continue };
            stamped += 1;
            match stream.see(stamp.sequence) {
                Seen::InOrder => {}
                Seen::Ahead(missing) => self.lost += u64::from(missing),
                Seen::Late => {
                    self.lost = self.lost.saturating_sub(1);
                    counts.late.add(1);
                }
                Seen::Ancient => counts.late.add(1),
                Seen::Repeated => counts.repeated.add(1),
            }
            let latency = now.saturating_sub(stamp.time);
            if latency != same.0 {
                note(counts, same);
                same = (latency, 0);
            }
            same.1 += 1;
        }
        note(counts, same);
        counts.taken.add(frames.len() as u64);
        counts.bytes.add(bytes as u64);
        counts.stamped.add(stamped);
        counts.lost.set(self.lost);
        bytes
    }
}

#[inline]
fn note(counts: &Counts, (latency, times): (u64, u64)) {
    if times > 0 {
        counts.latencies[bucket(latency)].add(times);
    }
}
