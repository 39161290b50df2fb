//! One queue of a source: makes the frames that its profile says, when they are due.

use super::Buffers;
use super::counts::Counts;
use super::pace::Pace;
use super::profile::Profile;
use super::stamp::Stamp;
use super::template::{Template, templates};
use super::walk::Walk;
use crate::port::{BURST, Frame};

/// Polled by one worker.
pub struct Source {
    profile: Profile,
    templates: Vec<Template>,
    /// Which template comes when.
    schedule: Vec<u8>,
    at: usize,
    walk: Walk,
    stream: u16,
    pace: Option<Pace>,
    /// Frames that were made, without a pace.
    made: u64,
    /// Frames to make ever.
    most: u64,
    /// It waits no more for what is sent to its device.
    begun: bool,
}

impl Source {
    /// Queue `queue` of `queues`, whose stamps are of `stream`; time is in cycles, `hertz` a second. Allocates all it will ever use.
    pub fn new(profile: &Profile, stream: u16, (queue, queues): (u64, u64), hertz: u64) -> Source {
        let (first, count) = profile.share(queue, queues);
        let part = |whole: u64| whole * (queue + 1) / queues - whole * queue / queues;
        let (templates, schedule) = templates(profile);
        Source {
            templates,
            schedule,
            at: 0,
            walk: Walk::new(first, count),
            stream,
            pace: profile.rate.map(|rate| Pace::new(part(rate).max(1), hertz)),
            made: 0,
            most: profile.frames.map_or(u64::MAX, part),
            begun: profile.after == 0,
            profile: profile.clone(),
        }
    }

    /// Appends the frames that are due, at most a burst and as far as `frames` has room. `stamped`: how many stamped frames were sent to
    /// the device. Returns how many there are.
    #[inline]
    pub fn make(
        &mut self,
        now: u64,
        stamped: impl Fn() -> u64,
        frames: &mut Vec<Frame>,
        buffers: &mut impl Buffers,
        counts: &Counts,
    ) -> usize {
        self.begun = self.begun || stamped() >= self.profile.after;
        if !self.begun {
            return 0;
        }
        let room = BURST.min(frames.capacity() - frames.len());
        let due = match &mut self.pace {
            None => self.profile.burst.min((self.most - self.made).min(BURST as u64) as usize),
            Some(pace) => {
                let missed = pace.arrive(now, self.most);
                if missed > 0 {
                    counts.missed.add(missed);
                    counts.overflows.add(now, missed);
                }
                pace.waiting()
            }
        };
        if due == 0 {
            return 0;
        }
        let before = frames.len();
        // without a buffer a paced frame waits in the ring, and an unpaced one is not made
        buffers.take(frames, due.min(room));
        for frame in &mut frames[before..] {
            let (number, time) = match &mut self.pace {
                None => (self.made, now),
                Some(pace) => pace.take().unwrap_or_default(),
            };
            self.made += 1;
            let template = &self.templates[usize::from(self.schedule[self.at])];
            self.at = if self.at + 1 == self.schedule.len() { 0 } else { self.at + 1 };
            let flow = self.walk.step();
            let stamp = Stamp { stream: self.stream, sequence: number as u32, time };
            frame.copy_blocks(template.blocks(), template.length());
            template.complete(frame.bytes_mut(), flow, self.profile.ends(flow), stamp.bytes());
        }
        counts.made.add((frames.len() - before) as u64);
        frames.len() - before
    }
}
