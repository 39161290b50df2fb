//! The one door to atomics: the standard library's, or loom's under `--cfg loom`.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

/// One turn of a wait for a writer that holds a lock for a few dozen instructions. After many turns that writer has lost its
/// core, and ours may be the one it waits for: give it away.
#[cfg(not(loom))]
pub(crate) fn wait(turns: &mut u32) {
    *turns += 1;
    if turns.is_multiple_of(512) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

/// loom wants to know that nothing happens here until another thread moves.
#[cfg(loom)]
pub(crate) fn wait(_turns: &mut u32) {
    loom::thread::yield_now();
}
