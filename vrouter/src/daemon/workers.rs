//! The worker threads: pinned, named vr-worker-N, run to completion.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::Clock;
use crate::api::config::Idle;
use crate::datapath::Worker;
use crate::datapath::mover::Mover;
use crate::ids::{PortIndex, Tick};
use crate::port::Port;

/// Empty polls before a backing-off worker sleeps for the first time.
const PATIENCE: u32 = 256;
const SHORTEST_SLEEP: Duration = Duration::from_micros(20);
/// Bounds the latency of a backing-off worker's first packet, and how late it sees a snapshot.
const LONGEST_SLEEP: Duration = Duration::from_micros(500);
/// Polls between two looks at the clock.
const CLOCK_POLLS: u32 = 32;

/// What a worker's thread polls.
pub trait Polled: Send + 'static {
    /// Called once by the thread, before.
    fn settle(&mut self);
    /// Moves what is there; the frames moved.
    fn poll(&mut self, now: Tick) -> usize;
    /// Its end of a port, if it has one. When its thread has ended.
    fn take_end(&mut self, port: PortIndex) -> Option<Box<dyn Port>>;
}

impl Polled for Worker {
    fn settle(&mut self) {
        Worker::settle(self);
    }

    #[inline]
    fn poll(&mut self, now: Tick) -> usize {
        Worker::poll(self, now)
    }

    fn take_end(&mut self, port: PortIndex) -> Option<Box<dyn Port>> {
        Worker::take_end(self, port)
    }
}

impl Polled for Mover {
    fn settle(&mut self) {}

    #[inline]
    fn poll(&mut self, _now: Tick) -> usize {
        Mover::poll(self)
    }

    fn take_end(&mut self, _: PortIndex) -> Option<Box<dyn Port>> {
        None
    }
}

/// The running workers. Dropping it ends them.
pub struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Box<dyn Polled>>>,
}

impl Workers {
    /// Starts a thread for each worker on its core; `enter` runs first on each, and what it
    /// returns is kept until the thread ends (DPDK's registration).
    pub fn start<W: Polled, G>(
        workers: Vec<(W, usize)>,
        idle: Idle,
        clock: Clock,
        enter: impl Fn() -> G + Send + Clone + 'static,
    ) -> io::Result<Workers> {
        // its drop ends what was started, also when a later thread cannot be
        let mut started = Workers { stop: Arc::default(), threads: Vec::new() };
        for (index, (mut worker, core)) in workers.into_iter().enumerate() {
            let (stop, enter) = (started.stop.clone(), enter.clone());
            let thread = std::thread::Builder::new().name(format!("vr-worker-{index}"));
            started.threads.push(thread.spawn(move || {
                if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
                    tracing::warn!(worker = index, core, "cannot pin the worker to its core");
                }
                let _registration = enter();
                run(&mut worker, idle, clock, &stop);
                Box::new(worker) as Box<dyn Polled>
            })?);
        }
        Ok(started)
    }

    /// Ends them. What they polled with is given back: ports are open until it is dropped.
    pub fn halt(&mut self) -> Vec<Box<dyn Polled>> {
        // relaxed: a flag that carries nothing but itself
        self.stop.store(true, Ordering::Relaxed);
        // a panic has aborted the process before
        self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        drop(self.halt());
    }
}

fn run(worker: &mut impl Polled, idle: Idle, clock: Clock, stop: &AtomicBool) {
    let mut empty = 0_u32;
    let mut polls = 0_u32;
    let mut now = clock.tick();
    worker.settle();
    while !stop.load(Ordering::Relaxed) {
        if polls.is_multiple_of(CLOCK_POLLS) || empty > PATIENCE {
            now = clock.tick();
        }
        polls = polls.wrapping_add(1);
        if worker.poll(now) > 0 {
            empty = 0;
            continue;
        }
        empty = empty.saturating_add(1);
        match idle {
            Idle::Poll => std::hint::spin_loop(),
            Idle::Backoff if empty < PATIENCE => std::hint::spin_loop(),
            Idle::Backoff => {
                let doublings = ((empty - PATIENCE) / 16).min(10);
                std::thread::sleep((SHORTEST_SLEEP * 2_u32.pow(doublings)).min(LONGEST_SLEEP));
            }
        }
    }
}
