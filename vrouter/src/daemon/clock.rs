//! Time: coarse ticks since boot for flows, milliseconds for the slow path.

use std::time::Instant;

use crate::ids::Tick;

/// A clock that does not go back. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Absent: it stands still.
    start: Option<Instant>,
    /// Milliseconds from boot to `start`.
    base: u64,
}

impl Clock {
    /// Begins at the host's uptime, so that ticks go on over a restart of the daemon.
    pub fn new() -> Clock {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        Clock { start: Some(Instant::now()), base: (seconds * 1000.0) as u64 }
    }

    /// Stands still: for whoever moves time by [`Control::step_at`](super::answer::Control::step_at).
    pub fn standing(millis: u64) -> Clock {
        Clock { start: None, base: millis }
    }

    /// Milliseconds since boot.
    pub fn millis(&self) -> u64 {
        self.base + self.start.map_or(0, |start| start.elapsed().as_millis() as u64)
    }

    /// Microseconds since boot.
    pub fn micros(&self) -> u64 {
        self.base * 1000 + self.start.map_or(0, |start| start.elapsed().as_micros() as u64)
    }

    /// Ticks since boot.
    pub fn tick(&self) -> Tick {
        tick_at(self.millis())
    }
}

/// The tick of a time in milliseconds since boot.
pub fn tick_at(millis: u64) -> Tick {
    Tick((millis * u64::from(Tick::PER_SECOND) / 1000) as u32)
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
